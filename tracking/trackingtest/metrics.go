package trackingtest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/millwright-ml/millwright/tracking"
)

func testMetricIdentity(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	point := func(value float64, step, ms int64) tracking.Metric {
		return tracking.Metric{Key: "m", Value: value, Step: step, Time: at(ms)}
	}
	log(t, s, id, tracking.Batch{Metrics: []tracking.Metric{
		point(1, 1, 1), point(1, 1, 1), // one point, twice in a batch
		point(2, 1, 1), point(1, 2, 1), point(1, 1, 2), // each differs in one part
		{Key: "other", Value: 1, Step: 1, Time: at(1)},
		point(math.NaN(), 1, 1), point(math.NaN(), 1, 1), point(0, 1, 1), // NaN is itself, and not 0
		point(math.Copysign(0, -1), 1, 1),                       // but negative zero is 0
		{Key: "m", Value: 1, Step: 1, Time: at(1).Add(999_999)}, // the same millisecond
	}})
	log(t, s, id, tracking.Batch{Metrics: []tracking.Metric{point(1, 1, 1), point(math.NaN(), 1, 1)}})
	want := []tracking.Metric{point(0, 1, 1), point(math.NaN(), 1, 1), point(1, 1, 1), point(2, 1, 1), point(1, 2, 1), point(1, 1, 2)}
	equal(t, describeMetrics(history(t, s, id, "m", 0)), describeMetrics(want))
	equal(t, len(history(t, s, id, "other", 0)), 1)
}

func testLatestMetric(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	// In the order of NewerThan; each is sent in a batch of its own, in an
	// order that goes back and forth.
	ordered := []tracking.Metric{
		{Value: 9, Step: math.MinInt64, Time: at(9)},
		{Value: 9, Step: -1, Time: at(9)},
		{Value: 9, Step: 0, Time: at(1)},
		{Value: math.Inf(-1), Step: 0, Time: at(2)},
		{Value: -1, Step: 0, Time: at(2)},
		{Value: 0, Step: 0, Time: at(2)},
		{Value: math.NaN(), Step: 0, Time: at(2)},
		{Value: math.SmallestNonzeroFloat64, Step: 0, Time: at(2)},
		{Value: math.Inf(1), Step: 0, Time: at(2)},
		{Value: -5, Step: 1, Time: at(0)},
		{Value: 0, Step: math.MaxInt64, Time: at(0)},
	}
	for i := range ordered {
		ordered[i].Key = "m"
	}
	best := -1
	for _, i := range []int{3, 1, 0, 4, 2, 6, 5, 7, 5, 8, 10, 9} {
		log(t, s, id, tracking.Batch{Metrics: ordered[i : i+1]})
		best = max(best, i)
		equal(t, describeMetric(getRun(t, s, id).Metrics["m"]), describeMetric(ordered[best]))
	}
	// Within one batch, too.
	for i := range ordered {
		ordered[i].Key = "batch"
	}
	shuffled := slices.Clone(ordered)
	slices.Reverse(shuffled)
	log(t, s, id, tracking.Batch{Metrics: shuffled})
	equal(t, describeMetric(getRun(t, s, id).Metrics["batch"]), describeMetric(ordered[len(ordered)-1]))
}

func testSpecialValues(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	var want []tracking.Metric
	for i, v := range []float64{
		math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64,
		0, 1, -1, 1 << 53, 1<<53 + 2, 1 << 62, 1 << 63, -(1 << 63), 0.1, 1.0 / 3, 1e-300, math.Pi,
	} {
		want = append(want, tracking.Metric{Key: "v", Value: v, Step: int64(i), Time: at(int64(i))})
	}
	log(t, s, id, tracking.Batch{Metrics: want})
	equal(t, describeMetrics(history(t, s, id, "v", 0)), describeMetrics(want))

	extremes := []tracking.Metric{
		{Key: "e", Step: math.MinInt64, Time: at(0).Add(-base().Sub(at(0)))},
		{Key: "e", Step: math.MaxInt64, Time: at(1)},
	}
	log(t, s, id, tracking.Batch{Metrics: extremes})
	equal(t, describeMetrics(history(t, s, id, "e", 1)), describeMetrics(extremes))
}

func testHistory(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	var want []tracking.Metric // by time, step, value
	for ms := range int64(5) {
		for step := range int64(4) {
			for _, v := range []float64{math.Inf(-1), -1, 0, math.NaN(), 2} {
				want = append(want, tracking.Metric{Key: "m", Value: v, Step: 2 - step, Time: at(ms)})
			}
		}
	}
	slices.SortStableFunc(want, compareHistory)
	sent := slices.Clone(want)
	for i := range sent { // a fixed shuffle
		j := (i * 37) % len(sent)
		sent[i], sent[j] = sent[j], sent[i]
	}
	log(t, s, id, tracking.Batch{Metrics: sent[:60]})
	log(t, s, id, tracking.Batch{Metrics: sent[50:]})
	for _, size := range []int{0, 1, 2, 3, 7, 99, 100, 101} {
		equal(t, describeMetrics(history(t, s, id, "m", size)), describeMetrics(want))
	}
	equal(t, len(history(t, s, id, "never", 0)), 0)
	_, _, err := s.History(t.Context(), "nosuchrun", "m", tracking.Page{})
	isKind(t, err, tracking.ErrNotFound)
}

func testHistoryWhileWriting(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	point := func(ms int64) tracking.Metric { return tracking.Metric{Key: "m", Value: float64(ms), Time: at(ms)} }
	for ms := int64(0); ms < 100; ms += 10 {
		log(t, s, id, tracking.Batch{Metrics: []tracking.Metric{point(ms)}})
	}
	seen := map[float64]int{}
	p := tracking.Page{Max: 3}
	for n := int64(0); ; n++ {
		page, next, err := s.History(t.Context(), id, "m", p)
		noError(t, err)
		for _, m := range page {
			seen[m.Value]++
		}
		if next == "" {
			break
		}
		p.Token = next
		if n < 4 { // before and after the place where the reader is
			log(t, s, id, tracking.Batch{Metrics: []tracking.Metric{point(n + 1), point(95 + n)}})
		}
	}
	for v := 0.0; v < 100; v += 10 {
		if seen[v] != 1 {
			t.Fatalf("the point %v, there from the start, was returned %d times", v, seen[v])
		}
	}
	for v, n := range seen {
		if n > 1 {
			t.Fatalf("the point %v was returned %d times", v, n)
		}
	}
}

// batchOf returns n points spread over the keys, each point new.
func batchOf(round, n, keys int, names []string) tracking.Batch {
	points := make([]tracking.Metric, n)
	for i := range points {
		step := int64(round*(n/keys) + i/keys)
		points[i] = tracking.Metric{Key: names[i%keys], Value: 1 / float64(step+2), Step: step, Time: at(step)}
	}
	return tracking.Batch{Metrics: points}
}

func keyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("layer/%d/gradient norm", i)
	}
	return names
}
