package trackingtest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/millwright-ml/millwright/tracking"
)

// randomOperations is the length of a random sequence.
const randomOperations = 250

// pair drives the store under test and the model with the same operations.
type pair struct {
	t             *testing.T
	rand          *rand.Rand
	store         tracking.Store
	model         *Memory
	experiments   [][2]tracking.ExperimentID // the id in store and model
	runs          [][2]tracking.RunID
	names         int
	operationList []string // for the message of a failure
}

// testRandom compares the store with Memory over a random sequence of
// operations on few runs and keys, where everything collides with everything.
func testRandom(t *testing.T, s tracking.Store, seed uint64) {
	p := &pair{t: t, rand: rand.New(rand.NewPCG(seed, 1)), store: s, model: &Memory{}}
	p.createExperiment()
	p.createRun()
	for i := range randomOperations {
		switch n := p.rand.IntN(100); {
		case n < 3:
			p.createExperiment()
		case n < 10:
			p.createRun()
		case n < 20:
			p.updateRun()
		default:
			p.logBatch()
		}
		if i%125 == 124 {
			p.compare()
		}
	}
}

// same fails the test unless both answered with the same kind of error.
func (p *pair) same(operation string, got, want error) bool {
	p.t.Helper()
	p.operationList = append(p.operationList, operation)
	kinds := []error{tracking.ErrNotFound, tracking.ErrExists, tracking.ErrConflict, tracking.ErrInvalid, tracking.ErrClosed, tracking.ErrUnavailable, tracking.ErrUnsupported}
	if (got == nil) != (want == nil) {
		p.t.Fatalf("operation %d, %s: got error %v, want %v", len(p.operationList), operation, got, want)
	}
	for _, kind := range kinds {
		if errors.Is(got, kind) != errors.Is(want, kind) {
			p.t.Fatalf("operation %d, %s: got error %v, want %v", len(p.operationList), operation, got, want)
		}
	}
	var a, b *tracking.ParamConflictError
	if errors.As(got, &a) && errors.As(want, &b) {
		equal(p.t, a.Key, b.Key)
		equal(p.t, a.Old, b.Old)
		equal(p.t, a.New, b.New)
	}
	return got == nil
}

func (p *pair) createExperiment() {
	if p.names < 4 {
		p.names++
	}
	e := tracking.Experiment{Name: fmt.Sprint("experiment ", p.rand.IntN(p.names)), Created: at(p.rand.Int64N(5))}
	got, err := p.store.CreateExperiment(p.t.Context(), e)
	want, wantErr := p.model.CreateExperiment(p.t.Context(), e)
	if p.same("create experiment "+e.Name, err, wantErr) {
		equal(p.t, got.Created, want.Created)
		p.experiments = append(p.experiments, [2]tracking.ExperimentID{got.ID, want.ID})
	}
}

func (p *pair) createRun() {
	exp := p.experiments[p.rand.IntN(len(p.experiments))]
	r := tracking.RunInfo{
		ID:   tracking.RunID(fmt.Sprint("run", p.rand.IntN(8))),
		Name: fmt.Sprint("name ", p.rand.IntN(3)), Status: tracking.Running, Start: at(p.rand.Int64N(3)), Tags: p.pairs(),
	}
	inStore, inModel := r, r
	inStore.Experiment, inModel.Experiment = exp[0], exp[1]
	got, err := p.store.CreateRun(p.t.Context(), inStore)
	want, wantErr := p.model.CreateRun(p.t.Context(), inModel)
	if p.same("create run "+string(r.ID), err, wantErr) {
		equal(p.t, describe(got), describe(want))
		p.runs = append(p.runs, [2]tracking.RunID{got.ID, want.ID})
	}
}

func (p *pair) run() [2]tracking.RunID {
	if p.rand.IntN(40) == 0 {
		return [2]tracking.RunID{"nosuchrun", "nosuchrun"}
	}
	return p.runs[p.rand.IntN(len(p.runs))]
}

func (p *pair) updateRun() {
	id := p.run()
	statuses := []tracking.Status{"", tracking.Running, tracking.Scheduled, tracking.Finished, tracking.Failed, tracking.Killed}
	u := tracking.RunUpdate{Status: statuses[p.rand.IntN(len(statuses))]}
	if p.rand.IntN(2) == 0 {
		u.Name = fmt.Sprint("renamed ", p.rand.IntN(3))
	}
	if p.rand.IntN(2) == 0 {
		u.End = at(p.rand.Int64N(9))
	}
	got, want := p.store.UpdateRun(p.t.Context(), id[0], u), p.model.UpdateRun(p.t.Context(), id[1], u)
	p.same(fmt.Sprintf("update run %s %v", id[1], u), got, want)
}

func (p *pair) pairs() map[string]string {
	m := map[string]string{}
	for range p.rand.IntN(3) {
		m[fmt.Sprint("key ", p.rand.IntN(6))] = fmt.Sprint(p.rand.IntN(2))
	}
	return m
}

func (p *pair) logBatch() {
	id := p.run()
	var b tracking.Batch
	values := []float64{0, math.Copysign(0, -1), 1, -1, 0.5, math.NaN(), math.Inf(1), math.Inf(-1)}
	for range p.rand.IntN(70) {
		b.Metrics = append(b.Metrics, tracking.Metric{
			Key:   fmt.Sprint("key ", p.rand.IntN(6)),
			Value: values[p.rand.IntN(len(values))],
			Step:  p.rand.Int64N(4) - 1,
			Time:  at(p.rand.Int64N(4)),
		})
	}
	if p.rand.IntN(2) == 0 {
		b.Params = p.pairs()
	}
	if p.rand.IntN(2) == 0 {
		b.Tags = p.pairs()
	}
	for range p.rand.IntN(2) {
		b.Inputs = append(b.Inputs, tracking.DatasetInput{
			Name: fmt.Sprint("dataset ", p.rand.IntN(3)), Version: fmt.Sprint(p.rand.IntN(2)), Digest: fmt.Sprint(p.rand.IntN(2)),
			Context: []string{"training", "evaluation"}[p.rand.IntN(2)], Source: fmt.Sprint("source ", p.rand.IntN(2)), Profile: fmt.Sprint("profile ", p.rand.IntN(2)),
		})
	}
	noError(p.t, b.Validate())
	got, want := p.store.LogBatch(p.t.Context(), id[0], b), p.model.LogBatch(p.t.Context(), id[1], b)
	p.same(fmt.Sprintf("log batch to %s: %d metrics, params %v, tags %v, %d inputs", id[1], len(b.Metrics), b.Params, b.Tags, len(b.Inputs)), got, want)
}

// compare reads everything from both, the store by pages of a random size.
func (p *pair) compare() {
	for _, id := range p.runs {
		equal(p.t, describe(getRun(p.t, p.store, id[0])), describe(getRun(p.t, p.model, id[1])))
		for key := range 6 {
			name := fmt.Sprint("key ", key)
			got := history(p.t, p.store, id[0], name, 3+p.rand.IntN(100))
			equal(p.t, describeMetrics(got), describeMetrics(history(p.t, p.model, id[1], name, 0)))
		}
	}
	for _, exp := range p.experiments {
		for _, status := range []tracking.Status{"", tracking.Running, tracking.Killed} {
			got := search(p.t, p.store, tracking.RunQuery{Experiment: exp[0], Status: status}, 1+p.rand.IntN(4))
			want := search(p.t, p.model, tracking.RunQuery{Experiment: exp[1], Status: status}, 0)
			equal(p.t, len(got), len(want))
			for i := range got {
				equal(p.t, describe(got[i]), describe(want[i]))
			}
		}
	}
}
