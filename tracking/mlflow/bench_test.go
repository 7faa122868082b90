package mlflow_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	status int
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { s.n += len(b); return len(b), nil }

// benchRequest is a request that can be sent again and again.
type benchRequest struct {
	r    *http.Request
	body []byte
	w    sink
}

func newRequest(t testing.TB, method, path string, body []byte) *benchRequest {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost/api/2.0/mlflow/"+path, nil)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(body))
	return &benchRequest{r: r, body: body}
}

func (q *benchRequest) send(h http.Handler) int {
	q.w = sink{header: make(http.Header, 8)}
	q.r.Body = io.NopCloser(bytes.NewReader(q.body))
	h.ServeHTTP(&q.w, q.r)
	return q.w.status
}

// points is a log-batch body.
func points(run string, first, n int) []byte {
	m := &mlflowapi.LogBatch{RunID: run}
	for i := first; i < first+n; i++ {
		m.Metrics = append(m.Metrics, mlflowapi.Metric{
			Key: fmt.Sprintf("metric_%d", i%10), Value: math.Sqrt(float64(i)), Timestamp: 1_700_000_000_000 + int64(i), Step: int64(i / 10),
		})
	}
	return mlflowapi.Append(nil, m)
}

func TestLogBatchOfTheHandlerAllocates(t *testing.T) {
	a := newAPI(t, nil)
	q := newRequest(t, "POST", "runs/log-batch", points(a.run("0"), 0, 1000))
	require.Equal(t, 200, q.send(a.h), "the points are new once, then known")
	h := a.h
	allocs := testing.AllocsPerRun(10, func() {
		if q.send(h) != 200 {
			t.Fatal("refused")
		}
	})
	require.Less(t, allocs, 100.0)
}

func benchStores(b *testing.B, bench func(b *testing.B, a *api)) {
	b.Run("memory", func(b *testing.B) { bench(b, newAPI(b, nil)) })
	b.Run("sqlite", func(b *testing.B) { bench(b, newAPIOn(b, apiSQLite(b), nil)) })
}

func BenchmarkLogBatch1000(b *testing.B) {
	benchStores(b, func(b *testing.B, a *api) {
		run, n := a.run("0"), 0
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			q := newRequest(b, "POST", "runs/log-batch", points(run, n, 1000))
			n += 1000
			b.StartTimer()
			if q.send(a.h) != 200 {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkLogMetric(b *testing.B) {
	benchStores(b, func(b *testing.B, a *api) {
		run, n := a.run("0"), 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			q := newRequest(b, "POST", "runs/log-metric", fmt.Appendf(nil, `{"run_id":%q,"run_uuid":%q,"key":"loss","value":0.25,"timestamp":1700000000000,"step":%d}`, run, run, n))
			if q.send(a.h) != 200 {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkLogMetricWithBasicAuth(b *testing.B) {
	auth, err := mlflow.NewAuth(mlflow.AuthConfig{Default: mlflow.EditPermission, Users: []mlflow.AuthUser{{Name: "u", Password: quickHash(b, password)}}})
	require.NoError(b, err)
	a := newAPI(b, &mlflow.Options{Authorize: auth.Authorize}).as("u")
	run, n := a.run("0"), 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		q := newRequest(b, "POST", "runs/log-metric", fmt.Appendf(nil, `{"run_id":%q,"run_uuid":%q,"key":"loss","value":0.25,"timestamp":1700000000000,"step":%d}`, run, run, n))
		q.r.SetBasicAuth("u", password)
		if q.send(a.h) != 200 {
			b.Fatal("refused")
		}
	}
}

func BenchmarkSearch100Runs(b *testing.B) {
	benchStores(b, func(b *testing.B, a *api) {
		for i := range 100 {
			run := a.run("0")
			var metrics, params []string
			for k := range 20 {
				metrics = append(metrics, fmt.Sprintf(`{"key":"m%d","value":%v,"timestamp":1700000000000,"step":1}`, k, float64(i)+0.1))
				params = append(params, fmt.Sprintf(`{"key":"p%d","value":"v%d"}`, k, i))
			}
			a.ok("POST", "runs/log-batch", `{"run_id":"`+run+`","metrics":[`+strings.Join(metrics, ",")+`],"params":[`+strings.Join(params, ",")+`]}`)
		}
		q := newRequest(b, "POST", "runs/search", []byte(`{"experiment_ids":["0"],"filter":"metrics.m3 > 10","order_by":["metrics.m5 DESC"],"max_results":100}`))
		b.ReportAllocs()
		for b.Loop() {
			if q.send(a.h) != 200 || q.w.n < 100_000 {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkHistory25000(b *testing.B) {
	benchStores(b, func(b *testing.B, a *api) {
		run := a.run("0")
		for i := range 25 {
			var list []string
			for k := range 1000 {
				step := i*1000 + k
				list = append(list, fmt.Sprintf(`{"key":"m","value":%v,"timestamp":%d,"step":%d}`, math.Sqrt(float64(step)), 1_700_000_000_000+step, step))
			}
			a.ok("POST", "runs/log-batch", `{"run_id":"`+run+`","metrics":[`+strings.Join(list, ",")+`]}`)
		}
		q := newRequest(b, "GET", "metrics/get-history?metric_key=m&max_results=25000&run_id="+run, nil)
		b.ReportAllocs()
		for b.Loop() {
			if q.send(a.h) != 200 {
				b.Fatal("refused")
			}
		}
		b.SetBytes(int64(q.w.n))
	})
}
