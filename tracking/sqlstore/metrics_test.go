package sqlstore_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// onBoth runs a test on a fresh database of each kind, which it may open any
// number of times.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, fileURL(filepath.Join(t.TempDir(), "tracking.db")))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.SchemaURL(t))
	})
}

// historyModel is what a history holds, kept in the simplest way.
type historyModel map[tracking.Metric]bool

func (h historyModel) add(points []tracking.Metric) {
	for _, p := range points {
		if math.IsNaN(p.Value) {
			p.Value = math.MaxFloat64 // NaN is no key of a map
		}
		p.Time = time.UnixMilli(p.Time.UnixMilli()).UTC()
		h[p] = true
	}
}

func (h historyModel) history(key string) []tracking.Metric {
	var out []tracking.Metric
	for p := range h {
		if p.Key == key {
			if p.Value == math.MaxFloat64 {
				p.Value = math.NaN()
			}
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b tracking.Metric) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Step, b.Step), tracking.CompareValues(a.Value, b.Value))
	})
	return out
}

func readHistory(t testing.TB, store tracking.Store, id tracking.RunID, key string, size int) []tracking.Metric {
	t.Helper()
	var out []tracking.Metric
	for p := (tracking.Page{Max: size}); ; {
		points, next, err := store.History(t.Context(), id, key, p)
		require.NoError(t, err)
		out = append(out, points...)
		if p.Token = next; next == "" {
			return out
		}
	}
}

// samePoints compares by text: NaN is not equal to itself.
func samePoints(t testing.TB, want, got []tracking.Metric, what ...any) {
	t.Helper()
	require.Equal(t, len(want), len(got), what...)
	for i := range want {
		require.Equal(t, fmt.Sprint(want[i]), fmt.Sprint(got[i]), what...)
	}
}

// TestPointsInAnyOrder logs thousands of points forwards, backwards and at
// random, most of them more than once, through two handles, and reads in
// between.
func TestPointsInAnyOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		stores := []*sqlstore.Store{openURL(t, url), openURL(t, url)}
		id := newRun(t, stores[0], "run1").ID
		r := rand.New(rand.NewPCG(7, 7))
		model := historyModel{}
		values := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), 0.25}
		shapes := []func(i int) (ms, step int64){
			func(i int) (int64, int64) { return int64(5000 + i), int64(i) },
			func(i int) (int64, int64) { return int64(5000 - i), int64(-i) },
			func(int) (int64, int64) { return r.Int64N(10_000), r.Int64N(100) - 50 },
			func(i int) (int64, int64) { return 77, int64(i % 600) }, // all at one time
			func(int) (int64, int64) { return 77, 0 },
		}
		var sent []tracking.Batch
		for n := range 60 {
			shape := shapes[n%len(shapes)]
			var b tracking.Batch
			for i := range 1 + r.IntN(300) {
				ms, step := shape(n*100 + i)
				b.Metrics = append(b.Metrics, tracking.Metric{Key: fmt.Sprint("k", r.IntN(2)), Value: values[r.IntN(len(values))] + float64(r.IntN(3)), Step: step, Time: time.UnixMilli(ms)})
			}
			sent = append(sent, b)
			model.add(b.Metrics)
			require.NoError(t, stores[n%2].LogBatch(t.Context(), id, b))
			if again := sent[r.IntN(len(sent))]; n%3 == 0 {
				require.NoError(t, stores[n%2].LogBatch(t.Context(), id, again))
			}
			if n%7 == 0 {
				samePoints(t, model.history("k1"), readHistory(t, stores[(n+1)%2], id, "k1", 333))
			}
		}
		for _, key := range []string{"k0", "k1"} {
			want := model.history(key)
			for _, size := range []int{0, 1000, 511, 97} {
				samePoints(t, want, readHistory(t, stores[0], id, key, size))
			}
			info, err := stores[1].Run(t.Context(), id)
			require.NoError(t, err)
			latest := slices.MaxFunc(want, func(a, b tracking.Metric) int {
				if a.NewerThan(b) {
					return 1
				}
				return -1
			})
			require.Equal(t, fmt.Sprint(latest), fmt.Sprint(info.Metrics[key]))
			require.Len(t, info.Metrics, 2)
		}
	})
}

// sampleModel is the definition of SampleHistory.
func sampleModel(q tracking.SampleQuery, histories [][]tracking.Metric) [][]tracking.Metric {
	within := func(p tracking.Metric) bool {
		return (q.From == nil || p.Step >= *q.From) && (q.To == nil || p.Step <= *q.To)
	}
	steps := func(histories ...[]tracking.Metric) []int64 {
		var out []int64
		for _, history := range histories {
			for _, p := range history {
				if within(p) {
					out = append(out, p.Step)
				}
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	all, wanted := steps(histories...), map[int64]bool{}
	for i := range min(q.Max, len(all)) {
		wanted[all[i*len(all)/min(q.Max, len(all))]] = true
	}
	out := make([][]tracking.Metric, len(histories))
	for i, history := range histories {
		own := steps(history)
		for _, p := range history {
			if within(p) && (wanted[p.Step] || p.Step == own[0] || p.Step == own[len(own)-1]) {
				out[i] = append(out[i], p)
			}
		}
	}
	return out
}

func TestSamples(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		store := openURL(t, url)
		r := rand.New(rand.NewPCG(3, 3))
		shapes := map[tracking.RunID]func(i int64) int64{
			"every":    func(i int64) int64 { return i },
			"again":    func(i int64) int64 { return i },
			"third":    func(i int64) int64 { return 3*i - 1000 },
			"tenth":    func(i int64) int64 { return 10*i + 5 },
			"back":     func(i int64) int64 { return 5000 - i },
			"random":   func(int64) int64 { return r.Int64N(20_000) - 10_000 },
			"one":      func(int64) int64 { return 42 },
			"extremes": func(i int64) int64 { return []int64{math.MinInt64, math.MaxInt64, 0}[i%3] },
		}
		q := tracking.SampleQuery{Key: "m"}
		var histories [][]tracking.Metric
		for id, step := range shapes {
			newRun(t, store, id)
			var all []tracking.Metric
			for i := range int64(1600) {
				all = append(all, tracking.Metric{Key: "m", Value: float64(i % 2), Step: step(i), Time: time.UnixMilli(1000 + i/2).UTC()})
			}
			for part := range slices.Chunk(all, 1000) {
				require.NoError(t, store.LogBatch(t.Context(), id, tracking.Batch{Metrics: part}))
			}
			q.Runs, histories = append(q.Runs, id), append(histories, readHistory(t, store, id, "m", 25_000))
		}
		q.Runs, histories = append(q.Runs, "unknown"), append(histories, nil)
		some := func(i int64) *int64 { return &i }
		for _, bounds := range [][2]*int64{{nil, nil}, {some(7), some(701)}, {some(-999), nil}, {nil, some(-5)}, {some(5), some(4)}, {some(42), some(42)}, {some(math.MinInt64), some(math.MaxInt64)}} {
			for _, limit := range []int{1, 2, 7, 320, 2500} {
				q.From, q.To, q.Max = bounds[0], bounds[1], limit
				got, err := store.SampleHistory(t.Context(), q)
				require.NoError(t, err)
				want := sampleModel(q, histories)
				for i := range want {
					samePoints(t, want[i], got[i], "%s, at most %d of %v", q.Runs[i], limit, bounds)
				}
			}
		}
		q.Key = "never"
		got, err := store.SampleHistory(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, got, len(q.Runs))
	})
}

// TestSixteenWriters: nobody sees a lock, and everything is there, also what
// two servers write to one run.
func TestSixteenWriters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		const writers, batches, points = 16, 20, 30
		stores := []*sqlstore.Store{openURL(t, url), openURL(t, url)}
		shared := newRun(t, stores[0], "shared")
		results := make(chan error, writers)
		for w := range writers {
			go func() {
				results <- func() error {
					ctx, store := t.Context(), stores[w%2]
					own, err := store.CreateRun(ctx, tracking.RunInfo{ID: tracking.RunID(fmt.Sprint("w", w)), Experiment: shared.Experiment, Status: tracking.Running, Start: time.UnixMilli(1)})
					if err != nil {
						return err
					}
					for n := range batches {
						b := tracking.Batch{Params: map[string]string{fmt.Sprint("p", n): "1"}, Tags: map[string]string{"n": fmt.Sprint(n)}}
						only := tracking.Batch{}
						for i := range points {
							m := tracking.Metric{Key: fmt.Sprint("m", i%3), Value: float64(w), Step: int64(n*points + i), Time: time.UnixMilli(int64(n))}
							b.Metrics, only.Metrics = append(b.Metrics, m), append(only.Metrics, m)
						}
						if err := store.LogBatch(ctx, own.ID, b); err != nil {
							return err
						}
						if err := store.LogBatch(ctx, shared.ID, only); err != nil {
							return err
						}
						if got, err := store.Run(ctx, own.ID); err != nil || got.Metrics["m0"].Step != int64(n*points+points-3) {
							return fmt.Errorf("writer %d does not see its batch %d: %v %w", w, n, got.Metrics["m0"], err)
						}
					}
					return store.UpdateRun(ctx, own.ID, tracking.RunUpdate{Status: tracking.Finished})
				}()
			}()
		}
		for range writers {
			require.NoError(t, <-results)
		}
		for _, store := range stores {
			require.Len(t, readHistory(t, store, shared.ID, "m0", 0), writers*batches*points/3)
			info, err := store.Run(t.Context(), "w7")
			require.NoError(t, err)
			require.Len(t, info.Params, batches)
			require.Equal(t, tracking.Finished, info.Status)
		}
	})
}

// TestLogBatchBudget guards the hot path.
func TestLogBatchBudget(t *testing.T) {
	store := openNew(t)
	id := newRun(t, store, "run1").ID
	b := tracking.Batch{Metrics: make([]tracking.Metric, 1000)}
	for i := range b.Metrics {
		b.Metrics[i] = tracking.Metric{Key: fmt.Sprint("m", i%10), Step: int64(i), Time: time.UnixMilli(int64(i))}
	}
	var once sync.Once
	allocs := testing.AllocsPerRun(20, func() {
		if err := store.LogBatch(t.Context(), id, b); err != nil {
			once.Do(func() { t.Error(err) })
		}
	})
	require.LessOrEqual(t, allocs, 100.0) // and not a thousand
}
