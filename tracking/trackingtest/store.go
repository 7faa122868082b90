package trackingtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

func storeTests() []test {
	return []test{
		{"ConcurrentWriters", nothing, testConcurrentWriters},
		{"ConcurrentRuns", nothing, testConcurrentRuns},
		{"EndedContext", nothing, testEndedContext},
	}
}

func testConcurrentWriters(k *kit) {
	const writers, batches, points = 6, 5, 40
	id := k.oneRun()
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
				failed <- k.store.LogBatch(k.Context(), id, b)
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		k.noError(err)
	}
	info := k.getRun(id)
	equal(k, len(info.Params), writers+1)
	equal(k, len(info.Metrics), writers+1)
	for key, latest := range info.Metrics {
		equal(k, latest.Step, batches*points-1)
		equal(k, len(k.history(id, key, 0)), batches*points)
	}
}

// testConcurrentRuns has writers that create, log to, end and delete runs of
// one experiment while others search it.
func testConcurrentRuns(k *kit) {
	const writers, each = 4, 6
	exp := k.experiment("experiment")
	failed := make(chan error, writers)
	for w := range writers {
		go func() { failed <- writeRuns(k.Context(), k.store, exp, w, each) }()
	}
	for done := 0; done < writers; {
		select {
		case err := <-failed:
			k.noError(err)
			done++
		default:
			q := tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, Filter: "metrics.m >= 0", OrderBy: []string{"metrics.m DESC"}}
			for _, r := range k.searchRuns(q, 3) {
				if r.Deleted || r.Params["p"] != "1" { // the batch with the metric has the param
					k.Fatalf("a search for active runs with a metric found\n%s", k.describeRun(r))
				}
			}
		}
	}
	equal(k, len(k.searchRuns(tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}}, 0)), writers*each/2)
	equal(k, len(k.searchRuns(tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, View: tracking.All}, 0)), writers*each)
}

func writeRuns(ctx context.Context, s tracking.Store, exp tracking.ExperimentID, writer, n int) error {
	for i := range n {
		r, err := s.CreateRun(ctx, tracking.RunInfo{
			ID: tracking.RunID(fmt.Sprintf("w%dr%d", writer, i)), Experiment: exp, Name: "x", Status: tracking.Running, Start: at(int64(i)),
		})
		if err != nil {
			return err
		}
		b := tracking.Batch{Metrics: []tracking.Metric{{Key: "m", Value: float64(i), Time: base()}}, Params: map[string]string{"p": "1"}}
		if err := s.LogBatch(ctx, r.ID, b); err != nil {
			return err
		}
		u := tracking.RunUpdate{Status: tracking.Finished, End: at(100)}
		if i%2 == 0 {
			u.Deleted = new(true)
		}
		if err := s.UpdateRun(ctx, r.ID, u); err != nil {
			return err
		}
	}
	return nil
}

func testEndedContext(k *kit) {
	id := k.oneRun()
	exp := k.getRun(id).Experiment
	ctx := k.endedContext()
	ended := func(err error) {
		k.Helper()
		k.isKind(err, ctx.Err())
	}
	_, err := k.store.CreateExperiment(ctx, tracking.Experiment{Name: "late" + k.end, Created: base()})
	ended(err)
	ended(k.store.UpdateExperiment(ctx, exp, tracking.ExperimentUpdate{Name: "late" + k.end}))
	_, _, err = k.store.SearchExperiments(ctx, tracking.ExperimentQuery{})
	ended(err)
	_, err = k.store.CreateRun(ctx, tracking.RunInfo{ID: "late", Experiment: exp, Name: "x", Status: tracking.Running, Start: base()})
	ended(err)
	_, err = k.store.Run(ctx, id)
	ended(err)
	ended(k.store.UpdateRun(ctx, id, tracking.RunUpdate{Name: "late"}))
	ended(k.store.LogBatch(ctx, id, tracking.Batch{Tags: map[string]string{"late": ""}}))
	_, _, err = k.store.History(ctx, id, "m", tracking.Page{})
	ended(err)
	_, _, err = k.store.SearchRuns(ctx, tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}})
	ended(err)
	if s, ok := k.store.(tracking.Sampler); ok {
		_, err = s.SampleHistory(ctx, tracking.SampleQuery{Runs: []tracking.RunID{id}, Key: "m", Max: 1})
		ended(err)
	}
	if s, ok := k.store.(tracking.InputSearcher); ok {
		_, err = s.SearchInputs(ctx, []tracking.ExperimentID{exp}, 1)
		ended(err)
	}
	if s, ok := k.store.(tracking.Purger); ok {
		_, err = s.PurgeRuns(ctx, []tracking.RunID{id})
		ended(err)
		_, err = s.PurgeModels(ctx, []tracking.ModelID{"m-1"})
		ended(err)
		ended(s.PurgeExperiment(ctx, exp))
	}
	if k.models != nil {
		k.endedModels(ctx, exp)
	}
	if k.traces != nil {
		k.endedTraces(ctx, exp, id)
	}
	equal(k, k.getExperiment(exp).Name, "experiment"+k.end)
	if info := k.getRun(id); info.Name == "late" || len(info.Tags) > 0 && !k.allowed.OwnTags {
		k.Fatalf("a write under an ended context was stored")
	}
}

func (k *kit) endedModels(ctx context.Context, exp tracking.ExperimentID) {
	k.Helper()
	_, err := k.models.CreateModel(ctx, tracking.LoggedModel{ID: "m-late", Experiment: exp, Name: "late", Created: base()})
	k.isKind(err, ctx.Err())
	_, err = k.models.Model(ctx, "m-late")
	k.isKind(err, ctx.Err())
	k.isKind(k.models.UpdateModel(ctx, "m-late", tracking.ModelUpdate{Status: tracking.ModelReady}), ctx.Err())
	_, _, err = k.models.SearchModels(ctx, tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}})
	k.isKind(err, ctx.Err())
	equal(k, len(k.searchModels(tracking.ModelQuery{Experiments: []tracking.ExperimentID{exp}}, 0)), 0)
}

func (k *kit) endedTraces(ctx context.Context, exp tracking.ExperimentID, run tracking.RunID) {
	k.Helper()
	id := k.traceID(1)
	ended := func(err error) {
		k.Helper()
		k.isKind(err, ctx.Err())
	}
	_, err := k.traces.PutTrace(ctx, tracking.Trace{ID: id, Experiment: exp, State: tracking.TraceOK, Start: base()})
	ended(err)
	ended(k.traces.PutSpans(ctx, exp, []tracking.Span{span(id, 1, -1, "x", 1, 2, nil)}))
	_, err = k.traces.Traces(ctx, []tracking.TraceID{id}, false)
	ended(err)
	ended(k.traces.UpdateTrace(ctx, id, tracking.TraceUpdate{SetTags: map[string]string{"late": ""}}))
	_, _, err = k.traces.SearchTraces(ctx, tracking.TraceQuery{Experiments: []tracking.ExperimentID{exp}})
	ended(err)
	_, err = k.traces.DeleteTraces(ctx, exp, nil, time.Now(), 1)
	ended(err)
	ended(k.traces.LinkTraces(ctx, run, []tracking.TraceID{id}))
	_, err = k.traces.PutAssessment(ctx, tracking.Assessment{Trace: id, Name: "x", Kind: tracking.Feedback, Valid: true, Created: base()})
	ended(err)
	ended(k.traces.DeleteAssessment(ctx, id, "a-1"))
	k.noTrace(id)
}
