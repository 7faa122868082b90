package trackingtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ml/millwright/tracking"
)

// randomOperations is the length of a random sequence of Run.
const randomOperations = 300

func randomTests() (tests []test) {
	for seed := range uint64(4) {
		tests = append(tests, test{fmt.Sprintf("Random%d", seed), nothing, func(k *kit) { k.random(seed, randomOperations) }})
	}
	return tests
}

// Random compares a store with Memory over a random sequence of operations,
// which the seed determines. Run does so for a few seeds; a longer search for
// faults calls it with others.
func Random(t *testing.T, open Open, allowed Differences, seed uint64, operations int) {
	t.Helper()
	newKit(t, open(t), allowed).random(seed, operations)
}

// pair drives the store under test and the model with the same operations, on
// few names, ids and keys, where everything collides with everything.
type pair struct {
	*rand.Rand
	*kit               // the store under test
	model         *kit // over a Memory
	seed          uint64
	experiments   [][2]tracking.ExperimentID // the id in store and model
	runs          [][2]tracking.RunID
	loggedModels  [][2]tracking.ModelID
	traceIDs      map[tracking.TraceID]int // of those that were made, the number of the experiment
	measured      map[tracking.RunID]bool  // runs that logged points of models
	operationList []string                 // for the message of a failure
}

// random runs a sequence.
func (k *kit) random(seed uint64, operations int) {
	memory := newKit(k.TB, &Memory{}, k.allowed)
	memory.end, memory.prefix, memory.allowed.Shared = k.end, k.prefix, false
	p := &pair{
		Rand: rand.New(rand.NewPCG(seed, 1)), kit: k, model: memory, seed: seed,
		traceIDs: map[tracking.TraceID]int{}, measured: map[tracking.RunID]bool{},
	}
	p.createExperiment()
	p.createRun()
	choices := []struct {
		weight int
		run    func()
	}{
		{2, p.createExperiment}, {5, p.updateOneExperiment}, {8, p.createRun}, {12, p.updateOneRun}, {30, p.logBatch}, {8, p.searchForRuns}, {2, p.searchForExperiments},
	}
	if k.models != nil {
		choices = append(choices, []struct {
			weight int
			run    func()
		}{{4, p.createOneModel}, {6, p.updateOneModel}, {4, p.searchForModels}}...)
	}
	if k.traces != nil {
		choices = append(choices, []struct {
			weight int
			run    func()
		}{{4, p.putOneTrace}, {5, p.putSomeSpans}, {4, p.updateOneTrace}, {5, p.assess}, {3, p.linkSomeTraces}, {1, p.deleteSomeTraces}, {4, p.searchForTraces}}...)
	}
	if _, ok := k.store.(tracking.Purger); ok {
		choices = append(choices, struct {
			weight int
			run    func()
		}{3, p.purge})
	}
	all := 0
	for _, c := range choices {
		all += c.weight
	}
	for i := range operations {
		n := p.IntN(all)
		for _, c := range choices {
			if n -= c.weight; n < 0 {
				c.run()
				break
			}
		}
		if i == operations/2 {
			p.compare()
		}
	}
	p.compare()
	for range 20 { // now that there is most to be found
		p.searchForRuns()
		if k.models != nil {
			p.searchForModels()
		}
		if k.traces != nil {
			p.searchForTraces()
		}
	}
}

// chance is true once in n.
func (p *pair) chance(n int) bool { return p.IntN(n) == 0 }

func pick[T any](p *pair, list ...T) T { return list[p.IntN(len(list))] }

// fail ends the test with what led to the fault.
func (p *pair) fail(format string, args ...any) {
	p.Helper()
	last := p.operationList[max(0, len(p.operationList)-12):]
	p.Fatalf("seed %d, operation %d: %s\nthe last operations were\n%s", p.seed, len(p.operationList), fmt.Sprintf(format, args...), strings.Join(last, "\n"))
}

func (p *pair) note(format string, args ...any) {
	p.operationList = append(p.operationList, fmt.Sprintf(format, args...))
}

// both fails the test unless both answered with the same kind of error. It
// tells whether they succeeded.
func (p *pair) both(got, want error) bool {
	p.Helper()
	if (got == nil) != (want == nil) {
		p.fail("got error %v, want %v", got, want)
	}
	if k := p.allowed; k.PlainConflicts && errors.Is(want, tracking.ErrConflict) || k.ModelsGoForGood {
		return want == nil
	}
	for _, kind := range []error{
		tracking.ErrNotFound, tracking.ErrExists, tracking.ErrConflict, tracking.ErrInvalid, tracking.ErrClosed, tracking.ErrUnavailable, tracking.ErrUnsupported,
	} {
		if errors.Is(got, kind) != errors.Is(want, kind) {
			p.fail("got error %v, want %v", got, want)
		}
	}
	return want == nil
}

// same compares two descriptions.
func (p *pair) same(got, want string) {
	p.Helper()
	if got != want {
		p.fail("got:\n%s\nwant:\n%s%s", got, want, firstDifference(got, want))
	}
}

// sameList compares what two searches gave. Ids that a store allocates, and
// times that it takes, leave the order open.
func (p *pair) sameList(got, want []string) {
	p.Helper()
	if p.allowed.OwnIDs || p.allowed.OwnTimes {
		slices.Sort(got)
		slices.Sort(want)
	}
	p.same(strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// pairs is up to two keys with values.
func (p *pair) pairs() map[string]string {
	m := map[string]string{}
	for range p.IntN(3) {
		m[fmt.Sprint("key ", p.IntN(5))] = pick(p, "0", "1", "a", "A", "a", "A", "", "a%b", "ä")
	}
	return m
}

// keys is at most one key to delete, so that a refusal leaves nothing open.
func (p *pair) keys(have map[string]string) []string {
	key := fmt.Sprint("key ", p.IntN(5))
	if _, exists := have[key]; !p.chance(3) || p.allowed.LooseDeletes && !exists {
		return nil
	}
	return []string{key}
}

func (p *pair) experiment() [2]tracking.ExperimentID {
	if p.chance(40) {
		return [2]tracking.ExperimentID{"987654321", "987654321"}
	}
	return pick(p, p.experiments...)
}

func (p *pair) createExperiment() {
	e := tracking.Experiment{Name: fmt.Sprint("experiment ", p.IntN(8)) + p.end, Created: at(p.Int64N(3)), Tags: p.pairs()}
	p.note("create experiment %q %v", e.Name, e.Tags)
	got, err := p.store.CreateExperiment(p.Context(), e)
	want, wantErr := p.model.store.CreateExperiment(p.Context(), e)
	if p.both(err, wantErr) {
		p.made[got.ID] = true
		got.ArtifactLocation, want.ArtifactLocation = "", ""
		p.same(p.describeExperiment(got), p.describeExperiment(want))
		p.experiments = append(p.experiments, [2]tracking.ExperimentID{got.ID, want.ID})
	}
}

func (p *pair) updateOneExperiment() {
	id := p.experiment()
	e := tracking.Experiment{}
	for _, found := range p.model.searchExperiments(tracking.ExperimentQuery{ID: id[1], View: tracking.All}, 0) {
		e = found
	}
	var u tracking.ExperimentUpdate
	switch p.IntN(4) {
	case 0:
		u.Name = fmt.Sprint("experiment ", p.IntN(8)) + p.end
	case 1:
		u.SetTags = p.pairs()
	case 2:
		u.DeleteTags = p.keys(e.Tags)
	case 3:
		if p.allowed.RestoresAll {
			return
		}
		u.Deleted = new(!e.Deleted)
		if !p.allowed.DeletesOnce && p.chance(4) {
			u.Deleted = new(e.Deleted)
		}
	}
	if !p.allowed.NotAtomic && p.chance(3) {
		u.SetTags = p.pairs()
		for _, key := range u.DeleteTags {
			delete(u.SetTags, key)
		}
	}
	p.note("update experiment %s: %s", id[1], updateText(u.Name, u.Deleted, u.SetTags, u.DeleteTags))
	p.both(p.store.UpdateExperiment(p.Context(), id[0], u), p.model.store.UpdateExperiment(p.Context(), id[1], u))
}

func updateText(name string, deleted *bool, set map[string]string, remove []string) string {
	life := "life cycle as it is"
	if deleted != nil {
		life = fmt.Sprint("deleted ", *deleted)
	}
	return fmt.Sprintf("name %q, %s, set %q, delete %q", name, life, set, remove)
}

func (p *pair) purge() {
	s, m := p.store.(tracking.Purger), p.model.store.(tracking.Purger)
	switch p.IntN(3) {
	case 0:
		var inStore, inModel []tracking.RunID
		for range 1 + p.IntN(3) {
			if id := p.someRun(); !p.measured[id[1]] { // whether a model's points go with their run is open
				inStore, inModel = append(inStore, id[0]), append(inModel, id[1])
			}
		}
		p.note("purge runs %v", inModel)
		got, err := s.PurgeRuns(p.Context(), inStore)
		want, wantErr := m.PurgeRuns(p.Context(), inModel)
		p.both(err, wantErr)
		p.same(fmt.Sprint(got), fmt.Sprint(want))
	case 1:
		if len(p.loggedModels) == 0 {
			return
		}
		id := pick(p, p.loggedModels...)
		p.note("purge model %s", id[1])
		got, err := s.PurgeModels(p.Context(), []tracking.ModelID{id[0]})
		want, wantErr := m.PurgeModels(p.Context(), []tracking.ModelID{id[1]})
		p.both(err, wantErr)
		p.same(fmt.Sprint(got), fmt.Sprint(want))
	case 2:
		id := p.experiment()
		p.note("purge experiment %s", id[1])
		p.both(s.PurgeExperiment(p.Context(), id[0]), m.PurgeExperiment(p.Context(), id[1]))
	}
}

// compare reads everything from both, the store by pages of a random size.
func (p *pair) compare() {
	p.note("compare all")
	p.sameList(
		mapSlice(p.searchExperiments(tracking.ExperimentQuery{View: tracking.All}, 1+p.IntN(5)), p.describeOwnExperiment),
		mapSlice(p.model.searchExperiments(tracking.ExperimentQuery{View: tracking.All}, 0), p.describeOwnExperiment))
	inStore, inModel := p.allExperiments()
	got := p.searchRuns(tracking.RunQuery{Experiments: inStore, View: tracking.All}, 1+p.IntN(5))
	want := p.model.searchRuns(tracking.RunQuery{Experiments: inModel, View: tracking.All}, 0)
	p.sameList(mapSlice(got, p.describeRun), mapSlice(want, p.describeRun))
	for _, id := range p.runs {
		if _, err := p.model.store.Run(p.Context(), id[1]); err != nil {
			continue // it was purged
		}
		p.same(p.describeRun(p.getRun(id[0])), p.describeRun(p.model.getRun(id[1])))
		for key := range 5 {
			name := fmt.Sprint("key ", key)
			p.same(p.describeMetrics(p.history(id[0], name, 3+p.IntN(100))), p.describeMetrics(p.model.history(id[1], name, 0)))
		}
	}
	if p.models != nil {
		p.compareModels(inStore, inModel)
	}
	if p.traces != nil {
		p.compareTraces()
	}
}

func (p *pair) allExperiments() (inStore, inModel []tracking.ExperimentID) {
	for _, id := range p.experiments {
		inStore, inModel = append(inStore, id[0]), append(inModel, id[1])
	}
	return inStore, inModel
}

// describeOwnExperiment leaves out the location, which has the id.
func (p *pair) describeOwnExperiment(e tracking.Experiment) string {
	e.ArtifactLocation = ""
	return p.describeExperiment(e)
}
