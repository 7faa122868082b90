package trackingtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/millwright-ml/millwright/tracking"
)

func metricTests() []test {
	return []test{
		{"MetricIdentity", nothing, testMetricIdentity},
		{"LatestMetric", nothing, testLatestMetric},
		{"SpecialValues", nothing, testSpecialValues},
		{"History", nothing, testHistory},
		{"LongHistory", nothing, testLongHistory},
		{"HistoryWhileWriting", nothing, testHistoryWhileWriting},
		{"SampleHistory", sampler, testSampleHistory},
		{"SampleRandomly", sampler, testSampleRandomly},
	}
}

func testMetricIdentity(k *kit) {
	id := k.oneRun()
	point := func(value float64, step, ms int64) tracking.Metric {
		return tracking.Metric{Key: "m", Value: value, Step: step, Time: at(ms)}
	}
	k.log(id, tracking.Batch{Metrics: []tracking.Metric{
		point(1, 1, 1), point(1, 1, 1), // one point, twice in a batch
		point(2, 1, 1), point(1, 2, 1), point(1, 1, 2), // each differs in one part
		{Key: "other", Value: 1, Step: 1, Time: at(1)},
		point(math.NaN(), 1, 1), point(math.NaN(), 1, 1), point(0, 1, 1), // NaN is itself, and not 0
		point(math.Copysign(0, -1), 1, 1),                       // but negative zero is 0
		{Key: "m", Value: 1, Step: 1, Time: at(1).Add(999_999)}, // the same millisecond
	}})
	k.log(id, tracking.Batch{Metrics: []tracking.Metric{point(1, 1, 1), point(math.NaN(), 1, 1)}})
	want := []tracking.Metric{point(0, 1, 1), point(math.NaN(), 1, 1), point(1, 1, 1), point(2, 1, 1), point(1, 2, 1), point(1, 1, 2)}
	equal(k, k.describeMetrics(k.history(id, "m", 0)), k.describeMetrics(want))
	equal(k, len(k.history(id, "other", 0)), 1)
}

func testLatestMetric(k *kit) {
	id := k.oneRun()
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
		k.log(id, tracking.Batch{Metrics: ordered[i : i+1]})
		best = max(best, i)
		equal(k, k.describeMetric(k.getRun(id).Metrics["m"]), k.describeMetric(ordered[best]))
	}
	// Within one batch, too.
	for i := range ordered {
		ordered[i].Key = "batch"
	}
	shuffled := slices.Clone(ordered)
	slices.Reverse(shuffled)
	k.log(id, tracking.Batch{Metrics: shuffled})
	equal(k, k.describeMetric(k.getRun(id).Metrics["batch"]), k.describeMetric(ordered[len(ordered)-1]))
}

func testSpecialValues(k *kit) {
	id := k.oneRun()
	var want []tracking.Metric
	for i, v := range []float64{
		math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64,
		0, 1, -1, 1 << 53, 1<<53 + 2, 1 << 62, 1 << 63, -(1 << 63), 0.1, 1.0 / 3, 1e-300, math.Pi,
	} {
		want = append(want, tracking.Metric{Key: "v", Value: v, Step: int64(i), Time: at(int64(i))})
	}
	k.log(id, tracking.Batch{Metrics: want})
	equal(k, k.describeMetrics(k.history(id, "v", 0)), k.describeMetrics(want))

	extremes := []tracking.Metric{
		{Key: "e", Step: math.MinInt64, Time: at(-base().UnixMilli())},
		{Key: "e", Step: math.MaxInt64, Time: at(1)},
	}
	k.log(id, tracking.Batch{Metrics: extremes})
	equal(k, k.describeMetrics(k.history(id, "e", 1)), k.describeMetrics(extremes))
}

func testHistory(k *kit) {
	id := k.oneRun()
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
	k.log(id, tracking.Batch{Metrics: sent[:60]})
	k.log(id, tracking.Batch{Metrics: sent[50:]})
	for _, size := range []int{0, 1, 2, 3, 7, 99, 100, 101} {
		equal(k, k.describeMetrics(k.history(id, "m", size)), k.describeMetrics(want))
	}
	equal(k, len(k.history(id, "never", 0)), 0)
	_, _, err := k.store.History(k.Context(), "nosuchrun", "m", tracking.Page{})
	k.isKind(err, tracking.ErrNotFound)
}

func testLongHistory(k *kit) {
	id := k.oneRun()
	const points = 10_000
	for round := range points / 1000 {
		b := batchOf(round, 1000, 1, []string{"m"})
		b.Metrics = append(b.Metrics[:999], tracking.Metric{Key: "other", Value: 1, Step: int64(round), Time: base()}, b.Metrics[999])
		k.noError(k.store.LogBatch(k.Context(), id, tracking.Batch{Metrics: b.Metrics[:500]}))
		k.noError(k.store.LogBatch(k.Context(), id, tracking.Batch{Metrics: b.Metrics[500:]}))
	}
	for _, size := range []int{0, 777, points, 2 * points} {
		got := k.history(id, "m", size)
		equal(k, len(got), points)
		for i, p := range got {
			if p.Step != int64(i) {
				k.Fatalf("with pages of %d, point %d has step %d", size, i, p.Step)
			}
		}
	}
	page, next, err := k.store.History(k.Context(), id, "m", tracking.Page{})
	k.noError(err)
	if len(page) > 1000 || next == "" {
		k.Fatalf("without a size the first page has %d points, at most 1,000 are allowed", len(page))
	}
	equal(k, k.getRun(id).Metrics["m"].Step, points-1)
}

func testHistoryWhileWriting(k *kit) {
	if k.allowed.LooseTokens {
		k.Skip("entries written between two pages may move the others")
	}
	id := k.oneRun()
	point := func(ms int64) tracking.Metric { return tracking.Metric{Key: "m", Value: float64(ms), Time: at(ms)} }
	for ms := int64(0); ms < 100; ms += 10 {
		k.log(id, tracking.Batch{Metrics: []tracking.Metric{point(ms)}})
	}
	seen := map[float64]int{}
	p := tracking.Page{Max: 3}
	for n := int64(0); ; n++ {
		page, next, err := k.store.History(k.Context(), id, "m", p)
		k.noError(err)
		for _, m := range page {
			seen[m.Value]++
		}
		if next == "" {
			break
		}
		p.Token = next
		if n < 4 { // before and after the place where the reader is
			k.log(id, tracking.Batch{Metrics: []tracking.Metric{point(n + 1), point(95 + n)}})
		}
	}
	for v := 0.0; v < 100; v += 10 {
		if seen[v] != 1 {
			k.Fatalf("the point %v, there from the start, was returned %d times", v, seen[v])
		}
	}
	for v, n := range seen {
		if n > 1 {
			k.Fatalf("the point %v was returned %d times", v, n)
		}
	}
}

// sample reads samples and compares them with the definition, which is applied
// to the whole histories.
func (k *kit) sample(q tracking.SampleQuery) {
	k.Helper()
	got, err := k.store.(tracking.Sampler).SampleHistory(k.Context(), q)
	k.noError(err)
	equal(k, len(got), len(q.Runs))
	histories := make([][]tracking.Metric, len(q.Runs))
	for i, id := range q.Runs {
		if id != "nosuchrun" {
			histories[i] = k.history(id, q.Key, 0)
		}
	}
	for i, want := range sample(q, histories) {
		if !k.allowed.SamplesPoints {
			equal(k, k.describeMetrics(got[i]), k.describeMetrics(want))
			continue
		}
		for _, p := range got[i] {
			if !slices.Contains(histories[i], p) {
				k.Fatalf("the sample has the point %s, which was never logged", k.describeMetric(p))
			}
		}
	}
}

func testSampleHistory(k *kit) {
	exp := k.experiment("experiment")
	a, b, c := k.run(exp, "runa", base()), k.run(exp, "runb", base()), k.run(exp, "runc", base())
	for i := range int64(40) {
		k.log(a, tracking.Batch{Metrics: []tracking.Metric{
			{Key: "m", Value: float64(i), Step: i, Time: at(i)}, {Key: "m", Value: float64(i), Step: i, Time: at(i + 500)},
			{Key: "other", Value: 1, Step: i, Time: at(i)},
		}})
		k.log(b, tracking.Batch{Metrics: []tracking.Metric{{Key: "m", Value: float64(-i), Step: 1000 + 3*i, Time: at(100 - i)}}})
	}
	runs := []tracking.RunID{b, "nosuchrun", a, c}
	if k.allowed.SamplesPoints {
		runs = []tracking.RunID{b, a, c} // such a store may refuse unknown runs
	}
	for _, size := range []int{1, 2, 3, 7, 79, 80, 81, 2500} {
		k.sample(tracking.SampleQuery{Runs: runs, Key: "m", Max: size})
		k.sample(tracking.SampleQuery{Runs: runs[:1], Key: "m", Max: size})
		k.sample(tracking.SampleQuery{Runs: runs, Key: "m", From: new(int64(20)), To: new(int64(1010)), Max: size})
		if !k.allowed.SamplesPoints { // a store may want both bounds
			k.sample(tracking.SampleQuery{Runs: runs, Key: "m", From: new(int64(20)), Max: size})
			k.sample(tracking.SampleQuery{Runs: runs, Key: "m", To: new(int64(20)), Max: size})
		}
	}
	k.sample(tracking.SampleQuery{Runs: runs, Key: "never", Max: 10})
	k.sample(tracking.SampleQuery{Runs: runs, Key: "m", From: new(int64(50)), To: new(int64(60)), Max: 10})
}

func testSampleRandomly(k *kit) {
	r := rand.New(rand.NewPCG(7, 7))
	exp := k.experiment("experiment")
	var runs []tracking.RunID
	for i := range 4 {
		runs = append(runs, k.run(exp, tracking.RunID(fmt.Sprint("run", i)), base()))
		var b tracking.Batch
		for range r.IntN(300) {
			b.Metrics = append(b.Metrics, tracking.Metric{Key: "m", Value: float64(r.IntN(3)), Step: r.Int64N(400) - 100, Time: at(r.Int64N(50))})
		}
		k.log(runs[i], b)
	}
	for range 12 {
		q := tracking.SampleQuery{Runs: runs[:1+r.IntN(4)], Key: "m", Max: 1 + r.IntN(120)}
		if r.IntN(2) == 0 {
			q.From = new(r.Int64N(300) - 150)
			q.To = new(*q.From + r.Int64N(300))
		}
		k.sample(q)
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
