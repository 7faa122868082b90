package serve_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	answer := func(list ...oip.Tensor) *oip.InferResponse { return &oip.InferResponse{Outputs: list} }
	nan := math.NaN()
	x := func(v ...float64) oip.Tensor { return oip.NewFP64("x", []int64{int64(len(v))}, v) }
	for _, tc := range []struct {
		want, have *oip.InferResponse
		tolerance  *serve.Tolerance
		first      string
		unequal    int64
	}{
		{answer(x(1, nan, math.Inf(1))), answer(x(1, nan, math.Inf(1))), nil, "", 0},
		{answer(x(1, 2)), answer(x(1, 2.5), oip.NewStrings("y", []int64{1}, []string{"more"})), nil, `output "x" element 1 is 2.5, want 2`, 1},
		{answer(x(1, 200)), answer(x(1.5, 202)), &serve.Tolerance{Abs: 0.5, Rel: 0.0075}, "", 0},
		{answer(x(1, 200)), answer(x(1.6, 202.1)), &serve.Tolerance{Abs: 0.5, Rel: 0.0075}, `output "x" element 0 is 1.6, want 1`, 2},
		{answer(x(1)), answer(x(nan)), &serve.Tolerance{Abs: 1e300}, `output "x" element 0 is NaN, want 1`, 1},
		{answer(x(math.Inf(-1))), answer(x(math.Inf(1))), &serve.Tolerance{Rel: 1}, `output "x" element 0 is +Inf, want -Inf`, 1},
		{answer(x(1)), answer(), nil, `output "x" is missing`, 1},
		{answer(x(1)), answer(x(1, 2)), nil, `output "x" has shape [2], want [1]`, 1},
		{answer(x(1)), answer(oip.NewFP32("x", []int64{1}, []float32{1})), nil, `output "x" is FP32, want FP64`, 1},
		{answer(oip.NewStrings("y", []int64{2}, []string{"a", "b"})), answer(oip.NewStrings("y", []int64{2}, []string{"a", "c"})), nil, `output "y" element 1 is "c", want "b"`, 1},
		{answer(oip.NewINT64("y", []int64{1}, []int64{7})), answer(oip.NewINT64("y", []int64{1}, []int64{9})), &serve.Tolerance{Abs: 5}, `output "y" element 0 is 9, want 7`, 1},
		{answer(oip.NewFP16("y", []int64{3}, []uint16{0x3c00, 0x0001, 0x7c00})), answer(oip.NewFP16("y", []int64{3}, []uint16{0x3c00, 0x0001, 0xfc00})), nil, `output "y" element 2 is -Inf, want +Inf`, 1},
		{answer(oip.NewFP16("y", []int64{2}, []uint16{0x3c00, 0x7e00})), answer(oip.NewFP16("y", []int64{2}, []uint16{0x3c01, 0x7e01})), &serve.Tolerance{Rel: 1e-3}, "", 0},
		{answer(oip.NewBF16("y", []int64{1}, []uint16{0x3f80})), answer(oip.NewBF16("y", []int64{1}, []uint16{0x4000})), nil, `output "y" element 0 is 2, want 1`, 1},
		{answer(oip.NewBOOL("y", []int64{1}, []bool{true})), answer(oip.NewBOOL("y", []int64{1}, []bool{false})), nil, `output "y" element 0 is false, want true`, 1},
	} {
		d := serve.Compare(tc.want, tc.have, tc.tolerance)
		require.Equal(t, tc.first, d.First)
		require.Equal(t, tc.unequal, d.Unequal)
		require.Equal(t, tc.first == "", d.Equal())
	}
	a := answer(oip.NewFP32("p", []int64{3, 3}, []float32{1, 2, 3, 3, 2, 1, 1, 3, 2}))
	b := answer(oip.NewFP32("p", []int64{3, 3}, []float32{1, 2, 4, 1, 2, 3, 0, 1, 0}))
	require.Equal(t, serve.Difference{
		Elements: 9, Unequal: 6, Largest: 2, LargestRel: 2, TopOne: 2, TopOneRows: 3, First: `output "p" element 2 is 4, want 3`,
	}, serve.Compare(a, b, nil))
}

// golden is what an adder answers.
func golden(t testing.TB) serve.Golden {
	g, err := serve.DecodeGolden([]byte(good), []byte(`{"outputs":[{"name":"sum","datatype":"FP64","shape":[2],"data":[3,-5]}]}`))
	require.NoError(t, err)
	return g
}

func TestGolden(t *testing.T) {
	t.Parallel()
	s, _ := start(t, nil, nil)
	d := serve.Deployment{Name: "adder", Version: "1", Model: adder(), Golden: []serve.Golden{golden(t)}}
	require.NoError(t, s.Deploy(t.Context(), d))
	for want, infer := range map[string]func(context.Context, *oip.InferRequest, *oip.InferResponse) error{
		`golden case 0 is not reproduced, 1 of 2 elements differ by up to 1: output "sum" element 0 is 2, want 3: invalid`: versioned(2).infer,
		`golden case 0: cannot`:                func(context.Context, *oip.InferRequest, *oip.InferResponse) error { return errors.New("cannot") },
		`golden case 0: the model panicked: x`: func(context.Context, *oip.InferRequest, *oip.InferResponse) error { panic("x") },
		`golden case 0: the model's answer does not have its signature: output "sum" is missing; output "sign" is missing`: func(context.Context, *oip.InferRequest, *oip.InferResponse) error {
			return nil
		},
	} {
		m := adder()
		m.infer = infer
		d.Version, d.Model = "2", m
		require.EqualError(t, s.Deploy(t.Context(), d), `serve: deploy "adder" version "2": `+want)
		n, served := says(t, s, "")
		require.EqualValues(t, 3, n)
		require.Equal(t, "1", served.Version)
	}
	d.Model, d.Tolerance.Abs = versioned(2), 1
	require.NoError(t, s.Deploy(t.Context(), d))
	d.Model, d.Golden = adder(), []serve.Golden{{}}
	require.ErrorIs(t, s.Deploy(t.Context(), d), serve.ErrInvalid)
	d.Golden = []serve.Golden{{Request: &oip.InferRequest{}, Response: &oip.InferResponse{}}}
	require.ErrorContains(t, s.Deploy(t.Context(), d), `golden case 0: input "x" is missing`)
	_, err := serve.DecodeGolden([]byte("{"), nil)
	require.ErrorIs(t, err, serve.ErrInvalid)
	_, err = serve.DecodeGolden([]byte(good), []byte("{"))
	require.ErrorIs(t, err, serve.ErrInvalid)
}

func TestRecordedSignature(t *testing.T) {
	t.Parallel()
	s, _ := start(t, nil, nil)
	sig := signature()
	sig.Outputs[0], sig.Outputs[1] = sig.Outputs[1], sig.Outputs[0]
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "a", Version: "1", Model: adder(), Signature: &sig}))
	other := serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1, 3}}, {Name: "z", Datatype: oip.FP64, Shape: []int64{-1}}},
		Outputs: signature().Outputs,
	}
	require.EqualError(t, s.Deploy(t.Context(), serve.Deployment{Name: "a", Version: "2", Model: adder(), Signature: &other}),
		`serve: deploy "a" version "2": input "x" is FP64 [-1,2], the recorded signature has FP64 [-1,3]; `+
			`input "z" of the recorded signature is not one of the model's: "x"; the model has 1 inputs, the recorded signature has 2: invalid`)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	s, _ := two(t, nil)
	_, d, err := s.Replay(t.Context(), "adder", "2", golden(t), nil)
	require.NoError(t, err)
	require.Equal(t, `output "sum" element 0 is 2, want 3`, d.First)
	require.EqualValues(t, 1, d.Largest)
	resp, d, err := s.Replay(t.Context(), "adder", "2", golden(t), &serve.Tolerance{Abs: 1})
	require.NoError(t, err)
	require.True(t, d.Equal())
	require.Equal(t, "r-1", resp.ID)
	_, _, err = s.Replay(t.Context(), "adder", "", serve.Golden{Request: rows(1, 2)}, nil)
	require.ErrorIs(t, err, serve.ErrInvalid)
	_, _, err = s.Replay(t.Context(), "adder", "9", golden(t), nil)
	require.ErrorIs(t, err, serve.ErrNotFound)
}
