package judge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/judge"
)

func samples(n int) iter.Seq2[judge.Sample, error] {
	return func(yield func(judge.Sample, error) bool) {
		for i := range n {
			if !yield(judge.Sample{ID: strconv.Itoa(i), Output: strconv.Itoa(i), Expected: strconv.Itoa(i - i%4)}, nil) {
				return
			}
		}
	}
}

// However many ask at once, no limit is passed, and what is left is used.
func TestBudgetIsNeverOverspent(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]judge.Limits{
		"calls":  {Calls: 25},
		"tokens": {Tokens: 9000},
		"money":  {Money: 0.05, InputPrice: 2, OutputPrice: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			budget, err := judge.NewBudget(limits)
			require.NoError(t, err)
			var served, tokens atomic.Int64
			client, _ := server(t, func(n int, _ *request) reply {
				served.Add(1)
				if n%5 == 4 {
					return reply{status: 503}
				}
				tokens.Add(100 + 64)
				r := rated("2")
				r.given = 64
				return r
			})
			j := newJudge(t, client, judge.Options{Budget: budget, MaxTokens: 64})
			report, err := judge.Evaluate(t.Context(), samples(400), []judge.Scorer{j}, &judge.EvaluateOptions{Concurrency: 16})
			require.NoError(t, err)
			spent := budget.Spent()
			s := report.Scorers[0]
			require.Equal(t, 400, s.Count+s.Skipped+s.Failed)
			require.Positive(t, s.Count)
			require.Positive(t, s.Skipped)
			require.Equal(t, served.Load(), spent.Calls)
			require.Equal(t, tokens.Load(), spent.Input+spent.Output)
			require.Equal(t, spent.Calls, report.Usage.Calls)
			if limits.Calls > 0 {
				require.Equal(t, limits.Calls, spent.Calls)
			}
			if limits.Tokens > 0 {
				require.LessOrEqual(t, spent.Input+spent.Output, limits.Tokens)
				require.Greater(t, spent.Input+spent.Output, limits.Tokens/2)
			}
			if limits.Money > 0 {
				require.LessOrEqual(t, spent.Money, limits.Money)
				require.Greater(t, spent.Money, limits.Money/2)
			}
		})
	}
	for _, bad := range []judge.Limits{{Calls: -1}, {Money: math.NaN()}, {Money: 1}, {InputPrice: math.Inf(1)}} {
		_, err := judge.NewBudget(bad)
		require.ErrorIs(t, err, judge.ErrInvalid)
	}
}

// A call that nobody answered may have been charged: it counts as it was set aside.
func TestBudgetCountsTheUnknown(t *testing.T) {
	t.Parallel()
	budget, err := judge.NewBudget(judge.Limits{Tokens: 3000})
	require.NoError(t, err)
	client, asked := server(t, func(int, *request) reply { return reply{vanish: true} })
	j := newJudge(t, client, judge.Options{Budget: budget, MaxTokens: 1000, Attempts: 9})
	_, err = j.Score(t.Context(), &judge.Sample{Output: "x"})
	require.ErrorIs(t, err, judge.ErrBudget)
	calls := budget.Spent().Calls
	require.Less(t, calls, int64(3))
	require.Equal(t, 1000*calls, budget.Spent().Output)
	require.Len(t, asked(), int(calls))
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	broken := judge.Func("broken", func(_ context.Context, s *judge.Sample) (judge.Score, error) {
		switch s.ID {
		case "3":
			panic("no")
		case "4":
			return judge.Score{}, errors.New("no")
		case "5":
			return judge.Score{Value: math.NaN()}, nil
		}
		return judge.Score{Value: float64(len(s.ID))}, nil
	})
	var order []string
	report, err := judge.Evaluate(t.Context(), samples(100), []judge.Scorer{judge.Exact(), broken}, &judge.EvaluateOptions{
		MaxRows: 10, Concurrency: 7, OnResult: func(r judge.Result) { order = append(order, r.Sample.ID) },
	})
	require.NoError(t, err)
	require.Len(t, report.Rows, 10)
	require.Len(t, order, 100)
	for i, id := range order {
		require.Equal(t, strconv.Itoa(i), id)
	}
	exact, odd := report.Scorers[0], report.Scorers[1]
	require.Equal(t, 100, exact.Count)
	require.Equal(t, map[string]int{"pass": 25, "fail": 75}, exact.Labels)
	require.InDelta(t, 0.25, exact.Mean, 1e-12)
	require.InDelta(t, 0.25-1.959963984540054*math.Sqrt(.25*.75/99), exact.Low, 1e-12)
	require.Equal(t, 97, odd.Count)
	require.Equal(t, 3, odd.Failed)
	require.ErrorContains(t, odd.FirstError, "panicked")

	_, err = judge.Evaluate(t.Context(), samples(1), nil, &judge.EvaluateOptions{Share: 2})
	require.ErrorIs(t, err, judge.ErrInvalid)
	_, err = judge.Evaluate(t.Context(), samples(1), []judge.Scorer{judge.Exact(), judge.Exact(), nil}, nil)
	require.ErrorContains(t, err, "two scorers")
	require.ErrorContains(t, err, "nil")

	fault := errors.New("the source is gone")
	report, err = judge.Evaluate(t.Context(), func(yield func(judge.Sample, error) bool) {
		_ = yield(judge.Sample{}, nil) && yield(judge.Sample{}, fault)
	}, []judge.Scorer{judge.Length()}, nil)
	require.ErrorIs(t, err, fault)
	require.Equal(t, 1, report.Scorers[0].Count)
}

func TestSampled(t *testing.T) {
	t.Parallel()
	const n = 20_000
	small, large, other := 0, 0, 0
	for i := range n {
		id := fmt.Sprintf("request-%d", i)
		in := judge.Sampled(id, "s", 0.1)
		if in {
			small++
			require.True(t, judge.Sampled(id, "s", 0.3))
			if judge.Sampled(id, "t", 0.1) {
				other++
			}
		}
		if judge.Sampled(id, "s", 0.3) {
			large++
		}
		require.True(t, judge.Sampled(id, "s", 1))
		require.False(t, judge.Sampled(id, "s", 0))
	}
	require.InDelta(t, 0.1*n, small, 5*math.Sqrt(n*.09))
	require.InDelta(t, 0.3*n, large, 5*math.Sqrt(n*.21))
	require.InDelta(t, 0.01*n, other, 5*math.Sqrt(n*.0099))
}

// Cohen's example of two raters, and Fleiss' of fourteen.
func TestAgree(t *testing.T) {
	t.Parallel()
	var two [][]int
	for _, c := range []struct{ a, b, count int }{{1, 1, 20}, {1, 0, 5}, {0, 1, 10}, {0, 0, 15}} {
		for range c.count {
			two = append(two, []int{c.a, c.b})
		}
	}
	a := judge.Agree(two)
	require.Equal(t, 50, a.Samples)
	require.InDelta(t, 0.7, a.Raw, 1e-12)
	require.InDelta(t, 0.4, a.Kappa, 1e-12)
	require.Less(t, a.KappaLow, 0.4)
	require.Greater(t, a.KappaHigh, 0.4)
	require.InDelta(t, 0.7-1.96*math.Sqrt(.21/50), a.RawLow, 0.04)

	var fourteen [][]int
	for _, row := range [][]int{
		{0, 0, 0, 0, 14}, {0, 2, 6, 4, 2}, {0, 0, 3, 5, 6}, {0, 3, 9, 2, 0}, {2, 2, 8, 1, 1},
		{7, 7, 0, 0, 0}, {3, 2, 6, 3, 0}, {2, 5, 3, 2, 2}, {6, 5, 2, 1, 0}, {0, 2, 2, 3, 7},
	} {
		var verdicts []int
		for level, count := range row {
			for range count {
				verdicts = append(verdicts, level)
			}
		}
		fourteen = append(fourteen, verdicts)
	}
	a = judge.Agree(fourteen)
	require.InDelta(t, 0.2099, a.Kappa, 5e-4)
	require.InDelta(t, 0.378, a.Raw, 5e-4)

	same := judge.Agree([][]int{{1, 1}, {1, 1}, {1}, nil})
	require.Equal(t, 2, same.Samples)
	require.InDelta(t, 1, same.Raw, 0)
	require.True(t, math.IsNaN(same.Kappa))
	require.Zero(t, judge.Agree(nil).Samples)
}

// Krippendorff's example of four observers, who did not all see all units.
func TestAlpha(t *testing.T) {
	t.Parallel()
	var units [][]int
	for _, u := range []string{"111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"} {
		var unit []int
		for _, c := range u {
			unit = append(unit, int(c-'0'))
		}
		units = append(units, unit)
	}
	a := judge.Agree(units)
	require.InDelta(t, 0.815, a.Alpha, 5e-4)
	require.Less(t, a.AlphaLow, a.Alpha)
	require.Greater(t, a.AlphaHigh, a.Alpha)
	require.InDelta(t, 1, judge.Agree([][]int{{1, 1}, {2, 2}}).Alpha, 1e-12)
	require.True(t, math.IsNaN(judge.Agree([][]int{{1, 1}, {1, 1}}).Alpha))
}

// A judge that wavers is found out.
func TestSelfAgreement(t *testing.T) {
	t.Parallel()
	client, _ := server(t, func(n int, r *request) reply {
		if strings.Contains(r.Messages[1].Content, "7") {
			return rated([]string{"1", "3"}[n%2])
		}
		return rated("2")
	})
	report, err := judge.Evaluate(t.Context(), samples(50), []judge.Scorer{newJudge(t, client, judge.Options{Repeats: 2})}, &judge.EvaluateOptions{Concurrency: 1})
	require.NoError(t, err)
	a := report.Scorers[0].Agreement
	require.NotNil(t, a)
	require.Equal(t, 50, a.Samples)
	require.InDelta(t, 0.9, a.Raw, 1e-12) // 7, 17, 27, 37 and 47 are expected or the output.
	require.Contains(t, report.String(), "agrees with itself in 0.9")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	failing := judge.Func("failing", func(context.Context, *judge.Sample) (judge.Score, error) {
		return judge.Score{}, fmt.Errorf("x: %w", judge.ErrBudget)
	})
	said := judge.Func("said", func(context.Context, *judge.Sample) (judge.Score, error) {
		return judge.Score{Value: 0.5, Label: "half", Explanation: "it cites a secret"}, nil
	})
	_, err := judge.Evaluate(t.Context(), samples(1), []judge.Scorer{said, failing}, &judge.EvaluateOptions{OnResult: judge.LogEvents(log, false)})
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	var first, last map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &last))
	require.Equal(t, "gen_ai.evaluation.result", first["msg"])
	require.Equal(t, "said", first["gen_ai.evaluation.name"])
	require.InDelta(t, 0.5, first["gen_ai.evaluation.score.value"], 0)
	require.Equal(t, "half", first["gen_ai.evaluation.score.label"])
	require.Equal(t, "budget", last["error.type"])
	require.NotContains(t, out.String(), "secret")
}

type observed struct {
	mu   sync.Mutex
	rows [][]float64
}

func (o *observed) Observe(row []float64, score float64, id monitor.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows = append(o.rows, append(row, score, float64(id[0])))
}

func TestOnline(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	gated := judge.Func("gated", func(context.Context, *judge.Sample) (judge.Score, error) {
		<-gate
		return judge.Score{Value: 1}, nil
	})
	seen := &observed{}
	w, err := judge.NewOnline([]judge.Scorer{gated, judge.Length()}, &judge.OnlineOptions{Share: 0.5, Queue: 10, Workers: 3, Observer: seen})
	require.NoError(t, err)
	taken := 0
	for s, err := range samples(100) {
		require.NoError(t, err)
		if w.Offer(s) {
			taken++
		}
	}
	require.Equal(t, 10, taken) // Nobody works yet.
	s := w.Stats()
	require.Equal(t, uint64(100), s.Offered)
	require.Equal(t, uint64(10), s.Pending)
	require.Equal(t, s.Offered, s.SampledOut+s.Dropped+s.Pending)
	w.Shutdown()
	require.False(t, w.Offer(judge.Sample{ID: "late"}))
	close(gate)
	require.NoError(t, w.Run(t.Context()))
	require.ErrorIs(t, w.Run(t.Context()), judge.ErrClosed)
	require.Len(t, seen.rows, 10)
	require.InDelta(t, 1, seen.rows[0][0], 0)
	require.Equal(t, uint64(10), w.Stats().Scored)
	require.Zero(t, w.Stats().Pending)

	// The end of the context leaves nothing uncounted.
	w, err = judge.NewOnline([]judge.Scorer{judge.Length()}, nil)
	require.NoError(t, err)
	for s, err := range samples(50) {
		require.NoError(t, err)
		w.Offer(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, w.Run(ctx))
	s = w.Stats()
	require.Zero(t, s.Pending)
	require.Equal(t, s.Offered, s.SampledOut+s.Dropped+s.Scored+s.Failed+s.Skipped)
	_, err = judge.NewOnline(nil, &judge.OnlineOptions{Share: -1})
	require.ErrorIs(t, err, judge.ErrInvalid)
}
