package trackingtest

import (
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/tracking"
)

func (p *pair) createOneModel() {
	exp := p.experiment()
	m := tracking.LoggedModel{
		ID: tracking.ModelID(fmt.Sprint("m-", p.IntN(8))), Name: pick(p, "a", "A", "b"), Type: pick(p, "", "agent", "tree"),
		Created: at(p.Int64N(3)), Params: p.pairs(), Tags: p.pairs(),
	}
	if p.allowed.OwnIDs {
		m.ID = tracking.ModelID(fmt.Sprint("m-", len(p.operationList)))
	}
	p.note("create model %s in %s, created %s, params %q, tags %q", m.ID, exp[1], instant(m.Created), m.Params, m.Tags)
	inStore, inModel := m, m
	inStore.Experiment, inModel.Experiment = exp[0], exp[1]
	got, err := p.models.CreateModel(p.Context(), inStore)
	want, wantErr := p.model.models.CreateModel(p.Context(), inModel)
	if p.both(err, wantErr) {
		p.same(p.describeModel(got), p.describeModel(want))
		p.loggedModels = append(p.loggedModels, [2]tracking.ModelID{got.ID, want.ID})
	}
}

func (p *pair) updateOneModel() {
	if len(p.loggedModels) == 0 {
		return
	}
	id := pick(p, p.loggedModels...)
	have, _ := p.model.models.Model(p.Context(), id[1]) // what was purged has nothing
	var u tracking.ModelUpdate
	parts := 1
	if !p.allowed.NotAtomic {
		parts += p.IntN(3)
	}
	for range parts {
		switch p.IntN(5) {
		case 0:
			u.Status = pick(p, tracking.ModelReady, tracking.ModelFailed)
		case 1:
			u.DeleteTags, u.SetTags = p.keys(have.Tags), nil
		case 2:
			u.SetTags, u.DeleteTags = p.pairs(), nil
		case 3:
			u.SetParams = p.pairs()
			if p.allowed.NotAtomic && len(u.SetParams) > 1 {
				u.SetParams = nil
			}
		case 4:
			u.Deleted = new(!have.Deleted)
			if p.chance(4) && !p.allowed.DeletesOnce {
				u.Deleted = new(have.Deleted)
			}
			if p.allowed.ModelsGoForGood {
				u.Deleted = new(true)
			}
		}
	}
	p.note("update model %s: status %q, params %q, %s", id[1], u.Status, u.SetParams, updateText("", u.Deleted, u.SetTags, u.DeleteTags))
	if p.allowed.ModelsGoForGood && have.Deleted {
		return
	}
	p.both(p.models.UpdateModel(p.Context(), id[0], u), p.model.models.UpdateModel(p.Context(), id[1], u))
}

func (p *pair) modelClause() string {
	switch p.IntN(5) {
	case 0:
		return fmt.Sprintf("metrics.%s %s %s", p.key(), p.numberOp(), pick(p, "0", "0.5", "1", "-1"))
	case 1:
		return p.textClause("params."+p.key(), "IN", "NOT IN")
	case 2:
		return p.textClause("tags."+p.key(), "IN", "NOT IN")
	case 3:
		return p.textClause("name", "IN", "NOT IN")
	}
	return p.textClause(pick(p, "status", "model_type"), "IN", "NOT IN")
}

func (p *pair) searchForModels() {
	inStore, inModel := p.allExperiments()
	q := tracking.ModelQuery{View: p.view(), Filter: p.clauses(p.modelClause)}
	dataset := func() tracking.DatasetRef {
		return pick(p, tracking.DatasetRef{Name: "iris"}, tracking.DatasetRef{Name: "wine", Digest: "wine"}, tracking.DatasetRef{Name: "wine", Digest: "other"})
	}
	for range p.IntN(3) {
		q.Datasets = append(q.Datasets, dataset())
	}
	for range p.IntN(3) {
		o := tracking.ModelOrder{Field: pick(p, "name", "status", "creation_timestamp", "metrics.key 0", "metrics.key 1"), Desc: p.chance(2)}
		if p.chance(2) && o.Field[0] == 'm' {
			o.Dataset = dataset()
		}
		if !slices.ContainsFunc(q.OrderBy, func(other tracking.ModelOrder) bool { return other.Field == o.Field }) {
			q.OrderBy = append(q.OrderBy, o)
		}
	}
	if p.allowed.LooseFilters {
		q.Filter = ""
	}
	if p.allowed.ModelsGoForGood {
		q.View = tracking.ActiveOnly
	}
	p.note("search models of %v, view %q: %s on %v, order %v", inModel, q.View, q.Filter, q.Datasets, q.OrderBy)
	q.Experiments = inModel
	want := p.model.searchModels(q, 0)
	q.Experiments = inStore
	got := p.searchModels(q, pick(p, 0, 1, 3))
	p.sameList(mapSlice(got, p.describeModel), mapSlice(want, p.describeModel))
}

func (p *pair) compareModels(inStore, inModel []tracking.ExperimentID) {
	q := tracking.ModelQuery{View: tracking.All}
	if p.allowed.ModelsGoForGood {
		q.View = tracking.ActiveOnly
	}
	q.Experiments = inModel
	want := p.model.searchModels(q, 0)
	q.Experiments = inStore
	p.sameList(mapSlice(p.searchModels(q, 2), p.describeModel), mapSlice(want, p.describeModel))
	for _, id := range p.loggedModels {
		m, err := p.model.models.Model(p.Context(), id[1])
		if err == nil && !(m.Deleted && p.allowed.ModelsGoForGood) { // else it was purged
			p.same(p.describeModel(p.getModel(id[0])), p.describeModel(m))
		}
	}
}
