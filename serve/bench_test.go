package serve_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// small is one row of four features, the request of the budgets.
const small = `{"id":"req-0001","inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`

// toy is a model that costs nothing, so that the rest shows.
type toy struct{}

func (*toy) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "input", Datatype: oip.FP32, Shape: []int64{-1, 4}}},
		Outputs: []oip.TensorMetadata{{Name: "score", Datatype: oip.FP32, Shape: []int64{-1}}},
	}
}

func (*toy) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	in := &req.Inputs[0]
	out := make([]float32, in.Shape[0])
	for i, v := range in.FP32() {
		out[i/4] += v
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP32("score", in.Shape[:1], out))
	return nil
}

func (*toy) Close() error { return nil }

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(status int)      { n.status = status }

// again is a body that can be read again.
type again struct{ *strings.Reader }

func (again) Close() error { return nil }

// direct returns a function that runs one request through the handler without
// net/http around it.
func direct(tb testing.TB, opts *serve.Options) func() {
	s := serve.New(opts)
	require.NoError(tb, s.Deploy(tb.Context(), serve.Deployment{Name: "m", Version: "1", Model: &toy{}}))
	tb.Cleanup(func() { require.NoError(tb, s.Shutdown(context.Background())) })
	body := again{strings.NewReader(small)}
	req := httptest.NewRequest(http.MethodPost, "/v2/models/m/infer", body)
	req.ContentLength = int64(len(small))
	w := &nowhere{header: http.Header{}}
	return func() {
		body.Reset(small)
		req.Body = body
		clear(w.header)
		s.ServeHTTP(w, req)
		if w.status != 0 {
			panic(w.status)
		}
	}
}

// The whole handler without net/http: one allocation for the request, one for
// its id, the model's own two; none for the deadline or the batcher.
func TestHandlerAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	require.LessOrEqual(t, testing.AllocsPerRun(500, direct(t, &serve.Options{Timeout: -1})), 5.0)
	require.LessOrEqual(t, testing.AllocsPerRun(500, direct(t, nil)), 5.0)
}

func BenchmarkHandler(b *testing.B) {
	for name, opts := range map[string]*serve.Options{"default": nil, "no-timeout": {Timeout: -1}} {
		b.Run(name, func(b *testing.B) {
			do := direct(b, opts)
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

// floor is what net/http costs: the body is read, a short answer is sent.
func floor(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header()["Content-Type"] = []string{"application/json"}
	_, _ = io.WriteString(w, `{"ok":true}`)
}

// plain is the handler that a program would write with encoding/json.
func plain(w http.ResponseWriter, r *http.Request) {
	type tensor struct {
		Name     string    `json:"name"`
		Shape    []int64   `json:"shape"`
		Datatype string    `json:"datatype"`
		Data     []float32 `json:"data"`
	}
	var req struct {
		ID     string   `json:"id"`
		Inputs []tensor `json:"inputs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := tensor{Name: "score", Shape: req.Inputs[0].Shape[:1], Datatype: "FP32", Data: make([]float32, req.Inputs[0].Shape[0])}
	for i, v := range req.Inputs[0].Data {
		out.Data[i/4] += v
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"model_name": "m", "model_version": "1", "id": req.ID, "outputs": []tensor{out}})
}

// BenchmarkLoopback is a round trip over one kept connection, client included:
// what differs between the three is the handler.
func BenchmarkLoopback(b *testing.B) {
	deployed := func(opts *serve.Options) *serve.Server {
		s := serve.New(opts)
		require.NoError(b, s.Deploy(b.Context(), serve.Deployment{Name: "m", Version: "1", Model: &toy{}}))
		b.Cleanup(func() { require.NoError(b, s.Shutdown(context.Background())) })
		return s
	}
	for _, bc := range []struct {
		name string
		h    http.Handler
	}{{"floor", http.HandlerFunc(floor)}, {"ours", deployed(nil)}, {"ours-no-timeout", deployed(&serve.Options{Timeout: -1})}, {"encoding-json", http.HandlerFunc(plain)}} {
		b.Run(bc.name, func(b *testing.B) {
			hs := httptest.NewServer(bc.h)
			defer hs.Close()
			b.ReportAllocs()
			for b.Loop() {
				resp, err := http.Post(hs.URL+"/v2/models/m/infer", "application/json", strings.NewReader(small))
				if err != nil {
					b.Fatal(err)
				}
				if _, err = io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
					b.Fatal(resp.StatusCode, err)
				}
				if err := resp.Body.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
