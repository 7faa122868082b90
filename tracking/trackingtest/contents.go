package trackingtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

func testInputs(k *kit) {
	exp := k.experiment("experiment")
	a, b := k.run(exp, "runa", base()), k.run(exp, "runb", base())
	full := tracking.DatasetInput{
		Name: "flights", Version: "7", Digest: "sha256:" + strings.Repeat("0f", 32), Context: "training",
		SourceType: "delta", Source: "s3://bucket/flights", Schema: `{"fields":[]}`, Profile: strings.Repeat("p", 300_000),
		Tags: map[string]string{"origin": "export", "empty": ""},
	}
	if k.allowed.ShortDigests {
		full.Digest = full.Digest[:36]
	}
	evaluation, plain := full, tracking.DatasetInput{Name: "airports", Digest: "1"}
	evaluation.Context = "evaluation"
	bare := full
	bare.Schema, bare.Profile, bare.Tags = "", "", nil
	inputs := func(id tracking.RunID, want ...tracking.DatasetInput) {
		k.Helper()
		got := k.getRun(id)
		equal(k, k.describeRun(tracking.RunInfo{Inputs: got.Inputs}), k.describeRun(tracking.RunInfo{Inputs: want}))
	}
	k.log(a, tracking.Batch{Inputs: []tracking.DatasetInput{plain, full}})
	inputs(a, plain, full)
	// The same input is stored once and stays as it came first.
	k.log(a, tracking.Batch{Inputs: []tracking.DatasetInput{full, full}})
	inputs(a, plain, full)
	if k.allowed.SharedDatasets {
		return
	}
	k.log(a, tracking.Batch{Inputs: []tracking.DatasetInput{full, evaluation, bare, evaluation}})
	inputs(a, plain, full, evaluation)
	k.log(b, tracking.Batch{Inputs: []tracking.DatasetInput{bare}})
	inputs(b, bare)
}

func testModelLinks(k *kit) {
	id := k.oneRun()
	a, b := tracking.ModelID("m-"+strings.Repeat("a", 32)), tracking.ModelID("m-"+strings.Repeat("b", 32))
	k.log(id, tracking.Batch{ModelInputs: []tracking.ModelID{b}, Outputs: []tracking.ModelOutput{{Model: b, Step: 3}}})
	k.log(id, tracking.Batch{ModelInputs: []tracking.ModelID{a}, Outputs: []tracking.ModelOutput{{Model: a, Step: -1}}})
	want := tracking.RunInfo{ModelInputs: []tracking.ModelID{b, a}, Outputs: []tracking.ModelOutput{{Model: b, Step: 3}, {Model: a, Step: -1}}}
	links := func() string {
		got := k.getRun(id)
		return k.describeRun(tracking.RunInfo{ModelInputs: got.ModelInputs, Outputs: got.Outputs})
	}
	equal(k, links(), k.describeRun(want))
	if k.allowed.RepeatedOutputs {
		return
	}
	k.log(id, tracking.Batch{ModelInputs: []tracking.ModelID{a, b, a}, Outputs: []tracking.ModelOutput{{Model: a, Step: -1}, {Model: b, Step: 3}}})
	equal(k, links(), k.describeRun(want))
}

func testSearchInputs(k *kit) {
	s := k.store.(tracking.InputSearcher)
	exp, other, empty := k.experiment("experiment"), k.experiment("other"), k.experiment("empty")
	input := func(name, digest, context string) tracking.DatasetInput {
		return tracking.DatasetInput{Name: name, Digest: digest, Context: context, Source: "s3://b/" + name}
	}
	a, b, c := k.run(exp, "runa", base()), k.run(exp, "runb", base()), k.run(other, "runc", base())
	k.log(a, tracking.Batch{Inputs: []tracking.DatasetInput{input("x", "1", "training"), input("y", "1", "")}})
	k.log(b, tracking.Batch{Inputs: []tracking.DatasetInput{input("x", "1", "training"), input("x", "2", "evaluation")}})
	k.log(c, tracking.Batch{Inputs: []tracking.DatasetInput{input("x", "1", "training"), input("z", "9", "training")}})
	want := func(experiments []tracking.ExperimentID, summaries ...tracking.InputSummary) {
		k.Helper()
		got, err := s.SearchInputs(k.Context(), experiments, 100)
		k.noError(err)
		slices.SortFunc(got, compareInputSummary)
		slices.SortFunc(summaries, compareInputSummary)
		equal(k, fmt.Sprintf("%q", got), fmt.Sprintf("%q", summaries))
	}
	x1, x2, y := tracking.InputSummary{Experiment: exp, Name: "x", Digest: "1", Context: "training"},
		tracking.InputSummary{Experiment: exp, Name: "x", Digest: "2", Context: "evaluation"},
		tracking.InputSummary{Experiment: exp, Name: "y", Digest: "1"}
	ox, oz := tracking.InputSummary{Experiment: other, Name: "x", Digest: "1", Context: "training"},
		tracking.InputSummary{Experiment: other, Name: "z", Digest: "9", Context: "training"}
	want([]tracking.ExperimentID{exp}, x1, x2, y)
	want([]tracking.ExperimentID{other}, ox, oz)
	want([]tracking.ExperimentID{exp, other}, x1, x2, y, ox, oz)
	want([]tracking.ExperimentID{empty})
	got, err := s.SearchInputs(k.Context(), []tracking.ExperimentID{exp, other}, 2)
	k.noError(err)
	equal(k, len(got), 2)
	k.updateRun(b, tracking.RunUpdate{Deleted: new(true)})
	want([]tracking.ExperimentID{exp}, x1, y)
	k.updateRun(b, tracking.RunUpdate{Deleted: new(false)})
	want([]tracking.ExperimentID{exp}, x1, x2, y)
}

func testBatchIsAtomic(k *kit) {
	if k.allowed.NotAtomic {
		k.Skip("the store may keep a part of a batch that it refuses")
	}
	id := k.oneRun()
	k.log(id, tracking.Batch{Params: map[string]string{"z": "1"}})
	before := k.describeRun(k.getRun(id))
	k.isKind(k.store.LogBatch(k.Context(), id, tracking.Batch{
		Metrics:     []tracking.Metric{{Key: "m", Value: 1, Time: base()}},
		Params:      map[string]string{"a": "new", "z": "2"},
		Tags:        map[string]string{"t": "new"},
		Inputs:      []tracking.DatasetInput{{Name: "d", Digest: "1"}},
		ModelInputs: []tracking.ModelID{"m-a"},
		Outputs:     []tracking.ModelOutput{{Model: "m-b"}},
	}), tracking.ErrConflict)
	equal(k, k.describeRun(k.getRun(id)), before)
	equal(k, len(k.history(id, "m", 0)), 0)
	// The keys of the refused batch are as good as new.
	k.log(id, tracking.Batch{
		Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base()}},
		Params:  map[string]string{"a": "other"}, Tags: map[string]string{"t": "x"},
	})
	equal(k, k.getRun(id).Params["a"], "other")
	equal(k, len(k.history(id, "m", 0)), 1)
}

func testResend(k *kit) {
	id := k.oneRun()
	b := tracking.Batch{
		Params: map[string]string{"p": "1"}, Tags: map[string]string{"t": "1"},
		Inputs:      []tracking.DatasetInput{{Name: "d", Digest: "1", Profile: "{}"}},
		ModelInputs: []tracking.ModelID{"m-1"},
	}
	if !k.allowed.RepeatedOutputs {
		b.Outputs = []tracking.ModelOutput{{Model: "m-2", Step: 1}}
	}
	for i := range 120 {
		b.Metrics = append(b.Metrics, tracking.Metric{Key: fmt.Sprintf("m%d", i%7), Value: float64(i % 3), Step: int64(i / 2), Time: at(int64(i % 50))})
	}
	k.log(id, b)
	want, points := k.describeRun(k.getRun(id)), k.describeMetrics(k.history(id, "m3", 0))
	k.log(id, b)
	equal(k, k.describeRun(k.getRun(id)), want)
	equal(k, k.describeMetrics(k.history(id, "m3", 0)), points)
}

func testOwnership(k *kit) {
	id := k.oneRun()
	b := tracking.Batch{
		Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base()}},
		Params:  map[string]string{"p": "1"}, Tags: map[string]string{"t": "1"},
		Inputs:      []tracking.DatasetInput{{Name: "d", Digest: "1", Tags: map[string]string{"a": "1"}}},
		ModelInputs: []tracking.ModelID{"m-1"}, Outputs: []tracking.ModelOutput{{Model: "m-2"}},
	}
	k.log(id, b)
	want := k.describeRun(k.getRun(id))
	b.Metrics[0].Value, b.Params["p"], b.Tags["t"], b.Inputs[0].Name = 2, "2", "2", "changed"
	b.Inputs[0].Tags["a"], b.ModelInputs[0], b.Outputs[0].Step = "2", "changed", 9
	equal(k, k.describeRun(k.getRun(id)), want)
	got := k.getRun(id)
	got.Params["p"], got.Tags["t"], got.Inputs[0].Name = "3", "3", "changed"
	got.Inputs[0].Tags["a"], got.ModelInputs[0], got.Outputs[0].Step = "3", "changed", 9
	delete(got.Metrics, "m")
	points := k.history(id, "m", 0)
	points[0].Value = 7
	equal(k, k.describeRun(k.getRun(id)), want)
	equal(k, k.history(id, "m", 0)[0].Value, 1)
	found := k.searchRuns(tracking.RunQuery{Experiments: []tracking.ExperimentID{k.getRun(id).Experiment}}, 0)
	found[0].Params["p"], found[0].Tags["t"] = "4", "4"
	equal(k, k.describeRun(k.getRun(id)), want)
}

func testLimits(k *kit) {
	if k.allowed.NoLimits {
		k.Skip("the store does not enforce the limits of runs")
	}
	id := k.oneRun()
	some := func(from, n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("key%d", from+i)] = ""
		}
		return m
	}
	for from := 0; from < tracking.MaxRunParams; from += 100 {
		k.log(id, tracking.Batch{Params: some(from, 100), Tags: some(from, 100)})
	}
	refused := func(id tracking.RunID, b tracking.Batch) {
		k.Helper()
		k.isKind(k.store.LogBatch(k.Context(), id, b), tracking.ErrInvalid)
	}
	refused(id, tracking.Batch{Params: some(tracking.MaxRunParams, 1)})
	refused(id, tracking.Batch{Tags: some(tracking.MaxRunTags, 1)})
	k.log(id, tracking.Batch{Params: some(0, 100), Tags: map[string]string{"key0": "changed"}}) // nothing new

	inputs := func(from, n, size int) (list []tracking.DatasetInput) {
		for i := range n {
			list = append(list, tracking.DatasetInput{Name: fmt.Sprint("d", from+i), Digest: "1", Profile: strings.Repeat("p", size)})
		}
		return list
	}
	models := func(from, n int) (list []tracking.ModelID) {
		for i := range n {
			list = append(list, tracking.ModelID(fmt.Sprint("m-", from+i)))
		}
		return list
	}
	outputs := func(from, n int) []tracking.ModelOutput {
		return mapSlice(models(from, n), func(id tracking.ModelID) tracking.ModelOutput { return tracking.ModelOutput{Model: id} })
	}
	k.log(id, tracking.Batch{Inputs: inputs(0, tracking.MaxRunInputs, 0), ModelInputs: models(0, tracking.MaxRunInputs)})
	refused(id, tracking.Batch{Inputs: inputs(tracking.MaxRunInputs, 1, 0)})
	refused(id, tracking.Batch{ModelInputs: models(tracking.MaxRunInputs, 1)})
	k.log(id, tracking.Batch{Inputs: inputs(0, tracking.MaxRunInputs, 0), ModelInputs: models(0, tracking.MaxRunInputs)})
	for from := 0; from < tracking.MaxRunOutputs; from += 100 {
		k.log(id, tracking.Batch{Outputs: outputs(from, 100)})
	}
	refused(id, tracking.Batch{Outputs: outputs(tracking.MaxRunOutputs, 1)})

	info := k.getRun(id)
	equal(k, len(info.Params), tracking.MaxRunParams)
	equal(k, len(info.Tags), tracking.MaxRunTags)
	equal(k, len(info.Inputs), tracking.MaxRunInputs)
	equal(k, len(info.ModelInputs), tracking.MaxRunInputs)
	equal(k, len(info.Outputs), tracking.MaxRunOutputs)

	heavy := k.run(info.Experiment, "heavy", base())
	refused(heavy, tracking.Batch{Inputs: inputs(0, 3, 14<<20)})
	equal(k, len(k.getRun(heavy).Inputs), 0)

	// However large the runs are, all of them are found.
	equal(k, len(k.searchRuns(tracking.RunQuery{Experiments: []tracking.ExperimentID{info.Experiment}}, 0)), 2)
}
