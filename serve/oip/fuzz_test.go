package oip_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

// seeds are requests in every form, right and wrong.
var seeds = []string{
	`{"inputs":[]}`,
	`{"id":"a","inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}`,
	`{"inputs":[{"data":[[1,2],[3,4]],"shape":[2,2],"datatype":"FP64","name":"x"}]}`,
	`{"inputs":[{"name":"x","shape":[2],"datatype":"INT64","data":[-9223372036854775808,9223372036854775807]}]}`,
	`{"inputs":[{"name":"x","shape":[2],"datatype":"UINT64","data":[0,18446744073709551615]}]}`,
	`{"inputs":[{"name":"x","shape":[1],"datatype":"UINT64","data":[18446744073709551616]}]}`,
	`{"inputs":[{"name":"x","shape":[2],"datatype":"INT8","data":[-128,127]},{"name":"y","shape":[1],"datatype":"INT8","data":[128]}]}`,
	`{"inputs":[{"name":"b","shape":[2,1],"datatype":"BOOL","data":[[true],[false]]}]}`,
	`{"inputs":[{"name":"s","shape":[3],"datatype":"BYTES","data":["a\"\\\/\b\f\n\r\t","\ud83d\ude00 \u00e9é","" ]}]}`,
	`{"inputs":[{"name":"s","shape":[1],"datatype":"BYTES","data":["\ud800"]}]}`,
	`{"inputs":[{"name":"x","shape":[8],"datatype":"FP32","data":[-0,0.0,-0.0e0,1e-46,1.17549435e-38,3.4028234663852886e38,16777217,0.1000000014901161193847656250000001]}]}`,
	`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[3.5e38]}]}`,
	`{"inputs":[{"name":"x","shape":[5],"datatype":"FP64","data":[1.7976931348623157e308,5e-324,9007199254740993,123456789012345678901234567890,0.30000000000000004]}]}`,
	`{"inputs":[{"name":"x","shape":[2,0],"datatype":"FP64","data":[[],[]]},{"name":"y","shape":[0],"datatype":"BYTES","data":[]}]}`,
	`{"id":null,"parameters":null,"outputs":null,"inputs":[{"name":"x","datatype":"FP64","shape":[],"data":[1],"parameters":{"a":1,"b":-2.5e3,"c":"d","e":true,"f":null}}]}`,
	`{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1]}],"outputs":[{"name":"y","parameters":{"binary_data":false}},{"name":"z"}]}`,
	`{"x":{"y":[1,{"z":null}]},"inputs":[{"name":"x","name":"y","datatype":"FP32","datatype":"INT32","shape":[9],"shape":[1],"data":["no"],"data":[7]}],"id":"a","id":"b"}`,
	`{"\u0069nputs":[{"\u006eame":"x","datatype":"\u0046P32","shape":[1],"data":[1]}]}`,
	` { "inputs" : [ { "name" : "x" , "datatype" : "FP32" , "shape" : [ 2 , 1 ] , "data" : [ [ 1 ] , [ 2 ] ] } ] } `,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[1,[2]]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[3],"data":[[1,2],[3]]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[01]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1.]}]}`,
	`{"inputs":[{"name":"x","datatype":"INT32","shape":[1],"data":[1.0]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[9223372036854775807,9223372036854775807],"data":[1]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP16","shape":[1],"data":[1]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1],"parameters":{"binary_data_size":8}}]}`,
	`{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1],"parameters":{"binary_data_size":null}}]}`,
	`{"parameters":{"binary_data_output":true},"inputs":[],"outputs":[{"name":"y"},{"name":"z","parameters":{"binary_data":false,"a":1}}]}`,
	`{"parameters":{"binary_data_output":1},"inputs":[]}`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}x`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1,]}]}`,
	`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]},]}`,
	`{"parameters":{"a":true,"a":null},"inputs":[]}`,
	// As Python writes it, and what is nearly so.
	`{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[1.5, 2]]}], "outputs": [{"name": "y"}, {"name": "z\u0021"}]}`,
	`{"inputs":[{"shape":[2,],"name":"x","datatype":"FP32","data":[1]}]}`,
	`{"inputs":[{"shape":[ 2],"name":"x", "datatype" :"INT32","data" : [1,2]} , {"name":"x\n","datatype":"BOOL","shape":[],"data":[true]}]}`,
	`{"inputs":[{"name":"x","name":"y","shape":[1],"shape":[2],"datatype":"FP32","datatype":"INT64","data":[1,2],"name":"z"}]}`,
	`{"inputs":[{"name":"ü","shape":[02],"datatype":"FP32","data":[1,2]}]}`,
	`{"inputs":[{"name":"x","shape":[1234567890123456789],"datatype":"FP32","data":[1]}]}`,
	`{"inputs":[{"name":"x","shape":[1.0],"datatype":"FP32","data":[1]}]}`,
	`{"inputs":[{"name":"x"},{"name":"y","shape":[1]}]}`,
	`{"id":"","inputs":[{"name":"","shape":[1],"datatype":"FP64","data":[0],"data":[1]}],"outputs":[{"name":"a","name":"b"}]}`,
	`[[[[[[[[`, ``, `{`, `null`, `{"inputs"`, "\xff", `{"a":"\`, `{"a":"\u12`,
}

// dirt fills a decoder with what must not show in the next message.
const dirt = `{"id":"dirt","parameters":{"p":1,"binary_data_output":true},"inputs":[
	{"name":"x","datatype":"FP64","shape":[3],"data":[7,8,9],"parameters":{"q":"r"}},
	{"name":"s","datatype":"BYTES","shape":[2],"data":["dirt","more"]},{"name":"b","datatype":"BOOL","shape":[1],"data":[true]}],
	"outputs":[{"name":"y","parameters":{"binary_data":true,"a":2}},{"name":"z"}]}`

// strict matches what this package refuses on purpose and encoding/json mends or
// lets through.
var strict = regexp.MustCompile(`not valid UTF-8|half of a surrogate pair|nested more than|too large, the limit|more than \d+ dimensions`)

func FuzzDecodeRequest(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		got, err := oip.DecodeRequest(body, nil)
		require.Equal(t, before, string(body), "the body was changed")
		want, wantErr := oracleRequest(body)
		// Memory that another message has filled must not show.
		dec := new(oip.Decoder)
		_, _ = dec.DecodeRequest([]byte(dirt), oip.JSONOnly, nil)
		pooled, pooledErr := dec.DecodeRequest(body, oip.JSONOnly, nil)
		if err != nil {
			require.EqualError(t, pooledErr, err.Error())
			require.ErrorIs(t, err, oip.ErrInvalid)
			require.Regexp(t, `^oip: decode request: .*byte \d+: `, strings.ReplaceAll(err.Error(), "\n", " "))
			// Of a repeated member each must be good here, for the oracle
			// only the last.
			if !strict.MatchString(err.Error()) && (!json.Valid(body) || !repeats(json.NewDecoder(bytes.NewReader(body)))) {
				require.Error(t, wantErr, "refused: %v", err)
			}
			return
		}
		require.NoError(t, wantErr)
		require.NoError(t, sameRequest(got, want))
		require.NoError(t, pooledErr)
		require.NoError(t, sameRequest(pooled, want))
		roundTrip(t, got)
	})
}

// roundTrip sends a decoded request on and reads it again. One that is not
// sound must be refused.
func roundTrip(t *testing.T, r *oip.InferRequest) {
	sound := true
	for i := range r.Inputs {
		sound = sound && r.Inputs[i].Check() == nil
	}
	text, err := oip.AppendRequest([]byte("kept"), r)
	if !sound {
		require.ErrorIs(t, err, oip.ErrInvalid)
		require.Equal(t, "kept", string(text))
		return
	}
	require.NoError(t, err)
	text = text[len("kept"):]
	require.True(t, json.Valid(text), "%s", text)
	again, err := oip.DecodeRequest(text, nil)
	require.NoError(t, err)
	require.NoError(t, sameRequest(again, r))
}

func FuzzDecodeResponse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(strings.NewReplacer(`"inputs"`, `"outputs"`, `"outputs"`, `"skipped"`, `"id"`, `"model_name"`).Replace(s)))
	}
	f.Add([]byte(`{"model_name":"m","model_version":"1","id":"a","parameters":{"p":1},"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[0.5]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := oip.DecodeResponse(body, nil)
		if err != nil {
			require.ErrorIs(t, err, oip.ErrInvalid)
			return
		}
		require.True(t, json.Valid(body))
		for i := range got.Outputs {
			if got.Outputs[i].Check() != nil {
				return
			}
		}
		text, err := oip.AppendResponse(nil, got)
		require.NoError(t, err)
		require.True(t, json.Valid(text))
		again, err := oip.DecodeResponse(text, nil)
		require.NoError(t, err)
		require.Equal(t, got.ModelName, again.ModelName)
		require.Equal(t, got.ModelVersion, again.ModelVersion)
		require.Equal(t, got.ID, again.ID)
		require.Equal(t, got.Parameters, again.Parameters)
		require.Len(t, again.Outputs, len(got.Outputs))
		for i := range got.Outputs {
			require.NoError(t, sameTensor(&again.Outputs[i], &got.Outputs[i]))
		}
	})
}

// FuzzFloat compares the two float paths with strconv on any digits.
func FuzzFloat(f *testing.F) {
	for _, s := range []string{
		"0", "-0", "1", "16777217", "16777216.5", "33554434.000000000000001", "7.038531e-26",
		"1.00000017881393432617187499", "1.00000017881393432617187500", "1.00000017881393432617187501",
		"3.4028235677973366e38", "3.4028234663852886e38", "1.401298464324817e-45", "7.006492321624085e-46",
		"1.1754943508222875e-38", "9007199254740993", "9007199254740992.999", "18446744073709551615e-19",
		"5e-324", "2.4703282292062327e-324", "1e22", "1e23", "123456789012345678e-22", "0.000000000000000000000001",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 200 || !utf8.ValidString(s) || !json.Valid([]byte(s)) || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
			t.Skip("not a number")
		}
		for _, dt := range []string{"FP32", "FP64"} {
			body := []byte(`{"inputs":[{"name":"x","datatype":"` + dt + `","shape":[1],"data":[` + s + `]}]}`)
			got, err := oip.DecodeRequest(body, nil)
			want, wantErr := oracleRequest(body)
			require.Equal(t, wantErr == nil, err == nil, "%s %s: %v", dt, s, err)
			if err == nil {
				require.NoError(t, sameRequest(got, want), "%s %s", dt, s)
			}
		}
	})
}
