package serve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// TestMain fails when a goroutine of this package outlives the tests: every
// test shuts its servers down.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 4<<20)
	for start := time.Now(); ; runtime.Gosched() {
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "millwright/serve.(") {
			break
		}
		if time.Since(start) > 5*time.Second {
			fmt.Println("goroutines of package serve are left:\n" + stacks)
			code = 1
			break
		}
	}
	os.Exit(code)
}

// signature is that of the test models: two numbers a row in, their sum and
// its sign out.
func signature() serve.Signature {
	return serve.Signature{
		Inputs: []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1, 2}}},
		Outputs: []oip.TensorMetadata{
			{Name: "sum", Datatype: oip.FP64, Shape: []int64{-1}},
			{Name: "sign", Datatype: oip.BYTES, Shape: []int64{-1, 1}},
		},
	}
}

// model is a model whose Infer a test may replace.
type model struct {
	sig    serve.Signature
	infer  func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error
	close  func() error
	closed atomic.Int64
	inside atomic.Int64 // Calls of Infer in progress.
	abused atomic.Int64 // Calls after Close, and Closes during a call.
}

// adder returns a model that does what signature says.
func adder() *model { return &model{sig: signature(), infer: add} }

func add(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	x := req.Input("x").FP64()
	rows := len(x) / 2
	sums, signs := make([]float64, rows), make([]string, rows)
	for i := range rows {
		sums[i] = x[2*i] + x[2*i+1]
		signs[i] = "+"
		if sums[i] < 0 {
			signs[i] = "-"
		}
	}
	resp.Outputs = append(resp.Outputs,
		oip.NewFP64("sum", []int64{int64(rows)}, sums),
		oip.NewStrings("sign", []int64{int64(rows), 1}, signs))
	return nil
}

func (m *model) Signature() serve.Signature { return m.sig }

func (m *model) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	m.inside.Add(1)
	defer m.inside.Add(-1)
	if m.closed.Load() > 0 {
		m.abused.Add(1)
	}
	return m.infer(ctx, req, resp)
}

func (m *model) Close() error {
	if m.closed.Add(1) > 1 || m.inside.Load() > 0 {
		m.abused.Add(1)
	}
	if m.close != nil {
		return m.close()
	}
	return nil
}

// start runs a server with the model deployed as "adder" version "1" and
// returns it with its URL.
func start(t testing.TB, opts *serve.Options, m serve.Model) (*serve.Server, string) {
	t.Helper()
	s := serve.New(opts)
	if m != nil {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: m}))
	}
	hs := httptest.NewServer(s)
	t.Cleanup(func() {
		hs.CloseClientConnections()
		hs.Close()
		require.NoError(t, s.Shutdown(context.Background()))
	})
	return s, hs.URL
}

func client(t testing.TB, url string) *oip.Client {
	t.Helper()
	c, err := oip.NewClient(url, nil)
	require.NoError(t, err)
	return c
}

// rows is a request of the test models.
func rows(x ...float64) *oip.InferRequest {
	return &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{int64(len(x) / 2), 2}, x)}}
}

// post sends a body and returns what came back.
func post(t testing.TB, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	return send(t, http.MethodPost, url, strings.NewReader(body), header...)
}

func send(t testing.TB, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, strings.TrimSpace(string(text))
}

// good is the text of a request of the test models.
const good = `{"id":"r-1","inputs":[{"name":"x","datatype":"FP64","shape":[2,2],"data":[[1,2],[3,-8]]}]}`

// watcher is an observer that keeps what it saw.
type watcher struct{ seen chan serve.Exchange }

func watch() *watcher { return &watcher{seen: make(chan serve.Exchange, 1000)} }

func (w *watcher) Observe(x *serve.Exchange) {
	kept := *x
	if x.Request != nil {
		r := *x.Request
		r.Inputs = cloned(r.Inputs)
		kept.Request = &r
	}
	if x.Response != nil {
		r := *x.Response
		r.Outputs = cloned(r.Outputs)
		kept.Response = &r
	}
	w.seen <- kept
}

func cloned(list []oip.Tensor) []oip.Tensor {
	out := make([]oip.Tensor, len(list))
	for i := range list {
		out[i] = list[i].Clone()
	}
	return out
}

// last returns the one exchange that was observed since.
func (w *watcher) last(t testing.TB) serve.Exchange {
	t.Helper()
	require.Len(t, w.seen, 1)
	return <-w.seen
}
