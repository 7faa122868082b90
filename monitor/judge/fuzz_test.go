package judge_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/sashabaranov/go-openai"
	"github.com/stretchr/testify/require"

	"context"

	"github.com/millwright-ml/millwright/monitor/judge"
)

// says is a model that always says the same.
type says string

func (s says) CreateChatCompletion(context.Context, openai.ChatCompletionRequest) (openai.ChatCompletionResponse, error) {
	return openai.ChatCompletionResponse{Choices: []openai.ChatCompletionChoice{{Message: openai.ChatCompletionMessage{Content: string(s)}}}}, nil
}

// Whatever a judge says, it is a rating of the rubric or an error.
func FuzzVerdict(f *testing.F) {
	for _, seed := range []string{
		`{"reason": "x", "rating": 2}`, "```json\n{\"rating\": 1.0}\n```", `{"rating": 1e999999999}`, `{"rating": -0}`, `{"choice": "A"}`,
		`{"choice": "tie", "reason": "\ud800"}`, `{"rating": null}`, `{"rating": 1}{"rating": 3}`, `{`, `{"a":{"a":{"a":1}}}`, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		o := &judge.Options{Attempts: -1}
		j, err := judge.New(says(answer), "m", helpful, o)
		require.NoError(t, err)
		score, err := j.Score(t.Context(), &judge.Sample{Output: "x"})
		if err != nil {
			require.ErrorIs(t, err, judge.ErrInvalid)
		} else {
			require.Contains(t, []float64{1, 2, 3}, score.Value)
			require.LessOrEqual(t, len(score.Explanation), 2100)
		}
		p, err := judge.NewPairwise(says(answer), "m", "p", "which", o)
		require.NoError(t, err)
		if score, err = p.Score(t.Context(), &judge.Sample{Output: "x", Other: "y"}); err == nil {
			require.Contains(t, []float64{0, 0.5, 1}, score.Value)
		}
	})
}

// No output makes a rule or a similarity panic, or leave 0 to 1.
func FuzzOutput(f *testing.F) {
	schema, err := judge.Schema("schema", []byte(`{"type": "object", "properties": {"n": {"type": "number", "multipleOf": 0.1}, "s": {"type": "string", "format": "date-time", "pattern": "^a"}}}`))
	require.NoError(f, err)
	scorers := []judge.Scorer{
		judge.Exact(), judge.Contains("contains", ""), judge.Refusal(), judge.Similarity(), judge.RougeL(), judge.BLEU(), judge.ChrF(), judge.TokenF1(), schema,
	}
	f.Add("the cat", "a cat")
	f.Add(`{"n": 1e400, "s": "x"}`, "")
	f.Add("\xff\xfe", "é")
	f.Fuzz(func(t *testing.T, output, expected string) {
		for _, s := range scorers {
			score, err := s.Score(t.Context(), &judge.Sample{Output: output, Expected: expected})
			require.NoError(t, err)
			require.False(t, math.IsNaN(score.Value) || score.Value < 0 || score.Value > 1+1e-12, "%s says %v", s.Name(), score.Value)
		}
		if json.Valid([]byte(output)) && output == expected {
			score, err := judge.Exact().Score(t.Context(), &judge.Sample{Output: output, Expected: expected})
			require.NoError(t, err)
			require.InDelta(t, 1, score.Value, 0)
		}
	})
}
