package inttest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sashabaranov/go-openai"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/monitor/judge"
	"github.com/millwright-ml/millwright/tracking"
)

// A model of noise judges answers: its verdicts mean nothing, and are verdicts all
// the same, since llama.cpp keeps to the schema. The run of it is on our server,
// and MLflow's client loads its table.
func TestLlamaJudgesAndMLflowLoadsTheTable(t *testing.T) {
	t.Parallel()
	inttest.MLflowPython(t)
	ctx, server := t.Context(), inttest.StartServer(t, "")
	config := openai.DefaultConfig("none")
	config.BaseURL = inttest.Llama(t, "chat") + "/v1"
	config.HTTPClient = judge.Bound(http.DefaultClient, 1<<20)
	model := openai.NewClientWithConfig(config)
	budget, err := judge.NewBudget(judge.Limits{Calls: 1000, InputPrice: 1, OutputPrice: 2})
	require.NoError(t, err)
	opts := &judge.Options{Repeats: 2, Temperature: 1, MaxTokens: 800, Budget: budget, Timeout: inttest.Patience, Backoff: -1}
	helpful, err := judge.New(model, "noise", judge.Rubric{
		Name: "helpful", Criterion: "Does it help?", Levels: []string{"no", "a little", "yes"}, Least: 1,
	}, opts)
	require.NoError(t, err)
	better, err := judge.NewPairwise(model, "noise", "better", "Which one is shorter?", opts)
	require.NoError(t, err)
	answers := []string{"Lima", "I'm sorry, I can't help with that.", "Zürich \"quoted\"\n"}
	samples := func(yield func(judge.Sample, error) bool) {
		for i, answer := range answers {
			if !yield(judge.Sample{ID: fmt.Sprintf("row %d", i), Input: "Capital of Peru?", Output: answer, Expected: "Lima", Other: "It is Lima."}, nil) {
				return
			}
		}
	}
	conn := dialMLflow(t, server)
	client := tracking.New(conn, &tracking.Options{Artifacts: conn.Artifacts()})
	t.Cleanup(func() { require.NoError(t, client.Shutdown(ctx)) })
	exp, err := client.Experiment(ctx, "judged")
	require.NoError(t, err)
	run, err := client.StartRun(ctx, exp.ID, nil)
	require.NoError(t, err)
	journal, err := judge.OpenJournal(filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, err)
	var report *judge.Report
	for range 2 { // The second time all is in the journal.
		report, err = judge.Track(ctx, run, run.Files(), samples, []judge.Scorer{judge.Exact(), judge.Refusal(), helpful, better}, &judge.TrackOptions{
			Evaluate: &judge.EvaluateOptions{Journal: journal},
			Input:    &tracking.DatasetInput{Name: "capitals", Version: "1", Digest: "sha256:0123456789abcdef"},
		})
		require.NoError(t, err)
	}
	require.NoError(t, journal.Close())
	require.Equal(t, 2*len(answers), report.Replayed)
	for _, s := range report.Scorers {
		require.Equal(t, len(answers), s.Count, "%s: %v", s.Name, s.FirstError)
	}
	rated := report.Scorers[2]
	require.True(t, 1 <= rated.Min && rated.Max <= 3, report)
	require.Equal(t, len(answers), rated.Agreement.Pairs)
	require.True(t, 0 <= rated.Agreement.Raw && rated.Agreement.Raw <= 1)
	// Two ratings, and two comparisons in both orders, each with its tokens.
	spent := budget.Spent()
	require.InDelta(t, spent.Money, report.Usage.Money, 1e-9) // By another order of the same calls.
	spent.Money = report.Usage.Money
	require.Equal(t, spent, report.Usage)
	require.GreaterOrEqual(t, spent.Calls, int64(6*len(answers)))
	require.Greater(t, spent.Input, 100*spent.Calls)
	require.True(t, spent.Output >= 10*spent.Calls && spent.Output <= 800*spent.Calls, spent)

	out, err := inttest.RunMLflowScript(t, "mlflow_table.py", server.URL, string(run.ID()), judge.TablePath)
	require.NoError(t, err, string(out))
	var loaded struct {
		Rows   []map[string]any  `json:"rows"`
		Inputs []string          `json:"inputs"`
		Params map[string]string `json:"params"`
		Mean   float64           `json:"mean"`
	}
	last := out[strings.LastIndexByte(strings.TrimSpace(string(out)), '\n')+1:]
	require.NoError(t, json.Unmarshal(last, &loaded), string(out))
	require.Len(t, loaded.Rows, len(answers))
	for i, row := range loaded.Rows {
		scores := report.Rows[i].Scores
		require.Equal(t, answers[i], row["outputs"])
		require.Equal(t, fmt.Sprintf("row %d", i), row["id"])
		require.InDelta(t, scores[2].Value, row["helpful/score"], 1e-9)
		require.Equal(t, scores[2].Explanation, row["helpful/justification"])
		require.Equal(t, scores[3].Label, row["better/label"])
		require.Nil(t, row["better/error"])
	}
	require.Equal(t, []string{"capitals sha256:0123456789abcdef evaluation"}, loaded.Inputs)
	require.Equal(t, "noise", loaded.Params["helpful/model"])
	require.InDelta(t, rated.Mean, loaded.Mean, 1e-9)
}
