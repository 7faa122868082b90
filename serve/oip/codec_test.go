package oip_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

func TestDecodeRequest(t *testing.T) {
	t.Parallel()
	r, err := oip.DecodeRequest([]byte(`{
		"id": "42",
		"parameters": {"priority": 3, "big": 18446744073709551615, "rate": 0.5, "tag": "a\u00e9", "on": true, "off": null},
		"unknown": [{"nested": [1, 2, {"a": null}]}],
		"inputs": [
			{"name": "age", "datatype": "INT64", "shape": [2, 1], "data": [[9007199254740993], [-1]]},
			{"data": ["red", "\ud83d\ude00"], "shape": [2], "parameters": {"content_type": "str"}, "datatype": "BYTES", "name": "colour"},
			{"name": "w", "datatype": "FP32", "shape": [2, 2], "data": [0.1, 1e-3, -2, 16777217]}
		],
		"outputs": [{"name": "score", "parameters": {"binary_data": false}}]
	}`), nil)
	require.NoError(t, err)
	require.Equal(t, "42", r.ID)
	require.Equal(t, map[string]any{
		"priority": int64(3), "big": float64(18446744073709551615), "rate": 0.5, "tag": "aé", "on": true,
	}, r.Parameters)
	require.Equal(t, []oip.RequestedOutput{{Name: "score"}}, r.Outputs)
	require.Len(t, r.Inputs, 3)

	age := r.Input("age")
	require.Equal(t, []int64{9007199254740993, -1}, age.INT64())
	require.Equal(t, []int64{2, 1}, age.Shape)
	require.Nil(t, age.FP32())
	require.Equal(t, any([]int64{9007199254740993, -1}), age.Data())

	colour := r.Input("colour")
	require.Equal(t, []string{"red", "😀"}, colour.Strings())
	require.Equal(t, [][]byte{[]byte("red"), []byte("😀")}, colour.BYTES())
	require.Equal(t, map[string]any{"content_type": "str"}, colour.Parameters)

	require.Equal(t, []float32{0.1, 1e-3, -2, 16777216}, r.Input("w").FP32())
	require.Nil(t, r.Input("none"))
	for i := range r.Inputs {
		require.NoError(t, r.Inputs[i].Check())
	}
}

// The elements of a BYTES tensor lie in one array; appending to one must not
// write into the next.
func TestBytesElementsAreApart(t *testing.T) {
	t.Parallel()
	r, err := oip.DecodeRequest([]byte(`{"inputs":[{"name":"s","datatype":"BYTES","shape":[2],"data":["a","b"]}]}`), nil)
	require.NoError(t, err)
	s := r.Inputs[0].BYTES()
	_ = append(s[0], 'x')
	require.Equal(t, "b", string(s[1]))
	tensor := oip.NewStrings("s", []int64{2}, []string{"a", "b"})
	_ = append(tensor.BYTES()[0], 'x')
	require.Equal(t, []string{"a", "b"}, tensor.Strings())
}

func TestDecodedRequestSharesNothingWithTheBody(t *testing.T) {
	t.Parallel()
	body := []byte(`{"id":"abc","inputs":[{"name":"s","datatype":"BYTES","shape":[1],"data":["text"]}]}`)
	r, err := oip.DecodeRequest(body, nil)
	require.NoError(t, err)
	for i := range body {
		body[i] = '!'
	}
	require.Equal(t, "abc", r.ID)
	require.Equal(t, "s", r.Inputs[0].Name)
	require.Equal(t, []string{"text"}, r.Inputs[0].Strings())
}

func TestDecodeErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	input := func(s string) string { return `{"inputs":[` + s + `]}` }
	data := func(dt, data string) string {
		return input(`{"name":"x","datatype":"` + dt + `","shape":[2],"data":` + data + `}`)
	}
	for _, tc := range []struct{ body, want string }{
		{``, `byte 0: found the end of the text, want an object`},
		{`[]`, `byte 0: found an array, want an object`},
		{`{"id":"a"}`, `byte 10: it has no "inputs"`},
		{`{"id":7,"inputs":[]}`, `id: byte 6: found a number, want a string`},
		{`{"inputs":null}`, `inputs: byte 10: found null, want an array of tensors`},
		{`{"inputs":[]} x`, `byte 14: found 'x', want the end of the text`},
		{`{"inputs":[]`, `byte 12: found the end of the text, want ',' or '}'`},
		{`{"inputs":[],}`, `byte 13: found '}', want a member name`},
		{`{"inputs":[1]}`, `inputs[0]: byte 11: found a number, want an object (a tensor)`},
		{`{"inputs":[],"parameters":{"a":[1]}}`, `parameters: "a": byte 31: found an array, want a string, a number or a boolean`},
		{`{"inputs":[],"outputs":[{"x":1}]}`, `outputs[0]: byte 30: the requested output has no "name"`},
		{`{"inputs":[],"z":` + strings.Repeat("[", 70), `arrays and objects are nested more than 64 deep`},
		{"{\"inputs\":[],\"z\":\"\n\"}", `byte 18: found the control character 0x0a inside a string, want it escaped`},
		{"{\"inputs\":[],\"z\":\"\xff\"}", `byte 18: the string is not valid UTF-8`},
		{`{"inputs":[],"z":"\ud800x"}`, `byte 18: found half of a surrogate pair in a string`},
		{`{"inputs":[],"z":"\ud800\ud800"}`, `byte 18: found half of a surrogate pair in a string`},
		{`{"inputs":[],"z":"\q"}`, `byte 18: found an unknown escape sequence in a string`},
		{`{"inputs":[],"z":tru}`, `byte 17: found 't', want a value`},
		{input(`{}`), `inputs[0]: byte 12: the tensor has no "name", "datatype", "shape", "data"`},
		{input(`{"name":"x","data":[1]}`), `inputs[0] "x": byte 33: the tensor has no "datatype", "shape"`},
		{input(`{"name":"x","datatype":"FLOAT"}`), `inputs[0] "x": datatype: byte 34: "FLOAT" is not a datatype, want BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES`},
		{data("FP16", `[1,2]`), `inputs[0] "x": data: byte 60: FP16 has no form in JSON, send it as binary tensor data, or as FP32`},
		{input(`{"name":"x","shape":[-1]}`), `inputs[0] "x": shape: byte 32: the number -1 is out of range, want a dimension, an integer of at least 0`},
		{input(`{"name":"x","shape":[1.5]}`), `inputs[0] "x": shape: byte 32: found the number 1.5, want a dimension, an integer of at least 0`},
		{data("FP32", `[1,"2"]`), `inputs[0] "x": data: byte 63: found a string, want a number (FP32)`},
		{data("FP32", `[1,null]`), `inputs[0] "x": data: byte 63: found null, want a number (FP32)`},
		{data("FP32", `[1,NaN]`), `inputs[0] "x": data: byte 63: found NaN or Infinity, which JSON does not have, want a number (FP32)`},
		{data("FP32", `[1,-Infinity]`), `inputs[0] "x": data: byte 64: found NaN or Infinity, which JSON does not have, want a digit`},
		{data("FP32", `[1,1e39]`), `inputs[0] "x": data: byte 63: the number 1e39 is out of the range of FP32`},
		{data("FP64", `[1,1e309]`), `inputs[0] "x": data: byte 63: the number 1e309 is out of the range of FP64`},
		{data("FP64", `[1,02]`), `inputs[0] "x": data: byte 63: found a number with a leading zero`},
		{data("FP64", `[1,2.]`), `inputs[0] "x": data: byte 65: found ']', want a digit after the decimal point`},
		{data("FP64", `[1,2e]`), `inputs[0] "x": data: byte 65: found ']', want a digit in the exponent`},
		{data("FP64", `[1,]`), `inputs[0] "x": data: byte 63: found ']', want a number (FP64)`},
		{data("FP64", `[1 2]`), `inputs[0] "x": data: byte 63: found a number, want ',' or ']'`},
		{data("FP64", `7`), `inputs[0] "x": data: byte 60: found a number, want an array`},
		{data("FP64", `[[1],2]`), `inputs[0] "x": data: byte 65: found a number, want an array, as before it`},
		{data("FP64", `[1,[2]]`), `inputs[0] "x": data: byte 63: found an array, want a number (FP64)`},
		{data("FP64", `[[1,2],[3]]`), `inputs[0] "x": data: byte 69: the nested arrays are ragged: one has 1 members, one before it 2`},
		{data("FP64", strings.Repeat("[", 65)), `inputs[0] "x": data: byte 124: arrays are nested more than 64 deep`},
		{data("FP64", `[1`), `inputs[0] "x": data: byte 62: found '}', want ',' or ']'`},
		{data("INT8", `[1,128]`), `inputs[0] "x": data: byte 63: the number 128 is out of range, want an integer (INT8)`},
		{data("INT8", `[1,-129]`), `inputs[0] "x": data: byte 63: the number -129 is out of range, want an integer (INT8)`},
		{data("UINT8", `[1,-1]`), `inputs[0] "x": data: byte 64: the number -1 is out of range, want an integer (UINT8)`},
		{data("INT64", `[1,9223372036854775808]`), `byte 64: the number 9223372036854775808 is out of range, want an integer (INT64)`},
		{data("UINT64", `[1,18446744073709551616]`), `byte 65: the number 18446744073709551616 is out of range, want an integer (UINT64)`},
		{data("INT32", `[1,2.0]`), `byte 64: found the number 2.0, want an integer (INT32)`},
		{data("BOOL", `[true,1]`), `byte 66: found a number, want true or false`},
		{data("BYTES", `["a",1]`), `byte 66: found a number, want a string (BYTES)`},
		{input(`{"name":"x","datatype":"FP32","shape":[99999999999,99999999999],"data":[1]}`), `shape [99999999999,99999999999] is too large, the limit leaves 16777216 elements for this tensor`},
	} {
		_, err := oip.DecodeRequest([]byte(tc.body), nil)
		require.ErrorIs(t, err, oip.ErrInvalid, "%s", tc.body)
		require.True(t, strings.HasPrefix(err.Error(), "oip: decode request: "), "%v", err)
		require.True(t, strings.HasSuffix(err.Error(), ": invalid"), "%v", err)
		require.Contains(t, err.Error(), tc.want, "%.200s", tc.body)
	}
}

// Every prefix of a good request is refused, at its end.
func TestTruncated(t *testing.T) {
	t.Parallel()
	whole := seeds[8]
	_, err := oip.DecodeRequest([]byte(whole), nil)
	require.NoError(t, err)
	for n := range len(whole) {
		_, err := oip.DecodeRequest([]byte(whole[:n]), nil)
		require.ErrorIs(t, err, oip.ErrInvalid, "%s", whole[:n])
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	tensor := func(name string, n int) string {
		return fmt.Sprintf(`{"name":%q,"datatype":"INT8","shape":[%d],"data":[%s]}`, name, n, strings.TrimSuffix(strings.Repeat("1,", n), ","))
	}
	two := []byte(`{"inputs":[` + tensor("a", 3) + `,` + tensor("b", 4) + `]}`)
	_, err := oip.DecodeRequest(two, &oip.Limits{Elements: 7})
	require.NoError(t, err)
	_, err = oip.DecodeRequest(two, &oip.Limits{Elements: 6})
	require.ErrorContains(t, err, `inputs[1] "b": data: byte 118: shape [4] is too large, the limit leaves 3 elements for this tensor`)
	_, err = oip.DecodeRequest(two, &oip.Limits{Tensors: 1})
	require.ErrorContains(t, err, "the message has more than 1 tensors")
	_, err = oip.DecodeRequest(two, &oip.Limits{Elements: -1, Tensors: -1})
	require.NoError(t, err)

	// The shape may lie about the data, or follow it.
	for _, body := range []string{
		`{"inputs":[{"name":"a","datatype":"BOOL","shape":[1],"data":[true,true,true]}]}`,
		`{"inputs":[{"name":"a","datatype":"BYTES","data":["","",""],"shape":[1]}]}`,
		`{"inputs":[{"name":"a","datatype":"FP32","data":[[1],[2],[3]],"shape":[1]}]}`,
	} {
		_, err = oip.DecodeRequest([]byte(body), &oip.Limits{Elements: 2})
		require.ErrorContains(t, err, "too many elements, the limit leaves 2 for this tensor")
	}
}

// A shape that promises much and a body that holds little must not cost memory.
func TestClaimedShapeCostsNothing(t *testing.T) {
	body := []byte(`{"inputs":[{"name":"a","datatype":"FP64","shape":[4096,4096],"data":[1]}]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 100
	for range runs {
		_, err := oip.DecodeRequest(body, nil)
		require.NoError(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/runs, uint64(16<<10))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	decoded := func(s string) oip.Tensor {
		r, err := oip.DecodeRequest([]byte(`{"inputs":[`+s+`]}`), nil)
		require.NoError(t, err)
		return r.Inputs[0]
	}
	other := oip.NewFP64("x", []int64{1}, []float64{1})
	other.Datatype = oip.FP32
	for _, tc := range []struct {
		tensor oip.Tensor
		want   string
	}{
		{oip.NewFP32("x", []int64{2, 2}, []float32{1, 2, 3, 4}), ""},
		{oip.NewFP32("x", nil, []float32{1}), ""},
		{oip.NewFP32("x", []int64{0, math.MaxInt64, 2}, nil), ""},
		{oip.NewFP32("x", []int64{math.MaxInt64, 2, 0}, nil), ""},
		{oip.NewBYTES("x", []int64{1}, [][]byte{{0xff}}), ""},
		{decoded(`{"name":"x","datatype":"INT8","shape":[2,1],"data":[[1],[2]]}`), ""},
		{oip.NewFP32("x", []int64{2, 2}, []float32{1, 2, 3}), "shape [2,2] needs 4 elements, data has 3"},
		{oip.NewFP32("x", []int64{-1}, []float32{1}), "shape [-1] has a negative dimension or is too large"},
		{oip.NewFP32("x", []int64{math.MaxInt64, 2}, nil), "shape [9223372036854775807,2] has a negative dimension or is too large"},
		{oip.NewFP32("", []int64{2}, []float32{1}), "it has no name; shape [2] needs 2 elements, data has 1"},
		{oip.Tensor{Name: "x", Datatype: oip.FP32}, "it has no data"},
		{other, `datatype is "FP32" but the data is FP64`},
		{decoded(`{"name":"x","datatype":"INT8","shape":[1,2],"data":[[1],[2]]}`), "shape is [1,2] but data is nested as [2,1]"},
		{decoded(`{"name":"x","shape":[2],"data":[[1],[2]],"datatype":"INT8"}`), "shape is [2] but data is nested as [2,1]"},
	} {
		err := tc.tensor.Check()
		if tc.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, tc.want)
		require.ErrorIs(t, err, oip.ErrInvalid)
	}
}

func TestAppendResponse(t *testing.T) {
	t.Parallel()
	r := &oip.InferResponse{
		ModelName: "m", ModelVersion: "3", ID: "a\"b\\c\x01\n\r\t<é>",
		Parameters: map[string]any{"b": true, "a": 1, "c": "x", "d": 2.0, "e": int64(-3), "f": uint64(math.MaxUint64), "g": 0.5},
		Outputs: []oip.Tensor{
			oip.NewFP32("f", []int64{2, 4}, []float32{0.1, float32(math.Copysign(0, -1)), 16777216, 1e21, 1e-7, 3.4028235e38, 1e-45, -2}),
			oip.NewFP64("d", []int64{4}, []float64{0.1, 1e300, 123456789.5, 1 << 53}),
			oip.NewBOOL("t", []int64{2}, []bool{true, false}),
			oip.NewStrings("s", []int64{2}, []string{"", "ü"}),
			oip.NewUINT8("u8", []int64{1}, []uint8{255}), oip.NewUINT16("u16", []int64{1}, []uint16{65535}),
			oip.NewUINT32("u32", []int64{1}, []uint32{math.MaxUint32}), oip.NewUINT64("u64", []int64{1}, []uint64{math.MaxUint64}),
			oip.NewINT8("i8", []int64{1}, []int8{-128}), oip.NewINT16("i16", []int64{1}, []int16{-32768}),
			oip.NewINT32("i32", []int64{1}, []int32{math.MinInt32}), oip.NewINT64("i64", []int64{1}, []int64{math.MinInt64}),
			oip.NewINT64("none", []int64{0, 3}, nil),
		},
	}
	text, err := oip.AppendResponse([]byte("before "), r)
	require.NoError(t, err)
	require.Equal(t, `before {"model_name":"m","model_version":"3","id":"a\"b\\c\u0001\n\r\t<é>",`+
		`"parameters":{"a":1,"b":true,"c":"x","d":2.0,"e":-3,"f":18446744073709551615,"g":0.5},"outputs":[`+
		`{"name":"f","datatype":"FP32","shape":[2,4],"data":[0.1,-0,16777216,1e+21,1e-07,3.4028235e+38,1e-45,-2]},`+
		`{"name":"d","datatype":"FP64","shape":[4],"data":[0.1,1e+300,123456789.5,9007199254740992]},`+
		`{"name":"t","datatype":"BOOL","shape":[2],"data":[true,false]},`+
		`{"name":"s","datatype":"BYTES","shape":[2],"data":["","ü"]},`+
		`{"name":"u8","datatype":"UINT8","shape":[1],"data":[255]},{"name":"u16","datatype":"UINT16","shape":[1],"data":[65535]},`+
		`{"name":"u32","datatype":"UINT32","shape":[1],"data":[4294967295]},{"name":"u64","datatype":"UINT64","shape":[1],"data":[18446744073709551615]},`+
		`{"name":"i8","datatype":"INT8","shape":[1],"data":[-128]},{"name":"i16","datatype":"INT16","shape":[1],"data":[-32768]},`+
		`{"name":"i32","datatype":"INT32","shape":[1],"data":[-2147483648]},{"name":"i64","datatype":"INT64","shape":[1],"data":[-9223372036854775808]},`+
		`{"name":"none","datatype":"INT64","shape":[0,3],"data":[]}]}`, string(text))
	again, err := oip.DecodeResponse(text[len("before "):], nil)
	require.NoError(t, err)
	require.Equal(t, r.ID, again.ID)
	for i := range r.Outputs {
		require.NoError(t, sameTensor(&again.Outputs[i], &r.Outputs[i]))
	}
	require.NotNil(t, again.Output("i64"))
	require.Nil(t, again.Output("none such"))
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	r := &oip.InferResponse{
		ModelName: "m\xff", Parameters: map[string]any{"p": []int{1}, "q": math.Inf(1)},
		Outputs: []oip.Tensor{
			oip.NewFP64("a", []int64{2}, []float64{1, math.NaN()}),
			oip.NewFP32("b", []int64{1}, []float32{float32(math.Inf(-1))}),
			oip.NewBYTES("c", []int64{1}, [][]byte{{0xff}}),
			oip.NewFP64("d", []int64{3}, []float64{1}),
		},
	}
	text, err := oip.AppendResponse([]byte("kept"), r)
	require.Equal(t, "kept", string(text))
	require.ErrorIs(t, err, oip.ErrInvalid)
	require.EqualError(t, err, `oip: encode response: model_name "m\xff" is not valid UTF-8, which JSON requires; `+
		`parameter "p" is a []int, want a string, bool, int, int64, uint64 or float64; parameter "q" is +Inf, which JSON does not have; `+
		`tensor "a": element 1 is NaN, which JSON does not have; tensor "b": element 0 is -Inf, which JSON does not have; `+
		`tensor "c": element 0 is not valid UTF-8, which JSON requires; `+
		`outputs[3] "d": shape [3] needs 3 elements, data has 1: invalid`)
	_, err = oip.AppendRequest(nil, &oip.InferRequest{ID: "\xff"})
	require.EqualError(t, err, `oip: encode request: id "\xff" is not valid UTF-8, which JSON requires: invalid`)
}

// The float paths against strconv on numbers made to be hard: short ones, 17
// digits, and the middles between two float32 with a digit more or less.
func TestFloatsAreNearest(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	var text []string
	for range 30000 {
		f := math.Float32frombits(rng.Uint32())
		if f-f != 0 {
			continue
		}
		text = append(text, strconv.FormatFloat(float64(f), 'e', -1, 32), strconv.FormatFloat(float64(f), 'e', 16, 64))
		next := math.Nextafter32(f, 0)
		middle := (float64(f) + float64(next)) / 2
		for _, d := range []int{8, 15, 16, 17, 18, 25} {
			text = append(text, strconv.FormatFloat(middle, 'e', d, 64))
		}
		text = append(text, strconv.FormatFloat(rng.NormFloat64(), 'f', rng.IntN(19), 64))
	}
	for _, dt := range []string{"FP32", "FP64"} {
		body := `{"inputs":[{"name":"x","datatype":"` + dt + `","shape":[` + strconv.Itoa(len(text)) + `],"data":[` + strings.Join(text, ",") + `]}]}`
		r, err := oip.DecodeRequest([]byte(body), nil)
		require.NoError(t, err)
		for i, s := range text {
			if dt == "FP32" {
				want, _ := strconv.ParseFloat(s, 32)
				if got := r.Inputs[0].FP32()[i]; math.Float32bits(got) != math.Float32bits(float32(want)) {
					t.Fatalf("FP32 %s: got %v, want %v", s, got, want)
				}
				continue
			}
			want, _ := strconv.ParseFloat(s, 64)
			if got := r.Inputs[0].FP64()[i]; math.Float64bits(got) != math.Float64bits(want) {
				t.Fatalf("FP64 %s: got %v, want %v", s, got, want)
			}
		}
	}
}
