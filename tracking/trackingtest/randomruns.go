package trackingtest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

func (p *pair) someRun() [2]tracking.RunID {
	if p.chance(40) || len(p.runs) == 0 {
		return [2]tracking.RunID{"nosuchrun", "nosuchrun"}
	}
	return pick(p, p.runs...)
}

func (p *pair) createRun() {
	exp := p.experiment()
	r := tracking.RunInfo{
		ID: tracking.RunID(fmt.Sprint("run", p.IntN(10))), Name: fmt.Sprint("name ", p.IntN(3)), User: pick(p, "", "ann", "bob"),
		Status: pick(p, tracking.Running, tracking.Scheduled), Start: at(p.Int64N(3)), Tags: p.pairs(),
	}
	if p.allowed.OwnIDs { // so that none is taken in the model either
		r.ID = tracking.RunID(fmt.Sprint("run", len(p.operationList)))
	}
	p.note("create run %s in %s, started %s, tags %q", r.ID, exp[1], instant(r.Start), r.Tags)
	inStore, inModel := r, r
	inStore.Experiment, inModel.Experiment = exp[0], exp[1]
	got, err := p.store.CreateRun(p.Context(), inStore)
	want, wantErr := p.model.store.CreateRun(p.Context(), inModel)
	if p.both(err, wantErr) {
		p.same(p.describeRun(got), p.describeRun(want))
		p.runs = append(p.runs, [2]tracking.RunID{got.ID, want.ID})
	}
}

func (p *pair) updateOneRun() {
	id := p.someRun()
	have, _ := p.model.store.Run(p.Context(), id[1]) // what is not there has no tags
	var u tracking.RunUpdate
	parts := 1
	if !p.allowed.NotAtomic {
		parts += p.IntN(3)
	}
	for range parts {
		switch p.IntN(5) {
		case 0:
			u.Name = fmt.Sprint("renamed ", p.IntN(3))
		case 1:
			u.Status = pick(p, tracking.Running, tracking.Scheduled, tracking.Finished, tracking.Failed, tracking.Killed)
		case 2:
			u.End = at(p.Int64N(9))
		case 3:
			u.DeleteTags = p.keys(have.Tags)
		case 4:
			u.Deleted = new(!have.Deleted)
			if !p.allowed.DeletesOnce && p.chance(4) {
				u.Deleted = new(have.Deleted)
			}
		}
	}
	p.note("update run %s: status %q, end %s, %s", id[1], u.Status, instant(u.End), updateText(u.Name, u.Deleted, nil, u.DeleteTags))
	p.both(p.store.UpdateRun(p.Context(), id[0], u), p.model.store.UpdateRun(p.Context(), id[1], u))
}

func (p *pair) values() []float64 {
	values := []float64{0, math.Copysign(0, -1), 1, -1, 0.5}
	if !p.allowed.ClampedInfinities {
		values = append(values, math.Inf(1), math.Inf(-1))
	}
	if !p.allowed.NaNMatchesZero {
		values = append(values, math.NaN())
	}
	return values
}

func (p *pair) logBatch() {
	id := p.someRun()
	parts := []func(b *tracking.Batch){
		func(b *tracking.Batch) { b.Metrics = p.points(pick(p, 1, 3, 70)) },
		func(b *tracking.Batch) { b.Metrics = p.points(pick(p, 1, 3, 70)) },
		func(b *tracking.Batch) { b.Params = p.pairs() },
		func(b *tracking.Batch) { b.Tags = p.pairs() },
		func(b *tracking.Batch) {
			b.ModelInputs = []tracking.ModelID{tracking.ModelID(fmt.Sprint("m-", p.IntN(3)))}
		},
	}
	if !p.allowed.RepeatedOutputs {
		parts = append(parts, func(b *tracking.Batch) {
			b.Outputs = []tracking.ModelOutput{{Model: tracking.ModelID(fmt.Sprint("m-", p.IntN(3))), Step: 1}}
		})
	}
	if !p.allowed.SharedDatasets {
		parts = append(parts, func(b *tracking.Batch) { b.Inputs = []tracking.DatasetInput{p.input()} })
	}
	var b tracking.Batch
	pick(p, parts...)(&b)
	for !p.allowed.NotAtomic && p.chance(2) {
		pick(p, parts...)(&b)
	}
	if p.allowed.NotAtomic && len(b.Params) > 1 {
		b.Params = nil
	}
	p.noError(b.Validate())
	inStore, inModel := b, p.linkPoints(id[1], &b)
	p.note("log batch to %s: %d metrics, params %q, tags %q, inputs %q, models %q, outputs %v", id[1], len(b.Metrics), b.Params, b.Tags, b.Inputs, b.ModelInputs, b.Outputs)
	inStore.Metrics = b.Metrics
	p.both(p.store.LogBatch(p.Context(), id[0], inStore), p.model.store.LogBatch(p.Context(), id[1], inModel))
}

func (p *pair) points(n int) (points []tracking.Metric) {
	for range n {
		points = append(points, tracking.Metric{
			Key: fmt.Sprint("key ", p.IntN(5)), Value: pick(p, p.values()...), Step: p.Int64N(4) - 1, Time: at(p.Int64N(4)),
		})
	}
	return points
}

// linkPoints lets some points of b measure active models. It sets the links of
// b for the store and returns the batch for the model.
func (p *pair) linkPoints(run tracking.RunID, b *tracking.Batch) tracking.Batch {
	inModel := *b
	b.Metrics, inModel.Metrics = slices.Clone(b.Metrics), slices.Clone(b.Metrics)
	if p.models == nil || len(p.loggedModels) == 0 || !p.chance(2) {
		return inModel
	}
	for i := range b.Metrics {
		id := pick(p, p.loggedModels...)
		m, err := p.model.models.Model(p.Context(), id[1])
		if err != nil || m.Deleted || !p.chance(3) {
			continue
		}
		name := pick(p, "", "iris", "wine")
		b.Metrics[i].Link = &tracking.MetricLink{Model: id[0], DatasetName: name, DatasetDigest: name}
		inModel.Metrics[i].Link = &tracking.MetricLink{Model: id[1], DatasetName: name, DatasetDigest: name}
		p.measured[run] = true
	}
	return inModel
}

func (p *pair) input() tracking.DatasetInput {
	return tracking.DatasetInput{
		Name: fmt.Sprint("dataset ", p.IntN(3)), Version: fmt.Sprint(p.IntN(2)), Digest: fmt.Sprint(p.IntN(2)),
		Context: pick(p, "", "training", "evaluation"), Source: fmt.Sprint("source ", p.IntN(2)), Profile: fmt.Sprint("profile ", p.IntN(2)), Tags: p.pairs(),
	}
}

// view is mostly that of everything.
func (p *pair) view() tracking.View {
	return pick(p, tracking.ActiveOnly, tracking.DeletedOnly, tracking.All, tracking.All)
}

// clauses joins few of what make gives; of many no entry would satisfy all.
func (p *pair) clauses(make func() string) string {
	var list []string
	for range pick(p, 0, 1, 1, 1, 2) {
		list = append(list, make())
	}
	return strings.Join(list, " AND ")
}

func (p *pair) key() string { return fmt.Sprintf("`key %d`", p.IntN(5)) }

func (p *pair) numberOp() string { return pick(p, "=", "!=", "<", "<=", ">", ">=") }

// textClause compares what stands for a text.
func (p *pair) textClause(of string, more ...string) string {
	if op := pick(p, append(more, "=", "!=", "LIKE", "ILIKE")...); op == "IS NULL" || op == "IS NOT NULL" {
		return of + " " + op
	} else if op == "IN" || op == "NOT IN" {
		return of + " " + op + " " + pick(p, "('a', '1')", "('')", "('A', 'nothing', 'READY')")
	} else if strings.HasSuffix(op, "LIKE") {
		return of + " " + op + " " + pick(p, "'a%'", "'A%'", "'_'", "'%b'", "'%A%'", "'%a'")
	} else {
		return of + " " + op + " " + pick(p, "'a'", "'1'", "''", "'A'", "'ä'", "'nothing'")
	}
}

func (p *pair) runClause() string {
	clauses := []string{
		fmt.Sprintf("metrics.%s %s %s", p.key(), p.numberOp(), pick(p, "0", "0.5", "1", "-1", "1e300")),
		fmt.Sprintf("%s %s %d", pick(p, "start_time", "end_time"), p.numberOp(), at(p.Int64N(9)).UnixMilli()),
		fmt.Sprintf("status %s '%s'", pick(p, "=", "!=", "LIKE", "ILIKE"), pick(p, "RUNNING", "Running", "FAILED", "KILLED")),
		pick(p, "run_name LIKE 'name%'", "run_name LIKE 'Name%'", "run_name ILIKE 'NAME%'", "run_name = 'renamed 1'", "user_id = 'ann'", "user_id != 'ann'"),
	}
	for range 2 {
		clauses = append(clauses, p.textClause("params."+p.key(), "IS NULL", "IS NOT NULL"), p.textClause("tags."+p.key(), "IS NULL", "IS NOT NULL"))
	}
	if !p.allowed.SharedDatasets {
		clauses = append(clauses, pick(p,
			"dataset.name = 'dataset 1'", "dataset.digest != '1'", "dataset.context IN ('training', 'x')", "dataset.name LIKE '%2'", "dataset.context NOT IN ('training')"))
	}
	return pick(p, clauses...)
}

// order is up to three different keys with directions.
func (p *pair) order(of ...string) (order []string) {
	for range p.IntN(4) {
		key := pick(p, of...)
		if !slices.ContainsFunc(order, func(o string) bool { return strings.HasPrefix(o, key) }) {
			order = append(order, key+pick(p, "", " ASC", " DESC"))
		}
	}
	return order
}

func (p *pair) searchForRuns() {
	inStore, inModel := p.allExperiments()
	if p.chance(3) {
		from := p.IntN(len(inStore))
		inStore, inModel = inStore[from:], inModel[from:]
	}
	q := tracking.RunQuery{
		View: p.view(), Filter: p.clauses(p.runClause),
		OrderBy: p.order("start_time", "end_time", "status", "run_name", "user_id", "metrics.`key 0`", "metrics.`key 1`", "params.`key 2`", "tags.`key 3`"),
	}
	if p.allowed.LooseFilters {
		q.Filter = ""
	}
	p.note("search runs of %v, view %q: %s, order %q", inModel, q.View, q.Filter, q.OrderBy)
	q.Experiments = inModel
	want := p.model.searchRuns(q, 0)
	q.Experiments = inStore
	got := p.searchRuns(q, pick(p, 0, 1, 2, 5))
	for i := range want { // as the description of an input without them
		for j := range want[i].Inputs {
			want[i].Inputs[j].Schema, want[i].Inputs[j].Profile = "", ""
		}
	}
	p.sameList(mapSlice(got, p.describeRun), mapSlice(want, p.describeRun))
}

func (p *pair) searchForExperiments() {
	q := tracking.ExperimentQuery{
		View: p.view(),
		Filter: p.clauses(func() string {
			if p.chance(3) {
				return pick(p, "name LIKE 'exp%'", "name != 'experiment 1'", "name ILIKE '%1'")
			}
			return p.textClause("tags."+p.key(), "IS NULL", "IS NOT NULL")
		}),
		OrderBy: p.order("name", "experiment_id"),
	}
	if p.allowed.LooseFilters {
		q.Filter = ""
	}
	p.note("search experiments, view %q: %s, order %q", q.View, q.Filter, q.OrderBy)
	want := p.model.searchExperiments(q, 0)
	got := p.searchExperiments(q, pick(p, 0, 1, 3))
	p.sameList(mapSlice(got, p.describeOwnExperiment), mapSlice(want, p.describeOwnExperiment))
}
