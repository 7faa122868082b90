package trackingtest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

func modelTests() []test {
	return []test{
		{"CreateModel", modelStore, testCreateModel},
		{"UpdateModel", modelStore, testUpdateModel},
		{"DeleteModel", modelStore, testDeleteModel},
		{"ModelMetrics", modelStore, testModelMetrics},
		{"FilterModels", modelStore, testFilterModels},
		{"OrderModels", modelStore, testOrderModels},
		{"ModelTokens", modelStore, testModelTokens},
	}
}

// model makes a logged model that was created at a time after the base.
func (k *kit) model(exp tracking.ExperimentID, name string, created int64) tracking.ModelID {
	k.Helper()
	return k.createModel(tracking.LoggedModel{ID: tracking.ModelID("m-" + name), Experiment: exp, Name: name, Created: at(created)}).ID
}

func (k *kit) createModel(m tracking.LoggedModel) tracking.LoggedModel {
	k.Helper()
	out, err := k.models.CreateModel(k.Context(), m)
	k.noError(err)
	k.nextMillisecond()
	return out
}

func (k *kit) getModel(id tracking.ModelID) tracking.LoggedModel {
	k.Helper()
	m, err := k.models.Model(k.Context(), id)
	k.noError(err)
	equal(k, m.ID, id)
	if m.Params == nil || m.Tags == nil {
		k.Fatalf("a map in a LoggedModel is nil")
	}
	return m
}

func (k *kit) updateModel(id tracking.ModelID, u tracking.ModelUpdate) {
	k.Helper()
	k.noError(k.models.UpdateModel(k.Context(), id, u))
}

func (k *kit) searchModels(q tracking.ModelQuery, size int) []tracking.LoggedModel {
	k.Helper()
	return readAll(k, size, func(p tracking.Page) ([]tracking.LoggedModel, string, error) {
		q.Page = p
		return k.models.SearchModels(k.Context(), q)
	})
}

func testCreateModel(k *kit) {
	exp := k.createExperiment(tracking.Experiment{Name: "experiment", Created: base()})
	run := k.run(exp.ID, "run1", base())
	in := tracking.LoggedModel{
		ID: "m-1", Experiment: exp.ID, Name: "classifier", Type: "agent", SourceRun: run, Created: at(3).Add(999 * time.Microsecond),
		Params:  map[string]string{"depth": "3", "empty": ""},
		Tags:    map[string]string{"team": "a", "empty": ""},
		Metrics: []tracking.ModelMetric{{Key: "ignored", Value: 1, Time: base()}},
	}
	created := k.createModel(in)
	want := in
	want.Status, want.Metrics, want.Created = tracking.ModelPending, nil, at(3)
	want.Params, want.Tags = cloneMap(in.Params), cloneMap(in.Tags)
	for _, got := range []tracking.LoggedModel{created, k.getModel(created.ID)} {
		equal(k, k.describeModel(got), k.describeModel(want))
		equal(k, got.Experiment, exp.ID)
		equal(k, got.SourceRun, run)
		equal(k, got.ArtifactURI, exp.ArtifactLocation+"/models/"+string(created.ID)+"/artifacts")
		equal(k, got.DeletedAt, time.Time{})
	}
	in.Params["depth"], created.Tags["team"] = "changed by the caller", "changed by the caller"
	equal(k, k.describeModel(k.getModel(created.ID)), k.describeModel(want))

	_, err := k.models.CreateModel(k.Context(), tracking.LoggedModel{ID: "m-2", Experiment: "987654321", Name: "x", Created: base()})
	k.isKind(err, tracking.ErrNotFound)
	_, err = k.models.Model(k.Context(), "m-2")
	k.isKind(err, tracking.ErrNotFound)
	if !k.allowed.OwnIDs {
		equal(k, created.ID, in.ID)
		_, err = k.models.CreateModel(k.Context(), tracking.LoggedModel{ID: "m-1", Experiment: exp.ID, Name: "x", Created: base()})
		k.isKind(err, tracking.ErrExists)
		equal(k, k.describeModel(k.getModel(created.ID)), k.describeModel(want))
	}
	if !k.allowed.OwnURIs {
		placed := k.createModel(tracking.LoggedModel{
			ID: "m-3", Experiment: exp.ID, Name: "x", Created: base(), ArtifactURI: "s3://b/elsewhere",
			Status: tracking.ModelReady, StatusMessage: "copied",
		})
		got := k.getModel(placed.ID)
		equal(k, got.ArtifactURI, "s3://b/elsewhere")
		equal(k, got.Status, tracking.ModelReady)
		equal(k, got.StatusMessage, "copied")
	}
	// A name need not be unique.
	k.createModel(tracking.LoggedModel{ID: "m-4", Experiment: exp.ID, Name: "classifier", Created: base()})
	k.updateExperiment(exp.ID, tracking.ExperimentUpdate{Deleted: new(true)})
	_, err = k.models.CreateModel(k.Context(), tracking.LoggedModel{ID: "m-5", Experiment: exp.ID, Name: "x", Created: base()})
	k.isKind(err, tracking.ErrInvalid)
}

func testUpdateModel(k *kit) {
	id := k.model(k.experiment("experiment"), "x", 0)
	want := k.getModel(id)
	before := want.Updated
	update := func(u tracking.ModelUpdate) {
		k.Helper()
		k.updateModel(id, u)
		equal(k, k.describeModel(k.getModel(id)), k.describeModel(want))
	}
	refused := func(u tracking.ModelUpdate, kinds ...error) {
		k.Helper()
		k.isKind(k.models.UpdateModel(k.Context(), id, u), kinds...)
		if !k.allowed.NotAtomic {
			equal(k, k.describeModel(k.getModel(id)), k.describeModel(want))
		}
	}
	update(tracking.ModelUpdate{})
	want.Status, want.StatusMessage = tracking.ModelReady, "there"
	if k.allowed.NoStatusMessage {
		update(tracking.ModelUpdate{Status: tracking.ModelReady})
	} else {
		update(tracking.ModelUpdate{Status: tracking.ModelReady, StatusMessage: "there"})
	}
	if got := k.getModel(id).Updated; !got.After(before) && !k.allowed.OwnTimes {
		k.Fatalf("the model was updated at %v, before that at %v", got, before)
	}
	want.Tags = map[string]string{"a": "1", "b": ""}
	update(tracking.ModelUpdate{SetTags: map[string]string{"a": "1", "b": ""}})
	want.Tags = map[string]string{"a": "2", "c": "3"}
	update(tracking.ModelUpdate{SetTags: map[string]string{"a": "2", "c": "3"}, DeleteTags: []string{"b"}})
	want.Params = map[string]string{"p": "1", "empty": ""}
	update(tracking.ModelUpdate{SetParams: map[string]string{"p": "1", "empty": ""}})
	update(tracking.ModelUpdate{SetParams: map[string]string{"p": "1"}})
	refused(tracking.ModelUpdate{SetParams: map[string]string{"new": "1", "p": "2"}, SetTags: map[string]string{"x": "y"}}, tracking.ErrConflict, tracking.ErrInvalid)
	if !k.allowed.LooseDeletes {
		refused(tracking.ModelUpdate{SetTags: map[string]string{"x": "y"}, DeleteTags: []string{"a", "b"}}, tracking.ErrNotFound)
	}
	k.isKind(k.models.UpdateModel(k.Context(), "m-nosuchmodel", tracking.ModelUpdate{Status: tracking.ModelReady}), tracking.ErrNotFound)
}

func testDeleteModel(k *kit) {
	exp := k.experiment("experiment")
	id := k.model(exp, "x", 0)
	k.updateModel(id, tracking.ModelUpdate{SetTags: map[string]string{"a": "1"}})
	want := k.getModel(id)
	list := func(view tracking.View) int {
		return len(k.searchModels(tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}, View: view}, 0))
	}
	equal(k, list(tracking.ActiveOnly), 1)
	k.updateModel(id, tracking.ModelUpdate{Deleted: new(true)})
	equal(k, list(tracking.ActiveOnly), 0)
	for _, u := range []tracking.ModelUpdate{
		{Status: tracking.ModelReady}, {SetTags: map[string]string{"x": "y"}}, {DeleteTags: []string{"a"}}, {SetParams: map[string]string{"x": "y"}},
	} {
		if err := k.models.UpdateModel(k.Context(), id, u); !errors.Is(err, tracking.ErrNotFound) {
			k.Errorf("the update %+v of a deleted model gives %v, want ErrNotFound", u, err)
		}
	}
	if k.allowed.ModelsGoForGood {
		if got, err := k.models.Model(k.Context(), id); err != nil || !got.Deleted {
			k.isKind(err, tracking.ErrNotFound)
		}
		return
	}
	want.Deleted = true
	got := k.getModel(id)
	equal(k, k.describeModel(got), k.describeModel(want))
	equal(k, got.DeletedAt.IsZero() && !k.allowed.NoDeletionTimes, false)
	k.updateModel(id, tracking.ModelUpdate{Deleted: new(true)}) // again does nothing
	equal(k, k.getModel(id).DeletedAt, got.DeletedAt)
	equal(k, list(tracking.DeletedOnly), 1)
	equal(k, list(tracking.All), 1)

	want.Deleted, want.Status = false, tracking.ModelFailed
	k.updateModel(id, tracking.ModelUpdate{Deleted: new(false), Status: tracking.ModelFailed})
	equal(k, k.describeModel(k.getModel(id)), k.describeModel(want))
	equal(k, k.getModel(id).DeletedAt, time.Time{})
	equal(k, list(tracking.ActiveOnly), 1)
	equal(k, list(tracking.DeletedOnly), 0)
}

func testModelMetrics(k *kit) {
	exp := k.experiment("experiment")
	a, b := k.run(exp, "runa", base()), k.run(exp, "runb", base())
	id, other := k.model(exp, "x", 0), k.model(exp, "y", 1)
	on := func(model tracking.ModelID, name, digest string) *tracking.MetricLink {
		return &tracking.MetricLink{Model: model, DatasetName: name, DatasetDigest: digest}
	}
	point := func(key string, v float64, step int64, link *tracking.MetricLink) tracking.Metric {
		return tracking.Metric{Key: key, Value: v, Step: step, Time: at(step), Link: link}
	}
	k.log(a, tracking.Batch{Metrics: []tracking.Metric{
		point("acc", 0.5, 1, on(id, "", "")), point("acc", 0.7, 3, on(id, "", "")), point("acc", 0.6, 2, on(id, "", "")),
		point("acc", 0.1, 1, on(id, "iris", "d1")), point("acc", 0.2, 1, on(id, "iris", "d2")), point("acc", 0.3, 1, on(id, "wine", "d1")),
		point("acc", 0.9, 9, on(other, "iris", "d1")),
		point("loss", math.NaN(), 1, on(id, "", "")), point("unlinked", 1, 1, nil),
		point("acc", 0.4, 1, on("m-nosuchmodel", "", "")),
	}})
	k.log(b, tracking.Batch{Metrics: []tracking.Metric{
		point("acc", 0.8, 2, on(id, "", "")), point("acc", 0.15, 5, on(id, "iris", "d1")), point("Acc", math.Inf(1), 5, on(id, "", "")),
	}})
	metric := func(key string, v float64, step int64, run tracking.RunID, name, digest string) tracking.ModelMetric {
		return tracking.ModelMetric{Key: key, Value: v, Step: step, Time: at(step), Run: run, DatasetName: name, DatasetDigest: digest}
	}
	want := []tracking.ModelMetric{
		metric("Acc", math.Inf(1), 5, b, "", ""), metric("acc", 0.7, 3, a, "", ""), metric("acc", 0.15, 5, b, "iris", "d1"),
		metric("acc", 0.2, 1, a, "iris", "d2"), metric("acc", 0.3, 1, a, "wine", "d1"), metric("loss", math.NaN(), 1, a, "", ""),
	}
	check := func() {
		k.Helper()
		got := k.getModel(id)
		equal(k, k.describeModel(tracking.LoggedModel{Metrics: got.Metrics}), k.describeModel(tracking.LoggedModel{Metrics: want}))
		for i, m := range got.Metrics {
			equal(k, m.Run, want[i].Run)
		}
		found := k.searchModels(tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}}, 0)
		equal(k, k.describeModel(found[1]), k.describeModel(got))
	}
	check()
	// The run has its own metrics, which know of no model.
	info := k.getRun(a)
	equal(k, k.describeMetric(info.Metrics["acc"]), k.describeMetric(point("acc", 0.9, 9, nil)))
	equal(k, len(k.history(a, "acc", 0)), 8)
	equal(k, len(k.getModel(other).Metrics), 1)
	// A point that the run knows already is added to a model all the same.
	k.log(a, tracking.Batch{Metrics: []tracking.Metric{point("unlinked", 1, 1, on(other, "", ""))}})
	equal(k, len(k.getModel(other).Metrics), 2)
	equal(k, len(k.history(a, "unlinked", 0)), 1)
	check()
}

// modelPopulation makes models named a to e, each created later than the one
// before.
func (k *kit) modelPopulation() tracking.ExperimentID {
	exp := k.experiment("models")
	run := k.run(exp, "measure", base())
	kinds, teams := []string{"agent", "Agent", "", "tree", "it's"}, []string{"x", "X", "", "日本", ""}
	var ids []tracking.ModelID
	for i := range 5 {
		m := tracking.LoggedModel{
			ID: tracking.ModelID(fmt.Sprintf("m-%c%s", 'a'+i, k.prefix)), Experiment: exp, Name: string(rune('a' + i)), Type: kinds[i], Created: at(int64(i)),
			Params: map[string]string{"kind": kinds[i]}, Tags: map[string]string{"team": teams[i]},
		}
		if i == 4 {
			m.Params, m.Tags, m.SourceRun = nil, nil, run
		}
		ids = append(ids, k.createModel(m).ID)
		if i%2 == 0 {
			k.updateModel(ids[i], tracking.ModelUpdate{Status: tracking.ModelReady})
		}
	}
	for i, p := range []struct {
		model        int
		key          string
		value        float64
		name, digest string
	}{
		{0, "acc", 0.9, "", ""}, {0, "acc", 0.1, "iris", "d1"}, {0, "acc", 0.2, "iris", "d2"},
		{1, "acc", 0.8, "", ""}, {1, "acc", 0.3, "iris", "d1"},
		{2, "acc", 0.5, "wine", "d1"}, {2, "loss", 1, "", ""},
		{3, "acc", math.NaN(), "", ""}, {3, "acc", 0.7, "iris", "d2"},
	} {
		k.log(run, tracking.Batch{Metrics: []tracking.Metric{{
			Key: p.key, Value: p.value, Time: base(), Step: int64(i), // on which the latest depends
			Link: &tracking.MetricLink{Model: ids[p.model], DatasetName: p.name, DatasetDigest: p.digest},
		}}})
	}
	return exp
}

func modelNames(models []tracking.LoggedModel) string {
	return strings.Join(mapSlice(models, func(m tracking.LoggedModel) string { return m.Name }), "")
}

func testFilterModels(k *kit) {
	exp := k.modelPopulation()
	iris, iris1, wine := tracking.DatasetRef{Name: "iris"}, tracking.DatasetRef{Name: "iris", Digest: "d1"}, tracking.DatasetRef{Name: "wine"}
	for _, c := range []struct {
		filter   string
		datasets []tracking.DatasetRef
		want     string
	}{
		{"", nil, "abcde"},
		// Where the filter speaks of no metric, any on the datasets will do.
		{"", []tracking.DatasetRef{iris}, "abd"},
		{"name != 'a'", []tracking.DatasetRef{iris1, wine}, "bc"},
		{"name = 'a'", nil, "a"},
		{"attributes.name IN ('a', 'c', 'x')", nil, "ac"},
		{"name NOT IN ('a', 'c')", nil, "bde"},
		{"name != 'a'", nil, "bcde"},
		{"status = 'READY'", nil, "ace"},
		{"model_type LIKE 'a%'", nil, "a"},
		{"model_type ILIKE 'a%'", nil, "ab"},
		{"model_type != 'agent'", nil, "bde"}, // an empty one is none
		{"params.kind = 'tree'", nil, "d"},
		{"params.kind != 'tree'", nil, "abc"},
		{"params.kind = ''", nil, "c"},
		{"params.kind ILIKE 'AGENT'", nil, "ab"},
		{"tags.team = 'x'", nil, "a"},
		{"tags.team IN ('x', '日本')", nil, "ad"},
		{"tags.team NOT IN ('x', '日本')", nil, "bc"},
		{"metrics.acc > 0.6", nil, "abd"},
		{"metrics.acc > 0.6", []tracking.DatasetRef{iris}, "d"},
		{"metrics.acc < 0.25", nil, "a"},
		{"metrics.acc < 0.25", []tracking.DatasetRef{iris1}, "a"},
		{"metrics.acc = 0.2", []tracking.DatasetRef{iris1}, ""},
		{"metrics.acc >= 0.3", []tracking.DatasetRef{iris1, wine}, "bc"},
		{"metrics.acc > 0", []tracking.DatasetRef{wine}, "c"},
		{"metrics.loss = 1", nil, "c"},
		{"metrics.loss != 1", nil, ""},
		{"metrics.acc > 0.6 AND params.kind ILIKE 'agent' AND status = 'READY'", nil, "a"},
	} {
		for _, size := range []int{0, 1, 2} {
			q := tracking.ModelQuery{
				Experiments: []tracking.ExperimentID{exp}, Filter: c.filter, Datasets: c.datasets,
				OrderBy: []tracking.ModelOrder{{Field: "name"}},
			}
			if got := modelNames(k.searchModels(q, size)); got != c.want {
				k.Errorf("filter %s on %v selects %q, want %q", c.filter, c.datasets, got, c.want)
			}
		}
	}
	all := k.searchModels(tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}, OrderBy: []tracking.ModelOrder{{Field: "name"}}}, 0)
	for filter, want := range map[string]string{
		fmt.Sprintf("model_id = '%s'", all[1].ID):                                            "b",
		fmt.Sprintf("model_id IN ('%s', 'x')", all[2].ID):                                    "c",
		fmt.Sprintf("source_run_id = '%s'", all[4].SourceRun):                                "e",
		fmt.Sprintf("creation_timestamp > %d AND name != 'x'", all[0].Created.UnixMilli()-1): "abcde",
	} {
		q := tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp, "987654321"}, Filter: filter, OrderBy: []tracking.ModelOrder{{Field: "name"}}}
		equal(k, modelNames(k.searchModels(q, 0)), want)
	}
	equal(k, len(k.searchModels(tracking.ModelQuery{Experiments: []tracking.ExperimentID{k.experiment("empty")}}, 0)), 0)
	for _, filter := range []string{"name", "name = 'a' OR name = 'b'", "name > 'a'", "colour = 'x'", "metrics.acc = 'x'", "metrics.acc > ", "params.kind > 'x'", "dataset.name = 'x'"} {
		_, _, err := k.models.SearchModels(k.Context(), tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}, Filter: filter})
		k.isKind(err, tracking.ErrInvalid)
	}
}

func testOrderModels(k *kit) {
	exp := k.modelPopulation()
	iris, iris1 := tracking.DatasetRef{Name: "iris"}, tracking.DatasetRef{Name: "iris", Digest: "d1"}
	for _, c := range []struct {
		order []tracking.ModelOrder
		want  string
	}{
		{nil, "edcba"},
		{[]tracking.ModelOrder{{Field: "creation_timestamp"}}, "abcde"},
		{[]tracking.ModelOrder{{Field: "creation_timestamp", Desc: true}}, "edcba"},
		{[]tracking.ModelOrder{{Field: "name", Desc: true}}, "edcba"},
		{[]tracking.ModelOrder{{Field: "status"}, {Field: "name"}}, "bdace"},
		{[]tracking.ModelOrder{{Field: "model_type", Desc: true}}, "deabc"},
		{[]tracking.ModelOrder{{Field: "metrics.acc", Dataset: iris1}}, "abedc"},
		{[]tracking.ModelOrder{{Field: "metrics.acc", Desc: true, Dataset: iris1}}, "baedc"},
		{[]tracking.ModelOrder{{Field: "metrics.acc", Desc: true, Dataset: iris}}, "dbaec"},
		{[]tracking.ModelOrder{{Field: "metrics.loss"}, {Field: "name"}}, "cabde"},
		{[]tracking.ModelOrder{{Field: "metrics.never"}}, "edcba"},
	} {
		for _, size := range []int{0, 1, 2} {
			got := modelNames(k.searchModels(tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}, OrderBy: c.order}, size))
			if got != c.want {
				k.Errorf("order %v with pages of %d gives %q, want %q", c.order, size, got, c.want)
			}
		}
	}
	for _, field := range []string{"colour", "params.kind", "metrics.", ""} {
		_, _, err := k.models.SearchModels(k.Context(), tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}, OrderBy: []tracking.ModelOrder{{Field: field}}})
		k.isKind(err, tracking.ErrInvalid)
	}
}

func testModelTokens(k *kit) {
	exp := k.modelPopulation()
	q := tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}, OrderBy: []tracking.ModelOrder{{Field: "name"}}, Page: tracking.Page{Max: 2}}
	_, next, err := k.models.SearchModels(k.Context(), q)
	k.noError(err)
	refused := func(change func(*tracking.ModelQuery)) {
		k.Helper()
		bad := q
		bad.Page.Token = next
		change(&bad)
		_, _, err := k.models.SearchModels(k.Context(), bad)
		k.isKind(err, tracking.ErrInvalid)
	}
	refused(func(q *tracking.ModelQuery) { q.Page.Token = "x" })
	if k.allowed.LooseTokens {
		return
	}
	refused(func(q *tracking.ModelQuery) { q.Filter = "name != 'x'" })
	refused(func(q *tracking.ModelQuery) { q.OrderBy = nil })
	refused(func(q *tracking.ModelQuery) { q.View = tracking.All })
	refused(func(q *tracking.ModelQuery) { q.Datasets = []tracking.DatasetRef{{Name: "iris"}} })
	refused(func(q *tracking.ModelQuery) { q.Experiments = append(q.Experiments, "0") })
}
