package promexport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/promexport"
	"github.com/millwright-ml/millwright/serve/rollout"
)

const prefix = "millwright_serve_"

func TestRequests(t *testing.T) {
	t.Parallel()
	s, _, registry := start(t, &serve.Options{MaxBody: 500}, nil)
	fail := errors.New("disk on fire")
	broken := false
	deploy(t, s, "1", &double{fail: func() error {
		if broken {
			return fail
		}
		return nil
	}})
	_, families := scrape(t, registry)
	require.Zero(t, value(t, families, prefix+"requests_total", "model", "double", "version", "1", "code", "200"), "a rate begins with 0")
	require.Equal(t, 1.0, value(t, families, prefix+"version_info", "model", "double", "version", "1", "digest", "sha256:1", "platform", "millwright"))

	post := func(body string, want int) int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("POST", "/v2/models/double/infer", strings.NewReader(body)))
		require.Equal(t, want, w.Code)
		return w.Body.Len()
	}
	const body = `{"inputs":[{"name":"x","datatype":"FP64","shape":[3,1],"data":[1,2,3]}]}`
	answer := post(body, 200)
	answer += post(body, 200)
	post(`{"inputs":[{"name":"x","datatype":"FP64","shape":[1,1],"data":[true]}]}`, 400)
	post(`{"inputs":[]}`, 400)
	post(strings.Repeat(" ", 1000), 413)
	broken = true
	post(body, 500)
	fail = serve.ErrUnavailable
	post(body, 503)

	text, families := scrape(t, registry)
	of := func(name string, labels ...string) float64 {
		return value(t, families, prefix+name, append([]string{"model", "double", "version", "1"}, labels...)...)
	}
	require.Equal(t, 2.0, of("requests_total", "code", "200"))
	require.Equal(t, 1.0, of("requests_total", "code", "400"), "the request without inputs came to the version")
	require.Equal(t, 1.0, of("requests_total", "code", "500"))
	require.Equal(t, 1.0, of("requests_total", "code", "503"))
	require.Equal(t, 1.0, value(t, families, prefix+"requests_total", "version", "", "code", "400"))
	require.Equal(t, 1.0, value(t, families, prefix+"requests_total", "version", "", "code", "413"))
	require.Equal(t, 5.0, of("request_duration_seconds"))
	require.Equal(t, 5.0, of("queue_duration_seconds"))
	require.Equal(t, 5.0, of("model_duration_seconds"))
	require.Equal(t, 6.0, of("rows_total"))
	require.Equal(t, float64(answer), of("response_bytes_total"))
	require.Equal(t, float64(4*len(body)+len(`{"inputs":[]}`)), of("request_bytes_total"))
	require.Equal(t, 4.0, of("executions_total"))
	require.Equal(t, 4096.0, of("version_memory_bytes"))
	require.InDelta(t, time.Now().Unix(), of("last_inference_timestamp_seconds"), 600)
	batch := find(families, prefix+"batch_rows").Histogram
	require.Equal(t, uint64(4), batch.GetSampleCount())
	require.Equal(t, 12.0, batch.GetSampleSum())
	for _, b := range batch.Bucket {
		want := uint64(4)
		if b.GetUpperBound() < 3 {
			want = 0
		}
		require.Equal(t, want, b.GetCumulativeCount(), "%v", b)
	}
	require.NotContains(t, text, "nv_inference")
}

// An unknown model makes no series, nor does anything else that a client
// chooses.
func TestCardinality(t *testing.T) {
	t.Parallel()
	s, _, registry := start(t, &serve.Options{Tenant: func(c *serve.Call) string { return c.RequestID }}, &promexport.Options{Triton: true})
	deploy(t, s, "1", new(double))
	_, _, err := s.Infer(t.Context(), "double", "", rows(1))
	require.NoError(t, err)
	count := func() (n int) {
		_, families := scrape(t, registry)
		for _, f := range families {
			n += len(f.Metric)
		}
		return n
	}
	before := count()
	for i := range 200 {
		_, _, err := s.Infer(t.Context(), fmt.Sprint("model-", i), "", rows(1))
		require.ErrorIs(t, err, serve.ErrNotFound)
		_, _, err = s.Infer(t.Context(), "double", fmt.Sprint("version-", i), rows(1))
		require.ErrorIs(t, err, serve.ErrNotFound)
		_, err = s.Do(t.Context(), &serve.Call{Model: "double", Request: rows(1), RequestID: fmt.Sprint("id-", i)})
		require.NoError(t, err)
	}
	require.Equal(t, before, count())

	// Nor do versions add up.
	for i := range 50 {
		deploy(t, s, fmt.Sprint(i+2), new(double))
		_, _, err := s.Infer(t.Context(), "double", "", rows(1))
		require.NoError(t, err)
	}
	_, families := scrape(t, registry)
	require.Len(t, families[prefix+"request_duration_seconds"].Metric, 3, "the newest, and two that went before")
	require.Equal(t, 1.0, value(t, families, prefix+"requests_total", "version", "51"))
	require.Nil(t, find(families, prefix+"version_info", "version", "50"))
	require.Equal(t, 1.0, value(t, families, prefix+"requests_total", "version", "50"), "the last scrape of a version has all its requests")
	require.Nil(t, find(families, prefix+"requests_total", "version", "48"))
	require.Equal(t, 51.0, value(t, families, prefix+"deployments_total", "model", "double"))
	require.Equal(t, 50.0, value(t, families, prefix+"swaps_total", "model", "double"))

	// A version that comes back counts on.
	deploy(t, s, "50", new(double))
	_, _, err = s.Infer(t.Context(), "double", "", rows(1))
	require.NoError(t, err)
	_, families = scrape(t, registry)
	require.Equal(t, 2.0, value(t, families, prefix+"requests_total", "version", "50"))
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	s, _, registry := start(t, &serve.Options{Admission: &serve.Admission{Min: 1, Max: 1, MaxWaiting: 1}}, &promexport.Options{Triton: true})
	hold, inside := make(chan struct{}), make(chan struct{}, 10)
	m := &double{fail: func() error { inside <- struct{}{}; <-hold; return nil }}
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "double", Version: "1", Model: m}))
	done := make(chan error, 2)
	ask := func() {
		_, _, err := s.Infer(context.Background(), "double", "", rows(1))
		done <- err
	}
	go ask()
	<-inside
	go ask()
	require.Eventually(t, func() bool { return s.Status()[0].Waiting == 1 }, time.Minute, time.Millisecond)
	_, _, err := s.Infer(t.Context(), "double", "", rows(1))
	require.ErrorIs(t, err, serve.ErrUnavailable)
	_, families := scrape(t, registry)
	require.Equal(t, 1.0, value(t, families, prefix+"admission_limit", "model", "double"))
	require.Equal(t, 1.0, value(t, families, prefix+"admitted_requests", "model", "double"))
	require.Equal(t, 1.0, value(t, families, prefix+"in_flight_requests", "model", "double"))
	require.Equal(t, 1.0, value(t, families, prefix+"admission_waiting_requests", "model", "double"))
	require.Equal(t, 1.0, value(t, families, prefix+"refused_total", "reason", "capacity"))
	require.Zero(t, value(t, families, prefix+"refused_total", "reason", "share"))
	require.Equal(t, 1.0, value(t, families, "nv_inference_pending_request_count", "version", "1"))
	require.Equal(t, 1.0, value(t, families, "nv_inference_request_failure", "version", "1", "reason", "REJECTED"))
	close(hold)
	for range 2 { // One of the two may have waited longer than it may.
		if err := <-done; err != nil {
			require.ErrorIs(t, err, serve.ErrUnavailable)
		}
	}
}

func TestTriton(t *testing.T) {
	t.Parallel()
	s, _, registry := start(t, nil, &promexport.Options{Triton: true})
	var fail error
	deploy(t, s, "3", &double{fail: func() error { return fail }})
	for _, n := range []int{1, 8, 8} {
		_, _, err := s.Infer(t.Context(), "double", "", rows(n))
		require.NoError(t, err)
	}
	for _, fail = range []error{errors.New("disk on fire"), context.Canceled, serve.ErrUnavailable, serve.ErrInvalid} {
		_, _, err := s.Infer(t.Context(), "double", "", rows(1))
		require.Error(t, err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "/v2/models/double/infer", strings.NewReader("{")))
	require.Equal(t, 400, w.Code)

	_, families := scrape(t, registry)
	of := func(name string, labels ...string) float64 {
		return value(t, families, "nv_inference_"+name, append([]string{"model", "double", "version", "3"}, labels...)...)
	}
	require.Equal(t, 3.0, of("request_success"))
	require.Equal(t, 1.0, of("request_failure", "reason", "BACKEND"))
	require.Equal(t, 1.0, of("request_failure", "reason", "CANCELED"))
	require.Equal(t, 1.0, of("request_failure", "reason", "REJECTED"))
	require.Equal(t, 2.0, of("request_failure", "reason", "OTHER"))
	require.Equal(t, 17.0, of("count"))
	require.Equal(t, 7.0, of("exec_count"))
	require.Zero(t, of("pending_request_count"))
	stats, err := s.Statistics("double", "3")
	require.NoError(t, err)
	require.Equal(t, float64(stats[0].Success.Total.Microseconds()), of("request_duration_us"))
	require.Equal(t, float64(stats[0].Infer.Total.Microseconds()), of("compute_infer_duration_us"))
	for _, name := range []string{"queue_duration_us", "compute_input_duration_us", "compute_output_duration_us"} {
		require.GreaterOrEqual(t, of(name), 0.0)
	}
}

func TestRollout(t *testing.T) {
	t.Parallel()
	s, e, registry := start(t, nil, nil)
	deploy(t, s, "1", new(double))
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "double", Version: "2", Model: new(double), Beside: true}))
	r, err := rollout.New(rollout.Experiment{
		Name: "try", Model: "double", Champion: "1", Challengers: []rollout.Challenger{{Version: "2", Share: 0.5}},
		Key:    func(c *serve.Call) string { return c.RequestID },
		Guards: []rollout.Guard{{Metric: rollout.Errors, Margin: 0.2}},
		Shadow: &rollout.Shadow{},
	}, &rollout.Options{Interval: time.Millisecond, OnEvent: e.Event})
	require.NoError(t, err)
	stop, err := e.Watch(r)
	require.NoError(t, err)
	_, err = e.Watch(r)
	require.ErrorIs(t, err, promexport.ErrInvalid)
	_, err = e.Watch(nil)
	require.ErrorIs(t, err, promexport.ErrInvalid)
	_, families := scrape(t, registry) // Before it runs.
	require.Zero(t, value(t, families, prefix+"rollout_requests", "experiment", "try", "version", "1"))
	over := make(chan error, 1)
	go func() { over <- r.Run(context.Background(), s) }()
	for i := 0; ; i++ {
		_, err := s.Do(t.Context(), &serve.Call{Model: "double", Request: rows(1), RequestID: fmt.Sprint("user-", i)})
		require.NoError(t, err)
		select {
		case err := <-over:
			require.NoError(t, err)
		default:
			continue
		}
		break
	}
	_, families = scrape(t, registry)
	require.Equal(t, 1.0, value(t, families, prefix+"rollout_decisions_total", "model", "double", "verdict", "promote"))
	require.GreaterOrEqual(t, value(t, families, prefix+"rollout_requests", "experiment", "try", "version", "2"), 100.0)
	require.Positive(t, value(t, families, prefix+"rollout_pass_log_e", "version", "2", "guard", "errors"))
	require.NotNil(t, find(families, prefix+"rollout_share", "version", "2"))
	require.NotNil(t, find(families, prefix+"rollout_shadow_requests_total", "result", "agreed"))
	require.Equal(t, 1.0, value(t, families, prefix+"version_default", "version", "2"))
	require.Zero(t, value(t, families, prefix+"version_default", "version", "1"))
	stop()
	_, families = scrape(t, registry)
	require.Nil(t, families[prefix+"rollout_requests"])
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := promexport.New(nil, &promexport.Options{Buckets: []float64{2, 1}, NativeFactor: 0.5, Retain: -2})
	require.ErrorIs(t, err, promexport.ErrInvalid)
	for _, part := range []string{"server is nil", "Buckets", "NativeFactor is 0.5", "Retain is -2"} {
		require.ErrorContains(t, err, part)
	}
	s, e, registry := start(t, nil, &promexport.Options{NativeFactor: 1.1, Retain: -1})
	deploy(t, s, "1", new(double))
	_, _, err = s.Infer(t.Context(), "double", "", rows(1))
	require.NoError(t, err)
	families, err := registry.Gather()
	require.NoError(t, err)
	native := false
	for _, f := range families {
		for _, m := range f.Metric {
			native = native || m.Histogram != nil && m.Histogram.Schema != nil && f.GetName() == prefix+"request_duration_seconds"
		}
	}
	require.True(t, native)
	e.Detach()
	_, _, err = s.Infer(t.Context(), "double", "", rows(1))
	require.NoError(t, err)
	_, parsed := scrape(t, registry)
	require.Nil(t, parsed[prefix+"request_duration_seconds"], "without retention nothing is left")
}

// TestPromtool has Prometheus' own linter read the page.
func TestPromtool(t *testing.T) {
	t.Parallel()
	cache := os.Getenv("MILLWRIGHT_CACHE")
	if cache == "" {
		cache = filepath.Join("..", "..", ".cache")
	}
	promtool, err := exec.LookPath(filepath.Join(cache, "bin", "promtool"))
	if err != nil {
		promtool, err = exec.LookPath("promtool")
	}
	if err != nil {
		require.Empty(t, os.Getenv("REQUIRE_REAL"), "promtool is not here: scripts/realtools.sh promtool")
		t.Skip("promtool is not here: scripts/realtools.sh promtool")
	}
	s, _, registry := start(t, nil, nil)
	deploy(t, s, "1", new(double))
	_, _, err = s.Infer(t.Context(), "double", "", rows(3))
	require.NoError(t, err)
	text, _ := scrape(t, registry)
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
}
