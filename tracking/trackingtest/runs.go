package trackingtest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

func runTests() []test {
	return []test{
		{"CreateRun", nothing, testCreateRun},
		{"UpdateRun", nothing, testUpdateRun},
		{"DeleteRun", nothing, testDeleteRun},
		{"OddText", nothing, testOddText},
	}
}

func testCreateRun(k *kit) {
	exp := k.createExperiment(tracking.Experiment{Name: "experiment", Created: base()})
	in := tracking.RunInfo{
		ID: "run1", Experiment: exp.ID, Name: "first", User: "someone", Status: tracking.Scheduled,
		Start: at(5).Add(999 * time.Microsecond), End: at(9), Tags: map[string]string{"a": "1", "b": ""},
		Params: map[string]string{"ignored": "x"}, Inputs: []tracking.DatasetInput{{Name: "ignored", Digest: "1"}},
		Metrics: map[string]tracking.Metric{"ignored": {Key: "ignored"}}, Deleted: true, DeletedAt: base(),
	}
	created := k.createRun(in)
	equal(k, created.Experiment, exp.ID)
	want := tracking.RunInfo{Name: "first", User: "someone", Status: tracking.Scheduled, Start: at(5), End: at(9), Tags: map[string]string{"a": "1", "b": ""}}
	for _, got := range []tracking.RunInfo{created, k.getRun(created.ID)} {
		equal(k, k.describeRun(got), k.describeRun(want))
		equal(k, got.Experiment, exp.ID)
		equal(k, got.ArtifactURI, exp.ArtifactLocation+"/"+string(created.ID)+"/artifacts")
	}
	in.Tags["a"] = "changed by the caller"
	created.Tags["b"] = "changed by the caller"
	equal(k, k.describeRun(k.getRun(created.ID)), k.describeRun(want))

	_, err := k.store.CreateRun(k.Context(), tracking.RunInfo{ID: "run2", Experiment: "987654321", Name: "x", Status: tracking.Running, Start: base()})
	k.isKind(err, tracking.ErrNotFound)
	_, err = k.store.Run(k.Context(), "run2")
	k.isKind(err, tracking.ErrNotFound)
	if !k.allowed.OwnIDs {
		equal(k, created.ID, in.ID)
		_, err = k.store.CreateRun(k.Context(), tracking.RunInfo{ID: "run1", Experiment: exp.ID, Name: "x", Status: tracking.Running, Start: base()})
		k.isKind(err, tracking.ErrExists)
		equal(k, k.describeRun(k.getRun(created.ID)), k.describeRun(want))
	}
	if !k.allowed.OwnURIs {
		placed := k.createRun(tracking.RunInfo{ID: "placed", Experiment: exp.ID, Name: "x", Status: tracking.Running, Start: base(), ArtifactURI: "s3://b/elsewhere"})
		equal(k, k.getRun(placed.ID).ArtifactURI, "s3://b/elsewhere")
	}
	// Ids differ by case.
	upper := k.run(exp.ID, "RUN1", base())
	if upper == created.ID {
		k.Fatalf("two runs have the id %q", upper)
	}
	equal(k, k.getRun(created.ID).Name, "first")

	located := k.createExperiment(tracking.Experiment{Name: "located", Created: base(), ArtifactLocation: "s3://bucket/some"})
	run := k.getRun(k.run(located.ID, "there", base()))
	equal(k, run.ArtifactURI, "s3://bucket/some/"+string(run.ID)+"/artifacts")
}

func testUpdateRun(k *kit) {
	id := k.oneRun()
	want := k.getRun(id)
	equal(k, want.End.IsZero(), true)
	update := func(u tracking.RunUpdate) {
		k.Helper()
		k.updateRun(id, u)
		equal(k, k.describeRun(k.getRun(id)), k.describeRun(want))
	}
	update(tracking.RunUpdate{})
	want.Name = "renamed"
	update(tracking.RunUpdate{Name: "renamed"})
	want.Status = tracking.Failed
	update(tracking.RunUpdate{Status: tracking.Failed})
	want.End = at(70)
	update(tracking.RunUpdate{End: at(70).Add(time.Microsecond)})
	want.Name, want.Status, want.End = "again", tracking.Finished, at(80)
	update(tracking.RunUpdate{Name: "again", Status: tracking.Finished, End: at(80)})
	k.isKind(k.store.UpdateRun(k.Context(), "nosuchrun", tracking.RunUpdate{Name: "x"}), tracking.ErrNotFound)

	// An ended run takes further writes.
	k.log(id, tracking.Batch{
		Params: map[string]string{"late": "1"}, Metrics: []tracking.Metric{{Key: "m", Time: base()}},
		Tags: map[string]string{"a": "1", "b": "2", "c": "3"},
	})
	want = k.getRun(id)
	equal(k, want.Params["late"], "1")
	want.Tags, want.Name = map[string]string{"b": "2"}, "third"
	update(tracking.RunUpdate{Name: "third", DeleteTags: []string{"a", "c"}})
	if !k.allowed.LooseDeletes {
		k.isKind(k.store.UpdateRun(k.Context(), id, tracking.RunUpdate{Name: "x", DeleteTags: []string{"b", "c"}}), tracking.ErrNotFound)
	}
	if !k.allowed.NotAtomic {
		update(tracking.RunUpdate{}) // nothing of that is there
	}
	want.Tags = nil
	update(tracking.RunUpdate{DeleteTags: []string{"b"}})
	want.Tags = map[string]string{"b": "again"}
	k.log(id, tracking.Batch{Tags: want.Tags})
	update(tracking.RunUpdate{})
}

func testDeleteRun(k *kit) {
	id := k.oneRun()
	k.log(id, tracking.Batch{
		Params: map[string]string{"p": "1"}, Tags: map[string]string{"t": "1"},
		Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: base()}}, Inputs: []tracking.DatasetInput{{Name: "d", Digest: "1"}},
	})
	want := k.getRun(id)
	k.updateRun(id, tracking.RunUpdate{Deleted: new(true)})
	got := k.getRun(id)
	if !k.allowed.NoDeletionTimes {
		equal(k, got.DeletedAt.IsZero(), false)
	}
	deletedAt := got.DeletedAt
	want.Deleted = true
	equal(k, k.describeRun(got), k.describeRun(want))
	equal(k, len(k.history(id, "m", 0)), 1)
	if !k.allowed.DeletesOnce {
		k.updateRun(id, tracking.RunUpdate{Deleted: new(true)}) // again does nothing
		equal(k, k.getRun(id).DeletedAt, deletedAt)
	}
	for _, err := range []error{
		k.store.UpdateRun(k.Context(), id, tracking.RunUpdate{Name: "x"}),
		k.store.UpdateRun(k.Context(), id, tracking.RunUpdate{DeleteTags: []string{"t"}}),
		k.store.LogBatch(k.Context(), id, tracking.Batch{Tags: map[string]string{"x": "y"}}),
		k.store.LogBatch(k.Context(), id, tracking.Batch{Params: map[string]string{"x": "y"}}),
		k.store.LogBatch(k.Context(), id, tracking.Batch{Metrics: []tracking.Metric{{Key: "m", Value: 2, Time: base()}}}),
		k.store.LogBatch(k.Context(), id, tracking.Batch{Inputs: []tracking.DatasetInput{{Name: "e", Digest: "1"}}}),
	} {
		k.isKind(err, tracking.ErrInvalid)
		if !strings.Contains(err.Error(), "must be in the 'active' state") {
			k.Fatalf("error %q does not say that the run must be in the 'active' state", err)
		}
	}
	equal(k, k.describeRun(k.getRun(id)), k.describeRun(want))

	want.Deleted, want.Name = false, "restored"
	k.updateRun(id, tracking.RunUpdate{Deleted: new(false), Name: "restored"})
	got = k.getRun(id)
	equal(k, got.DeletedAt, time.Time{})
	equal(k, k.describeRun(got), k.describeRun(want))
	if !k.allowed.DeletesOnce {
		k.updateRun(id, tracking.RunUpdate{Deleted: new(false)})
	}
	k.log(id, tracking.Batch{Tags: map[string]string{"x": "y"}})
	equal(k, k.getRun(id).Tags["x"], "y")
	k.updateRun(id, tracking.RunUpdate{Status: tracking.Killed, Deleted: new(true)})
	got = k.getRun(id)
	equal(k, got.Status, tracking.Killed)
	equal(k, got.Deleted, true)
}

// oddTexts is what a store may trip over.
func oddTexts() []string {
	return []string{
		"'; DROP TABLE mw_run; --", `"quoted" \ %_ back`, "日本語 ñ 🙂", " leading and trailing ", "NaN", "null", "{}", "\u200b\ufeff", "$1 ? :a @b", "ı İ ß",
	}
}

func testOddText(k *kit) {
	odd := oddTexts()
	exp := k.experiment(odd[0])
	for i, text := range append(odd, "line\nbreak\ttab\r\n") {
		id := k.run(exp, tracking.RunID(fmt.Sprintf("run%d", i)), at(int64(i)))
		if i < len(odd) { // a name has no control characters
			k.updateRun(id, tracking.RunUpdate{Name: text})
			equal(k, k.getRun(id).Name, text)
		}
		k.log(id, tracking.Batch{
			Params: map[string]string{"ключ": text, "long": strings.Repeat("ж", 6000)},
			Tags:   map[string]string{"a:b c": text, "long": strings.Repeat("ж", 8000)},
			Inputs: []tracking.DatasetInput{{Name: "d", Digest: fmt.Sprint(i), Context: text, Source: text, Schema: text, Profile: text}},
		})
		got := k.getRun(id)
		equal(k, got.Params["ключ"], text)
		equal(k, got.Params["long"], strings.Repeat("ж", 6000))
		equal(k, got.Tags["a:b c"], text)
		equal(k, got.Tags["long"], strings.Repeat("ж", 8000))
		equal(k, got.Inputs[0].Context, text)
		equal(k, got.Inputs[0].Profile, text)
	}
	found := k.searchExperiments(tracking.ExperimentQuery{Name: odd[0] + k.end}, 0)
	equal(k, len(found), 1)
}

func batchTests() []test {
	return []test{
		{"Params", nothing, testParams},
		{"ParamRace", nothing, testParamRace},
		{"Tags", nothing, testTags},
		{"Inputs", nothing, testInputs},
		{"ModelLinks", nothing, testModelLinks},
		{"SearchInputs", inputSearcher, testSearchInputs},
		{"BatchIsAtomic", nothing, testBatchIsAtomic},
		{"Resend", nothing, testResend},
		{"Ownership", nothing, testOwnership},
		{"Limits", nothing, testLimits},
	}
}

func testParams(k *kit) {
	id := k.oneRun()
	k.log(id, tracking.Batch{})
	k.log(id, tracking.Batch{Params: map[string]string{"lr": "0.1", "empty": "", "layers/0 size": "12"}})
	k.log(id, tracking.Batch{Params: map[string]string{"lr": "0.1", "more": "x"}})
	err := k.store.LogBatch(k.Context(), id, tracking.Batch{Params: map[string]string{"new": "1", "lr": "0.2", "more": "y"}})
	if k.allowed.PlainConflicts {
		k.isKind(err, tracking.ErrConflict, tracking.ErrInvalid)
	} else {
		k.isKind(err, tracking.ErrConflict)
		var conflict *tracking.ParamConflictError
		if !errors.As(err, &conflict) {
			k.Fatalf("error is %v, want a *ParamConflictError", err)
		}
		equal(k, *conflict, tracking.ParamConflictError{Run: id, Key: "lr", Old: "0.1", New: "0.2"})
		for _, word := range []string{`"lr"`, `"0.1"`, `"0.2"`} {
			if !strings.Contains(err.Error(), word) {
				k.Fatalf("error %q does not name %s", err, word)
			}
		}
	}
	err = k.store.LogBatch(k.Context(), id, tracking.Batch{Params: map[string]string{"empty": "x"}})
	k.isKind(err, tracking.ErrConflict, tracking.ErrInvalid)
	want := tracking.RunInfo{Params: map[string]string{"lr": "0.1", "empty": "", "layers/0 size": "12", "more": "x"}}
	got := k.getRun(id)
	if k.allowed.NotAtomic {
		delete(got.Params, "new")
	}
	equal(k, k.describeRun(tracking.RunInfo{Params: got.Params}), k.describeRun(want))
	k.isKind(k.store.LogBatch(k.Context(), "nosuchrun", tracking.Batch{Params: map[string]string{"a": "b"}}), tracking.ErrNotFound)
	k.isKind(k.store.LogBatch(k.Context(), "nosuchrun", tracking.Batch{}), tracking.ErrNotFound)
}

func testParamRace(k *kit) {
	const racers = 8
	id := k.oneRun()
	results := make(chan error, racers)
	for i := range racers {
		go func() {
			results <- k.store.LogBatch(k.Context(), id, tracking.Batch{
				Params: map[string]string{"p": fmt.Sprint(i)}, Tags: map[string]string{fmt.Sprint(i): "stored"},
			})
		}()
	}
	won := 0
	for range racers {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, tracking.ErrConflict) && !(k.allowed.PlainConflicts && errors.Is(err, tracking.ErrInvalid)) {
			k.Errorf("a loser got %v, want ErrConflict", err)
		}
	}
	equal(k, won, 1)
	info := k.getRun(id)
	if !k.allowed.NotAtomic {
		equal(k, len(info.Tags), 1) // one batch won, and of the others nothing is left
	}
	equal(k, info.Tags[info.Params["p"]], "stored")
}

func testTags(k *kit) {
	id := k.oneRun()
	k.log(id, tracking.Batch{Tags: map[string]string{"a": "1", "b": "2"}})
	k.log(id, tracking.Batch{Tags: map[string]string{"a": "3", "c": ""}})
	k.log(id, tracking.Batch{Tags: map[string]string{"c": ""}, Params: map[string]string{"a": "a param"}})
	got := k.getRun(id)
	equal(k, k.describeRun(tracking.RunInfo{Tags: got.Tags}), k.describeRun(tracking.RunInfo{Tags: map[string]string{"a": "3", "b": "2", "c": ""}}))
	equal(k, got.Params["a"], "a param")
}
