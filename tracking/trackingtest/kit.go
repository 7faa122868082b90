package trackingtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// Open returns a new empty store of the implementation under test. It fails t
// when it cannot, and closes the store by t.Cleanup.
type Open func(t testing.TB) tracking.Store

// Run checks a Store against its contract. Every subtest opens its own store
// and runs in parallel.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, tracking.Store)
	}{
		{"Experiments", testExperiments},
		{"ExperimentRace", testExperimentRace},
		{"CreateRun", testCreateRun},
		{"UpdateRun", testUpdateRun},
		{"Params", testParams},
		{"ParamRace", testParamRace},
		{"Tags", testTags},
		{"Inputs", testInputs},
		{"BatchIsAtomic", testBatchIsAtomic},
		{"Resend", testResend},
		{"Ownership", testOwnership},
		{"MetricIdentity", testMetricIdentity},
		{"LatestMetric", testLatestMetric},
		{"SpecialValues", testSpecialValues},
		{"History", testHistory},
		{"HistoryWhileWriting", testHistoryWhileWriting},
		{"SearchRuns", testSearchRuns},
		{"PageTokens", testPageTokens},
		{"OddText", testOddText},
		{"Limits", testLimits},
		{"ConcurrentWriters", testConcurrentWriters},
		{"EndedContext", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("Random%d", seed), func(t *testing.T) {
			t.Parallel()
			testRandom(t, open(t), seed)
		})
	}
}

// The kit has no assertion library, so that a program may link it.

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func isKind(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error is %v, want one of kind %q", err, kind)
	}
}

func equal[T comparable](t testing.TB, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got:\n%v\nwant:\n%v", got, want)
	}
}

// base is the time that tests count from.
func base() time.Time { return time.UnixMilli(1_700_000_000_000).UTC() }

func at(ms int64) time.Time { return base().Add(time.Duration(ms) * time.Millisecond) }

func newExperiment(t testing.TB, s tracking.Store, name string) tracking.ExperimentID {
	t.Helper()
	e, err := s.CreateExperiment(t.Context(), tracking.Experiment{Name: name, Created: base()})
	noError(t, err)
	return e.ID
}

func newRun(t testing.TB, s tracking.Store, exp tracking.ExperimentID, id tracking.RunID, start time.Time) tracking.RunID {
	t.Helper()
	r, err := s.CreateRun(t.Context(), tracking.RunInfo{ID: id, Experiment: exp, Name: "name of " + string(id), Status: tracking.Running, Start: start})
	noError(t, err)
	return r.ID
}

// oneRun returns the id of a run in a new experiment.
func oneRun(t testing.TB, s tracking.Store) tracking.RunID {
	t.Helper()
	return newRun(t, s, newExperiment(t, s, "experiment"), "run1", base())
}

func log(t testing.TB, s tracking.Store, id tracking.RunID, b tracking.Batch) {
	t.Helper()
	noError(t, b.Validate())
	noError(t, s.LogBatch(t.Context(), id, b))
}

func getRun(t testing.TB, s tracking.Store, id tracking.RunID) tracking.RunInfo {
	t.Helper()
	info, err := s.Run(t.Context(), id)
	noError(t, err)
	if info.Params == nil || info.Tags == nil || info.Metrics == nil {
		t.Fatal("a map in a RunInfo is nil")
	}
	return info
}

// readAll reads a paged answer to its end.
func readAll[T any](t testing.TB, size int, read func(tracking.Page) ([]T, string, error)) []T {
	t.Helper()
	var all []T
	p := tracking.Page{Max: size}
	for seen := map[string]bool{}; ; seen[p.Token] = true {
		page, next, err := read(p)
		noError(t, err)
		if size > 0 && len(page) > size {
			t.Fatalf("a page has %d entries, asked for at most %d", len(page), size)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		if seen[next] {
			t.Fatal("the same page token came twice")
		}
		p.Token = next
	}
}

func history(t testing.TB, s tracking.Store, id tracking.RunID, key string, size int) []tracking.Metric {
	t.Helper()
	return readAll(t, size, func(p tracking.Page) ([]tracking.Metric, string, error) {
		return s.History(t.Context(), id, key, p)
	})
}

func search(t testing.TB, s tracking.Store, q tracking.RunQuery, size int) []tracking.RunInfo {
	t.Helper()
	return readAll(t, size, func(p tracking.Page) ([]tracking.RunInfo, string, error) {
		q.Page = p
		return s.SearchRuns(t.Context(), q)
	})
}

// describeMetric writes a point so that equal points, NaN too, are equal text.
func describeMetric(m tracking.Metric) string {
	value := fmt.Sprint(m.Value)
	if !math.IsNaN(m.Value) {
		value = fmt.Sprintf("%x", math.Float64bits(m.Value+0))
	}
	return fmt.Sprintf("%s step %d at %d (%s) = %s", m.Key, m.Step, m.Time.UnixMilli(), m.Time.Location(), value)
}

func describeMetrics(points []tracking.Metric) string {
	lines := make([]string, len(points))
	for i, m := range points {
		lines[i] = describeMetric(m)
	}
	return strings.Join(lines, "\n")
}

// describe writes all of a run except its ids.
func describe(r tracking.RunInfo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name %q status %s start %v end %v\n", r.Name, r.Status, r.Start, r.End)
	for _, key := range slices.Sorted(maps.Keys(r.Params)) {
		fmt.Fprintf(&b, "param %q = %q\n", key, r.Params[key])
	}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		fmt.Fprintf(&b, "tag %q = %q\n", key, r.Tags[key])
	}
	for _, key := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(&b, "metric %q: %s\n", key, describeMetric(r.Metrics[key]))
	}
	for _, in := range r.Inputs {
		fmt.Fprintf(&b, "input %q\n", in)
	}
	return b.String()
}

func endedContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
