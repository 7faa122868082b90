package oip_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

var generateInputs = []oip.TensorMetadata{
	{Name: "text_input", Datatype: oip.BYTES, Shape: []int64{1}},
	{Name: "ids", Datatype: oip.INT64, Shape: []int64{-1, -1}},
	{Name: "rate", Datatype: oip.FP32, Shape: []int64{}},
	{Name: "half", Datatype: oip.FP16, Shape: []int64{1}},
}

func TestDecodeGenerate(t *testing.T) {
	t.Parallel()
	r, err := oip.DecodeGenerate([]byte(` {"text_input":"a \u00e9","ids":[1,2,3],"rate":0.5,"id":"7","max_tokens":20,"on":null,
		"parameters":{"stop":"x","max_tokens":30}} `), generateInputs, nil)
	require.NoError(t, err)
	require.Equal(t, "7", r.ID)
	require.Equal(t, map[string]any{"stop": "x", "max_tokens": int64(30)}, r.Parameters)
	require.Equal(t, []string{"a é"}, r.Input("text_input").Strings())
	require.Equal(t, []int64{1}, r.Input("text_input").Shape)
	require.Equal(t, []int64{1, 2, 3}, r.Input("ids").INT64())
	require.Equal(t, []int64{1, 3}, r.Input("ids").Shape)
	require.Equal(t, []float32{0.5}, r.Input("rate").FP32())
	require.Empty(t, r.Input("rate").Shape)
	for i := range r.Inputs {
		require.NoError(t, r.Inputs[i].Check())
	}
	r, err = oip.DecodeGenerate([]byte(`{"ids":[[1,2],[3,4]],"rate":[0.5]}`), generateInputs, nil)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 2}, r.Input("ids").Shape)
	require.Equal(t, []int64{1}, r.Input("rate").Shape, "the server refuses what is too deep")

	for body, want := range map[string]string{
		`[]`:                           "byte 0: found an array, want an object",
		`{"rate":"x"}`:                 "rate: byte 8: found a string, want a number (FP32)",
		`{"rate":tru}`:                 "rate: byte 8: found 't', want a value",
		`{"rate":1,"rate":2}`:          "rate: byte 17: the input is there twice",
		`{"ids":[1.5]}`:                "ids: byte 8: found the number 1.5, want an integer (INT64)",
		`{"more":[1]}`:                 "more: byte 8: it is not one of the model's inputs, and too much for a parameter",
		`{"half":1}`:                   "half: byte 8: FP16 has no form in JSON",
		`{"text_input":{"a":1}}`:       "text_input: byte 14: found an object, want a string (BYTES)",
		`{"ids":[[1],[2,3]]}`:          "ragged",
		`{"rate":1} x`:                 "want the end of the text",
		`{"id":1}`:                     "id: byte 6: found a number, want a string",
		`{"parameters":{"a":[1]}}`:     `parameters: "a"`,
		`{"ids":[1,2,3,4,5],"rate":1}`: "too many elements",
	} {
		_, err := oip.DecodeGenerate([]byte(body), generateInputs, &oip.Limits{Elements: 4})
		require.ErrorIs(t, err, oip.ErrInvalid, body)
		require.ErrorContains(t, err, want, body)
	}
}

func FuzzDecodeGenerate(f *testing.F) {
	for _, s := range []string{
		`{"text_input":"a","id":"b"}`, `{"ids":[1,2],"rate":1e3}`, `{"ids":[[1],[2]],"parameters":{"a":1}}`,
		`{"rate":[[]]}`, `{"x":true,"y":-0.5}`, `{"text_input":["a","b"]}`, `{"rate":"`, `{"rate": 1 ,"ids":7}`, `{"half":null}`, `{"":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := oip.DecodeGenerate(body, generateInputs, nil)
		if err != nil {
			require.ErrorIs(t, err, oip.ErrInvalid)
			return
		}
		require.True(t, json.Valid(body))
		resp := &oip.InferResponse{ModelName: "m", Outputs: r.Inputs, Parameters: r.Parameters}
		for i := range r.Inputs {
			require.NoError(t, r.Inputs[i].Check())
		}
		text, err := oip.AppendGenerated(nil, resp)
		require.NoError(t, err)
		require.True(t, json.Valid(text), "%s", text)
	})
}

func TestAppendGenerated(t *testing.T) {
	t.Parallel()
	text, err := oip.AppendGenerated([]byte("kept"), &oip.InferResponse{ModelName: "llm", ModelVersion: "2", ID: "7", Parameters: map[string]any{"p": 1},
		Outputs: []oip.Tensor{
			oip.NewStrings("text_output", []int64{1}, []string{"one\n\"two\""}),
			oip.NewFP32("scores", []int64{1, 3}, []float32{1, 0.5, 2}),
			oip.NewINT64("none", []int64{0}, nil),
			oip.NewBOOL("done", nil, []bool{true}),
		}})
	require.NoError(t, err)
	require.Equal(t, `kept{"model_name":"llm","model_version":"2","id":"7","parameters":{"p":1},`+
		`"text_output":"one\n\"two\"","scores":[1,0.5,2],"none":[],"done":true}`, string(text))

	var g oip.Generated
	require.NoError(t, json.Unmarshal(text[4:], &g))
	require.Equal(t, oip.Generated{ModelName: "llm", ModelVersion: "2", ID: "7", Outputs: map[string]any{
		"text_output": "one\n\"two\"", "done": true, "none": []any{}, "scores": []any{json.Number("1"), json.Number("0.5"), json.Number("2")},
	}}, g)
	require.Equal(t, "one\n\"two\"", g.Text("text_output"))
	require.Empty(t, g.Text("done"))

	text, err = oip.AppendGenerated([]byte("kept"), &oip.InferResponse{Outputs: []oip.Tensor{
		oip.NewFP32("id", nil, []float32{1}), oip.NewFP16("half", nil, []uint16{1}), oip.NewFP32("x", []int64{2}, []float32{1}),
	}})
	require.ErrorIs(t, err, oip.ErrInvalid)
	require.Equal(t, "kept", string(text))
	for _, want := range []string{`"id": the name belongs to the response itself`, `"half": FP16 has no form`, `"x": shape [2] needs 2`} {
		require.ErrorContains(t, err, want)
	}
}

func TestGenerateRequestRefusesItsOwnNames(t *testing.T) {
	t.Parallel()
	_, err := json.Marshal(oip.GenerateRequest{Inputs: map[string]any{"id": 1}})
	require.ErrorIs(t, err, oip.ErrInvalid)
	text, err := json.Marshal(oip.GenerateRequest{ID: "a"})
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"a"}`, string(text))
}
