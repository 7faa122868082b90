package trackingtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

func testExperiments(t *testing.T, s tracking.Store) {
	list := func(name string, size int) []tracking.Experiment {
		return readAll(t, size, func(p tracking.Page) ([]tracking.Experiment, string, error) {
			return s.Experiments(t.Context(), tracking.ExperimentQuery{Name: name, Page: p})
		})
	}
	equal(t, len(list("", 0)), 0)
	var want []tracking.Experiment
	ids := map[tracking.ExperimentID]bool{}
	for i := range 7 {
		e := tracking.Experiment{Name: fmt.Sprintf("experiment %d", 9-i), Created: at(int64(i)).Add(123 * time.Microsecond)}
		got, err := s.CreateExperiment(t.Context(), e)
		noError(t, err)
		equal(t, got.Name, e.Name)
		equal(t, got.Created, at(int64(i)))
		if got.ID == "" || strings.Contains(string(got.ID), "/") || ids[got.ID] {
			t.Fatalf("experiment id %q is empty, has a slash or came before", got.ID)
		}
		ids[got.ID] = true
		want = append(want, got)
	}
	_, err := s.CreateExperiment(t.Context(), tracking.Experiment{Name: want[3].Name, Created: base()})
	isKind(t, err, tracking.ErrExists)

	for _, size := range []int{0, 1, 3, 7, 8} {
		equal(t, fmt.Sprint(list("", size)), fmt.Sprint(want))
	}
	equal(t, fmt.Sprint(list(want[2].Name, 0)), fmt.Sprint(want[2:3]))
	equal(t, len(list("experiment", 0)), 0)
}

func testExperimentRace(t *testing.T, s tracking.Store) {
	const racers = 8
	results := make(chan error, racers)
	for range racers {
		go func() {
			_, err := s.CreateExperiment(t.Context(), tracking.Experiment{Name: "same", Created: base()})
			results <- err
		}()
	}
	won := 0
	for range racers {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, tracking.ErrExists) {
			t.Errorf("a loser got %v, want ErrExists", err)
		}
	}
	equal(t, won, 1)
}

func testCreateRun(t *testing.T, s tracking.Store) {
	exp := newExperiment(t, s, "experiment")
	in := tracking.RunInfo{
		ID: "run1", Experiment: exp, Name: "first", Status: tracking.Scheduled,
		Start: at(5).Add(999 * time.Microsecond), Tags: map[string]string{"a": "1", "b": ""},
		Params: map[string]string{"ignored": "x"},
	}
	created, err := s.CreateRun(t.Context(), in)
	noError(t, err)
	equal(t, created.Experiment, exp)
	want := tracking.RunInfo{Name: "first", Status: tracking.Scheduled, Start: at(5), Tags: in.Tags}
	equal(t, describe(created), describe(want))
	equal(t, describe(getRun(t, s, created.ID)), describe(want))
	equal(t, getRun(t, s, created.ID).Experiment, exp)

	_, err = s.CreateRun(t.Context(), tracking.RunInfo{ID: "run2", Experiment: "no-such-experiment", Name: "x", Status: tracking.Running, Start: base()})
	isKind(t, err, tracking.ErrNotFound)
	_, err = s.Run(t.Context(), "run2")
	isKind(t, err, tracking.ErrNotFound)
	if created.ID == in.ID { // a store that allocates ids cannot find them taken
		_, err = s.CreateRun(t.Context(), tracking.RunInfo{ID: "run1", Experiment: exp, Name: "x", Status: tracking.Running, Start: base()})
		isKind(t, err, tracking.ErrExists)
		equal(t, describe(getRun(t, s, created.ID)), describe(want))
	}
	// Ids differ by case.
	upper := newRun(t, s, exp, "RUN1", base())
	if upper == created.ID {
		t.Fatalf("two runs have the id %q", upper)
	}
	equal(t, getRun(t, s, created.ID).Name, "first")
}

func testUpdateRun(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	want := getRun(t, s, id)
	equal(t, want.End.IsZero(), true)
	update := func(u tracking.RunUpdate) {
		t.Helper()
		noError(t, s.UpdateRun(t.Context(), id, u))
		equal(t, describe(getRun(t, s, id)), describe(want))
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
	isKind(t, s.UpdateRun(t.Context(), "nosuchrun", tracking.RunUpdate{Name: "x"}), tracking.ErrNotFound)

	// An ended run takes further writes.
	log(t, s, id, tracking.Batch{Params: map[string]string{"late": "1"}, Metrics: []tracking.Metric{{Key: "m", Time: base()}}})
	equal(t, getRun(t, s, id).Params["late"], "1")
}

func testSearchRuns(t *testing.T, s tracking.Store) {
	exp, other := newExperiment(t, s, "experiment"), newExperiment(t, s, "other")
	newRun(t, s, other, "elsewhere", at(3))
	var latest []string // the wanted order: start downwards, id upwards
	for i := range 12 {
		start := at(int64(i / 3)) // three runs each start at the same time
		id := newRun(t, s, exp, tracking.RunID(fmt.Sprintf("run%c", 'a'+(i*5)%12)), start)
		if i%4 == 0 {
			noError(t, s.UpdateRun(t.Context(), id, tracking.RunUpdate{Status: tracking.Killed, End: at(100)}))
		}
		log(t, s, id, tracking.Batch{
			Params:  map[string]string{"i": fmt.Sprint(i)},
			Tags:    map[string]string{"t": "x"},
			Metrics: []tracking.Metric{{Key: "m", Value: float64(i), Time: base()}},
			Inputs:  []tracking.DatasetInput{{Name: "d", Digest: "1", Source: "s3://b/d", Schema: "{}", Profile: "{}"}},
		})
	}
	for group := 3; group >= 0; group-- {
		ids := []string{}
		for i := group * 3; i < group*3+3; i++ {
			ids = append(ids, fmt.Sprintf("run%c", 'a'+(i*5)%12))
		}
		slices.Sort(ids)
		latest = append(latest, ids...)
	}
	for _, size := range []int{0, 1, 2, 5, 12, 13} {
		found := search(t, s, tracking.RunQuery{Experiment: exp}, size)
		var ids []string
		for _, r := range found {
			ids = append(ids, strings.TrimPrefix(r.Name, "name of "))
			want := getRun(t, s, r.ID)
			equal(t, want.Inputs[0].Profile, "{}")
			want.Inputs[0].Schema, want.Inputs[0].Profile = "", ""
			equal(t, describe(r), describe(want))
			equal(t, r.Experiment, exp)
		}
		equal(t, strings.Join(ids, " "), strings.Join(latest, " "))
	}
	for status, want := range map[tracking.Status]int{tracking.Killed: 3, tracking.Running: 9, tracking.Failed: 0} {
		for _, size := range []int{0, 2} {
			found := search(t, s, tracking.RunQuery{Experiment: exp, Status: status}, size)
			equal(t, len(found), want)
			for _, r := range found {
				equal(t, r.Status, status)
			}
		}
	}
	equal(t, len(search(t, s, tracking.RunQuery{Experiment: "no-such-experiment"}, 0)), 0)
}

func testPageTokens(t *testing.T, s tracking.Store) {
	exp, other := newExperiment(t, s, "experiment"), newExperiment(t, s, "other")
	a, b := newRun(t, s, exp, "runa", at(1)), newRun(t, s, exp, "runb", at(2))
	for _, id := range []tracking.RunID{a, b} {
		log(t, s, id, tracking.Batch{Metrics: []tracking.Metric{
			{Key: "m", Value: 1, Time: base()}, {Key: "m", Value: 2, Time: base()},
			{Key: "n", Value: 1, Time: base()}, {Key: "n", Value: 2, Time: base()},
		}})
	}
	_, historyToken, err := s.History(t.Context(), a, "m", tracking.Page{Max: 1})
	noError(t, err)
	_, runToken, err := s.SearchRuns(t.Context(), tracking.RunQuery{Experiment: exp, Page: tracking.Page{Max: 1}})
	noError(t, err)
	_, experimentToken, err := s.Experiments(t.Context(), tracking.ExperimentQuery{Page: tracking.Page{Max: 1}})
	noError(t, err)
	if historyToken == "" || runToken == "" || experimentToken == "" {
		t.Fatal("there is more to read and no token")
	}
	readHistory := func(id tracking.RunID, key, token string) error {
		_, _, err := s.History(t.Context(), id, key, tracking.Page{Token: token})
		return err
	}
	readRuns := func(exp tracking.ExperimentID, status tracking.Status, token string) error {
		_, _, err := s.SearchRuns(t.Context(), tracking.RunQuery{Experiment: exp, Status: status, Page: tracking.Page{Token: token}})
		return err
	}
	readExperiments := func(name, token string) error {
		_, _, err := s.Experiments(t.Context(), tracking.ExperimentQuery{Name: name, Page: tracking.Page{Token: token}})
		return err
	}
	noError(t, readHistory(a, "m", historyToken))
	noError(t, readRuns(exp, "", runToken))
	noError(t, readExperiments("", experimentToken))
	for _, bad := range []string{"x", "!", "AAAA", strings.Repeat("A", 5000), historyToken + "A", runToken[:len(runToken)-2], "\x00", experimentToken + "="} {
		isKind(t, readHistory(a, "m", bad), tracking.ErrInvalid)
		isKind(t, readRuns(exp, "", bad), tracking.ErrInvalid)
		isKind(t, readExperiments("", bad), tracking.ErrInvalid)
	}
	isKind(t, readHistory(b, "m", historyToken), tracking.ErrInvalid)
	isKind(t, readHistory(a, "n", historyToken), tracking.ErrInvalid)
	isKind(t, readHistory(a, "m", runToken), tracking.ErrInvalid)
	isKind(t, readRuns(other, "", runToken), tracking.ErrInvalid)
	isKind(t, readRuns(exp, tracking.Running, runToken), tracking.ErrInvalid)
	isKind(t, readRuns(exp, "", experimentToken), tracking.ErrInvalid)
	isKind(t, readExperiments("other", experimentToken), tracking.ErrInvalid)
}

func testEndedContext(t *testing.T, s tracking.Store) {
	id := oneRun(t, s)
	ctx := endedContext(t)
	_, err := s.CreateExperiment(ctx, tracking.Experiment{Name: "late", Created: base()})
	isKind(t, err, ctx.Err())
	_, _, err = s.Experiments(ctx, tracking.ExperimentQuery{})
	isKind(t, err, ctx.Err())
	_, err = s.CreateRun(ctx, tracking.RunInfo{ID: "late", Experiment: getRun(t, s, id).Experiment, Name: "x", Status: tracking.Running, Start: base()})
	isKind(t, err, ctx.Err())
	_, err = s.Run(ctx, id)
	isKind(t, err, ctx.Err())
	isKind(t, s.UpdateRun(ctx, id, tracking.RunUpdate{Name: "late"}), ctx.Err())
	isKind(t, s.LogBatch(ctx, id, tracking.Batch{Tags: map[string]string{"late": ""}}), ctx.Err())
	_, _, err = s.History(ctx, id, "m", tracking.Page{})
	isKind(t, err, ctx.Err())
	_, _, err = s.SearchRuns(ctx, tracking.RunQuery{Experiment: getRun(t, s, id).Experiment})
	isKind(t, err, ctx.Err())

	if info := getRun(t, s, id); info.Name == "late" || len(info.Tags) > 0 {
		t.Fatal("a write under an ended context was stored")
	}
}

func testConcurrentWriters(t *testing.T, s tracking.Store) {
	const writers, batches, points = 6, 5, 40
	id := oneRun(t, s)
	var wg sync.WaitGroup
	failed := make(chan error, writers*batches)
	for w := range writers {
		wg.Go(func() {
			for i := range batches {
				b := tracking.Batch{Params: map[string]string{"shared": "x", fmt.Sprintf("own%d", w): "y"}}
				for p := range points {
					n := i*points + p
					b.Metrics = append(b.Metrics,
						tracking.Metric{Key: "shared", Value: float64(n), Step: int64(n), Time: at(int64(n))},
						tracking.Metric{Key: fmt.Sprintf("own%d", w), Value: float64(n), Step: int64(n), Time: at(int64(n))})
				}
				failed <- s.LogBatch(t.Context(), id, b)
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		noError(t, err)
	}
	info := getRun(t, s, id)
	equal(t, len(info.Params), writers+1)
	equal(t, len(info.Metrics), writers+1)
	for key, latest := range info.Metrics {
		equal(t, latest.Step, batches*points-1)
		equal(t, len(history(t, s, id, key, 0)), batches*points)
	}
}
