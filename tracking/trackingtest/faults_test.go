package trackingtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/millwright-ml/millwright/tracking"
)

// recorder is a testing.TB that notes a failure instead of passing it on.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

// stop is what Fatalf throws to leave the test.
type stop struct{}

func (r *recorder) Errorf(string, ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(stop{})
}

func (r *recorder) Skip(...any) { panic(stop{}) }

// finds reports whether the test fails on the store.
func finds(t *testing.T, test test, s tracking.Store) (found bool) {
	t.Helper()
	r := &recorder{TB: t}
	defer func() {
		if thrown := recover(); thrown != nil && thrown != any(stop{}) {
			panic(thrown)
		}
		found = r.failed
	}()
	test.run(newKit(r, s, Differences{}))
	return r.failed
}

// The faults: stores that break one sentence of the contract each.

type overwritesParams struct{ *Memory }

func (s overwritesParams) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	if err := s.Memory.LogBatch(ctx, id, b); !errors.Is(err, tracking.ErrConflict) {
		return err
	}
	return nil
}

type storesPartly struct{ *Memory }

func (s storesPartly) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	if err := s.Memory.LogBatch(ctx, id, tracking.Batch{Metrics: b.Metrics, Tags: b.Tags}); err != nil {
		return err
	}
	return s.Memory.LogBatch(ctx, id, b)
}

type dropsLinks struct{ *Memory }

func (s dropsLinks) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	b.Metrics = slices.Clone(b.Metrics)
	for i := range b.Metrics {
		b.Metrics[i].Link = nil
	}
	return s.Memory.LogBatch(ctx, id, b)
}

type repeatsPoints struct{ *Memory }

func (s repeatsPoints) History(ctx context.Context, id tracking.RunID, key string, p tracking.Page) ([]tracking.Metric, string, error) {
	points, next, err := s.Memory.History(ctx, id, key, p)
	if len(points) > 1 && p.Token != "" {
		points = append(points[:1], points...)
	}
	return points, next, err
}

type forgetsTheEnd struct{ *Memory }

func (s forgetsTheEnd) UpdateRun(ctx context.Context, id tracking.RunID, u tracking.RunUpdate) error {
	if u.Status == tracking.Killed && u.Deleted == nil {
		u.Name = ""
	}
	return s.Memory.UpdateRun(ctx, id, u)
}

type nilMaps struct{ *Memory }

func (s nilMaps) Run(ctx context.Context, id tracking.RunID) (tracking.RunInfo, error) {
	info, err := s.Memory.Run(ctx, id)
	if len(info.Params) == 0 {
		info.Params = nil
	}
	return info, err
}

type ignoresContext struct{ *Memory }

func (s ignoresContext) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	return s.Memory.LogBatch(context.WithoutCancel(ctx), id, b)
}

type foldsCase struct{ *Memory }

func (s foldsCase) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	q.Filter = strings.ReplaceAll(q.Filter, " LIKE ", " ILIKE ")
	return s.Memory.SearchRuns(ctx, q)
}

type losesTies struct{ *Memory }

func (s losesTies) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	if len(q.OrderBy) == 1 {
		q.OrderBy = append(slices.Clone(q.OrderBy), "run_name")
	}
	page, next, err := s.Memory.SearchRuns(ctx, q)
	if err != nil {
		q.OrderBy = q.OrderBy[:1]
		return s.Memory.SearchRuns(ctx, q)
	}
	return page, next, err
}

type countsEntries struct{ *Memory }

func (s countsEntries) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	from := 0
	if q.Page.Token != "" {
		var err error
		if from, err = strconv.Atoi(q.Page.Token); err != nil || from < 0 {
			return nil, "", tracking.ErrInvalid
		}
	}
	size := q.Page.Max
	if size == 0 {
		size = 100
	}
	q.Page = tracking.Page{Max: 1000}
	all, _, err := s.Memory.SearchRuns(ctx, q)
	if err != nil || from >= len(all) {
		return nil, "", err
	}
	if from+size >= len(all) {
		return all[from:], "", nil
	}
	return all[from : from+size], strconv.Itoa(from + size), nil
}

type restoresAll struct{ *Memory }

func (s restoresAll) UpdateExperiment(ctx context.Context, id tracking.ExperimentID, u tracking.ExperimentUpdate) error {
	err := s.Memory.UpdateExperiment(ctx, id, u)
	if err == nil && u.Deleted != nil && !*u.Deleted {
		for _, run := range slices.Collect(maps.Keys(s.runs)) {
			err = errors.Join(err, s.UpdateRun(ctx, run, tracking.RunUpdate{Deleted: new(false)}))
		}
	}
	return err
}

type purgesAnything struct{ *Memory }

func (s purgesAnything) PurgeRuns(ctx context.Context, ids []tracking.RunID) (int, error) {
	for _, id := range ids {
		if err := s.UpdateRun(ctx, id, tracking.RunUpdate{Deleted: new(true)}); err != nil && !errors.Is(err, tracking.ErrNotFound) {
			return 0, err
		}
	}
	return s.Memory.PurgeRuns(ctx, ids)
}

type samplesNoEnds struct{ *Memory }

func (s samplesNoEnds) SampleHistory(ctx context.Context, q tracking.SampleQuery) ([][]tracking.Metric, error) {
	out, err := s.Memory.SampleHistory(ctx, q)
	for i, points := range out {
		out[i] = points[:max(0, len(points)-1)]
	}
	return out, err
}

type ignoresDatasets struct{ *Memory }

func (s ignoresDatasets) SearchModels(ctx context.Context, q tracking.ModelQuery) ([]tracking.LoggedModel, string, error) {
	q.Datasets = nil
	return s.Memory.SearchModels(ctx, q)
}

type keepsOverridden struct{ *Memory }

func (s keepsOverridden) PutAssessment(ctx context.Context, a tracking.Assessment) (tracking.Assessment, error) {
	a.Overrides = ""
	return s.Memory.PutAssessment(ctx, a)
}

type forgetsTraceTags struct{ *Memory }

func (s forgetsTraceTags) PutTrace(ctx context.Context, t tracking.Trace) (tracking.Trace, error) {
	if found, _ := s.Traces(ctx, []tracking.TraceID{t.ID}, false); len(found) > 0 {
		t.Tags = nil
	}
	return s.Memory.PutTrace(ctx, t)
}

// TestKitFindsFaults wants the named tests, "Random" is one of the random
// sequences, to fail on each of the faulty stores.
func TestKitFindsFaults(t *testing.T) {
	t.Parallel()
	tests := allTests()
	named := map[string]bool{}
	for _, test := range tests {
		if named[test.name] {
			t.Errorf("two tests have the name %s", test.name)
		}
		named[test.name] = true
	}
	for _, c := range []struct {
		find  []string
		store func(*Memory) tracking.Store
	}{
		{[]string{"Params", "ParamRace", "Random"}, func(m *Memory) tracking.Store { return overwritesParams{m} }},
		{[]string{"BatchIsAtomic", "Random"}, func(m *Memory) tracking.Store { return storesPartly{m} }},
		{[]string{"ModelMetrics", "FilterModels", "Random"}, func(m *Memory) tracking.Store { return dropsLinks{m} }},
		{[]string{"History", "Random"}, func(m *Memory) tracking.Store { return repeatsPoints{m} }},
		{[]string{"Random"}, func(m *Memory) tracking.Store { return forgetsTheEnd{m} }},
		{[]string{"CreateRun"}, func(m *Memory) tracking.Store { return nilMaps{m} }},
		{[]string{"EndedContext"}, func(m *Memory) tracking.Store { return ignoresContext{m} }},
		{[]string{"FilterRuns", "Random"}, func(m *Memory) tracking.Store { return foldsCase{m} }},
		{[]string{"OrderRuns", "Random"}, func(m *Memory) tracking.Store { return losesTies{m} }},
		{[]string{"SearchWhileWriting", "PageTokens"}, func(m *Memory) tracking.Store { return countsEntries{m} }},
		{[]string{"ExperimentCascade", "Random"}, func(m *Memory) tracking.Store { return restoresAll{m} }},
		{[]string{"PurgeRuns", "Random"}, func(m *Memory) tracking.Store { return purgesAnything{m} }},
		{[]string{"SampleHistory", "SampleRandomly"}, func(m *Memory) tracking.Store { return samplesNoEnds{m} }},
		{[]string{"FilterModels", "ModelTokens", "Random"}, func(m *Memory) tracking.Store { return ignoresDatasets{m} }},
		{[]string{"OverrideAssessment", "Random"}, func(m *Memory) tracking.Store { return keepsOverridden{m} }},
		{[]string{"PutTrace", "SpansFirst", "Random"}, func(m *Memory) tracking.Store { return forgetsTraceTags{m} }},
	} {
		for _, name := range c.find {
			var found bool
			for _, test := range tests {
				if !found && (test.name == name || name == "Random" && strings.HasPrefix(test.name, name)) {
					found = finds(t, test, c.store(&Memory{}))
				}
			}
			if !found {
				t.Errorf("%s finds no fault in %T", name, c.store(nil))
			}
		}
	}
}
