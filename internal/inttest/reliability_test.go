package inttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// call sends one bare request, never again, and decodes the answer.
func call(ctx context.Context, method, url string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &answered{resp.StatusCode, string(got)}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}

type answered struct {
	status int
	body   string
}

func (a *answered) Error() string { return fmt.Sprintf("%d: %s", a.status, a.body) }

func newRun(t *testing.T, url, name string) string {
	t.Helper()
	var answer struct {
		Run struct {
			Info struct {
				RunID string `json:"run_id"`
			}
		}
	}
	body := object{"experiment_id": "0", "run_name": name, "start_time": 1}
	require.NoError(t, call(t.Context(), http.MethodPost, url+"/api/2.0/mlflow/runs/create", body, &answer))
	return answer.Run.Info.RunID
}

// batch is the k-th write of a run: three metrics, a param and a tag.
func batch(run string, k int) object {
	metric := func(key string) object {
		return object{"key": key, "value": float64(k) / 8, "timestamp": 1 + k, "step": k}
	}
	return object{
		"run_id": run, "metrics": []object{metric("a"), metric("b"), metric("c")},
		"params": pairs(fmt.Sprintf("p%04d", k), fmt.Sprint(k)), "tags": pairs("last", fmt.Sprint(k)),
	}
}

// stored returns how many batches of the run are there, and fails where one is
// there in part, twice or changed.
func stored(t *testing.T, url, run string) int {
	t.Helper()
	var answer struct {
		Run struct {
			Data struct {
				Metrics []struct {
					Key  string
					Step int
				}
				Params, Tags []struct{ Key, Value string }
			}
		}
	}
	require.NoError(t, call(t.Context(), http.MethodGet, url+"/api/2.0/mlflow/runs/get", object{"run_id": run}, &answer))
	data := answer.Run.Data
	n := len(data.Params)
	for _, m := range data.Metrics {
		require.Equal(t, n-1, m.Step, "latest of %s beside %d params", m.Key, n)
	}
	for _, tag := range data.Tags {
		if tag.Key == "last" {
			require.Equal(t, fmt.Sprint(n-1), tag.Value)
		}
	}
	if n == 0 {
		require.Empty(t, data.Metrics)
		return 0
	}
	for _, key := range []string{"a", "b", "c"} {
		var history struct {
			Metrics []struct {
				Value     float64
				Timestamp int
				Step      int
			}
		}
		body := object{"run_id": run, "metric_key": key, "max_results": 25000}
		require.NoError(t, call(t.Context(), http.MethodGet, url+"/api/2.0/mlflow/metrics/get-history", body, &history))
		require.Len(t, history.Metrics, n, "points of %s beside %d params", key, n)
		for k, m := range history.Metrics {
			require.Equal(t, k, m.Step)
			require.Equal(t, 1+k, m.Timestamp)
			require.Equal(t, float64(k)/8, m.Value) //nolint:testifylint // Eighths are exact.
		}
	}
	return n
}

// TestKilledUnderLoad kills the server with SIGKILL again and again while
// clients write. What was acknowledged is there, and nothing is there in part.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { killUnderLoad(t, "", 50) })
	t.Run("postgres", func(t *testing.T) { killUnderLoad(t, pgtest.URL(t), 10) })
}

func killUnderLoad(t *testing.T, database string, kills int) {
	const clients = 4
	server := inttest.StartServer(t, database)
	runs, sent := make([]string, clients), make([]int, clients)
	for i := range runs {
		runs[i] = newRun(t, server.URL, fmt.Sprintf("client %d", i))
	}
	var doubtful int
	for range kills {
		ctx, cancel := context.WithCancel(t.Context())
		var acknowledged atomic.Int64
		var working sync.WaitGroup
		for i := range clients {
			working.Go(func() {
				for ctx.Err() == nil {
					if call(ctx, http.MethodPost, server.URL+"/api/2.0/mlflow/runs/log-batch", batch(runs[i], sent[i]), nil) != nil {
						return // cut off; whether it was stored is not known
					}
					sent[i]++
					acknowledged.Add(1)
				}
			})
		}
		least := 1 + rand.Int64N(40)
		require.Eventually(t, func() bool { return acknowledged.Load() >= least }, inttest.Patience, time.Millisecond)
		server.Kill()
		cancel()
		working.Wait()
		server.Restart(t)
		for i := range clients {
			n := stored(t, server.URL, runs[i])
			require.GreaterOrEqual(t, n, sent[i], "an acknowledged write is lost")
			require.LessOrEqual(t, n, sent[i]+1)
			doubtful += n - sent[i]
			// A client that does not know sends the same again.
			require.NoError(t, call(t.Context(), http.MethodPost, server.URL+"/api/2.0/mlflow/runs/log-batch", batch(runs[i], sent[i]), nil))
			sent[i]++
			if sent[i] > 4000 { // a run takes 5,000 params
				runs[i], sent[i] = newRun(t, server.URL, "next"), 0
			}
		}
	}
	total := 0
	for i := range clients {
		require.Equal(t, sent[i], stored(t, server.URL, runs[i]))
		total += sent[i]
	}
	t.Logf("%d kills, %d batches acknowledged and there, %d more were stored without an answer", kills, total, doubtful)
}

// TestManyClientsOnOneFile has 16 Go clients and two Python processes of 8
// threads write and read through two servers on one SQLite file. None retries,
// and none is told that the database is locked.
func TestManyClientsOnOneFile(t *testing.T) {
	t.Parallel()
	inttest.MLflowPython(t)
	first := inttest.StartServer(t, "")
	second := inttest.StartServer(t, "sqlite:///"+first.Dir+"/mlflow.db")
	var working sync.WaitGroup
	failures := make(chan error, 100)
	failed := func(err error) {
		select {
		case failures <- err:
		default:
		}
	}
	for _, url := range []string{first.URL, second.URL} {
		working.Go(func() {
			if out, err := inttest.RunMLflowScript(t, "mlflow_load.py", url, "8", "15"); err != nil {
				failed(fmt.Errorf("%w\n%s", err, out))
			}
		})
	}
	var calls atomic.Int64
	for i := range 16 {
		url := []string{first.URL, second.URL}[i%2]
		working.Go(func() {
			var made struct{ Run struct{ Info object } }
			if err := call(t.Context(), http.MethodPost, url+"/api/2.0/mlflow/runs/create", object{"experiment_id": "0", "start_time": 1}, &made); err != nil {
				failed(err)
				return
			}
			run, _ := made.Run.Info["run_id"].(string)
			for k := range 60 {
				for path, body := range map[string]object{
					"runs/log-batch":  batch(run, k),
					"runs/log-metric": {"run_id": run, "key": "single", "value": k, "timestamp": k, "step": k},
					"runs/set-tag":    {"run_id": run, "key": "k", "value": fmt.Sprint(k)},
					"runs/search":     {"experiment_ids": []string{"0"}, "filter": "metrics.a > 1", "max_results": 5, "order_by": []string{"metrics.a DESC"}},
				} {
					if err := call(t.Context(), http.MethodPost, url+"/api/2.0/mlflow/"+path, body, nil); err != nil {
						failed(fmt.Errorf("%s: %w", path, err))
					}
					calls.Add(1)
				}
			}
			if n := stored(t, url, run); n != 60 {
				failed(fmt.Errorf("%d of 60 batches are there", n))
			}
		})
	}
	working.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	t.Logf("%d bare calls and 2 Python processes of 8 threads", calls.Load())
}

// TestPostgresRestartedUnderLoad stops and kills the database while our client
// writes through our server: calls take longer, and that is all.
func TestPostgresRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t, nil)
	server := inttest.StartServer(t, database.URL(t))
	const clients = 4
	runs, sent := make([]string, clients), make([]int, clients)
	for i := range runs {
		runs[i] = newRun(t, server.URL, fmt.Sprintf("client %d", i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var working sync.WaitGroup
	var total atomic.Int64
	fault := make(chan error, clients)
	for i := range clients {
		conn, err := mlflow.Dial(server.URL, nil)
		require.NoError(t, err)
		working.Go(func() {
			for ctx.Err() == nil && sent[i] < 4900 {
				if err := conn.LogBatch(ctx, tracking.RunID(runs[i]), trackingBatch(sent[i])); err != nil {
					if !errors.Is(err, context.Canceled) {
						fault <- err
					}
					return
				}
				sent[i]++
				total.Add(1)
			}
		})
	}
	for round := range 4 {
		before := total.Load()
		require.Eventually(t, func() bool { return total.Load() >= before+40 || len(fault) > 0 }, inttest.Patience, time.Millisecond)
		if round%2 == 0 {
			database.Stop(t)
		} else {
			database.Kill(t)
		}
		database.Start(t)
	}
	before := total.Load()
	require.Eventually(t, func() bool { return total.Load() >= before+40 || len(fault) > 0 }, inttest.Patience, time.Millisecond)
	cancel()
	working.Wait()
	select {
	case err := <-fault:
		t.Fatal(err)
	default:
	}
	for i := range clients {
		n := stored(t, server.URL, runs[i])
		require.GreaterOrEqual(t, n, sent[i], "an acknowledged write is lost")
		require.LessOrEqual(t, n, sent[i]+1) // the one that the end of the test cut off
	}
	t.Logf("4 restarts, %d batches", total.Load())
}

func trackingBatch(k int) tracking.Batch {
	b := tracking.Batch{Params: map[string]string{fmt.Sprintf("p%04d", k): fmt.Sprint(k)}, Tags: map[string]string{"last": fmt.Sprint(k)}}
	for _, key := range []string{"a", "b", "c"} {
		b.Metrics = append(b.Metrics, tracking.Metric{Key: key, Value: float64(k) / 8, Time: time.UnixMilli(int64(1 + k)), Step: int64(k)})
	}
	return b
}
