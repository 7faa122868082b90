package trackingtest

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// Memory is a tracking.Store in memory: the plainest form of the contract, for
// tests and as the model that Run compares other stores with. The zero value
// is empty and ready, and it is safe for concurrent use. It is not fast.
type Memory struct {
	mu          sync.Mutex
	experiments []tracking.Experiment
	runs        map[tracking.RunID]*memoryRun
}

type memoryRun struct {
	info       tracking.RunInfo
	history    map[string][]tracking.Metric // ordered by (Time, Step, Value), no two equal
	own        map[string]bool              // the keys whose history this value may change
	inputBytes int
}

var _ tracking.Store = (*Memory)(nil)

func (m *Memory) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	return m.mu.Unlock, nil
}

// CreateExperiment implements tracking.Store.
func (m *Memory) CreateExperiment(ctx context.Context, e tracking.Experiment) (tracking.Experiment, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.Experiment{}, err
	}
	defer end()
	for _, other := range m.experiments {
		if other.Name == e.Name {
			return tracking.Experiment{}, fmt.Errorf("trackingtest: create experiment %q: the name is taken: %w", e.Name, tracking.ErrExists)
		}
	}
	e.ID = tracking.ExperimentID(strconv.Itoa(len(m.experiments) + 1))
	e.Created = toMS(e.Created)
	m.experiments = append(m.experiments, e)
	return e, nil
}

// Experiments implements tracking.Store.
func (m *Memory) Experiments(ctx context.Context, q tracking.ExperimentQuery) ([]tracking.Experiment, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	after, err := parseToken(q.Page.Token, "experiments", q.Name)
	if err != nil {
		return nil, "", err
	}
	var found []tracking.Experiment
	for i, e := range m.experiments {
		if int64(i) >= after.A && (q.Name == "" || e.Name == q.Name) {
			found = append(found, e)
		}
	}
	page, more := cut(found, q.Page.Max, 100)
	if !more {
		return page, "", nil
	}
	last := slices.Index(m.experiments, page[len(page)-1])
	return page, token{A: int64(last) + 1}.text("experiments", q.Name), nil
}

// CreateRun implements tracking.Store.
func (m *Memory) CreateRun(ctx context.Context, r tracking.RunInfo) (tracking.RunInfo, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.RunInfo{}, err
	}
	defer end()
	if !slices.ContainsFunc(m.experiments, func(e tracking.Experiment) bool { return e.ID == r.Experiment }) {
		return tracking.RunInfo{}, fmt.Errorf("trackingtest: create run %q: there is no experiment %q: %w", r.ID, r.Experiment, tracking.ErrNotFound)
	}
	if m.runs[r.ID] != nil {
		return tracking.RunInfo{}, fmt.Errorf("trackingtest: create run %q: the id is taken: %w", r.ID, tracking.ErrExists)
	}
	run := &memoryRun{history: map[string][]tracking.Metric{}, info: tracking.RunInfo{
		ID: r.ID, Experiment: r.Experiment, Name: r.Name, Status: r.Status, Start: toMS(r.Start), End: toMS(r.End),
		Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string]tracking.Metric{},
	}}
	maps.Copy(run.info.Tags, r.Tags)
	if m.runs == nil {
		m.runs = map[tracking.RunID]*memoryRun{}
	}
	m.runs[r.ID] = run
	return run.copy(true), nil
}

func (m *Memory) find(id tracking.RunID, operation string) (*memoryRun, error) {
	run := m.runs[id]
	if run == nil {
		return nil, fmt.Errorf("trackingtest: %s %q: there is no such run: %w", operation, id, tracking.ErrNotFound)
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
	run, err := m.find(id, "get run")
	if err != nil {
		return tracking.RunInfo{}, err
	}
	return run.copy(true), nil
}

// UpdateRun implements tracking.Store.
func (m *Memory) UpdateRun(ctx context.Context, id tracking.RunID, u tracking.RunUpdate) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	run, err := m.find(id, "update run")
	if err != nil {
		return err
	}
	run.info.Name = cmp.Or(u.Name, run.info.Name)
	run.info.Status = cmp.Or(u.Status, run.info.Status)
	if !u.End.IsZero() {
		run.info.End = toMS(u.End)
	}
	return nil
}

// LogBatch implements tracking.Store.
func (m *Memory) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	run, err := m.find(id, "log batch to run")
	if err != nil {
		return err
	}
	// The batch goes into a copy, which takes the run's place when all of it
	// was accepted.
	next := &memoryRun{info: run.copy(true), history: maps.Clone(run.history), own: map[string]bool{}, inputBytes: run.inputBytes}
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
	for _, p := range b.Metrics {
		next.addPoint(p)
	}
	if err := next.checkLimits(); err != nil {
		return err
	}
	m.runs[id] = next
	return nil
}

func (r *memoryRun) addInput(in tracking.DatasetInput) {
	same := func(o tracking.DatasetInput) bool {
		return o.Name == in.Name && o.Version == in.Version && o.Digest == in.Digest && o.Context == in.Context
	}
	if !slices.ContainsFunc(r.info.Inputs, same) {
		r.info.Inputs = append(r.info.Inputs, in)
		r.inputBytes += len(in.Source) + len(in.Schema) + len(in.Profile)
	}
}

func (r *memoryRun) addPoint(p tracking.Metric) {
	p.Time = toMS(p.Time)
	p.Value += 0 // negative zero is zero
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

func (r *memoryRun) checkLimits() error {
	for _, c := range []struct {
		what        string
		have, limit int
	}{
		{"params", len(r.info.Params), tracking.MaxRunParams},
		{"tags", len(r.info.Tags), tracking.MaxRunTags},
		{"metric keys", len(r.info.Metrics), tracking.MaxRunMetricKeys},
		{"inputs", len(r.info.Inputs), tracking.MaxRunInputs},
		{"bytes of input descriptions", r.inputBytes, tracking.MaxRunInputBytes},
	} {
		if c.have > c.limit {
			return fmt.Errorf("trackingtest: log batch: the run would have %d %s, the limit is %d: %w", c.have, c.what, c.limit, tracking.ErrInvalid)
		}
	}
	return nil
}

// copy returns the run as the caller's own.
func (r *memoryRun) copy(long bool) tracking.RunInfo {
	info := r.info
	info.Params, info.Tags, info.Metrics = maps.Clone(info.Params), maps.Clone(info.Tags), maps.Clone(info.Metrics)
	info.Inputs = slices.Clone(info.Inputs)
	for i := range info.Inputs {
		if !long {
			info.Inputs[i].Schema, info.Inputs[i].Profile = "", ""
		}
	}
	return info
}

// History implements tracking.Store.
func (m *Memory) History(ctx context.Context, id tracking.RunID, key string, p tracking.Page) ([]tracking.Metric, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	after, err := parseToken(p.Token, "history", string(id), key)
	if err != nil {
		return nil, "", err
	}
	run, err := m.find(id, "history of run")
	if err != nil {
		return nil, "", err
	}
	points := run.history[key]
	if p.Token != "" {
		last := tracking.Metric{Time: time.UnixMilli(after.A), Step: after.B, Value: math.Float64frombits(after.C)}
		at, exists := slices.BinarySearchFunc(points, last, compareHistory)
		if exists {
			at++
		}
		points = points[at:]
	}
	page, more := cut(points, p.Max, 1000)
	if !more {
		return page, "", nil
	}
	last := page[len(page)-1]
	next := token{A: last.Time.UnixMilli(), B: last.Step, C: math.Float64bits(last.Value)}
	return page, next.text("history", string(id), key), nil
}

// SearchRuns implements tracking.Store.
func (m *Memory) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	after, err := parseToken(q.Page.Token, "runs", string(q.Experiment), string(q.Status))
	if err != nil {
		return nil, "", err
	}
	compare := func(a, b tracking.RunInfo) int {
		return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID))
	}
	last := tracking.RunInfo{Start: time.UnixMilli(after.A), ID: tracking.RunID(after.S)}
	var found []tracking.RunInfo
	for _, run := range m.runs {
		fits := run.info.Experiment == q.Experiment && (q.Status == "" || run.info.Status == q.Status)
		if fits && (q.Page.Token == "" || compare(run.info, last) > 0) {
			found = append(found, run.copy(false))
		}
	}
	slices.SortFunc(found, compare)
	page, more := cut(found, q.Page.Max, 100)
	if !more {
		return page, "", nil
	}
	final := page[len(page)-1]
	return page, token{A: final.Start.UnixMilli(), S: string(final.ID)}.text("runs", string(q.Experiment), string(q.Status)), nil
}

func compareHistory(a, b tracking.Metric) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Step, b.Step), tracking.CompareValues(a.Value, b.Value))
}

// cut copies at most limit entries and tells whether there are more.
func cut[T any](all []T, limit, byDefault int) ([]T, bool) {
	if limit <= 0 {
		limit = byDefault
	}
	return slices.Clone(all[:min(limit, len(all))]), len(all) > limit
}

// toMS is a time as stores keep it.
func toMS(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// token is the place in an answer after which the next page begins.
type token struct {
	Query []string
	A, B  int64
	C     uint64
	S     string
}

func (t token) text(query ...string) string {
	t.Query = query
	raw, _ := json.Marshal(t) // plain fields cannot fail
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parseToken(text string, query ...string) (token, error) {
	var t token
	if text == "" {
		return t, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err != nil || !slices.Equal(t.Query, query) {
		return t, fmt.Errorf("trackingtest: the page token is damaged or belongs to another query: %w", tracking.ErrInvalid)
	}
	return t, nil
}
