package judge_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/judge"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// An evaluation is a run with metrics and a table, beside what the run has.
func TestLog(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := tracking.New(&trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	exp, err := client.Experiment(ctx, "judged")
	require.NoError(t, err)
	run, err := client.StartRun(ctx, exp.ID, nil)
	require.NoError(t, err)
	require.NoError(t, run.SetTags(ctx, map[string]string{"mlflow.loggedArtifacts": `[{"path":"other.json","type":"table"}]`}))

	model, _ := server(t, func(n int, _ *request) reply { return rated([]string{"1", "3"}[n%2]) })
	budget, err := judge.NewBudget(judge.Limits{Calls: 20, InputPrice: 1, OutputPrice: 10})
	require.NoError(t, err)
	j := newJudge(t, model, judge.Options{Repeats: 2, Budget: budget})
	report, err := judge.Evaluate(ctx, samples(12), []judge.Scorer{judge.Exact(), j}, &judge.EvaluateOptions{Concurrency: 1})
	require.NoError(t, err)
	for range 2 { // Again does no harm.
		require.NoError(t, report.Log(ctx, run, run.Files()))
	}
	info, err := run.Info(ctx)
	require.NoError(t, err)
	require.JSONEq(t, `[{"path":"other.json","type":"table"},{"path":"eval_results_table.json","type":"table"}]`, info.Tags["mlflow.loggedArtifacts"])
	for key, want := range map[string]float64{
		"exact/mean": 0.25, "exact/count": 12, "helpful/count": 10, "helpful/skipped": 2, "helpful/mean": 2,
		"helpful/agreement": 0, "judge/calls": 20, "judge/input_tokens": 2000, "judge/money": (2000*1 + 200*10) / 1e6,
	} {
		require.InDelta(t, want, info.Metrics[key].Value, 1e-12, key)
	}
	body, err := run.Files().Open(ctx, judge.TablePath)
	require.NoError(t, err)
	raw, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	var table struct {
		Columns []string
		Data    [][]any
	}
	require.NoError(t, json.Unmarshal(raw, &table))
	require.Len(t, table.Data, 12)
	for _, row := range table.Data {
		require.Len(t, row, len(table.Columns))
	}
	require.Contains(t, table.Columns, "helpful/justification")
	require.Equal(t, "11", table.Data[11][0])
	require.Contains(t, table.Data[11][len(table.Columns)-1], "budget is spent")
}

// A monitor sees that answers get shorter and refusals more frequent.
func TestScoresDrift(t *testing.T) {
	t.Parallel()
	scorers := []judge.Scorer{judge.Refusal(), judge.Length(), judge.RougeL()}
	r := rand.New(rand.NewPCG(1, 2))
	answer := func(refusals float64, words int) judge.Sample {
		s := judge.Sample{ID: "x", Expected: "sed ut perspiciatis unde omnis"}
		if r.Float64() < refusals {
			s.Output = "I'm sorry, I cannot help with that."
			return s
		}
		s.Output = strings.Repeat("omnis ", 1+r.IntN(words)) + s.Expected
		return s
	}
	b, err := profile.NewBuilder(judge.Inputs(scorers), nil)
	require.NoError(t, err)
	_, err = judge.Evaluate(t.Context(), func(yield func(judge.Sample, error) bool) {
		for range 3000 {
			if !yield(answer(0.02, 30), nil) {
				return
			}
		}
	}, scorers, &judge.EvaluateOptions{OnResult: func(r judge.Result) { require.NoError(t, b.Add(r.Record())) }})
	require.NoError(t, err)
	ref, err := b.Reference()
	require.NoError(t, err)
	for _, worse := range []bool{false, true} {
		m, err := monitor.New(ref, nil)
		require.NoError(t, err)
		w, err := judge.NewOnline(scorers, &judge.OnlineOptions{Queue: 2000, Observer: m})
		require.NoError(t, err)
		for range 2000 {
			s := answer(0.02, 30)
			if worse {
				s = answer(0.3, 20)
			}
			require.True(t, w.Offer(s))
		}
		w.Shutdown()
		require.NoError(t, w.Run(t.Context()))
		report, err := m.Cut(t.Context())
		require.NoError(t, err)
		drifted := map[string]bool{}
		for _, f := range report.Features {
			if f.Drifted {
				drifted[f.Name] = true
			}
		}
		if worse {
			require.True(t, drifted["refusal"] && drifted["length"], "%v", report)
		} else {
			require.Empty(t, drifted)
		}
		require.NoError(t, m.Shutdown(t.Context()))
	}
}
