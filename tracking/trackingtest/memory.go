package trackingtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// Memory is a tracking.Store in memory with all the optional interfaces: the
// plainest form of the contract, for tests and as the model that Run compares
// other stores with. The zero value is empty and ready, and it is safe for
// concurrent use. It is not fast.
type Memory struct {
	// ArtifactRoot is the URI below which experiments without a location of
	// their own keep their files. Set it before the first use. Default
	// "mlflow-artifacts:".
	ArtifactRoot string

	mu             sync.Mutex
	clock          time.Time
	lastExperiment int64
	experiments    map[tracking.ExperimentID]*tracking.Experiment
	runs           map[tracking.RunID]*memoryRun
	models         map[tracking.ModelID]*tracking.LoggedModel
	traces         map[tracking.TraceID]*memoryTrace
}

var (
	_ tracking.Store         = (*Memory)(nil)
	_ tracking.Sampler       = (*Memory)(nil)
	_ tracking.InputSearcher = (*Memory)(nil)
	_ tracking.Purger        = (*Memory)(nil)
	_ tracking.ModelStore    = (*Memory)(nil)
	_ tracking.TraceStore    = (*Memory)(nil)
)

// begin starts an operation, during which no other runs.
func (m *Memory) begin(ctx context.Context) (end func(), err error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("trackingtest: %w", ctx.Err())
	}
	m.mu.Lock()
	if m.experiments == nil {
		m.experiments = map[tracking.ExperimentID]*tracking.Experiment{}
		m.runs = map[tracking.RunID]*memoryRun{}
		m.models = map[tracking.ModelID]*tracking.LoggedModel{}
		m.traces = map[tracking.TraceID]*memoryTrace{}
	}
	return m.mu.Unlock, nil
}

// now is the present time, later than any it gave before: the time of a
// deletion tells what was deleted together.
func (m *Memory) now() time.Time {
	m.clock = m.clock.Add(time.Millisecond)
	if t := toMS(time.Now()); t.After(m.clock) {
		m.clock = t
	}
	return m.clock
}

// fail writes an error in the form that all of them have.
func fail(operation, subject, cause string, kind error) error {
	return fmt.Errorf("trackingtest: %s %q: %s: %w", operation, subject, cause, kind)
}

const notActive = "it is deleted and must be in the 'active' state"

// CreateExperiment implements tracking.Store.
func (m *Memory) CreateExperiment(ctx context.Context, e tracking.Experiment) (tracking.Experiment, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.Experiment{}, err
	}
	defer end()
	const operation = "create experiment"
	if m.experimentNamed(e.Name) != nil {
		return tracking.Experiment{}, fail(operation, e.Name, "the name is taken", tracking.ErrExists)
	}
	if e.ID == "" {
		e.ID = tracking.ExperimentID(strconv.FormatInt(m.lastExperiment+1, 10))
	}
	number, err := strconv.ParseInt(string(e.ID), 10, 64)
	if err != nil || number < 0 || strconv.FormatInt(number, 10) != string(e.ID) {
		return tracking.Experiment{}, fail(operation, e.Name, "its ID is no decimal number", tracking.ErrInvalid)
	}
	if m.experiments[e.ID] != nil {
		return tracking.Experiment{}, fail(operation, e.Name, "the ID is taken", tracking.ErrExists)
	}
	m.lastExperiment = max(m.lastExperiment, number)
	if e.Created.IsZero() {
		e.Created = m.now()
	}
	if e.Updated.IsZero() {
		e.Updated = e.Created
	}
	if e.ArtifactLocation == "" {
		e.ArtifactLocation = strings.TrimRight(cmp.Or(m.ArtifactRoot, "mlflow-artifacts:"), "/") + "/" + string(e.ID)
	}
	stored := tracking.Experiment{
		ID: e.ID, Name: e.Name, ArtifactLocation: e.ArtifactLocation, Tags: cloneMap(e.Tags),
		Created: toMS(e.Created), Updated: toMS(e.Updated),
	}
	m.experiments[e.ID] = &stored
	return copyExperiment(&stored), nil
}

func (m *Memory) experimentNamed(name string) *tracking.Experiment {
	for _, e := range m.experiments {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func copyExperiment(e *tracking.Experiment) tracking.Experiment {
	out := *e
	out.Tags = cloneMap(e.Tags)
	return out
}

// UpdateExperiment implements tracking.Store.
func (m *Memory) UpdateExperiment(ctx context.Context, id tracking.ExperimentID, u tracking.ExperimentUpdate) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	const operation = "update experiment"
	e := m.experiments[id]
	if e == nil {
		return fail(operation, string(id), "there is no such experiment", tracking.ErrNotFound)
	}
	remove, restore := u.Deleted != nil && *u.Deleted, u.Deleted != nil && !*u.Deleted
	if e.Deleted && remove && u.Name == "" && len(u.SetTags) == 0 && len(u.DeleteTags) == 0 {
		return nil // deleting again does nothing
	}
	if e.Deleted && !restore {
		return fail(operation, string(id), notActive, tracking.ErrInvalid)
	}
	if other := m.experimentNamed(u.Name); other != nil && other != e {
		return fail(operation, string(id), fmt.Sprintf("the name %q is taken", u.Name), tracking.ErrExists)
	}
	tags, err := changeTags(e.Tags, u.SetTags, u.DeleteTags)
	if err != nil {
		return fail(operation, string(id), err.Error(), tracking.ErrNotFound)
	}
	now := m.now()
	e.Name, e.Tags, e.Updated = cmp.Or(u.Name, e.Name), tags, now
	for _, r := range m.runs {
		switch {
		case r.info.Experiment != id:
		case remove && !e.Deleted && !r.info.Deleted:
			r.info.Deleted, r.info.DeletedAt = true, now
		case restore && e.Deleted && r.info.Deleted && r.info.DeletedAt.Equal(e.DeletedAt):
			r.info.Deleted, r.info.DeletedAt = false, time.Time{}
		}
	}
	e.Deleted, e.DeletedAt = changeDeleted(u.Deleted, e.Deleted, e.DeletedAt, now)
	return nil
}

// changeTags returns the tags after a change.
func changeTags(tags, set map[string]string, remove []string) (map[string]string, error) {
	out := cloneMap(tags)
	maps.Copy(out, set)
	for _, key := range remove {
		if _, exists := out[key]; !exists {
			return nil, fmt.Errorf("it has no tag %q", key)
		}
		delete(out, key)
	}
	return out, nil
}

// changeDeleted returns the life cycle after a change; one that changes nothing
// keeps the time.
func changeDeleted(want *bool, have bool, since, now time.Time) (bool, time.Time) {
	switch {
	case want == nil || *want == have:
		return have, since
	case *want:
		return true, now
	default:
		return false, time.Time{}
	}
}

// SearchExperiments implements tracking.Store.
func (m *Memory) SearchExperiments(ctx context.Context, q tracking.ExperimentQuery) ([]tracking.Experiment, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	s, err := parseExperimentQuery(q)
	if err != nil {
		return nil, "", err
	}
	var found []*tracking.Experiment
	for _, e := range m.experiments {
		fits := (q.ID == "" || q.ID == e.ID) && (q.Name == "" || q.Name == e.Name) && q.View.Includes(e.Deleted)
		if fits && s.match(experimentFields(e)) {
			found = append(found, e)
		}
	}
	page, next, err := readPage(found, s.experimentPlace, q.Page, 100, queryText("experiments", q))
	return mapSlice(page, copyExperiment), next, err
}

// cloneMap is a copy that is never nil.
func cloneMap[K comparable, V any](in map[K]V) map[K]V {
	out := map[K]V{}
	maps.Copy(out, in)
	return out
}

func mapSlice[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// toMS is a time as stores keep it.
func toMS(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// addNew appends v unless the list has it.
func addNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}
