package trackingtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

type memoryRun struct {
	info    tracking.RunInfo
	history map[string][]tracking.Metric // ordered by (Time, Step, Value), no two equal
	own     map[string]bool              // the keys whose history this value may change
}

// CreateRun implements tracking.Store.
func (m *Memory) CreateRun(ctx context.Context, r tracking.RunInfo) (tracking.RunInfo, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.RunInfo{}, err
	}
	defer end()
	exp, err := m.activeExperiment("create run", string(r.ID), r.Experiment)
	if err != nil {
		return tracking.RunInfo{}, err
	}
	if m.runs[r.ID] != nil {
		return tracking.RunInfo{}, fail("create run", string(r.ID), "the ID is taken", tracking.ErrExists)
	}
	run := &memoryRun{history: map[string][]tracking.Metric{}, info: tracking.RunInfo{
		ID: r.ID, Experiment: r.Experiment, Name: r.Name, User: r.User, Status: r.Status,
		Start: toMS(r.Start), End: toMS(r.End),
		ArtifactURI: cmp.Or(r.ArtifactURI, exp.ArtifactLocation+"/"+string(r.ID)+"/artifacts"),
		Tags:        cloneMap(r.Tags),
	}}
	m.runs[r.ID] = run
	return run.copy(), nil
}

// activeExperiment returns an experiment that may be written to.
func (m *Memory) activeExperiment(operation, subject string, id tracking.ExperimentID) (*tracking.Experiment, error) {
	e := m.experiments[id]
	switch {
	case e == nil:
		return nil, fail(operation, subject, fmt.Sprintf("there is no experiment %q", id), tracking.ErrNotFound)
	case e.Deleted:
		return nil, fail(operation, subject, fmt.Sprintf("experiment %q: %s", id, notActive), tracking.ErrInvalid)
	}
	return e, nil
}

func (m *Memory) findRun(operation string, id tracking.RunID) (*memoryRun, error) {
	run := m.runs[id]
	if run == nil {
		return nil, fail(operation, string(id), "there is no such run", tracking.ErrNotFound)
	}
	return run, nil
}

// Run implements tracking.Store.
func (m *Memory) Run(ctx context.Context, id tracking.RunID) (tracking.RunInfo, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.RunInfo{}, err
	}
	defer end()
	run, err := m.findRun("get run", id)
	if err != nil {
		return tracking.RunInfo{}, err
	}
	return run.copy(), nil
}

// copy returns the run as the caller's own.
func (r *memoryRun) copy() tracking.RunInfo {
	info := r.info
	info.Params, info.Tags, info.Metrics = cloneMap(info.Params), cloneMap(info.Tags), cloneMap(info.Metrics)
	info.Inputs = slices.Clone(info.Inputs)
	for i := range info.Inputs {
		info.Inputs[i].Tags = cloneMap(info.Inputs[i].Tags)
	}
	info.ModelInputs, info.Outputs = slices.Clone(info.ModelInputs), slices.Clone(info.Outputs)
	return info
}

// UpdateRun implements tracking.Store.
func (m *Memory) UpdateRun(ctx context.Context, id tracking.RunID, u tracking.RunUpdate) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	const operation = "update run"
	run, err := m.findRun(operation, id)
	if err != nil {
		return err
	}
	if run.info.Deleted && u.Deleted != nil && *u.Deleted &&
		u.Name == "" && u.Status == "" && u.End.IsZero() && len(u.DeleteTags) == 0 {
		return nil // deleting again does nothing
	}
	if run.info.Deleted && (u.Deleted == nil || *u.Deleted) {
		return fail(operation, string(id), notActive, tracking.ErrInvalid)
	}
	tags, err := changeTags(run.info.Tags, nil, u.DeleteTags)
	if err != nil {
		return fail(operation, string(id), err.Error(), tracking.ErrNotFound)
	}
	run.info.Tags = tags
	run.info.Name = cmp.Or(u.Name, run.info.Name)
	run.info.Status = cmp.Or(u.Status, run.info.Status)
	if !u.End.IsZero() {
		run.info.End = toMS(u.End)
	}
	run.info.Deleted, run.info.DeletedAt = changeDeleted(u.Deleted, run.info.Deleted, run.info.DeletedAt, m.now())
	return nil
}

// LogBatch implements tracking.Store.
func (m *Memory) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	const operation = "log batch to run"
	run, err := m.findRun(operation, id)
	if err != nil {
		return err
	}
	if run.info.Deleted {
		return fail(operation, string(id), notActive, tracking.ErrInvalid)
	}
	// The batch goes into a copy, which takes the run's place when all of it
	// was accepted.
	next := &memoryRun{info: run.copy(), history: maps.Clone(run.history), own: map[string]bool{}}
	for _, key := range slices.Sorted(maps.Keys(b.Params)) {
		old, exists := next.info.Params[key]
		if exists && old != b.Params[key] {
			conflict := &tracking.ParamConflictError{Run: id, Key: key, Old: old, New: b.Params[key]}
			return fmt.Errorf("trackingtest: log batch: %w", conflict)
		}
		next.info.Params[key] = b.Params[key]
	}
	maps.Copy(next.info.Tags, b.Tags)
	for _, in := range b.Inputs {
		next.addInput(in)
	}
	for _, model := range b.ModelInputs {
		next.info.ModelInputs = addNew(next.info.ModelInputs, model)
	}
	for _, output := range b.Outputs {
		next.info.Outputs = addNew(next.info.Outputs, output)
	}
	for _, p := range b.Metrics {
		next.addPoint(p)
	}
	if err := next.checkLimits(); err != nil {
		return err
	}
	m.runs[id] = next
	for _, p := range b.Metrics {
		m.measureModel(id, p)
	}
	return nil
}

func (r *memoryRun) addInput(in tracking.DatasetInput) {
	same := func(o tracking.DatasetInput) bool {
		return o.Name == in.Name && o.Version == in.Version && o.Digest == in.Digest && o.Context == in.Context
	}
	if !slices.ContainsFunc(r.info.Inputs, same) {
		in.Tags = cloneMap(in.Tags)
		r.info.Inputs = append(r.info.Inputs, in)
	}
}

func (r *memoryRun) addPoint(p tracking.Metric) {
	p.Time = toMS(p.Time)
	p.Value += 0 // negative zero is zero
	p.Link = nil
	if !r.own[p.Key] {
		r.own[p.Key], r.history[p.Key] = true, slices.Clone(r.history[p.Key])
	}
	if at, exists := slices.BinarySearchFunc(r.history[p.Key], p, compareHistory); !exists {
		r.history[p.Key] = slices.Insert(r.history[p.Key], at, p)
	}
	if latest, exists := r.info.Metrics[p.Key]; !exists || p.NewerThan(latest) {
		r.info.Metrics[p.Key] = p
	}
}

func compareHistory(a, b tracking.Metric) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Step, b.Step), tracking.CompareValues(a.Value, b.Value))
}

func (r *memoryRun) checkLimits() error {
	inputBytes := 0
	for _, in := range r.info.Inputs {
		inputBytes += len(in.Source) + len(in.Schema) + len(in.Profile)
	}
	for _, c := range []struct {
		what        string
		have, limit int
	}{
		{"params", len(r.info.Params), tracking.MaxRunParams},
		{"tags", len(r.info.Tags), tracking.MaxRunTags},
		{"metric keys", len(r.info.Metrics), tracking.MaxRunMetricKeys},
		{"dataset inputs", len(r.info.Inputs), tracking.MaxRunInputs},
		{"model inputs", len(r.info.ModelInputs), tracking.MaxRunInputs},
		{"outputs", len(r.info.Outputs), tracking.MaxRunOutputs},
		{"bytes of input descriptions", inputBytes, tracking.MaxRunInputBytes},
	} {
		if c.have > c.limit {
			return fail("log batch to run", string(r.info.ID), fmt.Sprintf("it would have %d %s, the limit is %d", c.have, c.what, c.limit), tracking.ErrInvalid)
		}
	}
	return nil
}

// SearchRuns implements tracking.Store.
func (m *Memory) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	s, err := parseRunQuery(q)
	if err != nil {
		return nil, "", err
	}
	var found []*memoryRun
	for _, r := range m.runs {
		if slices.Contains(q.Experiments, r.info.Experiment) && q.View.Includes(r.info.Deleted) && s.match(runFields(&r.info)) {
			found = append(found, r)
		}
	}
	page, next, err := readPage(found, s.runPlace, q.Page, 100, queryText("runs", q))
	return mapSlice(page, (*memoryRun).copyShort), next, err
}

// copyShort is copy without the long texts.
func (r *memoryRun) copyShort() tracking.RunInfo {
	info := r.copy()
	for i := range info.Inputs {
		info.Inputs[i].Schema, info.Inputs[i].Profile = "", ""
	}
	return info
}

// PurgeRuns implements tracking.Purger.
func (m *Memory) PurgeRuns(ctx context.Context, ids []tracking.RunID) (int, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	n := 0
	for _, id := range ids {
		if r := m.runs[id]; r != nil && r.info.Deleted {
			delete(m.runs, id)
			n++
			for _, t := range m.traces {
				delete(t.runs, id)
			}
		}
	}
	return n, nil
}

// PurgeModels implements tracking.Purger.
func (m *Memory) PurgeModels(ctx context.Context, ids []tracking.ModelID) (int, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	n := 0
	for _, id := range ids {
		if model := m.models[id]; model != nil && model.Deleted {
			delete(m.models, id)
			n++
		}
	}
	return n, nil
}

// PurgeExperiment implements tracking.Purger.
func (m *Memory) PurgeExperiment(ctx context.Context, id tracking.ExperimentID) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	const operation = "purge experiment"
	e := m.experiments[id]
	if e == nil {
		return fail(operation, string(id), "there is no such experiment", tracking.ErrNotFound)
	}
	if !e.Deleted {
		return fail(operation, string(id), "it is active, delete it first", tracking.ErrInvalid)
	}
	for _, r := range m.runs {
		if r.info.Experiment == id {
			return fail(operation, string(id), "it has runs, purge them first", tracking.ErrConflict)
		}
	}
	for _, model := range m.models {
		if model.Experiment == id {
			return fail(operation, string(id), "it has logged models, purge them first", tracking.ErrConflict)
		}
	}
	maps.DeleteFunc(m.traces, func(_ tracking.TraceID, t *memoryTrace) bool { return t.info.Experiment == id })
	delete(m.experiments, id)
	return nil
}

// unixMilli is the number that filters and orders know a time by.
func unixMilli(t time.Time) float64 { return float64(t.UnixMilli()) }
