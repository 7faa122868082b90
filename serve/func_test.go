package serve_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

type name string

// everything has a field of each kind that can be a tensor.
type everything struct {
	B    bool
	I    int
	I8   int8
	I16  int16
	I32  int32
	I64  int64
	U    uint
	U8   uint8
	U16  uint16
	U32  uint32
	U64  uint64
	F32  float32
	F64  float64 `serve:"score"`
	S    string
	N    name
	Raw  []byte
	A    [2]float32
	L    []int32
	Text []string
	Raws [2][]byte
	Skip chan int `serve:"-"`
	own  int
}

func TestFuncKinds(t *testing.T) {
	t.Parallel()
	m, err := serve.Func(func(_ context.Context, in everything) (everything, error) {
		in.own++
		return in, nil
	})
	require.NoError(t, err)
	s, _ := start(t, nil, m)
	sig, err := s.Signature("adder", "")
	require.NoError(t, err)
	require.Equal(t, sig.Inputs, sig.Outputs)
	require.Len(t, sig.Inputs, 20)
	require.Equal(t, oip.TensorMetadata{Name: "score", Datatype: oip.FP64, Shape: []int64{-1}}, sig.Inputs[12])
	require.Equal(t, oip.TensorMetadata{Name: "A", Datatype: oip.FP32, Shape: []int64{-1, 2}}, sig.Inputs[16])
	require.Equal(t, oip.TensorMetadata{Name: "L", Datatype: oip.INT32, Shape: []int64{-1, -1}}, sig.Inputs[17])
	one, two := []int64{2}, []int64{2, 2}
	req := &oip.InferRequest{Inputs: []oip.Tensor{
		oip.NewINT64("I", one, []int64{-1, 2}), oip.NewBOOL("B", one, []bool{true, false}),
		oip.NewINT8("I8", one, []int8{-8, 8}), oip.NewINT16("I16", one, []int16{-16, 16}), oip.NewINT32("I32", one, []int32{-32, 32}),
		oip.NewINT64("I64", one, []int64{-64, 64}), oip.NewUINT64("U", one, []uint64{1, 2}), oip.NewUINT8("U8", one, []uint8{8, 255}),
		oip.NewUINT16("U16", one, []uint16{16, 17}), oip.NewUINT32("U32", one, []uint32{32, 33}), oip.NewUINT64("U64", one, []uint64{64, 1 << 63}),
		oip.NewFP32("F32", one, []float32{0.5, 1.5}), oip.NewFP64("score", one, []float64{0.1, 0.2}), oip.NewStrings("S", one, []string{"", "été"}),
		oip.NewStrings("N", one, []string{"a", "b"}), oip.NewBYTES("Raw", one, [][]byte{{1}, {}}), oip.NewFP32("A", two, []float32{1, 2, 3, 4}),
		oip.NewINT32("L", []int64{2, 3}, []int32{1, 2, 3, 4, 5, 6}), oip.NewStrings("Text", []int64{2, 1}, []string{"x", "y"}),
		oip.NewBYTES("Raws", two, [][]byte{{1}, {2}, {3}, {4}}),
	}}
	resp, _, err := s.Infer(t.Context(), "adder", "", req)
	require.NoError(t, err)
	for _, in := range req.Inputs {
		out := resp.Output(in.Name)
		require.Equal(t, in.Shape, out.Shape)
		require.Equal(t, in.Data(), out.Data(), in.Name)
	}
}

func TestFuncRefuses(t *testing.T) {
	t.Parallel()
	type bad struct {
		A int `serve:"x"`
		B map[string]int
		C int `serve:"x"`
		d int `serve:"d"` //nolint:unused // What is not exported cannot be a tensor.
		E [][]int
		F *float64
	}
	_, err := serve.Func(func(context.Context, bad) (int, error) { return 0, nil })
	require.ErrorIs(t, err, serve.ErrInvalid)
	const want = ", want a number, bool, string, []byte, or an array or slice of them"
	require.EqualError(t, err, `serve: func: input field B is map[string]int`+want+`; input "x" is there twice; `+
		`input field d has a tag and is not exported; input field E is [][]int`+want+`; input field F is *float64`+want+`; `+
		`the output is int, want a struct: invalid`)
	_, err = serve.Func[struct{}, struct{}](nil)
	require.ErrorContains(t, err, "the input struct struct {} has no exported fields")
	_, err = serve.FuncRows[everything, everything](nil)
	require.ErrorContains(t, err, "the function is nil")
}

func TestFuncErrors(t *testing.T) {
	t.Parallel()
	type in struct{ X float64 }
	type out struct{ Y []float64 }
	m, err := serve.Func(func(_ context.Context, i in) (out, error) {
		if i.X < 0 {
			return out{}, fmt.Errorf("X is negative: %w", serve.ErrInvalid)
		}
		return out{make([]float64, int(i.X))}, nil
	})
	require.NoError(t, err)
	s, _ := start(t, nil, m)
	call := func(x ...float64) error {
		_, _, err := s.Infer(t.Context(), "adder", "", &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("X", []int64{int64(len(x))}, x)}})
		return err
	}
	require.NoError(t, call(2, 2))
	require.EqualError(t, call(-1), `serve: infer "adder" version "1": X is negative: invalid`)
	require.EqualError(t, call(1, -1), `serve: infer "adder" version "1": output "Y" has 0 elements in row 1 and 1 in row 0`)
	require.ErrorIs(t, call(0, -1), serve.ErrInvalid)
	require.EqualError(t, call(0, -1), `serve: infer "adder" version "1": row 1: X is negative: invalid`)

	few, err := serve.FuncRows(func(context.Context, []in) ([]in, error) { return nil, nil })
	require.NoError(t, err)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "2", Model: few}))
	require.ErrorContains(t, call(1), "the function gave 0 answers to 1 rows")
	broken, err := serve.FuncRows(func(context.Context, []in) ([]in, error) { return nil, errors.New("broken") })
	require.NoError(t, err)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "3", Model: broken}))
	require.ErrorContains(t, call(1), "broken")
}

func ExampleFunc() {
	type Flight struct {
		Carrier  string  `serve:"carrier"`
		Distance float64 `serve:"distance"`
	}
	type Answer struct {
		Minutes float64 `serve:"minutes"`
	}
	model, err := serve.Func(func(_ context.Context, f Flight) (Answer, error) {
		if f.Carrier == "" {
			return Answer{}, fmt.Errorf("no carrier: %w", serve.ErrInvalid)
		}
		return Answer{Minutes: 20 + f.Distance/10}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	server := serve.New(nil)
	if err := server.Deploy(ctx, serve.Deployment{Name: "duration", Version: "1", Model: model}); err != nil {
		fmt.Println(err)
	}
	resp, served, err := server.Infer(ctx, "duration", "", &oip.InferRequest{ID: "q1", Inputs: []oip.Tensor{
		oip.NewStrings("carrier", []int64{2}, []string{"AA", "UA"}),
		oip.NewFP64("distance", []int64{2}, []float64{1000, 500}),
	}})
	fmt.Println(resp.Output("minutes").FP64(), served.Version, err)
	_, _, err = server.Infer(ctx, "duration", "", &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("distance", []int64{1}, []float64{1})}})
	fmt.Println(err)
	if err := server.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// [120 70] 1 <nil>
	// serve: infer "duration" version "1": input "carrier" is missing: invalid
}
