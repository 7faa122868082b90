package trackingtest

import (
	"fmt"
	"testing"

	"github.com/millwright-ml/millwright/tracking"
)

// Bench measures the operations of a Store that matter: logging a point and
// batches of 1,000 over few and many keys, creating a run, searching 2,000
// runs, reading a history by pages and by samples.
func Bench(b *testing.B, open Open) {
	b.Run("LogPoint", func(b *testing.B) { benchmarkLog(b, open, 1, 1) })
	for _, keys := range []int{10, 1000} {
		b.Run(fmt.Sprintf("LogBatch1000Points%dKeys", keys), func(b *testing.B) { benchmarkLog(b, open, 1000, keys) })
	}
	b.Run("LogBatch100Params", func(b *testing.B) { benchmarkParams(b, open) })
	b.Run("CreateRun", func(b *testing.B) {
		k := newKit(b, open(b), Differences{})
		exp := k.experiment("experiment")
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			k.run(exp, tracking.RunID(fmt.Sprint("run", n)), at(int64(n)))
			n++
		}
	})
	b.Run("History10000Points", func(b *testing.B) { benchmarkHistory(b, open) })
	b.Run("Search2000Runs", func(b *testing.B) { benchmarkSearch(b, open) })
}

func benchmarkLog(b *testing.B, open Open, points, keys int) {
	k := newKit(b, open(b), Differences{})
	id := k.oneRun()
	names := keyNames(keys)
	b.ReportAllocs()
	round := 0
	for b.Loop() {
		k.noError(k.store.LogBatch(b.Context(), id, batchOf(round, points, keys, names)))
		round++
	}
	b.ReportMetric(float64(b.N)*float64(points)/b.Elapsed().Seconds(), "points/s")
}

func benchmarkParams(b *testing.B, open Open) {
	k := newKit(b, open(b), Differences{})
	exp := k.experiment("experiment")
	params := map[string]string{}
	for i := range tracking.MaxBatchParams {
		params[fmt.Sprintf("param %d", i)] = "0.001"
	}
	n := 0
	for b.Loop() {
		id := k.run(exp, tracking.RunID(fmt.Sprint("run", n)), base())
		k.noError(k.store.LogBatch(b.Context(), id, tracking.Batch{Params: params}))
		n++
	}
}

func benchmarkHistory(b *testing.B, open Open) {
	const points = 10_000
	k := newKit(b, open(b), Differences{})
	id := k.oneRun()
	for i := range points / 1000 {
		k.noError(k.store.LogBatch(b.Context(), id, batchOf(i, 1000, 1, []string{"m"})))
	}
	for _, size := range []int{1000, points} {
		b.Run(fmt.Sprintf("Pages%d", size), func(b *testing.B) {
			for b.Loop() {
				equal(k, len(k.history(id, "m", size)), points)
			}
			b.ReportMetric(float64(b.N)*points/b.Elapsed().Seconds(), "points/s")
		})
	}
	if s, ok := k.store.(tracking.Sampler); ok {
		b.Run("Sample320", func(b *testing.B) {
			for b.Loop() {
				_, err := s.SampleHistory(b.Context(), tracking.SampleQuery{Runs: []tracking.RunID{id}, Key: "m", Max: 320})
				k.noError(err)
			}
		})
	}
}

func benchmarkSearch(b *testing.B, open Open) {
	const runs = 2000
	k := newKit(b, open(b), Differences{})
	exps := []tracking.ExperimentID{k.experiment("experiment")}
	names := keyNames(5)
	for i := range runs {
		id := k.run(exps[0], tracking.RunID(fmt.Sprintf("run%d", i)), at(int64(i)))
		batch := batchOf(i, 5, 5, names)
		batch.Metrics = append(batch.Metrics, tracking.Metric{Key: "auc", Value: float64(i*7919%runs) / runs, Time: base()})
		batch.Params = map[string]string{"depth": fmt.Sprint(i % 10), "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8"}
		batch.Tags = map[string]string{"team": fmt.Sprint("team ", i%7), "b": "2", "c": "3", "d": "4"}
		k.noError(k.store.LogBatch(b.Context(), id, batch))
	}
	for _, c := range []struct {
		name, filter string
		order        []string
		max          int
	}{
		{"Latest100", "", nil, 100},
		{"Filtered", "metrics.auc > 0.9 AND params.depth = '3' AND tags.team != 'team 1'", nil, 100},
		{"Ordered100", "", []string{"metrics.auc DESC"}, 100},
		{"FilteredOrdered100", "metrics.auc > 0.2 AND params.depth LIKE '%'", []string{"params.depth", "metrics.auc DESC"}, 100},
		{"All", "", nil, runs},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := tracking.RunQuery{Experiments: exps, Filter: c.filter, OrderBy: c.order, Page: tracking.Page{Max: c.max}}
			b.ReportAllocs()
			for b.Loop() {
				page, _, err := k.store.SearchRuns(b.Context(), q)
				k.noError(err)
				if len(page) == 0 {
					b.Fatal("the search found nothing")
				}
			}
		})
	}
}
