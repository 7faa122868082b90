package serve_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

func TestInfer(t *testing.T) {
	t.Parallel()
	w := watch()
	_, url := start(t, &serve.Options{Observers: []serve.Observer{w}}, adder())
	for _, path := range []string{"/v2/models/adder/infer", "/v2/models/adder/versions/1/infer"} {
		resp, body := post(t, url+path, good)
		require.Equal(t, 200, resp.StatusCode, body)
		require.Equal(t, `{"model_name":"adder","model_version":"1","id":"r-1","outputs":[`+
			`{"name":"sum","datatype":"FP64","shape":[2],"data":[3,-5]},`+
			`{"name":"sign","datatype":"BYTES","shape":[2,1],"data":["+","-"]}]}`, body)
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		require.Equal(t, "r-1", resp.Header.Get("Millwright-Request-Id"))
		require.Equal(t, "adder/1", resp.Header.Get("Millwright-Model"))
		x := w.last(t)
		require.Equal(t, "adder", x.Model)
		require.Equal(t, "1", x.Version)
		require.Equal(t, "r-1", x.RequestID)
		require.NoError(t, x.Err)
		require.Equal(t, []float64{1, 2, 3, -8}, x.Request.Input("x").FP64())
		require.Equal(t, []float64{3, -5}, x.Response.Output("sum").FP64())
		require.Positive(t, x.Duration)
		require.False(t, x.Start.IsZero())
	}
}

func TestInferWithOurClient(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	_, url := start(t, &serve.Options{NewID: func() string { n.Add(1); return "made-up" }}, adder())
	c := client(t, url)
	resp, err := c.Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	require.Equal(t, "made-up", resp.ID)
	require.Equal(t, []float64{3}, resp.Output("sum").FP64())
	req := rows(1, 2)
	req.ID = "mine"
	resp, err = c.Infer(t.Context(), "adder", "1", req)
	require.NoError(t, err)
	require.Equal(t, "mine", resp.ID)
	require.EqualValues(t, 1, n.Load())
}

func TestDefaultRequestID(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	seen := map[string]bool{}
	for range 20 {
		resp, err := client(t, url).Infer(t.Context(), "adder", "", rows(1, 2))
		require.NoError(t, err)
		require.Regexp(t, `^[0-9a-f]{32}$`, resp.ID)
		require.False(t, seen[resp.ID])
		seen[resp.ID] = true
	}
}

// The client gets what it asked for, in its order; the observer sees it all.
func TestRequestedOutputs(t *testing.T) {
	t.Parallel()
	w := watch()
	_, url := start(t, &serve.Options{Observers: []serve.Observer{w}}, adder())
	for _, tc := range [][]string{{"sign"}, {"sign", "sum"}, {"sum"}} {
		req := rows(1, 2)
		for _, name := range tc {
			req.Outputs = append(req.Outputs, oip.RequestedOutput{Name: name})
		}
		resp, err := client(t, url).Infer(t.Context(), "adder", "", req)
		require.NoError(t, err)
		require.Len(t, resp.Outputs, len(tc))
		for i, name := range tc {
			require.Equal(t, name, resp.Outputs[i].Name)
		}
		require.Len(t, w.last(t).Response.Outputs, 2)
	}
}

// A model may leave out what was not asked for, and only that.
func TestModelGivesOnlyWhatWasAsked(t *testing.T) {
	t.Parallel()
	m := adder()
	m.infer = func(_ context.Context, _ *oip.InferRequest, resp *oip.InferResponse) error {
		resp.Outputs = append(resp.Outputs, oip.NewFP64("sum", []int64{1}, []float64{7}))
		return nil
	}
	_, url := start(t, nil, m)
	req := rows(1, 2)
	req.Outputs = []oip.RequestedOutput{{Name: "sum"}}
	resp, err := client(t, url).Infer(t.Context(), "adder", "", req)
	require.NoError(t, err)
	require.Equal(t, []float64{7}, resp.Output("sum").FP64())
	req.Outputs = []oip.RequestedOutput{{Name: "sign"}, {Name: "sum"}}
	_, err = client(t, url).Infer(t.Context(), "adder", "", req)
	require.ErrorContains(t, err, `500 Internal Server Error: serve: infer "adder" version "1": the model's answer does not have its signature: output "sign" is missing`)
}

func TestHealthAndMetadata(t *testing.T) {
	t.Parallel()
	s, url := start(t, &serve.Options{Name: "shop", Version: "1.2"}, nil)
	c, ctx := client(t, url), t.Context()
	require.NoError(t, c.Live(ctx))
	require.ErrorIs(t, c.Ready(ctx), oip.ErrUnavailable)
	_, err := c.ModelMetadata(ctx, "adder", "")
	require.ErrorIs(t, err, oip.ErrNotFound)

	require.NoError(t, s.Deploy(ctx, serve.Deployment{Name: "adder", Version: "7", Model: adder(), Platform: "go"}))
	require.NoError(t, c.Ready(ctx))
	sm, err := c.ServerMetadata(ctx)
	require.NoError(t, err)
	require.Equal(t, oip.ServerMetadata{Name: "shop", Version: "1.2", Extensions: []string{"binary_tensor_data", "generate", "model_configuration", "statistics"}}, sm)
	for _, v := range []string{"", "7"} {
		mm, err := c.ModelMetadata(ctx, "adder", v)
		require.NoError(t, err)
		require.Equal(t, oip.ModelMetadata{Name: "adder", Versions: []string{"7"}, Platform: "go",
			Inputs: signature().Inputs, Outputs: signature().Outputs}, mm)
		require.NoError(t, c.ModelReady(ctx, "adder", v))
	}
	require.ErrorIs(t, c.ModelReady(ctx, "adder", "8"), oip.ErrNotFound)

	for path, want := range map[string]string{
		"/v2/health/live":        `{"live":true}`,
		"/v2/health/ready":       `{"ready":true}`,
		"/v2/models/adder/ready": `{"name":"adder","ready":true}`,
		"/v2":                    `{"name":"shop","version":"1.2","extensions":["binary_tensor_data","generate","model_configuration","statistics"]}`,
	} {
		resp, body := send(t, http.MethodGet, url+path, nil)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, want, body)
		resp, body = send(t, http.MethodHead, url+path, nil)
		require.Equal(t, 200, resp.StatusCode)
		require.Empty(t, body)
	}
}

func TestSignatureJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(signature())
	require.NoError(t, err)
	require.Equal(t, `{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,2]}],"outputs":[`+
		`{"name":"sum","datatype":"FP64","shape":[-1]},{"name":"sign","datatype":"BYTES","shape":[-1,1]}]}`, string(text))
	var back serve.Signature
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, signature(), back)
}

func TestRoutesThatAreNot(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	for _, tc := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/", 404, "serve: no such route, want one below /v2: not found"},
		{"GET", "/v2/", 404, ""},
		{"GET", "/v2x", 404, ""},
		{"GET", "/v2/models", 404, ""},
		{"GET", "/v2/models/", 404, ""},
		{"GET", "/v2/models/adder/", 404, ""},
		{"GET", "/v2/models/adder/versions", 404, ""},
		{"GET", "/v2/models/adder/versions/", 404, ""},
		{"POST", "/v2/models/adder/versions//infer", 404, ""},
		{"POST", "/v2/models/adder/infer/x", 404, ""},
		{"POST", "/v2/repository", 404, ""},
		{"POST", "/v2/repository/models/x", 404, ""},
		{"POST", "/v2/repository/models//load", 404, ""},
		{"GET", "/v2/repository/index", 405, ""},
		{"POST", "/v2/repository/index", 501, "serve: index of the repository: this server has no model repository: not supported by this implementation: unsupported operation"},
		{"POST", "/v2/repository/models/x/load", 501, ""},
		{"GET", "/v2/logging", 501, ""},
		{"POST", "/v2/models/adder/trace/setting", 501, ""},
		{"GET", "/v2/cudasharedmemory/status", 501, ""},
		{"GET", "/v2/models/other/stats", 404, ""},
		{"GET", "/v2/models/other/config", 404, ""},
		{"GET", "/v2/models/adder/generate", 405, ""},
		{"GET", "/v2/models/other", 404, `serve: model "other" is not deployed: not found`},
		{"POST", "/v2/models/other/infer", 404, `serve: model "other" is not deployed: not found`},
		{"POST", "/v2/models/adder/versions/2/infer", 404, `serve: model "adder": version "2" is not deployed, version "1" is: not found`},
		{"GET", "/v2/models/adder/infer", 405, "serve: method GET is not allowed here, want POST"},
		{"POST", "/v2", 405, "serve: method POST is not allowed here, want GET, HEAD"},
		{"DELETE", "/v2/models/adder", 405, "serve: method DELETE is not allowed here, want GET, HEAD"},
	} {
		resp, body := send(t, tc.method, url+tc.path, nil)
		require.Equal(t, tc.status, resp.StatusCode, tc.path)
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		var said struct{ Error string }
		require.NoError(t, json.Unmarshal([]byte(body), &said))
		require.NotEmpty(t, said.Error)
		if tc.want != "" {
			require.Equal(t, tc.want, said.Error)
		}
		require.Equal(t, tc.status == 405, resp.Header.Get("Allow") != "", tc.path)
	}
}

func TestUnderAPrefixAndWithOddNames(t *testing.T) {
	t.Parallel()
	s := serve.New(nil)
	for _, name := range []string{"team/fraud", "été 100%", "ready"} {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: name, Version: "v/1", Model: adder()}))
	}
	mux := http.NewServeMux()
	mux.Handle("/ml/", http.StripPrefix("/ml", s))
	hs := httptest.NewServer(mux)
	defer hs.Close()
	c := client(t, hs.URL+"/ml")
	for _, name := range []string{"team/fraud", "été 100%", "ready"} {
		for _, version := range []string{"", "v/1"} {
			resp, err := c.Infer(t.Context(), name, version, rows(1, 2))
			require.NoError(t, err)
			require.Equal(t, name, resp.ModelName)
			m, err := c.ModelMetadata(t.Context(), name, version)
			require.NoError(t, err)
			require.Equal(t, name, m.Name)
			require.NoError(t, c.ModelReady(t.Context(), name, version))
		}
	}
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestDeployRefuses(t *testing.T) {
	t.Parallel()
	s, _ := start(t, nil, nil)
	ctx := t.Context()
	bad := adder()
	bad.sig = serve.Signature{
		Inputs: []oip.TensorMetadata{{Name: "", Datatype: "FP17"}, {Name: "a", Datatype: oip.FP32, Shape: []int64{-2}}, {Name: "a", Datatype: oip.FP32}},
	}
	require.EqualError(t, s.Deploy(ctx, serve.Deployment{Name: "a\n", Model: bad}), `serve: deploy "a\n" version "": `+
		`Name "a\n" has control characters or is not valid UTF-8; Version is 0 bytes, want 1 to 255; `+
		`an input has no name; input "" has datatype "FP17", which the protocol does not have; `+
		`input "a" has shape [-2], want lengths of at least 0, or -1 where it varies; input "a" is there twice; `+
		`the signature has no output: invalid`)
	require.Zero(t, bad.closed.Load())
	require.ErrorIs(t, s.Deploy(ctx, serve.Deployment{Name: "a", Version: "1"}), serve.ErrInvalid)

	m := adder()
	require.NoError(t, s.Deploy(ctx, serve.Deployment{Name: "a", Version: "1", Model: m}))
	for _, name := range []string{"a", "b"} {
		err := s.Deploy(ctx, serve.Deployment{Name: name, Version: "2", Model: m})
		require.ErrorIs(t, err, serve.ErrExists)
		require.ErrorContains(t, err, `the same model value serves as "a" version "1", load another`)
	}
	require.Zero(t, m.closed.Load())

	gone, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, s.Deploy(gone, serve.Deployment{Name: "c", Version: "1", Model: adder()}), context.Canceled)
	require.ErrorIs(t, s.Undeploy(ctx, "c"), serve.ErrNotFound)
}
