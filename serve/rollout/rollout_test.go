package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// decided runs one experiment on traffic until it is over, in a bubble of
// synthetic time, and returns its events.
func decided(t *testing.T, e rollout.Experiment, requests int, versions ...*behaviour) (list []rollout.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, versions...)
		r := newRollout(t, e, &rollout.Options{OnEvent: func(ev rollout.Event) { list = append(list, ev) }})
		q := run(t, r, s)
		synctest.Wait()
		traffic(t.Context(), s, requests)
		if err := q.end(); err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
	return list
}

func TestPromote(t *testing.T) {
	t.Parallel()
	var last rollout.Event
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(behaviour), new(behaviour))
		r := newRollout(t, experiment(), &rollout.Options{OnEvent: func(e rollout.Event) { last = e }})
		q := run(t, r, s)
		synctest.Wait()
		stays := ""
		for i := 0; stays == "" || r.Version(stays) != "1"; i++ {
			stays = fmt.Sprint("user-", i)
		}
		traffic(t.Context(), s, 2000)
		require.NoError(t, q.over())
		// Without the experiment the version that was promoted answers all.
		_, c, err := ask(t.Context(), s, stays)
		require.NoError(t, err)
		require.Equal(t, "2", c.Version)
		require.Empty(t, c.Variant)
		require.Empty(t, r.Version(stays))
		st := r.Status()
		require.False(t, st.Ended.IsZero())
		require.Equal(t, rollout.Promote, st.Challengers[0].Verdict)
	})
	require.Equal(t, rollout.Decided, last.Kind)
	require.Equal(t, rollout.Promote, last.Verdict)
	require.Equal(t, "2", last.Challenger)
	ev := last.Evidence[0]
	require.True(t, ev.Passed())
	require.False(t, ev.Harmed())
	require.GreaterOrEqual(t, ev.Challenger.N, int64(100))
	require.Less(t, ev.Challenger.High, 0.1)
	require.Contains(t, ev.String(), "errors 0 (0 to")
}

func TestRollbackOnErrors(t *testing.T) {
	t.Parallel()
	list := decided(t, experiment(), 1500, new(behaviour), &behaviour{fails: every(5)})
	require.Len(t, list, 2)
	require.Equal(t, rollout.Rollback, list[1].Verdict)
	require.Contains(t, list[1].Reason, "worse than the margin of 0.02")
	require.True(t, list[1].Evidence[0].Harmed())
	require.Greater(t, list[1].Evidence[0].Challenger.Low, list[1].Evidence[0].Champion.Value)
}

func TestRollbackOnLatency(t *testing.T) {
	t.Parallel()
	e := experiment()
	e.Guards = []rollout.Guard{{Metric: rollout.Latency, Quantile: 0.9, Margin: 0.2}}
	takes := func(unit time.Duration) func(int64) time.Duration {
		return func(n int64) time.Duration { return unit * time.Duration(10+n*7919%13) }
	}
	list := decided(t, e, 3000, &behaviour{takes: takes(time.Millisecond)}, &behaviour{takes: takes(1500 * time.Microsecond)})
	last := list[len(list)-1]
	require.Equal(t, rollout.Rollback, last.Verdict)
	ev := last.Evidence[0]
	require.Equal(t, "latency p90", ev.Guard)
	require.InDelta(t, 0.021, ev.Champion.Value, 0.0015)
	require.InDelta(t, 0.032, ev.Challenger.Value, 0.0025)
	require.LessOrEqual(t, ev.Challenger.Low, ev.Challenger.Value)
	require.Contains(t, last.Reason, "ms")

	// As fast as the champion.
	list = decided(t, e, 6000, &behaviour{takes: takes(time.Millisecond)}, &behaviour{takes: takes(time.Millisecond)})
	require.Equal(t, rollout.Promote, list[len(list)-1].Verdict, list[len(list)-1])

	// Better is asked for, and not found.
	e.Guards[0].Superior = true
	list = decided(t, e, 3000, &behaviour{takes: takes(time.Millisecond)}, &behaviour{takes: takes(time.Millisecond)})
	require.Len(t, list, 1)
	list = decided(t, e, 3000, &behaviour{takes: takes(time.Millisecond)}, &behaviour{takes: takes(500 * time.Microsecond)})
	require.Equal(t, rollout.Promote, list[len(list)-1].Verdict)
}

func TestScores(t *testing.T) {
	t.Parallel()
	e := experiment()
	e.Guards = []rollout.Guard{{Metric: rollout.Score, Name: "mean", Min: 0, Max: 10, Margin: 0.5, Value: func(x *serve.Exchange) (float64, bool) {
		return x.Response.Output("y").FP64()[0], true
	}}}
	// Version 1 says 5, version 2 says 1 + says.
	list := decided(t, e, 3000, &behaviour{says: 4}, &behaviour{says: 2})
	require.Equal(t, rollout.Rollback, list[len(list)-1].Verdict)
	ev := list[len(list)-1].Evidence[0]
	require.InDelta(t, 5, ev.Champion.Value, 1e-9)
	require.InDelta(t, 3, ev.Challenger.Value, 1e-9)
	require.LessOrEqual(t, ev.Challenger.Low, 3.0)
	require.GreaterOrEqual(t, ev.Challenger.High, 3.0)

	list = decided(t, e, 3000, &behaviour{says: 4}, &behaviour{says: 4})
	require.Equal(t, rollout.Promote, list[len(list)-1].Verdict)

	e.Guards[0].LowerIsBetter = true
	e.Guards[0].Superior = true
	list = decided(t, e, 3000, &behaviour{says: 4}, &behaviour{says: 2})
	require.Equal(t, rollout.Promote, list[len(list)-1].Verdict)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	e := experiment()
	e.Guards = []rollout.Guard{{Metric: rollout.Label, Name: "right", Margin: 0.1}}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(behaviour), new(behaviour))
		r := newRollout(t, e, nil)
		q := run(t, r, s)
		synctest.Wait()
		require.False(t, r.Label("right", "nobody", 1))
		for i := range 2000 {
			_, c, err := ask(t.Context(), s, fmt.Sprintf("user-%d", i))
			require.NoError(t, err)
			right := 1.0
			if c.Version == "2" && i%2 == 0 {
				right = 0
			}
			if i%10 == 0 {
				require.True(t, r.LabelVersion("right", c.Version, time.Now(), right))
			} else if r.Status().Ended.IsZero() {
				require.True(t, r.Label("right", c.RequestID, right))
				require.False(t, r.Label("right", c.RequestID, right), "a second label of one request")
				require.False(t, r.Label("wrong", c.RequestID, right))
			}
			pass(10 * time.Millisecond)
		}
		require.NoError(t, q.over())
		st := r.Status().Challengers[0]
		require.Equal(t, rollout.Rollback, st.Verdict)
		require.InDelta(t, 0.5, st.Evidence[0].Challenger.Value, 0.1)
		require.False(t, r.LabelVersion("right", "9", time.Now(), 1))
	})
}

// Labels of requests from before a step of the ramp are of other times than those
// after it: they do not count.
func TestLabelsOfAnEarlierStep(t *testing.T) {
	t.Parallel()
	e := experiment()
	e.Guards = []rollout.Guard{{Metric: rollout.Label, Name: "right", Margin: 0.1}}
	e.Ramp = []rollout.Step{{Share: 0.5, For: time.Minute}, {Share: 1}}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(behaviour), new(behaviour))
		r := newRollout(t, e, nil)
		q := run(t, r, s)
		synctest.Wait()
		began := time.Now()
		require.False(t, r.LabelVersion("right", "2", began.Add(-time.Hour), 1))
		var early []serve.Call
		for i := range 1000 {
			_, c, err := ask(t.Context(), s, fmt.Sprintf("user-%d", i))
			require.NoError(t, err)
			early = append(early, c)
		}
		require.True(t, r.Label("right", early[0].RequestID, 1))
		pass(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, 2, r.Status().Step)
		require.False(t, r.Label("right", early[1].RequestID, 1))
		require.False(t, r.LabelVersion("right", early[1].Version, began, 1))
		_, c, err := ask(t.Context(), s, "user-1")
		require.NoError(t, err)
		require.True(t, r.Label("right", c.RequestID, 1))
		require.True(t, r.LabelVersion("right", c.Version, time.Now(), 1))
		require.Error(t, q.end())
	})
}

func TestRamp(t *testing.T) {
	t.Parallel()
	e := experiment()
	e.Ramp = []rollout.Step{{Share: 0.1, For: 5 * time.Second, Samples: 20}, {Share: 0.5, For: 5 * time.Second}, {Share: 1}}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(behaviour), new(behaviour))
		var shares []float64
		r := newRollout(t, e, &rollout.Options{OnEvent: func(ev rollout.Event) { shares = append(shares, ev.Share) }})
		q := run(t, r, s)
		synctest.Wait()
		moved := map[string]bool{}
		for i := 0; r.Status().Ended.IsZero(); i++ {
			user := fmt.Sprintf("user-%d", i%300)
			version := r.Version(user)
			if moved[user] {
				require.NotEqual(t, "1", version, "a step took a key away")
			}
			moved[user] = moved[user] || version == "2"
			_, _, err := ask(t.Context(), s, user)
			require.NoError(t, err)
			pass(10 * time.Millisecond)
		}
		require.NoError(t, q.over())
		require.Equal(t, []float64{0.1, 0.5, 1, 1}, shares)
		require.Equal(t, 3, r.Status().Step)
	})
}

func TestSeveralChallengers(t *testing.T) {
	t.Parallel()
	e := experiment()
	e.Challengers = []rollout.Challenger{{Version: "2", Share: 0.3}, {Version: "3", Share: 0.3}, {Version: "4", Share: 0.1}}
	list := decided(t, e, 4000, new(behaviour), &behaviour{fails: every(3)}, new(behaviour), new(behaviour))
	verdicts := map[string]rollout.Verdict{}
	for _, ev := range list {
		if ev.Kind == rollout.Decided {
			verdicts[ev.Challenger] = ev.Verdict
		}
	}
	require.Equal(t, map[string]rollout.Verdict{"2": rollout.Rollback, "3": rollout.Promote, "4": rollout.Keep}, verdicts)
}

func TestMaxDurationKeeps(t *testing.T) {
	t.Parallel()
	e := experiment()
	e.MaxDuration = 10 * time.Second
	e.Guards[0].Margin = 0.0001
	list := decided(t, e, 1500, new(behaviour), new(behaviour))
	require.Equal(t, rollout.Keep, list[1].Verdict)
	require.Contains(t, list[1].Reason, "undecided after 10s")
}

// TestWhatIsNotCounted: requests without a key, for a version by name, and those
// that fail through the client.
func TestWhatIsNotCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(behaviour), new(behaviour))
		r := newRollout(t, experiment(), nil)
		q := run(t, r, s)
		synctest.Wait()
		for range 200 {
			_, c, err := ask(t.Context(), s, "")
			require.NoError(t, err)
			require.Empty(t, c.Variant)
			c = serve.Call{Model: "m", Version: "2", Request: c.Request}
			_, err = s.Do(t.Context(), &c)
			require.NoError(t, err)
			c = serve.Call{Model: "m", Header: header("user-1"), Request: c.Request}
			c.Request.Inputs = nil
			_, err = s.Do(t.Context(), &c)
			require.ErrorIs(t, err, serve.ErrInvalid)
		}
		require.ErrorIs(t, q.end(), context.Canceled)
		require.Zero(t, r.Status().Requests)
		require.Zero(t, r.Status().Challengers[0].Requests)
	})
}

type header string

func (h header) Get(string) string { return string(h) }

func TestRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(behaviour), &behaviour{fails: every(3)})
		var mu sync.Mutex
		var recorded []rollout.Event
		failures := 2
		r := newRollout(t, experiment(), &rollout.Options{Record: func(_ context.Context, e rollout.Event) error {
			mu.Lock()
			defer mu.Unlock()
			switch failures--; failures {
			case 1:
				return errors.New("the registry is out of reach")
			case 0:
				panic("the registry's client is broken")
			}
			recorded = append(recorded, e)
			return nil
		}})
		q := run(t, r, s)
		synctest.Wait()
		traffic(t.Context(), s, 1500)
		require.NoError(t, q.over())
		require.Len(t, recorded, 1)
		require.Equal(t, rollout.Rollback, recorded[0].Verdict)
	})
}

func TestNewSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := rollout.New(rollout.Experiment{
		Challengers: []rollout.Challenger{{Version: "2", Share: 0.8}, {Version: "2", Share: 0.4}, {Share: -1}},
		Ramp:        []rollout.Step{{Share: 0.5, For: -1, Samples: -1, Alpha: 0.9}, {Share: 0.4}},
		Guards:      []rollout.Guard{{}, {Metric: rollout.Latency, Quantile: 2}, {Metric: rollout.Score, Min: 2, Max: 1}},
		MinSamples:  -1, MaxDuration: -2, Alpha: 0.7,
		Shadow: &rollout.Shadow{Fraction: 2, Queue: -1, Tolerance: serve.Tolerance{Abs: -1}},
	}, nil)
	require.ErrorIs(t, err, rollout.ErrInvalid)
	for _, part := range []string{
		"Name has 0 bytes", "Model has 0 bytes", "Champion has 0 bytes", "Key is nil", `Challengers[1] is version "2" again`,
		"Challengers[2].Share is -1", "Ramp[0].For", "Ramp[0].Samples", "Ramp[0].Alpha", "Ramp[1].Share", "the last step's Share is 0.4",
		`Guards[0].Metric is ""`, "Guards[1].Margin is 0", "Guards[1].Quantile is 2", "Guards[2].Value is nil", "Guards[2] has Min 2 and Max 1",
		"MinSamples is -1", "MaxDuration is -2", "Alpha is 0.7", "Shadow.Fraction", "Queue -1", "Abs -1",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = rollout.New(experiment(), &rollout.Options{Interval: -1})
	require.ErrorIs(t, err, rollout.ErrInvalid)
}

func TestRunNeedsTheModel(t *testing.T) {
	t.Parallel()
	s := serve.New(nil)
	require.ErrorIs(t, newRollout(t, experiment(), nil).Run(t.Context(), s), rollout.ErrNotFound)
	require.NoError(t, s.Shutdown(t.Context()))
}
