package oip_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

// client returns a client of a server that answers with handle.
func client(t *testing.T, opts *oip.ClientOptions, handle http.HandlerFunc) *oip.Client {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	c, err := oip.NewClient(s.URL, opts)
	require.NoError(t, err)
	return c
}

// echo answers an infer request with its own inputs, in the form that was asked
// for.
func echo(w http.ResponseWriter, r *http.Request) {
	fail := func(err error) { http.Error(w, err.Error(), http.StatusBadRequest) }
	n, err := oip.HeaderLength(r.Header)
	if err != nil {
		fail(err)
		return
	}
	body, err := oip.Inflate(r.Body, r.Header.Get("Content-Encoding"), nil)
	if err != nil {
		fail(err)
		return
	}
	text, err := io.ReadAll(body)
	if err != nil {
		fail(err)
		return
	}
	req, err := new(oip.Decoder).DecodeRequest(text, n, nil)
	if err != nil {
		fail(err)
		return
	}
	resp := &oip.InferResponse{ModelName: "echo", ID: req.ID, Outputs: req.Inputs,
		Parameters: map[string]any{"sent": r.Header.Get("Content-Encoding") + " " + r.Header.Get("Content-Type")}}
	for i := range resp.Outputs {
		resp.Outputs[i].Binary = req.BinaryOutput
		if o := req.Outputs; len(o) > 0 {
			resp.Outputs[i].Binary = o[i].Binary
		}
	}
	out, n, err := oip.AppendBinaryResponse(nil, resp)
	if err != nil {
		fail(err)
		return
	}
	if n != oip.JSONOnly {
		w.Header().Set(oip.HeaderLengthKey, strconv.Itoa(n))
	}
	if e := oip.AcceptedEncoding(r.Header.Get("Accept-Encoding")); e != "" {
		w.Header().Set("Content-Encoding", e)
		out, _ = oip.Compress(nil, out, e)
	}
	_, _ = w.Write(out)
}

func TestClientForms(t *testing.T) {
	t.Parallel()
	for _, compress := range []string{"", oip.Gzip, oip.Deflate} {
		c := client(t, &oip.ClientOptions{Binary: true, Compress: compress}, echo)
		want := mixed()
		for i := range want {
			want[i].Binary = false // The client's option says it.
		}
		resp, err := c.Infer(t.Context(), "echo", "", &oip.InferRequest{ID: "a", Inputs: want})
		require.NoError(t, err)
		require.Equal(t, compress+" application/octet-stream", resp.Parameters["sent"])
		for i := range want {
			require.NoError(t, sameTensor(&resp.Outputs[i], &want[i]))
			require.True(t, resp.Outputs[i].Binary)
		}

		c = client(t, &oip.ClientOptions{Compress: compress}, echo)
		in := oip.NewFP32("x", []int64{2}, []float32{1, 2})
		resp, err = c.Infer(t.Context(), "echo", "", &oip.InferRequest{Inputs: []oip.Tensor{in}})
		require.NoError(t, err)
		require.Equal(t, compress+" application/json", resp.Parameters["sent"])
		require.False(t, resp.Outputs[0].Binary)
		in.Binary = true
		resp, err = c.Infer(t.Context(), "echo", "", &oip.InferRequest{Inputs: []oip.Tensor{in}, Outputs: []oip.RequestedOutput{{Name: "x", Binary: true}}})
		require.NoError(t, err)
		require.True(t, resp.Outputs[0].Binary)
	}
	_, err := oip.NewClient("http://host", &oip.ClientOptions{Compress: "br"})
	require.ErrorIs(t, err, oip.ErrInvalid)
}

func TestClientRefusesBadForms(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{"99": "is 99 but the body has", "-1": "want one whole number", "2": "it has no \"outputs\""} {
		c := client(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(oip.HeaderLengthKey, header)
			_, _ = io.WriteString(w, "{}")
		})
		_, err := c.Infer(t.Context(), "m", "", &oip.InferRequest{})
		require.ErrorIs(t, err, oip.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
	c := client(t, &oip.ClientOptions{Compress: "gzip", MaxBody: 1 << 10}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		b, _ := oip.Compress(nil, make([]byte, 1<<20), "gzip")
		_, _ = w.Write(b)
	})
	_, err := c.Infer(t.Context(), "m", "", &oip.InferRequest{})
	require.ErrorContains(t, err, "larger than ClientOptions.MaxBody, 1024 bytes")
}

func TestClientRoutes(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		`POST /v2/repository/index {"ready":true}`:                                      `[{"name":"m","version":"1","state":"READY","reason":""}]`,
		`POST /v2/repository/index {}`:                                                  `[]`,
		`POST /v2/repository/models/a%2Fb/load {"parameters":{"config":"{}"}}`:          ``,
		`POST /v2/repository/models/m/load {}`:                                          ``,
		`POST /v2/repository/models/m/unload {"parameters":{"unload_dependents":true}}`: ``,
		`GET /v2/models/stats `:                                                         `{"model_stats":[]}`,
		`GET /v2/models/m/versions/1/stats `:                                            `{"model_stats":[{"name":"m","inference_stats":{"success":{"count":2,"ns":9}}}]}`,
		`GET /v2/models/m/config `:                                                      `{"name":"m","max_batch_size":8,"input":[{"name":"x","data_type":"TYPE_FP32","dims":[4]}]}`,
		`POST /v2/models/m/generate {"id":"a","parameters":{"n":1},"text_input":"t"}`:   `{"model_name":"m","text_output":"u"}`,
	}
	c := client(t, nil, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer, ok := answers[r.Method+" "+r.URL.EscapedPath()+" "+string(body)]
		if !ok {
			http.Error(w, r.Method+" "+r.URL.EscapedPath()+" "+string(body), http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer)
	})
	ctx := t.Context()
	list, err := c.RepositoryIndex(ctx, true)
	require.NoError(t, err)
	require.Equal(t, []oip.ModelIndex{{Name: "m", Version: "1", State: oip.StateReady}}, list)
	_, err = c.RepositoryIndex(ctx, false)
	require.NoError(t, err)
	require.NoError(t, c.Load(ctx, "a/b", &oip.LoadRequest{Parameters: map[string]any{"config": "{}"}}))
	require.NoError(t, c.Load(ctx, "m", nil))
	require.NoError(t, c.Unload(ctx, "m", &oip.UnloadRequest{Parameters: map[string]any{"unload_dependents": true}}))
	require.ErrorIs(t, c.Unload(ctx, "m", nil), oip.ErrNotFound)
	_, err = c.Statistics(ctx, "", "")
	require.NoError(t, err)
	stats, err := c.Statistics(ctx, "m", "1")
	require.NoError(t, err)
	require.Equal(t, oip.DurationStatistic{Count: 2, Nanoseconds: 9}, stats.Models[0].Inference.Success)
	config, err := c.ModelConfig(ctx, "m", "")
	require.NoError(t, err)
	require.Equal(t, []oip.TensorConfig{{Name: "x", DataType: oip.FP32.ConfigName(), Dims: []int64{4}}}, config.Inputs)
	g, err := c.Generate(ctx, "m", "", &oip.GenerateRequest{ID: "a", Inputs: map[string]any{"text_input": "t"}, Parameters: map[string]any{"n": 1}})
	require.NoError(t, err)
	require.Equal(t, "u", g.Text("text_output"))
	require.Equal(t, "TYPE_STRING", oip.BYTES.ConfigName())
	require.Equal(t, "TYPE_INVALID", oip.Datatype("X").ConfigName())
}

func TestClientGenerateStream(t *testing.T) {
	t.Parallel()
	c := client(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "none") {
			http.Error(w, `{"error":"no such model"}`, http.StatusNotFound)
			return
		}
		e := oip.NewEvents(w)
		for _, s := range []string{`{"model_name":"m","text_output":"one"}`, `{"model_name":"m","text_output":"two"}`} {
			_ = e.Send([]byte(s))
		}
		switch {
		case strings.Contains(r.URL.Path, "fails"):
			_ = e.Send([]byte(`{"error":"out of memory"}`))
		case strings.Contains(r.URL.Path, "breaks"):
			panic(http.ErrAbortHandler)
		case strings.Contains(r.URL.Path, "waits"):
			<-r.Context().Done()
		}
	})
	collect := func(model string, most int) (text []string, err error) {
		for g, e := range c.GenerateStream(t.Context(), model, "", &oip.GenerateRequest{}) {
			if e != nil {
				return text, e
			}
			if text = append(text, g.Text("text_output")); len(text) == most {
				break
			}
		}
		return text, nil
	}
	text, err := collect("m", -1)
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two"}, text)
	text, err = collect("fails", -1)
	require.EqualError(t, err, `oip: generate stream "fails": the server ended the stream: out of memory`)
	require.Len(t, text, 2)
	_, err = collect("breaks", -1)
	require.ErrorIs(t, err, oip.ErrUnavailable)
	_, err = collect("none", -1)
	require.ErrorIs(t, err, oip.ErrNotFound)
	require.ErrorContains(t, err, "no such model")
	text, err = collect("waits", 2)
	require.NoError(t, err)
	require.Len(t, text, 2)
}
