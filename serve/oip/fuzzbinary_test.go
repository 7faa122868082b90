package oip_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

// mixed is a message with each datatype as binary data.
func mixed() []oip.Tensor {
	list := []oip.Tensor{
		oip.NewBOOL("bool", []int64{3}, []bool{true, false, true}),
		oip.NewUINT8("u8", []int64{1, 2}, []uint8{0, 255}),
		oip.NewUINT16("u16", []int64{2}, []uint16{0, 65535}),
		oip.NewUINT32("u32", []int64{1}, []uint32{math.MaxUint32}),
		oip.NewUINT64("u64", []int64{1}, []uint64{math.MaxUint64}),
		oip.NewINT8("i8", []int64{2}, []int8{-128, 127}),
		oip.NewINT16("i16", []int64{1}, []int16{-32768}),
		oip.NewINT32("i32", []int64{1}, []int32{math.MinInt32}),
		oip.NewINT64("i64", []int64{1}, []int64{math.MinInt64}),
		oip.NewFP16("f16", []int64{2}, []uint16{0x3c00, 0x7e00}),
		oip.NewBF16("bf16", []int64{2}, []uint16{0x3f80, 0xffc0}),
		oip.NewFP32("f32", []int64{2, 2}, []float32{1, float32(math.NaN()), float32(math.Inf(1)), -0.1}),
		oip.NewFP64("f64", []int64{2}, []float64{math.Inf(-1), 0.1}),
		oip.NewBYTES("bytes", []int64{3}, [][]byte{{}, {0xff, 0}, []byte("text")}),
		oip.NewFP32("none", []int64{0, 4}, nil),
		oip.NewFP64("scalar", []int64{}, []float64{2}),
	}
	for i := range list {
		list[i].Binary = true
	}
	return list
}

func FuzzDecodeBinary(f *testing.F) {
	add := func(r *oip.InferRequest) {
		body, n, err := oip.AppendBinaryRequest(nil, r)
		require.NoError(f, err)
		f.Add(body, n)
	}
	add(&oip.InferRequest{ID: "a", Inputs: mixed(), BinaryOutput: true, Outputs: []oip.RequestedOutput{{Name: "y"}, {Name: "z", Binary: true}}})
	half := mixed()
	for i := range half {
		half[i].Binary = i%3 == 0 || !half[i].Datatype.HasJSON()
	}
	half = append(half[:11], half[12], half[15])
	half[11].FP64()[0] = 1
	add(&oip.InferRequest{Inputs: half})
	for _, s := range seeds {
		f.Add([]byte(s), len(s))
		f.Add([]byte(s+"12345678"), len(s))
	}
	f.Add([]byte(`{"inputs":[{"name":"x","datatype":"BOOL","shape":[1],"parameters":{"binary_data_size":1}}]}`+"\x02"), 92)
	f.Add([]byte(`{}`), -2)
	f.Fuzz(func(t *testing.T, body []byte, jsonLength int) {
		before := string(body)
		dec := new(oip.Decoder)
		_, _ = dec.DecodeRequest([]byte(dirt), oip.JSONOnly, nil)
		got, err := dec.DecodeRequest(body, jsonLength, nil)
		require.Equal(t, before, string(body), "the body was changed")
		if err != nil {
			require.ErrorIs(t, err, oip.ErrInvalid)
			return
		}
		raw := 0
		for i := range got.Inputs {
			if got.Inputs[i].Binary {
				require.NoError(t, checkNamed(&got.Inputs[i]))
				raw += len(oip.AppendRaw(nil, &got.Inputs[i]))
			}
		}
		if jsonLength >= 0 {
			require.Equal(t, len(body)-jsonLength, raw, "bytes behind the JSON that no tensor has")
		}
		for i := range got.Inputs {
			if got.Inputs[i].Check() != nil {
				return
			}
		}
		text, n, err := oip.AppendBinaryRequest(nil, got)
		require.NoError(t, err)
		again, err := new(oip.Decoder).DecodeRequest(text, n, nil)
		require.NoError(t, err)
		require.NoError(t, sameRequest(again, got))
	})
}

// checkNamed is Check of a tensor that may have an empty name.
func checkNamed(t *oip.Tensor) error {
	c := t.Clone()
	c.Name = "x"
	return c.Check()
}
