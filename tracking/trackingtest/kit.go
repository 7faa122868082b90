package trackingtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// Open returns a new empty store of the implementation under test. It fails t
// when it cannot, and closes the store by t.Cleanup.
type Open func(t testing.TB) tracking.Store

// Run checks a Store against its contract, and against those of the optional
// interfaces that it implements. Every subtest opens its own store and runs in
// parallel.
func Run(t *testing.T, open Open) {
	t.Helper()
	RunExcept(t, open, Differences{})
}

// RunExcept is Run for a store that is allowed some differences.
func RunExcept(t *testing.T, open Open, allowed Differences) {
	t.Helper()
	for _, test := range allTests() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, open(t), allowed)
			if fault := test.needs.missing(k); fault != "" {
				t.Skip(fault)
			}
			test.run(k)
		})
	}
}

func allTests() []test {
	return slices.Concat(
		experimentTests(), runTests(), batchTests(), metricTests(), searchTests(),
		modelTests(), traceTests(), purgeTests(), storeTests(), randomTests(),
	)
}

// test is one subtest.
type test struct {
	name  string
	needs need
	run   func(*kit)
}

// need is what a test cannot do without.
type need int

const (
	nothing need = iota
	sampler
	inputSearcher
	purger
	modelStore
	traceStore
)

// missing says in words what the store under test lacks.
func (n need) missing(k *kit) string {
	has, what := true, ""
	switch n {
	case sampler:
		what = "tracking.Sampler"
		_, has = k.store.(tracking.Sampler)
	case inputSearcher:
		what = "tracking.InputSearcher"
		_, has = k.store.(tracking.InputSearcher)
	case purger:
		what = "tracking.Purger"
		_, has = k.store.(tracking.Purger)
	case modelStore:
		what = "tracking.ModelStore"
		has = k.models != nil
	case traceStore:
		what = "tracking.TraceStore"
		has = k.traces != nil
	}
	if has {
		return ""
	}
	return fmt.Sprintf("the store is no %s, which is optional", what)
}

// kit is the store under test with what a test does to it. Its methods fail
// the test on an unexpected error.
type kit struct {
	testing.TB
	store   tracking.Store
	models  tracking.ModelStore // nil when the store is none
	traces  tracking.TraceStore
	allowed Differences
	end     string // of the names of experiments
	prefix  string // of the hexadecimal digits of a trace id
	made    map[tracking.ExperimentID]bool
}

func newKit(t testing.TB, s tracking.Store, allowed Differences) *kit {
	k := &kit{TB: t, store: s, allowed: allowed, made: map[tracking.ExperimentID]bool{}}
	k.models, _ = s.(tracking.ModelStore)
	k.traces, _ = s.(tracking.TraceStore)
	k.prefix = fmt.Sprintf("%016x%08x", rand.Uint64(), rand.Uint32())
	if allowed.Shared {
		k.end = " " + k.prefix
	}
	return k
}

// The kit has no assertion library, so that a program may link it.

func (k *kit) noError(err error) {
	k.Helper()
	if err != nil {
		k.Fatalf("unexpected error: %v", err)
	}
}

// isKind wants an error of one of the kinds.
func (k *kit) isKind(err error, kinds ...error) {
	k.Helper()
	if !slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
		k.Fatalf("error is %v, want one of kind %q", err, kinds)
	}
}

func equal[T comparable](k *kit, got, want T) {
	k.Helper()
	if got != want {
		k.Fatalf("got:\n%v\nwant:\n%v%s", got, want, firstDifference(fmt.Sprint(got), fmt.Sprint(want)))
	}
}

// firstDifference names the first line in which two long texts differ.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) < 4 && len(w) < 4 {
		return ""
	}
	for i := range max(len(g), len(w)) {
		gl, wl := "(nothing)", "(nothing)"
		if i < len(g) {
			gl = g[i]
		}
		if i < len(w) {
			wl = w[i]
		}
		if gl != wl {
			return fmt.Sprintf("\nfirst difference, line %d:\n got: %s\nwant: %s", i+1, gl, wl)
		}
	}
	return ""
}

// base is the time that tests count from.
func base() time.Time { return time.UnixMilli(1_700_000_000_000).UTC() }

func at(ms int64) time.Time { return base().Add(time.Duration(ms) * time.Millisecond) }

// experiment makes an experiment that was created at the base.
func (k *kit) experiment(name string) tracking.ExperimentID {
	k.Helper()
	return k.createExperiment(tracking.Experiment{Name: name, Created: base()}).ID
}

func (k *kit) createExperiment(e tracking.Experiment) tracking.Experiment {
	k.Helper()
	e.Name += k.end
	out, err := k.store.CreateExperiment(k.Context(), e)
	k.noError(err)
	k.made[out.ID] = true
	k.nextMillisecond()
	return out
}

// nextMillisecond lets a store that takes its own times tell apart what is
// made one after the other.
func (k *kit) nextMillisecond() {
	for before := time.Now().UnixMilli(); k.allowed.OwnTimes && time.Now().UnixMilli() <= before; {
		runtime.Gosched()
	}
}

func (k *kit) updateExperiment(id tracking.ExperimentID, u tracking.ExperimentUpdate) {
	k.Helper()
	if u.Name != "" {
		u.Name += k.end
	}
	k.noError(k.store.UpdateExperiment(k.Context(), id, u))
}

func (k *kit) getExperiment(id tracking.ExperimentID) tracking.Experiment {
	k.Helper()
	found := k.searchExperiments(tracking.ExperimentQuery{ID: id, View: tracking.All}, 0)
	if len(found) != 1 || found[0].Tags == nil {
		k.Fatalf("the search for experiment %q by its ID gave %v, want it alone, its Tags not nil", id, found)
	}
	return found[0]
}

// searchExperiments reads all pages and leaves out what others made.
func (k *kit) searchExperiments(q tracking.ExperimentQuery, size int) []tracking.Experiment {
	k.Helper()
	all := readAll(k, size, func(p tracking.Page) ([]tracking.Experiment, string, error) {
		q.Page = p
		return k.store.SearchExperiments(k.Context(), q)
	})
	return slices.DeleteFunc(all, func(e tracking.Experiment) bool { return k.allowed.Shared && !k.made[e.ID] })
}

// run makes a run whose name tells the id that was asked for.
func (k *kit) run(exp tracking.ExperimentID, id tracking.RunID, start time.Time) tracking.RunID {
	k.Helper()
	return k.createRun(tracking.RunInfo{ID: id, Experiment: exp, Name: "name of " + string(id), Status: tracking.Running, Start: start}).ID
}

func (k *kit) createRun(r tracking.RunInfo) tracking.RunInfo {
	k.Helper()
	out, err := k.store.CreateRun(k.Context(), r)
	k.noError(err)
	return out
}

// oneRun returns the id of a run in a new experiment.
func (k *kit) oneRun() tracking.RunID {
	k.Helper()
	return k.run(k.experiment("experiment"), "run1", base())
}

func (k *kit) updateRun(id tracking.RunID, u tracking.RunUpdate) {
	k.Helper()
	k.noError(k.store.UpdateRun(k.Context(), id, u))
}

func (k *kit) log(id tracking.RunID, b tracking.Batch) {
	k.Helper()
	k.noError(b.Validate())
	k.noError(k.store.LogBatch(k.Context(), id, b))
}

func (k *kit) getRun(id tracking.RunID) tracking.RunInfo {
	k.Helper()
	info, err := k.store.Run(k.Context(), id)
	k.noError(err)
	equal(k, info.ID, id)
	if info.Params == nil || info.Tags == nil || info.Metrics == nil {
		k.Fatalf("a map in a RunInfo is nil")
	}
	return info
}

// readAll reads a paged answer to its end.
func readAll[T any](k *kit, size int, read func(tracking.Page) ([]T, string, error)) []T {
	k.Helper()
	var all []T
	p := tracking.Page{Max: size}
	for seen := map[string]bool{}; ; seen[p.Token] = true {
		page, next, err := read(p)
		k.noError(err)
		if size > 0 && len(page) > size {
			k.Fatalf("a page has %d entries, asked for at most %d", len(page), size)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		if seen[next] {
			k.Fatalf("the same page token came twice")
		}
		p.Token = next
	}
}

func (k *kit) history(id tracking.RunID, key string, size int) []tracking.Metric {
	k.Helper()
	return readAll(k, size, func(p tracking.Page) ([]tracking.Metric, string, error) {
		return k.store.History(k.Context(), id, key, p)
	})
}

func (k *kit) searchRuns(q tracking.RunQuery, size int) []tracking.RunInfo {
	k.Helper()
	return readAll(k, size, func(p tracking.Page) ([]tracking.RunInfo, string, error) {
		q.Page = p
		return k.store.SearchRuns(k.Context(), q)
	})
}

func (k *kit) endedContext() context.Context {
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	return ctx
}
