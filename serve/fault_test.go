package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// logs is a place to log to that several goroutines may use.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestModelFaults(t *testing.T) {
	t.Parallel()
	type fault = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error
	fails := func(err error) fault {
		return func(context.Context, *oip.InferRequest, *oip.InferResponse) error { return err }
	}
	gives := func(list ...oip.Tensor) fault {
		return func(_ context.Context, _ *oip.InferRequest, resp *oip.InferResponse) error {
			resp.Outputs = append(resp.Outputs, list...)
			return nil
		}
	}
	sum := oip.NewFP64("sum", []int64{2}, []float64{3, -5})
	sign := oip.NewStrings("sign", []int64{2, 1}, []string{"+", "-"})
	const broke = `the model's answer does not have its signature: `
	for _, tc := range []struct {
		infer  fault
		status int
		want   string
	}{
		{fails(errors.New("disk on fire")), 500, "disk on fire"},
		{fails(fmt.Errorf("row 1: age is negative: %w", serve.ErrInvalid)), 400, "row 1: age is negative: invalid"},
		{fails(serve.ErrNotFound), 404, "not found"},
		{fails(serve.ErrUnavailable), 503, "unavailable"},
		{fails(serve.ErrUnsupported), 501, "not supported by this implementation: unsupported operation"},
		{fails(context.DeadlineExceeded), 504, "context deadline exceeded"},
		{func(context.Context, *oip.InferRequest, *oip.InferResponse) error {
			var list []int
			_ = list[5:]
			return nil
		}, 500, "the model panicked: runtime error: slice bounds out of range [5:0]"},
		{func(context.Context, *oip.InferRequest, *oip.InferResponse) error { panic(serve.ErrInvalid) }, 500, "the model panicked: invalid"},
		{func(context.Context, *oip.InferRequest, *oip.InferResponse) error { panic(http.ErrAbortHandler) }, 500, "the model panicked: net/http: abort Handler"},
		{gives(), 500, broke + `output "sum" is missing; output "sign" is missing`},
		{gives(sum, sign, sum), 500, broke + `output "sum" is there twice`},
		{gives(sum, sign, oip.NewFP64("more", nil, []float64{1})), 500, broke + `output "more" is not one of the model's: "sum", "sign"`},
		{gives(oip.NewFP32("sum", []int64{2}, []float32{1, 2}), sign), 500, broke + `output "sum" has datatype FP32, want FP64`},
		{gives(oip.NewFP64("sum", []int64{3}, []float64{1, 2, 3}), sign), 500, broke + `output "sum" has 3 rows, the request has 2`},
		{gives(oip.NewFP64("sum", []int64{2, 1}, []float64{1, 2}), sign), 500, broke + `output "sum" has shape [2,1], want [-1]`},
		{gives(oip.NewFP64("sum", []int64{2}, []float64{1}), sign), 500, broke + `output "sum": shape [2] needs 2 elements, data has 1`},
		{gives(oip.NewFP64("sum", []int64{2}, []float64{1, math.NaN()}), sign), 500, `the model's answer cannot be sent: oip: encode response: tensor "sum": element 1 is NaN, which JSON does not have: invalid`},
	} {
		w, log := watch(), &logs{}
		m := adder()
		m.infer = tc.infer
		_, url := start(t, &serve.Options{Observers: []serve.Observer{w}, Logger: slog.New(slog.NewTextHandler(log, nil))}, m)
		resp, body := post(t, url+"/v2/models/adder/infer", good)
		require.Equal(t, tc.status, resp.StatusCode, body)
		require.Equal(t, `serve: infer "adder" version "1": `+tc.want, errorText(t, body))
		require.Equal(t, "r-1", resp.Header.Get("Millwright-Request-Id"))
		require.Equal(t, "adder/1", resp.Header.Get("Millwright-Model"))
		x := w.last(t)
		require.EqualError(t, x.Err, errorText(t, body))
		require.Nil(t, x.Response)
		require.NotNil(t, x.Request)
		require.Equal(t, tc.status >= 500, strings.Contains(log.String(), "level=ERROR"))
		require.Equal(t, strings.Contains(tc.want, "panicked"), strings.Contains(log.String(), "fault_test.go"), "the stack is logged")
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := watch()
	m := adder()
	m.infer = func(ctx context.Context, _ *oip.InferRequest, _ *oip.InferResponse) error {
		<-ctx.Done()
		return ctx.Err()
	}
	s, url := start(t, &serve.Options{Observers: []serve.Observer{w}, Timeout: time.Millisecond}, m)
	resp, body := post(t, url+"/v2/models/adder/infer", good)
	require.Equal(t, 504, resp.StatusCode)
	require.Equal(t, `serve: infer "adder" version "1": the time was up: context deadline exceeded`, errorText(t, body))
	require.ErrorIs(t, w.last(t).Err, context.DeadlineExceeded)

	// An error that hides its cause.
	m = adder()
	m.infer = func(ctx context.Context, _ *oip.InferRequest, _ *oip.InferResponse) error {
		<-ctx.Done()
		return errors.New("aborted")
	}
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "2", Model: m}))
	resp, body = post(t, url+"/v2/models/adder/infer", good)
	require.Equal(t, 504, resp.StatusCode)
	require.Equal(t, `serve: infer "adder" version "2": aborted: context deadline exceeded`, errorText(t, body))
}

func TestNoTimeout(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]bool{0: true, -1: false, time.Hour: true} {
		m := adder()
		m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
			if _, have := ctx.Deadline(); have != want {
				return fmt.Errorf("deadline %v, want %v", have, want)
			}
			return add(ctx, req, resp)
		}
		_, url := start(t, &serve.Options{Timeout: timeout}, m)
		_, err := client(t, url).Infer(t.Context(), "adder", "", rows(1, 2))
		require.NoError(t, err)
	}
}

// A client that goes away ends the model's context.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	w := watch()
	m := adder()
	entered := make(chan struct{})
	m.infer = func(ctx context.Context, _ *oip.InferRequest, _ *oip.InferResponse) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	_, url := start(t, &serve.Options{Observers: []serve.Observer{w}, Timeout: -1}, m)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	_, err := client(t, url).Infer(ctx, "adder", "", rows(1, 2))
	require.ErrorIs(t, err, context.Canceled)
	x := <-w.seen
	require.ErrorIs(t, x.Err, context.Canceled)
}

type observerFunc func(*serve.Exchange)

func (f observerFunc) Observe(x *serve.Exchange) { f(x) }

func TestObservers(t *testing.T) {
	t.Parallel()
	var order []string
	log := &logs{}
	labels := map[string]string{"run": "r7", "dataset": "sha256:ab"}
	s, url := start(t, &serve.Options{
		Logger: slog.New(slog.NewTextHandler(log, nil)),
		Observers: []serve.Observer{
			observerFunc(func(*serve.Exchange) { order = append(order, "first") }),
			observerFunc(func(*serve.Exchange) { panic("observer is broken") }),
			observerFunc(func(x *serve.Exchange) { order = append(order, x.Labels["run"], x.Labels["dataset"]) }),
		},
	}, nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: adder(), Labels: labels}))
	labels["run"] = "changed"
	_, err := client(t, url).Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	require.Equal(t, []string{"first", "r7", "sha256:ab"}, order)
	require.Contains(t, log.String(), "observer is broken")
}

// When a client has its answer, however long, it was observed: a label sent
// next finds its prediction.
func TestObservedBeforeAnswered(t *testing.T) {
	t.Parallel()
	w := watch()
	_, url := start(t, &serve.Options{Observers: []serve.Observer{w}}, adder())
	c := client(t, url)
	for _, n := range []int{1, 20_000} {
		resp, err := c.Infer(t.Context(), "adder", "", rows(make([]float64, 2*n)...))
		require.NoError(t, err)
		require.Len(t, resp.Output("sum").FP64(), n)
		require.Equal(t, resp.ID, w.last(t).RequestID)
	}
}
