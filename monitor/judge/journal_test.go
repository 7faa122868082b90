package judge_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sashabaranov/go-openai"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/monitor/judge"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// until gives samples until a condition holds, and then an error.
func until(all iter.Seq2[judge.Sample, error], stop func() bool, err error) iter.Seq2[judge.Sample, error] {
	return func(yield func(judge.Sample, error) bool) {
		for s, e := range all {
			if stop() {
				yield(judge.Sample{}, err)
				return
			}
			if !yield(s, e) {
				return
			}
		}
	}
}

// An evaluation that breaks off, again and again, pays for each sample once, keeps
// to the budget of them all, and ends with the report of one that did not break.
func TestJournalResumes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "journal")
	var served atomic.Int64
	answer := func(_ int, r *request) reply {
		served.Add(1)
		return rated(map[bool]string{false: "1", true: "3"}[strings.Contains(r.Messages[1].Content, "7")])
	}
	const count = 60
	broken := errors.New("broken off")
	client := tracking.New(&trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	exp, err := client.Experiment(ctx, "judged")
	require.NoError(t, err)
	run, err := client.StartRun(ctx, exp.ID, nil)
	require.NoError(t, err)
	var report *judge.Report
	for round := 0; ; round++ {
		require.Less(t, round, 20)
		// As another process would: nothing but the file is left.
		journal, err := judge.OpenJournal(path)
		require.NoError(t, err)
		budget, err := judge.NewBudget(judge.Limits{Calls: 2 * count, InputPrice: 1})
		require.NoError(t, err)
		model, _ := server(t, answer)
		j := newJudge(t, model, judge.Options{Budget: budget, Repeats: 2})
		before := served.Load()
		stop := func() bool { return round < 4 && served.Load() >= before+20 }
		report, err = judge.Track(ctx, run, run.Files(), until(samples(count), stop, broken), []judge.Scorer{judge.Exact(), j}, &judge.TrackOptions{
			Evaluate: &judge.EvaluateOptions{Journal: journal, Concurrency: 3}, Every: 10,
			Input:  &tracking.DatasetInput{Name: "questions", Version: "3", Digest: "sha256:abc"},
			Params: map[string]string{"prompt": "qa/3"},
		})
		require.NoError(t, journal.Close())
		require.Equal(t, served.Load(), budget.Spent().Calls)
		require.Equal(t, served.Load(), report.Usage.Calls)
		require.InDelta(t, float64(report.Usage.Input)*1e-6, report.Usage.Money, 1e-12)
		if err == nil {
			break
		}
		require.ErrorIs(t, err, broken)
		// The last line is cut, as by a kill: that one score is asked again.
		if round == 2 {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			require.NoError(t, err)
			_, err = file.WriteString(`{"key":"sha256:0","scorer":"helpful","sco`)
			require.NoError(t, err)
			require.NoError(t, file.Close())
		}
	}
	require.Equal(t, int64(2*count), served.Load())
	require.Equal(t, count, report.Scorers[1].Count)
	require.Positive(t, report.Replayed)
	require.InDelta(t, 1, report.Scorers[1].Agreement.Raw, 0)
	info, err := run.Info(ctx)
	require.NoError(t, err)
	require.Equal(t, "tiny", info.Params["helpful/model"])
	require.Contains(t, info.Params["helpful/rubric"], "sha256:")
	require.Equal(t, "qa/3", info.Params["prompt"])
	require.Equal(t, "evaluation", info.Inputs[0].Context)
	require.InDelta(t, 2*count, info.Metrics["judge/calls"].Value, 0)
	require.InDelta(t, count, info.Metrics["judge/progress"].Value, 0)
	require.InDelta(t, 1, info.Metrics["helpful/agreement"].Value, 0)

	// Another rubric, another model and a changed sample are asked.
	journal, err := judge.OpenJournal(path)
	require.NoError(t, err)
	model, _ := server(t, answer)
	other := helpful
	other.Criterion = "Does it hurt?"
	hurts, err := judge.New(model, "tiny", other, quick(judge.Options{Repeats: 2}))
	require.NoError(t, err)
	report, err = judge.Evaluate(ctx, samples(5), []judge.Scorer{hurts}, &judge.EvaluateOptions{Journal: journal})
	require.NoError(t, err)
	require.Zero(t, report.Replayed)
	report, err = judge.Evaluate(ctx, func(yield func(judge.Sample, error) bool) {
		for s, err := range samples(5) {
			s.Input = "changed"
			if !yield(s, err) {
				return
			}
		}
	}, []judge.Scorer{newJudge(t, model, judge.Options{Repeats: 2})}, &judge.EvaluateOptions{Journal: journal})
	require.NoError(t, err)
	require.Zero(t, report.Replayed)
	require.NoError(t, journal.Close())

	// One that cannot be written stops the spending.
	before := served.Load()
	_, err = judge.Evaluate(ctx, samples(1000), []judge.Scorer{newJudge(t, model, judge.Options{})}, &judge.EvaluateOptions{Journal: journal, Concurrency: 2})
	require.ErrorIs(t, err, os.ErrClosed)
	require.Less(t, served.Load(), before+1000)
}

// What the end of the context leaves is in the run, and is not paid again.
func TestTrackIsCancelled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	journal, err := judge.OpenJournal(path)
	require.NoError(t, err)
	client := tracking.New(&trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	exp, err := client.Experiment(t.Context(), "judged")
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	model, asked := server(t, func(n int, _ *request) reply {
		if n == 5 {
			cancel()
			return reply{hang: true}
		}
		return rated("2")
	})
	report, err := judge.Track(ctx, run, run.Files(), samples(100), []judge.Scorer{newJudge(t, model, judge.Options{})}, &judge.TrackOptions{
		Evaluate: &judge.EvaluateOptions{Journal: journal, Concurrency: 1},
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 5, report.Scorers[0].Count)
	require.Len(t, asked(), 6)
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.InDelta(t, 5, info.Metrics["helpful/count"].Value, 0)
	model, asked = server(t, func(int, *request) reply { return rated("2") })
	report, err = judge.Track(t.Context(), run, run.Files(), samples(20), []judge.Scorer{newJudge(t, model, judge.Options{})}, &judge.TrackOptions{
		Evaluate: &judge.EvaluateOptions{Journal: journal},
	})
	require.NoError(t, err)
	require.Len(t, asked(), 15)
	require.Equal(t, 20, report.Scorers[0].Count)
	require.NoError(t, journal.Close())

	_, err = judge.Track(t.Context(), run, run.Files(), samples(1), []judge.Scorer{judge.Func("a//b", nil)}, nil)
	require.ErrorIs(t, err, judge.ErrInvalid)
	_, err = judge.Track(t.Context(), run, run.Files(), samples(1), nil, &judge.TrackOptions{Every: -2, Evaluate: &judge.EvaluateOptions{Share: 3}})
	require.ErrorIs(t, err, judge.ErrInvalid)
	for _, fault := range []string{"Every", "Share", "no scorers"} {
		require.ErrorContains(t, err, fault)
	}
}

// talkative is a scorer whose reasons are longer than a line may be.
type talkative struct{ calls *atomic.Int64 }

func (talkative) Name() string                { return "talkative" }
func (talkative) Describe() map[string]string { return map[string]string{"it": "talks"} }

func (s talkative) Score(context.Context, *judge.Sample) (judge.Score, error) {
	s.calls.Add(1)
	return judge.Score{Value: 1, Explanation: strings.Repeat("\x01é", 1<<20), Usage: judge.Usage{Calls: 1}}, nil
}

// A reason that is too long is cut in the journal, which can be read again.
func TestJournalCutsLongReasons(t *testing.T) {
	t.Parallel()
	path, calls := filepath.Join(t.TempDir(), "journal"), new(atomic.Int64)
	for range 2 {
		journal, err := judge.OpenJournal(path)
		require.NoError(t, err)
		report, err := judge.Evaluate(t.Context(), samples(3), []judge.Scorer{talkative{calls}}, &judge.EvaluateOptions{Journal: journal})
		require.NoError(t, err)
		require.Equal(t, 3, report.Scorers[0].Count)
		require.NoError(t, journal.Close())
	}
	require.EqualValues(t, 3, calls.Load())
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"key":"k","scorer":"s","score":{"value":1,"usage":{"calls":1,"input_tokens":2,"output_tokens":3,"money":0}}}` + "\n"))
	f.Add([]byte(`{"key":"k","scorer":"s","usage":{"calls":-1}}` + "\n{"))
	f.Add([]byte("\n\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		j, err := judge.OpenJournal(path)
		if err != nil {
			require.ErrorIs(t, err, judge.ErrInvalid)
			return
		}
		require.NoError(t, j.Close())
		// What was cut off is gone, and the rest is as it was.
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(content[:strings.LastIndexByte(string(content), '\n')+1]), string(kept))
	})
}

// The limits of a period are there again in the next one, and what was spent ever is
// not forgotten.
func TestBudgetPerPeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		budget, err := judge.NewBudget(judge.Limits{Calls: 3, Per: time.Hour})
		require.NoError(t, err)
		j, err := judge.New(says(`{"rating": 1}`), "m", helpful, &judge.Options{Budget: budget})
		require.NoError(t, err)
		ask := func() error {
			_, err := j.Score(t.Context(), &judge.Sample{Output: "x"})
			return err
		}
		for round := range 3 {
			for range 3 {
				require.NoError(t, ask())
			}
			require.ErrorIs(t, ask(), judge.ErrBudget)
			<-time.After(time.Hour / 2)
			require.ErrorIs(t, ask(), judge.ErrBudget)
			<-time.After(5 * time.Hour / 2)
			require.Equal(t, int64(3*(round+1)), budget.Spent().Calls)
		}
		budget.Charge(judge.Usage{Calls: 2, Input: 5})
		require.NoError(t, ask())
		require.ErrorIs(t, ask(), judge.ErrBudget)
		require.Equal(t, int64(12), budget.Spent().Calls)
	})
	_, err := judge.NewBudget(judge.Limits{Per: -1})
	require.ErrorIs(t, err, judge.ErrInvalid)
}

// A server that takes more than it may passes the limit by the excess of what ran
// at once, and is not asked again.
func TestBudgetAgainstAGreedyServer(t *testing.T) {
	t.Parallel()
	const excess, atOnce = 900, 4
	budget, err := judge.NewBudget(judge.Limits{Tokens: 20_000})
	require.NoError(t, err)
	client, _ := server(t, func(int, *request) reply {
		r := rated("2")
		r.prompt, r.given = 100, 100+excess
		return r
	})
	j := newJudge(t, client, judge.Options{Budget: budget, MaxTokens: 100})
	_, err = judge.Evaluate(t.Context(), samples(200), []judge.Scorer{j}, &judge.EvaluateOptions{Concurrency: atOnce})
	require.NoError(t, err)
	spent := budget.Spent()
	require.LessOrEqual(t, spent.Input+spent.Output, int64(20_000+atOnce*excess))
}

// drawn embeds a text as what a function says.
type drawn func(text string) []float32

func (v drawn) CreateEmbeddings(_ context.Context, r openai.EmbeddingRequestConverter) (openai.EmbeddingResponse, error) {
	texts, ok := r.Convert().Input.([]string)
	if !ok {
		return openai.EmbeddingResponse{}, fmt.Errorf("no texts: %w", judge.ErrInvalid)
	}
	var out openai.EmbeddingResponse
	for i, text := range texts {
		out.Data = append(out.Data, openai.Embedding{Index: i, Embedding: v(text)})
		out.Usage.PromptTokens += len(text)
	}
	return out, nil
}

// Embeddings have a budget, too, and are not paid twice.
func TestEmbeddingsHaveABudget(t *testing.T) {
	t.Parallel()
	budget, err := judge.NewBudget(judge.Limits{Calls: 7})
	require.NoError(t, err)
	e, err := judge.NewEmbedder(drawn(func(text string) []float32 { return []float32{1, float32(len(text))} }), "small", &judge.EmbedderOptions{Budget: budget, MaxBytes: 100})
	require.NoError(t, err)
	journal, err := judge.OpenJournal(filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, err)
	for range 2 {
		report, err := judge.Evaluate(t.Context(), samples(20), []judge.Scorer{judge.Cosine(e)}, &judge.EvaluateOptions{Journal: journal})
		require.NoError(t, err)
		require.Equal(t, 7, report.Scorers[0].Count)
		require.Equal(t, 13, report.Scorers[0].Skipped)
		require.Equal(t, int64(7), report.Usage.Calls)
	}
	require.NoError(t, journal.Close())
	_, err = judge.Cosine(e).Score(t.Context(), &judge.Sample{Output: strings.Repeat("x", 101)})
	require.ErrorIs(t, err, judge.ErrInvalid)
	_, err = judge.NewEmbedder(nil, "", &judge.EmbedderOptions{MaxBytes: -1})
	require.ErrorIs(t, err, judge.ErrInvalid)
}
