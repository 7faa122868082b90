package oip_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

// dial returns a client of a server that answers with h.
func dial(t *testing.T, prefix string, opts *oip.ClientOptions, h http.HandlerFunc) *oip.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := oip.NewClient(srv.URL+prefix, opts)
	require.NoError(t, err)
	return c
}

func sample() *oip.InferRequest {
	return &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1, 2}, []float64{1, 2.5})}}
}

func TestClientInfer(t *testing.T) {
	t.Parallel()
	c := dial(t, "/prefix/", nil, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.EscapedPath() != "/prefix/v2/models/team%2Ffraud/versions/3/infer" ||
			r.Header.Get("Content-Type") != "application/json" ||
			string(body) != `{"id":"7","inputs":[{"name":"x","datatype":"FP64","shape":[1,2],"data":[1,2.5]}],"outputs":[{"name":"y"}]}` {
			http.Error(w, r.Method+" "+r.URL.EscapedPath()+" "+string(body), http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(w, `{"model_name":"team/fraud","model_version":"3","id":"7","outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":[[0.5]]}]}`)
	})
	req := sample()
	req.ID, req.Outputs = "7", []oip.RequestedOutput{{Name: "y"}}
	resp, err := c.Infer(t.Context(), "team/fraud", "3", req)
	require.NoError(t, err)
	require.Equal(t, "team/fraud", resp.ModelName)
	require.Equal(t, "3", resp.ModelVersion)
	require.Equal(t, "7", resp.ID)
	require.Equal(t, []float32{0.5}, resp.Output("y").FP32())
}

func TestClientMetadataAndHealth(t *testing.T) {
	t.Parallel()
	c := dial(t, "", nil, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /v2":
			_, _ = io.WriteString(w, `{"name":"s","version":"1","extensions":["binary_tensor_data"]}`)
		case "GET /v2/models/m":
			_, _ = io.WriteString(w, `{"name":"m","versions":["1"],"platform":"p","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"outputs":[]}`)
		case "GET /v2/health/live", "GET /v2/models/m/versions/1/ready":
		case "GET /v2/models/broken":
			_, _ = io.WriteString(w, `{"name":`)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	ctx := t.Context()
	s, err := c.ServerMetadata(ctx)
	require.NoError(t, err)
	require.Equal(t, oip.ServerMetadata{Name: "s", Version: "1", Extensions: []string{"binary_tensor_data"}}, s)
	m, err := c.ModelMetadata(ctx, "m", "")
	require.NoError(t, err)
	require.Equal(t, []oip.TensorMetadata{{Name: "x", Datatype: oip.FP32, Shape: []int64{-1, 4}}}, m.Inputs)
	require.NoError(t, c.Live(ctx))
	require.ErrorIs(t, c.Ready(ctx), oip.ErrUnavailable)
	require.NoError(t, c.ModelReady(ctx, "m", "1"))
	require.ErrorIs(t, c.ModelReady(ctx, "m", "2"), oip.ErrUnavailable)
	_, err = c.ModelMetadata(ctx, "broken", "")
	require.ErrorContains(t, err, "oip: model metadata: unexpected end of JSON input")
}

func TestStatusError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		body   string
		is     error
		text   string
	}{
		{400, `{"error":"bad shape"}`, oip.ErrInvalid, `oip: infer "m": the server answered 400 Bad Request: bad shape`},
		{413, ``, oip.ErrInvalid, `oip: infer "m": the server answered 413 Request Entity Too Large`},
		{415, ``, oip.ErrInvalid, ``},
		{422, ``, oip.ErrInvalid, ``},
		{404, `<html>`, oip.ErrNotFound, `oip: infer "m": the server answered 404 Not Found: <html>`},
		{429, ``, oip.ErrUnavailable, ``},
		{502, ``, oip.ErrUnavailable, ``},
		{503, `{"error":"draining"}`, oip.ErrUnavailable, ``},
		{504, ``, oip.ErrUnavailable, ``},
		{501, ``, oip.ErrUnsupported, ``},
		{500, strings.Repeat("x", 2000), nil, `oip: infer "m": the server answered 500 Internal Server Error: ` + strings.Repeat("x", 512)},
		{204, ``, nil, ``},
	} {
		c := dial(t, "", nil, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
		})
		_, err := c.Infer(t.Context(), "m", "", sample())
		var status *oip.StatusError
		require.ErrorAs(t, err, &status)
		require.Equal(t, tc.status, status.Status)
		for _, kind := range []error{oip.ErrInvalid, oip.ErrNotFound, oip.ErrUnavailable, oip.ErrUnsupported} {
			require.Equal(t, errors.Is(kind, tc.is), errors.Is(err, kind), "%d is %v", tc.status, kind)
		}
		if tc.text != "" {
			require.EqualError(t, err, tc.text)
		}
	}
}

func TestClientRefusesBadAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ body, want string }{
		{`{"model_name":"m"}`, `decode the answer: byte 18: it has no "outputs"`},
		{`{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1]}]}`, `the answer's output "y": shape [2] needs 2 elements, data has 1`},
		{`{"model_name":"m","outputs":[` + strings.Repeat(" ", 2000) + `]}`, `larger than ClientOptions.MaxBody, 1000 bytes`},
		{`{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[9],"data":[1,1,1,1,1,1,1,1,1]}]}`, `the limit leaves 8 elements`},
	} {
		c := dial(t, "", &oip.ClientOptions{MaxBody: 1000, Limits: &oip.Limits{Elements: 8}}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, tc.body)
		})
		_, err := c.Infer(t.Context(), "m", "", sample())
		require.ErrorContains(t, err, tc.want)
		require.ErrorContains(t, err, `oip: infer "m": `)
	}
}

func TestClientTakesABodyOfTheLimit(t *testing.T) {
	t.Parallel()
	body := `{"outputs":[]}`
	for _, limit := range []int64{int64(len(body)), -1, 0} {
		c := dial(t, "", &oip.ClientOptions{MaxBody: limit}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body)
		})
		_, err := c.Infer(t.Context(), "m", "", sample())
		require.NoError(t, err)
	}
}

func TestClientRefusesBadRequests(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "localhost:80", "ftp://h", "http://", "http://h?x=1", "http://h#f", "http://a b"} {
		_, err := oip.NewClient(u, nil)
		require.ErrorIs(t, err, oip.ErrInvalid, u)
	}
	c := dial(t, "", nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	_, err := c.Infer(t.Context(), "m", "", &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("x", []int64{2}, nil)}})
	require.EqualError(t, err, `oip: infer "m": encode the request: inputs[0] "x": shape [2] needs 2 elements, data has 0: invalid`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Infer(ctx, "m", "", sample())
	require.ErrorIs(t, err, context.Canceled)
}
