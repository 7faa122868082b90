package trackingtest

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/tracking"
)

// History implements tracking.Store.
func (m *Memory) History(ctx context.Context, id tracking.RunID, key string, p tracking.Page) ([]tracking.Metric, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	run, err := m.findRun("history of run", id)
	if err != nil {
		return nil, "", err
	}
	return readPage(run.history[key], historyPlace, p, 1000, queryText("history", []string{string(id), key}))
}

// historyPlace is the order of compareHistory.
func historyPlace(p tracking.Metric) []part {
	value, isNaN := p.Value, int64(0)
	if math.IsNaN(value) {
		value, isNaN = 0, 1 // just above 0
	}
	return []part{intPart(p.Time.UnixMilli()), intPart(p.Step), numberPart(value), intPart(isNaN)}
}

// SampleHistory implements tracking.Sampler.
func (m *Memory) SampleHistory(ctx context.Context, q tracking.SampleQuery) ([][]tracking.Metric, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	histories := make([][]tracking.Metric, len(q.Runs))
	for i, id := range q.Runs {
		if run := m.runs[id]; run != nil {
			histories[i] = run.history[q.Key]
		}
	}
	return sample(q, histories), nil
}

// sample is the definition of SampleHistory.
func sample(q tracking.SampleQuery, histories [][]tracking.Metric) [][]tracking.Metric {
	inRange := func(p tracking.Metric) bool {
		return (q.From == nil || p.Step >= *q.From) && (q.To == nil || p.Step <= *q.To)
	}
	steps := map[int64]bool{} // of all runs
	for _, history := range histories {
		for _, p := range history {
			if inRange(p) {
				steps[p.Step] = true
			}
		}
	}
	wanted := evenly(sortedSteps(steps), q.Max)
	out := make([][]tracking.Metric, len(histories))
	for i, history := range histories {
		own := map[int64]bool{}
		for _, p := range history {
			if inRange(p) {
				own[p.Step] = true
			}
		}
		ends := sortedSteps(own)
		for _, p := range history {
			if inRange(p) && (wanted[p.Step] || p.Step == ends[0] || p.Step == ends[len(ends)-1]) {
				out[i] = append(out[i], p)
			}
		}
	}
	return out
}

// evenly returns the steps at n evenly spaced places of the list: those at
// ⌊i·len/n⌋ for i from 0 to n-1, all when there are no more than n.
func evenly(steps []int64, n int) map[int64]bool {
	out := map[int64]bool{}
	n = min(n, len(steps))
	for i := range n {
		out[steps[i*len(steps)/n]] = true
	}
	return out
}

func sortedSteps(set map[int64]bool) []int64 {
	var out []int64
	for step := range set {
		out = append(out, step)
	}
	slices.Sort(out)
	return out
}

// SearchInputs implements tracking.InputSearcher. The answer is in order, which
// the contract does not ask for.
func (m *Memory) SearchInputs(ctx context.Context, experiments []tracking.ExperimentID, limit int) ([]tracking.InputSummary, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var found []tracking.InputSummary
	for _, r := range m.runs {
		if r.info.Deleted || !slices.Contains(experiments, r.info.Experiment) {
			continue
		}
		for _, in := range r.info.Inputs {
			found = addNew(found, tracking.InputSummary{Experiment: r.info.Experiment, Name: in.Name, Digest: in.Digest, Context: in.Context})
		}
	}
	slices.SortFunc(found, compareInputSummary)
	return found[:min(limit, len(found))], nil
}

func compareInputSummary(a, b tracking.InputSummary) int {
	return cmp.Or(
		cmp.Compare(a.Experiment, b.Experiment), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Context, b.Context),
	)
}
