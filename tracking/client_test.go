package tracking_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func TestExperimentIsMadeOnce(t *testing.T) {
	t.Parallel()
	client := tracking.New(&trackingtest.Memory{}, nil)
	var wg sync.WaitGroup
	ids := make([]tracking.ExperimentID, 8)
	for i := range ids {
		wg.Go(func() {
			e, err := client.Experiment(t.Context(), "same")
			if err == nil {
				ids[i] = e.ID
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.NotEmpty(t, id)
		require.Equal(t, ids[0], id)
	}
	_, err := client.Experiment(t.Context(), "other")
	require.NoError(t, err)
	var names []string
	for e, err := range client.Experiments(t.Context(), tracking.ExperimentQuery{}) {
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), e.Created, time.Minute)
		names = append(names, e.Name)
	}
	require.ElementsMatch(t, []string{"same", "other"}, names)

	for _, bad := range []string{"", "a\nb", "\xff", strings.Repeat("x", 501)} {
		_, err := client.Experiment(t.Context(), bad)
		require.ErrorIs(t, err, tracking.ErrInvalid, bad)
	}
}

func TestStartRunDefaults(t *testing.T) {
	t.Parallel()
	store := &trackingtest.Memory{}
	_, run := startRun(t, store, nil)
	require.Regexp(t, `^[0-9a-f]{32}$`, run.ID())
	require.Regexp(t, `^[a-z]+-[a-z]+-[0-9]{1,3}$`, run.Name())
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, tracking.Running, info.Status)
	require.Equal(t, run.Experiment(), info.Experiment)
	require.WithinDuration(t, time.Now(), info.Start, time.Minute)
	require.True(t, info.End.IsZero())
}

func TestStartRunWithOptions(t *testing.T) {
	t.Parallel()
	client, first := startRun(t, &trackingtest.Memory{}, nil)
	tags := map[string]string{"commit": "abc"}
	run, err := client.StartRun(t.Context(), first.Experiment(), &tracking.RunOptions{ID: "job-1_a", Name: "baseline", Tags: tags})
	require.NoError(t, err)
	require.Equal(t, tracking.RunID("job-1_a"), run.ID())
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, "baseline", info.Name)
	require.Equal(t, tags, info.Tags)

	_, err = client.StartRun(t.Context(), first.Experiment(), &tracking.RunOptions{ID: "job-1_a"})
	require.ErrorIs(t, err, tracking.ErrExists)
	_, err = client.StartRun(t.Context(), "no-such-experiment", nil)
	require.ErrorIs(t, err, tracking.ErrNotFound)
	_, err = client.StartRun(t.Context(), first.Experiment(), &tracking.RunOptions{ID: "../etc"})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	_, err = client.StartRun(t.Context(), first.Experiment(), &tracking.RunOptions{Name: "a\x00", Tags: map[string]string{"/x": "\xff"}})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	for _, fault := range []string{"name", `tag key "/x"`, "UTF-8"} {
		require.ErrorContains(t, err, fault)
	}
	many := map[string]string{}
	for i := range 101 {
		many[fmt.Sprint(i)] = ""
	}
	_, err = client.StartRun(t.Context(), first.Experiment(), &tracking.RunOptions{Tags: many})
	require.ErrorContains(t, err, "101 tags")
}

func TestRunGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	store := &trackingtest.Memory{}
	_, run := startRun(t, store, nil)
	elsewhere, err := tracking.New(store, nil).Run(t.Context(), run.ID())
	require.NoError(t, err)
	require.NoError(t, elsewhere.Params(t.Context(), map[string]string{"lr": "0.1"}))
	require.NoError(t, elsewhere.Finish(t.Context(), tracking.Failed))
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, "0.1", info.Params["lr"])
	require.Equal(t, tracking.Failed, info.Status)
	require.False(t, info.End.Before(info.Start))
	require.NoError(t, run.SetTags(t.Context(), map[string]string{"late": "yes"}), "a finished run takes writes")

	_, err = tracking.New(store, nil).Run(t.Context(), "nosuchrun")
	require.ErrorIs(t, err, tracking.ErrNotFound)
	_, err = tracking.New(store, nil).Run(t.Context(), "")
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorIs(t, run.Finish(t.Context(), tracking.Running), tracking.ErrInvalid)
}

func TestRunsYieldsPageByPage(t *testing.T) {
	t.Parallel()
	client, first := startRun(t, &trackingtest.Memory{}, nil)
	for i := range 9 {
		run, err := client.StartRun(t.Context(), first.Experiment(), nil)
		require.NoError(t, err)
		if i%3 == 0 {
			require.NoError(t, run.Finish(t.Context(), tracking.Finished))
		}
	}
	count := func(q tracking.RunQuery) (n int) {
		q.Experiments = []tracking.ExperimentID{first.Experiment()}
		for info, err := range client.Runs(t.Context(), q) {
			require.NoError(t, err)
			require.NotEmpty(t, info.ID)
			n++
		}
		return n
	}
	for _, size := range []int{0, 1, 3, 10} {
		require.Equal(t, 10, count(tracking.RunQuery{Page: tracking.Page{Max: size}}))
		require.Equal(t, 3, count(tracking.RunQuery{Filter: "status = 'FINISHED'", Page: tracking.Page{Max: size}}))
	}
	for range client.Runs(t.Context(), tracking.RunQuery{Experiments: []tracking.ExperimentID{first.Experiment()}, Page: tracking.Page{Max: 2}}) {
		break // leaving early is fine
	}

	// Cleaning up after a crash while reading must not skip a run.
	for info, err := range client.Runs(t.Context(), tracking.RunQuery{Experiments: []tracking.ExperimentID{first.Experiment()}, Filter: "status = 'RUNNING'", Page: tracking.Page{Max: 2}}) {
		require.NoError(t, err)
		run, err := client.Run(t.Context(), info.ID)
		require.NoError(t, err)
		require.NoError(t, run.Finish(t.Context(), tracking.Killed))
	}
	require.Equal(t, 7, count(tracking.RunQuery{Filter: "status = 'KILLED'"}))
	require.Equal(t, 0, count(tracking.RunQuery{Filter: "attributes.status = 'RUNNING'"}))

	for _, err := range client.Runs(t.Context(), tracking.RunQuery{Page: tracking.Page{Max: -1}}) {
		require.ErrorIs(t, err, tracking.ErrInvalid)
		for _, fault := range []string{"Experiments is empty", "Max is -1"} {
			require.ErrorContains(t, err, fault)
		}
	}
}

func TestParamsAndTagsOfAnyNumber(t *testing.T) {
	t.Parallel()
	_, run := startRun(t, &trackingtest.Memory{}, nil)
	many := map[string]string{}
	for i := range 250 {
		many[fmt.Sprintf("key %d", i)] = fmt.Sprint(i)
	}
	require.NoError(t, run.Params(t.Context(), many))
	require.NoError(t, run.Params(t.Context(), many), "the same values again")
	require.NoError(t, run.SetTags(t.Context(), many))
	require.NoError(t, run.Params(t.Context(), nil))
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, many, info.Params)
	require.Equal(t, many, info.Tags)

	err = run.Params(t.Context(), map[string]string{"key 7": "8"})
	var conflict *tracking.ParamConflictError
	require.ErrorAs(t, err, &conflict)
	require.ErrorIs(t, err, tracking.ErrConflict)
	require.Equal(t, tracking.ParamConflictError{Run: run.ID(), Key: "key 7", Old: "7", New: "8"}, *conflict)
	long := &tracking.ParamConflictError{Old: strings.Repeat("x", 6000), New: strings.Repeat("y", 6000)}
	require.Less(t, len(long.Error()), 500, "values are shortened in the text")
}

func TestLogBatchSetsMissingTimes(t *testing.T) {
	t.Parallel()
	_, run := startRun(t, &trackingtest.Memory{}, nil)
	given := time.UnixMilli(5).UTC()
	batch := tracking.Batch{Metrics: []tracking.Metric{{Key: "a", Value: 1}, {Key: "b", Value: 2, Time: given}}}
	require.NoError(t, run.LogBatch(t.Context(), batch))
	require.True(t, batch.Metrics[0].Time.IsZero(), "the caller's batch is not changed")
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), info.Metrics["a"].Time, time.Minute)
	require.Equal(t, given, info.Metrics["b"].Time)
}

func TestLogInput(t *testing.T) {
	t.Parallel()
	_, run := startRun(t, &trackingtest.Memory{}, nil)
	in := tracking.DatasetInput{Name: "flights", Digest: "sha256:" + strings.Repeat("a", 64), Context: "training"}
	require.NoError(t, run.LogInput(t.Context(), in))
	require.NoError(t, run.LogInput(t.Context(), in))
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	in.Tags = map[string]string{} // no map in a result is nil
	require.Equal(t, []tracking.DatasetInput{in}, info.Inputs)
	require.ErrorIs(t, run.LogInput(t.Context(), tracking.DatasetInput{}), tracking.ErrInvalid)
}

func TestEverythingAnswersClosedAfterShutdown(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, &trackingtest.Memory{}, nil)
	require.NoError(t, client.Shutdown(t.Context()))
	require.NoError(t, client.Shutdown(t.Context()))
	errs := map[string]error{
		"Flush":    run.Flush(t.Context()),
		"LogBatch": run.LogBatch(t.Context(), tracking.Batch{}),
		"Params":   run.Params(t.Context(), map[string]string{"a": "b"}),
		"SetTags":  run.SetTags(t.Context(), map[string]string{"a": "b"}),
		"LogInput": run.LogInput(t.Context(), tracking.DatasetInput{Name: "a", Digest: "b"}),
		"Finish":   run.Finish(t.Context(), tracking.Finished),
		"Put":      run.Files().Put(t.Context(), "a", strings.NewReader(""), 0),
	}
	_, errs["Experiment"] = client.Experiment(t.Context(), "x")
	_, errs["StartRun"] = client.StartRun(t.Context(), run.Experiment(), nil)
	_, errs["Run"] = client.Run(t.Context(), run.ID())
	_, errs["Info"] = run.Info(t.Context())
	_, errs["History"] = run.History(t.Context(), "m")
	_, errs["Open"] = run.Files().Open(t.Context(), "a")
	for _, err := range client.Runs(t.Context(), tracking.RunQuery{Experiments: []tracking.ExperimentID{run.Experiment()}}) {
		errs["Runs"] = err
	}
	for _, err := range client.Experiments(t.Context(), tracking.ExperimentQuery{}) {
		errs["Experiments"] = err
	}
	for _, err := range run.Files().List(t.Context(), "") {
		errs["List"] = err
	}
	for _, err := range client.Models(t.Context(), tracking.ModelQuery{Experiments: []tracking.ExperimentID{run.Experiment()}}) {
		errs["Models"] = err
	}
	for _, err := range client.Traces(t.Context(), tracking.TraceQuery{Experiments: []tracking.ExperimentID{run.Experiment()}}) {
		errs["Traces"] = err
	}
	_, errs["CreateExperiment"] = client.CreateExperiment(t.Context(), "x", nil)
	_, errs["ExperimentByID"] = client.ExperimentByID(t.Context(), run.Experiment())
	errs["DeleteExperiment"] = client.DeleteExperiment(t.Context(), run.Experiment())
	errs["DeleteRun"] = client.DeleteRun(t.Context(), run.ID())
	errs["DeleteTags"] = run.DeleteTags(t.Context(), "a")
	errs["End"] = run.End(t.Context(), nil)
	_, errs["LogModel"] = run.LogModel(t.Context(), "m", fstest.MapFS{}, nil)
	_, errs["Model"] = client.Model(t.Context(), "m-1")
	_, errs["Trace"] = client.Trace(t.Context(), "tr-1")
	_, errs["Files"] = client.Files(t.Context(), "runs:/a")
	_, errs["Purge"] = client.Purge(t.Context(), nil)
	_, errs["SampleHistory"] = client.SampleHistory(t.Context(), tracking.SampleQuery{})
	require.Len(t, errs, 30)
	for method, err := range errs {
		require.ErrorIs(t, err, tracking.ErrClosed, method)
	}
	run.Metric("m", 1, 1)
	require.EqualValues(t, 1, run.Dropped())
}

// endlessStore has a history without end, or one that stands still.
type endlessStore struct {
	trackingtest.Memory
	page  []tracking.Metric
	stuck bool
	calls int
}

func (s *endlessStore) History(context.Context, tracking.RunID, string, tracking.Page) ([]tracking.Metric, string, error) {
	s.calls++
	if s.stuck {
		return s.page, "same", nil
	}
	return s.page, fmt.Sprint(s.calls), nil
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	store := &endlessStore{page: make([]tracking.Metric, 10_000)}
	_, run := startRun(t, store, nil)
	_, err := run.History(t.Context(), "m")
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, "1000000 points")

	store.stuck = true
	_, err = run.History(t.Context(), "m")
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, "same page token")

	_, err = run.History(t.Context(), "../m")
	require.ErrorIs(t, err, tracking.ErrInvalid)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for s, ended := range map[tracking.Status]bool{tracking.Running: false, tracking.Scheduled: false, tracking.Finished: true, tracking.Failed: true, tracking.Killed: true} {
		require.True(t, s.Valid())
		require.Equal(t, ended, s.Ended())
	}
	require.False(t, tracking.Status("").Valid())
	require.False(t, tracking.Status("finished").Valid())
}

func TestMetricOrderIsTotal(t *testing.T) {
	t.Parallel()
	values := []float64{math.Inf(-1), -1, math.Copysign(0, -1), math.NaN(), 1e-300, 1, math.Inf(1)}
	for i, a := range values {
		for j, b := range values {
			want := 0
			if i != j {
				want = 1
				if i < j {
					want = -1
				}
			}
			require.Equal(t, want, tracking.CompareValues(a, b), "%v %v", a, b)
			m := tracking.Metric{Value: a, Time: time.UnixMilli(1)}
			o := tracking.Metric{Value: b, Time: time.UnixMilli(1).Add(time.Microsecond)}
			require.Equal(t, want > 0, m.NewerThan(o))
		}
	}
	late, far := tracking.Metric{Step: 1, Time: time.UnixMilli(9)}, tracking.Metric{Step: 2, Time: time.UnixMilli(1)}
	require.True(t, far.NewerThan(late))
	require.False(t, late.NewerThan(far))
}

func TestStoreErrorsPassThrough(t *testing.T) {
	t.Parallel()
	cause := errors.New("the disk is on fire")
	store := &faultyStore{}
	_, run := startRun(t, store, nil)
	store.set(cause, nil)
	require.ErrorIs(t, run.Params(t.Context(), map[string]string{"a": "b"}), cause)
}
