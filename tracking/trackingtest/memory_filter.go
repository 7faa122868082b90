package trackingtest

import (
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// query is a parsed filter with an order.
type query struct {
	clauses  []search.Clause
	order    []search.Order
	datasets []tracking.DatasetRef // of each order of logged models
}

// value is what a clause or an order compares.
type value struct {
	text     string
	number   float64
	isNumber bool
}

func texts(list ...string) []value {
	return mapSlice(list, func(s string) value { return value{text: s} })
}

// someText is that of a field that is missing when it is empty.
func someText(s string) []value {
	if s == "" {
		return nil
	}
	return texts(s)
}

func number(f float64) []value { return []value{{number: f, isNumber: true}} }

func textOf(m map[string]string, key string) []value {
	if s, exists := m[key]; exists {
		return texts(s)
	}
	return nil
}

// fields gives the values that an entry has at an entity and key: one, none
// where it is missing, or many, of which any may fit.
type fields func(e search.Entity, key string) []value

func matchClause(c *search.Clause, values []value) bool {
	switch c.Op {
	case search.IsNull:
		return len(values) == 0
	case search.IsNotNull:
		return len(values) > 0
	}
	return slices.ContainsFunc(values, func(v value) bool {
		if v.isNumber {
			return c.MatchNumber(v.number)
		}
		return c.MatchText(v.text)
	})
}

func (q *query) match(f fields) bool {
	for i := range q.clauses {
		c := &q.clauses[i]
		if !matchClause(c, f(c.Entity, c.Key)) {
			return false
		}
	}
	return true
}

func placeOf(values []value, desc bool) part {
	p := noPart()
	if len(values) > 0 {
		p = textPart(values[0].text)
		if values[0].isNumber {
			p = numberPart(values[0].number)
		}
	}
	return p.descending(desc)
}

func (q *query) place(f fields, ties ...part) []part {
	var out []part
	for _, o := range q.order {
		values := f(o.Entity, o.Key)
		if o.Entity == search.Attribute && o.Key == "experiment_id" { // filtered as a text, ordered as a number
			values = number(float64(experimentNumber(tracking.ExperimentID(values[0].text))))
		}
		out = append(out, placeOf(values, o.Desc))
	}
	return append(out, ties...)
}

func parse(g *search.Grammar, filter string, orderBy []string) (*query, error) {
	clauses, err := g.Filter(filter)
	if err != nil {
		return nil, err
	}
	order, err := g.Order(orderBy)
	return &query{clauses: clauses, order: order}, err
}

func parseExperimentQuery(q tracking.ExperimentQuery) (*query, error) {
	return parse(search.Experiments(), q.Filter, q.OrderBy)
}

func experimentFields(e *tracking.Experiment) fields {
	return func(entity search.Entity, key string) []value {
		if entity == search.Tag {
			return textOf(e.Tags, key)
		}
		switch key {
		case "name":
			return texts(e.Name)
		case "experiment_id":
			return texts(string(e.ID))
		case "creation_time":
			return number(unixMilli(e.Created))
		case "last_update_time":
			return number(unixMilli(e.Updated))
		}
		return nil
	}
}

func experimentNumber(id tracking.ExperimentID) int64 {
	n, _ := strconv.ParseInt(string(id), 10, 64) // was checked when it was stored
	return n
}

func (q *query) experimentPlace(e *tracking.Experiment) []part {
	return q.place(experimentFields(e), intPart(e.Created.UnixMilli()).descending(true), intPart(experimentNumber(e.ID)))
}

func parseRunQuery(q tracking.RunQuery) (*query, error) {
	return parse(search.Runs(), q.Filter, q.OrderBy)
}

func runFields(r *tracking.RunInfo) fields {
	return func(entity search.Entity, key string) []value {
		switch entity {
		case search.Metric:
			if m, exists := r.Metrics[key]; exists {
				return number(m.Value)
			}
			return nil
		case search.Param:
			return textOf(r.Params, key)
		case search.Tag:
			return textOf(r.Tags, key)
		case search.Dataset:
			var out []value
			for _, in := range r.Inputs {
				out = append(out, someText(map[string]string{"name": in.Name, "digest": in.Digest, "context": in.Context}[key])...)
			}
			return out
		}
		switch key {
		case "run_id":
			return texts(string(r.ID))
		case "run_name":
			return texts(r.Name)
		case "user_id":
			return texts(r.User)
		case "status":
			return texts(string(r.Status))
		case "artifact_uri":
			return texts(r.ArtifactURI)
		case "start_time":
			return number(unixMilli(r.Start))
		case "end_time":
			if !r.End.IsZero() {
				return number(unixMilli(r.End))
			}
		}
		return nil
	}
}

func (q *query) runPlace(r *memoryRun) []part {
	return q.place(runFields(&r.info), intPart(r.info.Start.UnixMilli()).descending(true), textPart(string(r.info.ID)))
}

func parseModelQuery(q tracking.ModelQuery) (*query, error) {
	g := search.Models()
	clauses, err := g.Filter(q.Filter)
	if err != nil {
		return nil, err
	}
	out := &query{clauses: clauses}
	for _, o := range q.OrderBy {
		order, err := g.OrderField(o.Field, o.Desc)
		if err != nil {
			return nil, err
		}
		out.order, out.datasets = append(out.order, order), append(out.datasets, o.Dataset)
	}
	return out, nil
}

// matchModel wants some metric on one of the datasets when no clause speaks of
// a metric.
func (q *query) matchModel(m *tracking.LoggedModel, datasets []tracking.DatasetRef) bool {
	onDataset := func(p tracking.ModelMetric) bool {
		return slices.ContainsFunc(datasets, func(ref tracking.DatasetRef) bool { return measuredOn(p, ref) })
	}
	ofMetric := func(c search.Clause) bool { return c.Entity == search.Metric }
	if len(datasets) > 0 && !slices.ContainsFunc(q.clauses, ofMetric) && !slices.ContainsFunc(m.Metrics, onDataset) {
		return false
	}
	return q.match(modelFields(m, datasets))
}

// modelFields gives as metrics only those on one of the datasets, unless there
// are none.
func modelFields(m *tracking.LoggedModel, datasets []tracking.DatasetRef) fields {
	return func(entity search.Entity, key string) []value {
		switch entity {
		case search.Metric:
			var out []value
			for _, p := range m.Metrics {
				on := func(ref tracking.DatasetRef) bool { return measuredOn(p, ref) }
				if p.Key == key && (len(datasets) == 0 || slices.ContainsFunc(datasets, on)) {
					out = append(out, number(p.Value)...)
				}
			}
			return out
		case search.Param:
			return textOf(m.Params, key)
		case search.Tag:
			return textOf(m.Tags, key)
		}
		switch key {
		case "name":
			return texts(m.Name)
		case "model_id":
			return texts(string(m.ID))
		case "experiment_id":
			return texts(string(m.Experiment))
		case "model_type":
			return someText(m.Type)
		case "source_run_id":
			return someText(string(m.SourceRun))
		case "status":
			return texts(string(m.Status))
		case "creation_timestamp":
			return number(unixMilli(m.Created))
		case "last_updated_timestamp":
			return number(unixMilli(m.Updated))
		}
		return nil
	}
}

func measuredOn(p tracking.ModelMetric, ref tracking.DatasetRef) bool {
	return p.DatasetName == ref.Name && (ref.Digest == "" || p.DatasetDigest == ref.Digest)
}

func (q *query) modelPlace(m *tracking.LoggedModel) []part {
	var out []part
	f := modelFields(m, nil)
	for i, o := range q.order {
		if o.Entity == search.Metric {
			out = append(out, placeOf(newestOn(m, o.Key, q.datasets[i]), o.Desc))
			continue
		}
		one := query{order: q.order[i : i+1]}
		out = append(out, one.place(f)...)
	}
	return append(out, intPart(m.Created.UnixMilli()).descending(true), textPart(string(m.ID)))
}

// newestOn is the latest value of the metric on the dataset, if there is one.
func newestOn(m *tracking.LoggedModel, key string, ref tracking.DatasetRef) []value {
	var newest *tracking.ModelMetric
	for i, p := range m.Metrics {
		fits := p.Key == key && (ref == tracking.DatasetRef{} || measuredOn(p, ref))
		if fits && (newest == nil || newerThan(p, *newest)) {
			newest = &m.Metrics[i]
		}
	}
	if newest == nil {
		return nil
	}
	return number(newest.Value)
}
