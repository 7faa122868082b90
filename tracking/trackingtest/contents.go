package trackingtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millwright-ml/millwright/tracking"
)

func testParams(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	log(t, s, id, tracking.Batch{})
	log(t, s, id, tracking.Batch{Params: map[string]string{"lr": "0.1", "empty": "", "layers/0 size": "12"}})
	log(t, s, id, tracking.Batch{Params: map[string]string{"lr": "0.1", "more": "x"}})
	err := s.LogBatch(t.Context(), id, tracking.Batch{Params: map[string]string{"new": "1", "lr": "0.2", "more": "y"}})
	isKind(t, err, tracking.ErrConflict)
	var conflict *tracking.ParamConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("error is %v, want a *ParamConflictError", err)
	}
	equal(t, *conflict, tracking.ParamConflictError{Run: id, Key: "lr", Old: "0.1", New: "0.2"})
	for _, word := range []string{`"lr"`, `"0.1"`, `"0.2"`} {
		if !strings.Contains(err.Error(), word) {
			t.Fatalf("error %q does not name %s", err, word)
		}
	}
	isKind(t, s.LogBatch(t.Context(), id, tracking.Batch{Params: map[string]string{"empty": "x"}}), tracking.ErrConflict)
	want := tracking.RunInfo{Params: map[string]string{"lr": "0.1", "empty": "", "layers/0 size": "12", "more": "x"}}
	got := getRun(t, s, id)
	equal(t, describe(tracking.RunInfo{Params: got.Params}), describe(want))
	isKind(t, s.LogBatch(t.Context(), "nosuchrun", tracking.Batch{Params: map[string]string{"a": "b"}}), tracking.ErrNotFound)
	isKind(t, s.LogBatch(t.Context(), "nosuchrun", tracking.Batch{}), tracking.ErrNotFound)
}

func testParamRace(t *testing.T, s tracking.Store) {
	const racers = 8
	id := oneRun(t, s)
	results := make(chan error, racers)
	for i := range racers {
		go func() {
			results <- s.LogBatch(t.Context(), id, tracking.Batch{
				Params: map[string]string{"p": fmt.Sprint(i)}, Tags: map[string]string{fmt.Sprint(i): "stored"},
			})
		}()
	}
	for range racers {
		if err := <-results; err != nil && !errors.Is(err, tracking.ErrConflict) {
			t.Errorf("a loser got %v, want ErrConflict", err)
		}
	}
	info := getRun(t, s, id)
	equal(t, len(info.Tags), 1) // one batch won, and of the others nothing is left
	equal(t, info.Tags[info.Params["p"]], "stored")
}

func testTags(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	log(t, s, id, tracking.Batch{Tags: map[string]string{"a": "1", "b": "2"}})
	log(t, s, id, tracking.Batch{Tags: map[string]string{"a": "3", "c": ""}})
	log(t, s, id, tracking.Batch{Tags: map[string]string{"c": ""}, Params: map[string]string{"a": "a param"}})
	got := getRun(t, s, id)
	equal(t, describe(tracking.RunInfo{Tags: got.Tags}), describe(tracking.RunInfo{Tags: map[string]string{"a": "3", "b": "2", "c": ""}}))
	equal(t, got.Params["a"], "a param")
}

func testInputs(t *testing.T, s tracking.Store) {
	exp := newExperiment(t, s, "experiment")
	a, b := newRun(t, s, exp, "runa", base()), newRun(t, s, exp, "runb", base())
	full := tracking.DatasetInput{
		Name: "flights", Version: "7", Digest: "sha256:" + strings.Repeat("0f", 32), Context: "training",
		SourceType: "delta", Source: "s3://bucket/flights", Schema: `{"fields":[]}`, Profile: strings.Repeat("p", 300_000),
	}
	evaluation, plain := full, tracking.DatasetInput{Name: "airports", Digest: "1"}
	evaluation.Context = "evaluation"
	bare := full
	bare.Schema, bare.Profile = "", ""
	log(t, s, a, tracking.Batch{Inputs: []tracking.DatasetInput{plain, full}})
	log(t, s, a, tracking.Batch{Inputs: []tracking.DatasetInput{full, evaluation, bare, evaluation}})
	log(t, s, b, tracking.Batch{Inputs: []tracking.DatasetInput{bare}})

	got := getRun(t, s, a)
	equal(t, describe(tracking.RunInfo{Inputs: got.Inputs}), describe(tracking.RunInfo{Inputs: []tracking.DatasetInput{plain, full, evaluation}}))
	got = getRun(t, s, b)
	equal(t, describe(tracking.RunInfo{Inputs: got.Inputs}), describe(tracking.RunInfo{Inputs: []tracking.DatasetInput{bare}}))
}

func testBatchIsAtomic(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	log(t, s, id, tracking.Batch{Params: map[string]string{"z": "1"}})
	before := describe(getRun(t, s, id))
	isKind(t, s.LogBatch(t.Context(), id, tracking.Batch{
		Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base()}},
		Params:  map[string]string{"a": "new", "z": "2"},
		Tags:    map[string]string{"t": "new"},
		Inputs:  []tracking.DatasetInput{{Name: "d", Digest: "1"}},
	}), tracking.ErrConflict)
	equal(t, describe(getRun(t, s, id)), before)
	equal(t, len(history(t, s, id, "m", 0)), 0)
	// The keys of the refused batch are as good as new.
	log(t, s, id, tracking.Batch{
		Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base()}},
		Params:  map[string]string{"a": "other"}, Tags: map[string]string{"t": "x"},
	})
	equal(t, getRun(t, s, id).Params["a"], "other")
	equal(t, len(history(t, s, id, "m", 0)), 1)
}

func testResend(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	b := tracking.Batch{
		Params: map[string]string{"p": "1"}, Tags: map[string]string{"t": "1"},
		Inputs: []tracking.DatasetInput{{Name: "d", Digest: "1", Profile: "{}"}},
	}
	for i := range 120 {
		b.Metrics = append(b.Metrics, tracking.Metric{Key: fmt.Sprintf("m%d", i%7), Value: float64(i % 3), Step: int64(i / 2), Time: at(int64(i % 50))})
	}
	log(t, s, id, b)
	want, points := describe(getRun(t, s, id)), describeMetrics(history(t, s, id, "m3", 0))
	log(t, s, id, b)
	equal(t, describe(getRun(t, s, id)), want)
	equal(t, describeMetrics(history(t, s, id, "m3", 0)), points)
}

func testOwnership(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	b := tracking.Batch{
		Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base()}},
		Params:  map[string]string{"p": "1"}, Tags: map[string]string{"t": "1"},
		Inputs: []tracking.DatasetInput{{Name: "d", Digest: "1"}},
	}
	log(t, s, id, b)
	want := describe(getRun(t, s, id))
	b.Metrics[0].Value, b.Params["p"], b.Tags["t"], b.Inputs[0].Name = 2, "2", "2", "changed"
	equal(t, describe(getRun(t, s, id)), want)
	got := getRun(t, s, id)
	got.Params["p"], got.Tags["t"], got.Inputs[0].Name = "3", "3", "changed"
	delete(got.Metrics, "m")
	points := history(t, s, id, "m", 0)
	points[0].Value = 7
	equal(t, describe(getRun(t, s, id)), want)
	equal(t, history(t, s, id, "m", 0)[0].Value, 1)
}

func testOddText(t *testing.T, s tracking.Store) {
	odd := []string{
		"'; DROP TABLE mw_run; --", `"quoted" \ %_ back`, "line\nbreak\ttab", "日本語 ñ 🙂", " leading and trailing ", "NaN", "null", "{}", "\u200b\ufeff",
	}
	exp := newExperiment(t, s, odd[0])
	for i, text := range odd {
		id := newRun(t, s, exp, tracking.RunID(fmt.Sprintf("run%d", i)), at(int64(i)))
		noError(t, s.UpdateRun(t.Context(), id, tracking.RunUpdate{Name: text}))
		log(t, s, id, tracking.Batch{
			Params: map[string]string{"ключ": text, "long": strings.Repeat("ж", 6000)},
			Tags:   map[string]string{"a:b c": text, "long": strings.Repeat("ж", 8000)},
			Inputs: []tracking.DatasetInput{{Name: "d", Digest: "1", Context: text, Source: text, Schema: text, Profile: text}},
		})
		got := getRun(t, s, id)
		equal(t, got.Name, text)
		equal(t, got.Params["ключ"], text)
		equal(t, got.Params["long"], strings.Repeat("ж", 6000))
		equal(t, got.Tags["a:b c"], text)
		equal(t, got.Inputs[0].Context, text)
		equal(t, got.Inputs[0].Profile, text)
	}
	found, _, err := s.Experiments(t.Context(), tracking.ExperimentQuery{Name: odd[0]})
	noError(t, err)
	equal(t, len(found), 1)
}

func testLimits(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	pairs := func(from, n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("key%d", from+i)] = ""
		}
		return m
	}
	for from := 0; from < tracking.MaxRunParams; from += 100 {
		log(t, s, id, tracking.Batch{Params: pairs(from, 100), Tags: pairs(from, 100)})
	}
	isKind(t, s.LogBatch(t.Context(), id, tracking.Batch{Params: pairs(tracking.MaxRunParams, 1)}), tracking.ErrInvalid)
	isKind(t, s.LogBatch(t.Context(), id, tracking.Batch{Tags: pairs(tracking.MaxRunTags, 1)}), tracking.ErrInvalid)
	log(t, s, id, tracking.Batch{Params: pairs(0, 100), Tags: map[string]string{"key0": "changed"}}) // nothing new

	inputs := func(from, n, size int) (list []tracking.DatasetInput) {
		for i := range n {
			list = append(list, tracking.DatasetInput{Name: fmt.Sprint("d", from+i), Digest: "1", Profile: strings.Repeat("p", size)})
		}
		return list
	}
	log(t, s, id, tracking.Batch{Inputs: inputs(0, tracking.MaxRunInputs, 0)})
	isKind(t, s.LogBatch(t.Context(), id, tracking.Batch{Inputs: inputs(tracking.MaxRunInputs, 1, 0)}), tracking.ErrInvalid)

	info := getRun(t, s, id)
	equal(t, len(info.Params), tracking.MaxRunParams)
	equal(t, len(info.Tags), tracking.MaxRunTags)
	equal(t, len(info.Inputs), tracking.MaxRunInputs)

	heavy := newRun(t, s, info.Experiment, "heavy", base())
	isKind(t, s.LogBatch(t.Context(), heavy, tracking.Batch{Inputs: inputs(0, 3, 14<<20)}), tracking.ErrInvalid)
	equal(t, len(getRun(t, s, heavy).Inputs), 0)

	// However large the runs are, all of them are found.
	equal(t, len(search(t, s, tracking.RunQuery{Experiment: info.Experiment}, 0)), 2)
}
