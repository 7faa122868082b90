package trackingtest

import (
	"github.com/millwright-ml/millwright/tracking"
)

func purgeTests() []test {
	return []test{
		{"PurgeRuns", purger, testPurgeRuns},
		{"PurgeExperiment", purger, testPurgeExperiment},
	}
}

func testPurgeRuns(k *kit) {
	s := k.store.(tracking.Purger)
	exp := k.experiment("experiment")
	full := tracking.Batch{
		Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base()}, {Key: "m", Value: 2, Time: at(1)}},
		Params:  map[string]string{"p": "1"}, Tags: map[string]string{"t": "1"},
		Inputs:      []tracking.DatasetInput{{Name: "d", Digest: "1", Profile: "{}", Tags: map[string]string{"a": "b"}}},
		ModelInputs: []tracking.ModelID{"m-1"}, Outputs: []tracking.ModelOutput{{Model: "m-2"}},
	}
	active, doomed, other := k.run(exp, "active", base()), k.run(exp, "doomed", at(1)), k.run(exp, "other", at(2))
	for _, id := range []tracking.RunID{active, doomed, other} {
		k.log(id, full)
	}
	purge := func(want int, ids ...tracking.RunID) {
		k.Helper()
		n, err := s.PurgeRuns(k.Context(), ids)
		k.noError(err)
		equal(k, n, want)
	}
	kept := k.describeRun(k.getRun(active))
	purge(0)
	purge(0, active, doomed, other, "nosuchrun")
	k.updateRun(doomed, tracking.RunUpdate{Deleted: new(true)})
	k.updateRun(other, tracking.RunUpdate{Deleted: new(true)})
	purge(1, active, doomed, "nosuchrun")
	purge(0, active, doomed)
	_, err := k.store.Run(k.Context(), doomed)
	k.isKind(err, tracking.ErrNotFound)
	_, _, err = k.store.History(k.Context(), doomed, "m", tracking.Page{})
	k.isKind(err, tracking.ErrNotFound)
	k.isKind(k.store.LogBatch(k.Context(), doomed, full), tracking.ErrNotFound)
	equal(k, k.describeRun(k.getRun(active)), kept)
	equal(k, k.getRun(other).Deleted, true)
	all := []tracking.ExperimentID{exp}
	equal(k, len(k.searchRuns(tracking.RunQuery{Experiments: all, View: tracking.All}, 0)), 2)
	if inputs, ok := k.store.(tracking.InputSearcher); ok {
		found, err := inputs.SearchInputs(k.Context(), all, 10)
		k.noError(err)
		equal(k, len(found), 1)
	}
	// The id is free, and nothing of the old run comes back.
	if !k.allowed.OwnIDs {
		again := k.getRun(k.run(exp, "doomed", base()))
		want := tracking.RunInfo{Name: again.Name, Status: tracking.Running, Start: base()}
		equal(k, k.describeRun(again), k.describeRun(want))
		equal(k, len(k.history("doomed", "m", 0)), 0)
	}
}

func testPurgeExperiment(k *kit) {
	s := k.store.(tracking.Purger)
	exp, other := k.experiment("experiment"), k.experiment("other")
	run := k.run(exp, "run1", base())
	name := k.getExperiment(exp).Name
	purge := func(id tracking.ExperimentID) error { return s.PurgeExperiment(k.Context(), id) }
	k.isKind(purge("987654321"), tracking.ErrNotFound)
	k.isKind(purge(exp), tracking.ErrInvalid)
	if k.traces != nil {
		k.putTrace(tracking.Trace{ID: k.traceID(1), Experiment: exp, State: tracking.TraceOK, Start: base(), Tags: map[string]string{"a": "b"}})
		k.putSpans(exp, span(k.traceID(1), 1, -1, "x", 1, 2, nil))
		k.putTrace(tracking.Trace{ID: k.traceID(2), Experiment: other, State: tracking.TraceOK, Start: base()})
	}
	var model tracking.ModelID
	if k.models != nil {
		model = k.model(exp, "x", 0)
		k.updateModel(model, tracking.ModelUpdate{SetTags: map[string]string{"a": "b"}, SetParams: map[string]string{"c": "d"}})
		k.log(run, tracking.Batch{Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base(), Link: &tracking.MetricLink{Model: model}}}})
	}
	purgeModel := func(want int) {
		k.Helper()
		n, err := s.PurgeModels(k.Context(), []tracking.ModelID{model, "m-nosuchmodel"})
		k.noError(err)
		equal(k, n, want)
	}
	if k.models != nil {
		purgeModel(0)
		k.updateModel(model, tracking.ModelUpdate{Deleted: new(true)})
	}
	k.updateExperiment(exp, tracking.ExperimentUpdate{Deleted: new(true)})
	k.isKind(purge(exp), tracking.ErrConflict)
	n, err := s.PurgeRuns(k.Context(), []tracking.RunID{run})
	k.noError(err)
	equal(k, n, 1)
	if k.models != nil {
		k.isKind(purge(exp), tracking.ErrConflict)
		purgeModel(1)
		_, err := k.models.Model(k.Context(), model)
		k.isKind(err, tracking.ErrNotFound)
	}
	k.noError(purge(exp))
	k.isKind(purge(exp), tracking.ErrNotFound)
	equal(k, len(k.searchExperiments(tracking.ExperimentQuery{ID: exp, View: tracking.All}, 0)), 0)
	if k.traces != nil {
		k.noTrace(k.traceID(1))
		k.getTrace(k.traceID(2))
	}
	// The name is free, and the id does not come again.
	again, err := k.store.CreateExperiment(k.Context(), tracking.Experiment{Name: name, Created: base()})
	k.noError(err)
	if again.ID == exp {
		k.Fatalf("a new experiment has the id %q of one that was purged", exp)
	}
	equal(k, len(again.Tags), 0)
	k.getExperiment(other)
}
