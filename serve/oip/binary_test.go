package oip_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

func TestBinaryKeepsEveryBit(t *testing.T) {
	t.Parallel()
	want := mixed()
	body, n, err := oip.AppendBinaryRequest([]byte("kept"), &oip.InferRequest{Inputs: want})
	require.NoError(t, err)
	require.Equal(t, "kept", string(body[:4]))
	body = body[4:]
	for _, lead := range []int{oip.Lead(n), 1, 2, 3, 5} {
		// At each alignment, with memory used again.
		var d oip.Decoder
		for range 2 {
			room := append(make([]byte, lead, lead+len(body)), body...)
			got, err := d.DecodeRequest(room[lead:], n, nil)
			require.NoError(t, err)
			require.Len(t, got.Inputs, len(want))
			for i := range want {
				require.True(t, got.Inputs[i].Binary)
				require.NoError(t, got.Inputs[i].Check())
				require.NoError(t, sameTensor(&got.Inputs[i], &want[i]))
				require.Equal(t, oip.AppendRaw(nil, &want[i]), oip.AppendRaw(nil, &got.Inputs[i]))
			}
			require.Equal(t, []uint16{0x3c00, 0x7e00}, got.Input("f16").FP16())
			require.Equal(t, []uint16{0x3f80, 0xffc0}, got.Input("bf16").BF16())
			require.Nil(t, got.Input("bf16").FP16())
			require.Nil(t, got.Input("f16").UINT16())
		}
	}

	sent, n, err := oip.AppendBinaryResponse(nil, &oip.InferResponse{ModelName: "m", Outputs: want})
	require.NoError(t, err)
	answer, err := new(oip.Decoder).DecodeResponse(sent, n, nil)
	require.NoError(t, err)
	for i := range want {
		require.NoError(t, sameTensor(&answer.Outputs[i], &want[i]))
	}
}

func TestFormOfOutputs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		want []bool
		all  bool
	}{
		{`{"inputs":[],"outputs":[{"name":"a"},{"name":"b","parameters":{"binary_data":true}}]}`, []bool{false, true}, false},
		{`{"inputs":[],"outputs":[{"name":"a"},{"name":"b","parameters":{"binary_data":false}}],"parameters":{"binary_data_output":true}}`, []bool{true, false}, true},
		{`{"inputs":[],"parameters":{"binary_data_output":true,"x":1}}`, nil, true},
	} {
		var d oip.Decoder
		for range 2 {
			r, err := d.DecodeRequest([]byte(tc.text), oip.JSONOnly, nil)
			require.NoError(t, err)
			require.Equal(t, tc.all, r.BinaryOutput)
			require.Len(t, r.Outputs, len(tc.want))
			for i, o := range r.Outputs {
				require.Equal(t, tc.want[i], o.Binary)
				require.Nil(t, o.Parameters)
			}
			again, err := oip.AppendRequest(nil, r)
			require.NoError(t, err)
			twice, err := oip.DecodeRequest(again, nil)
			require.NoError(t, err)
			require.NoError(t, sameRequest(twice, r))
		}
	}
	_, err := oip.AppendRequest(nil, &oip.InferRequest{Parameters: map[string]any{"binary_data_output": true}})
	require.ErrorContains(t, err, `parameter "binary_data_output" belongs to the binary extension`)
}

func TestBinaryRefuses(t *testing.T) {
	t.Parallel()
	input := func(dt, shape, size string) string {
		return `{"inputs":[{"name":"x","datatype":"` + dt + `","shape":` + shape + `,"parameters":{"binary_data_size":` + size + `}}]}`
	}
	huge := `[1000000000,1000000000,1000000000]`
	for _, tc := range []struct{ json, raw, want string }{
		{input("FP32", "[2]", "8"), "1234567", `it is 8 but 7 bytes of binary data are left`},
		{input("FP32", "[2]", "8"), "123456789", `1 bytes behind the JSON belong to no tensor`},
		{input("FP32", "[2]", "7"), "1234567", `it is 7 but shape [2] needs 2 elements of 4 bytes`},
		{input("FP32", "[3]", "8"), "12345678", `it is 8 but shape [3] needs 3 elements of 4 bytes`},
		{input("FP32", huge, "8"), "12345678", `shape [1000000000,1000000000,1000000000] is too large`},
		{input("FP64", "[1000000000]", "8"), "12345678", `shape [1000000000] is too large`},
		{input("BYTES", "[16777216]", "8"), "12345678", `it is 8 but shape [16777216] needs 16777216 elements of at least 4 bytes`},
		{input("BYTES", "[1]", "8"), "\xff\xff\xff\xff1234", `element 0 has 4294967295 bytes but 4 are left`},
		{input("BYTES", "[1]", "8"), "\x00\x00\x00\x001234", `4 bytes are left behind the 1 elements`},
		{input("BYTES", "[2]", "8"), "\x03\x00\x00\x00123\x00", `the binary data ends before element 1`},
		{input("BOOL", "[2]", "2"), "\x01\x02", `element 1 is the byte 2, want 0 or 1 (BOOL)`},
		{input("FP32", "[2]", "-8"), "12345678", `the number -8 is out of range, want an integer of at least 0`},
		{input("FP32", "[2]", `"8"`), "12345678", `found a string, want an integer of at least 0`},
		{input("FP32", "[2]", `8,"binary_data_size":4`), "12345678", `binary_data_size is there twice`},
		{input("FP32", "[2]", `18446744073709551624`), "12345678", `is out of range`},
		{`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1],"parameters":{"binary_data_size":4}}]}`, "1234", `has both "data" and binary_data_size`},
		{`{"inputs":[]}`, "1234", `4 bytes behind the JSON belong to no tensor`},
		{`{"inputs":[]} {"inputs":[]}`, "", `want the end of the text`},
	} {
		body := []byte(tc.json + tc.raw)
		_, err := new(oip.Decoder).DecodeRequest(body, len(tc.json), nil)
		require.ErrorIs(t, err, oip.ErrInvalid, tc.json)
		require.ErrorContains(t, err, tc.want)
	}
	_, err := new(oip.Decoder).DecodeRequest([]byte(input("FP32", "[1]", "4")+"1234"), oip.JSONOnly, nil)
	require.ErrorIs(t, err, oip.ErrInvalid)
	_, err = oip.DecodeRequest([]byte(input("FP32", "[1]", "4")), nil)
	require.ErrorContains(t, err, "the message has no header Inference-Header-Content-Length")
	for _, n := range []int{-2, 14} {
		_, err = new(oip.Decoder).DecodeRequest([]byte(`{"inputs":[]}`), n, nil)
		require.ErrorContains(t, err, fmt.Sprintf("Inference-Header-Content-Length is %d but the body has 13 bytes", n))
	}
}

func TestHeaderLength(t *testing.T) {
	t.Parallel()
	n, err := oip.HeaderLength(http.Header{})
	require.NoError(t, err)
	require.Equal(t, oip.JSONOnly, n)
	for text, want := range map[string]int{"0": 0, "17": 17, "2147483647": 2147483647} {
		n, err = oip.HeaderLength(http.Header{oip.HeaderLengthKey: {text}})
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for _, bad := range [][]string{{""}, {"-1"}, {"+7"}, {" 7"}, {"7 "}, {"0x7"}, {"07"}, {"7,7"}, {"1e3"}, {"2147483648"}, {"7", "7"}, {strings.Repeat("9", 400)}} {
		_, err = oip.HeaderLength(http.Header{oip.HeaderLengthKey: bad})
		require.ErrorIs(t, err, oip.ErrInvalid, "%q", bad)
		require.Less(t, len(err.Error()), 300)
	}
}

// What a message claims costs nothing before its bytes are there.
func TestClaimsCostNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	bodies := []string{
		`{"inputs":[{"name":"x","datatype":"FP64","shape":[1000000000],"parameters":{"binary_data_size":8000000000}}]}`,
		`{"inputs":[{"name":"x","datatype":"BYTES","shape":[16777216],"parameters":{"binary_data_size":8}}]}12345678`,
		`{"inputs":[{"name":"x","datatype":"FP64","shape":[4294967296,4294967296],"parameters":{"binary_data_size":0}}]}`,
		`{"inputs":[{"name":"x","datatype":"BYTES","shape":[16777216],"data":["a"]}]}`,
		`{"inputs":` + strings.Repeat(`[`, 100_000),
		`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":` + strings.Repeat(`[`, 100_000),
		`{"x":` + strings.Repeat(`{"x":`, 100_000),
	}
	for _, s := range bodies {
		body := []byte(s)
		n := strings.LastIndexByte(s, '}') + 1
		if n == 0 {
			n = len(s)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = new(oip.Decoder).DecodeRequest(body, n, nil)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10), "%.60s", s)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	body, n, err := oip.AppendBinaryRequest(nil, &oip.InferRequest{Inputs: mixed()})
	require.NoError(t, err)
	var d oip.Decoder
	r, err := d.DecodeRequest(body, n, nil)
	require.NoError(t, err)
	var kept []oip.Tensor
	for i := range r.Inputs {
		kept = append(kept, r.Inputs[i].Clone())
	}
	clear(body)
	d.Reset()
	_, err = d.DecodeRequest([]byte(dirt), oip.JSONOnly, nil)
	require.NoError(t, err)
	want := mixed()
	for i := range want {
		require.NoError(t, sameTensor(&kept[i], &want[i]))
	}
}
