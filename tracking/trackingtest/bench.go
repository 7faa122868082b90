package trackingtest

import (
	"fmt"
	"testing"

	"github.com/millwright-ml/millwright/tracking"
)

// Benchmark measures a Store: batches of 1,000 points over 10 keys and over
// 1,000, single points, reading a history and searching runs.
func Benchmark(b *testing.B, open Open) {
	for _, keys := range []int{10, 1000} {
		b.Run(fmt.Sprintf("LogBatch1000Points%dKeys", keys), func(b *testing.B) {
			benchmarkLog(b, open(b), 1000, keys)
		})
	}
	b.Run("LogBatch1Point", func(b *testing.B) { benchmarkLog(b, open(b), 1, 1) })
	b.Run("LogBatch100Params", func(b *testing.B) {
		s := open(b)
		exp := newExperiment(b, s, "experiment")
		params := map[string]string{}
		for i := range 100 {
			params[fmt.Sprintf("param %d", i)] = "0.001"
		}
		n := 0
		for b.Loop() {
			id := newRun(b, s, exp, tracking.RunID(fmt.Sprintf("run%d", n)), base())
			noError(b, s.LogBatch(b.Context(), id, tracking.Batch{Params: params}))
			n++
		}
	})
	b.Run("History10000Points", func(b *testing.B) {
		s := open(b)
		id := oneRun(b, s)
		for i := range 10 {
			noError(b, s.LogBatch(b.Context(), id, batchOf(i, 1000, 1, []string{"m"})))
		}
		for b.Loop() {
			equal(b, len(history(b, s, id, "m", 10_000)), 10_000)
		}
		b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "points/s")
	})
	b.Run("Search100Of1000Runs", func(b *testing.B) {
		s := open(b)
		exp := newExperiment(b, s, "experiment")
		for i := range 1000 {
			id := newRun(b, s, exp, tracking.RunID(fmt.Sprintf("run%d", i)), at(int64(i)))
			batch := batchOf(0, 5, 5, keyNames(5))
			batch.Params = map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8"}
			batch.Tags = map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
			noError(b, s.LogBatch(b.Context(), id, batch))
		}
		for b.Loop() {
			page, _, err := s.SearchRuns(b.Context(), tracking.RunQuery{Experiment: exp, Page: tracking.Page{Max: 100}})
			noError(b, err)
			equal(b, len(page), 100)
		}
	})
}

func benchmarkLog(b *testing.B, s tracking.Store, points, keys int) {
	id := oneRun(b, s)
	names := keyNames(keys)
	b.ReportAllocs()
	round := 0
	for b.Loop() {
		noError(b, s.LogBatch(b.Context(), id, batchOf(round, points, keys, names)))
		round++
	}
	b.ReportMetric(float64(b.N)*float64(points)/b.Elapsed().Seconds(), "points/s")
}
