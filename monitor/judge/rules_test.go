package judge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/judge"
)

func value(t testing.TB, s judge.Scorer, sample judge.Sample) float64 {
	t.Helper()
	score, err := s.Score(t.Context(), &sample)
	require.NoError(t, err)
	return score.Value
}

func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scorer           judge.Scorer
		output, expected string
		want             float64
	}{
		{judge.Exact(), " Paris\n", "Paris", 1},
		{judge.Exact(), "paris", "Paris", 0},
		{judge.Contains("capital", "PARIS"), "It is Paris.", "", 1},
		{judge.Contains("expected", ""), "It is Paris.", "paris", 1},
		{judge.Contains("expected", ""), "It is Rome.", "paris", 0},
		{judge.Regexp("number", regexp.MustCompile(`^\d+$`)), "42", "", 1},
		{judge.Regexp("number", regexp.MustCompile(`^\d+$`)), "42!", "", 0},
		{judge.Length(), "Zürich", "", 6},
		{judge.LengthWithin("short", 1, 6), "Zürich", "", 1},
		{judge.LengthWithin("short", 1, 5), "Zürich", "", 0},
		{judge.Refusal(), "I’m sorry, but I can’t help with that.", "", 1},
		{judge.Refusal(), "As an AI language model, I have no body.", "", 1},
		{judge.Refusal(), "The capital of France is Paris.", "", 0},
		{judge.Refusal(), strings.Repeat("An answer. ", 40) + "I cannot help with that.", "", 0},
		{judge.ChrF(), "猫は座る", "猫は座る", 1},
		{judge.ChrF(), "", "a", 0},
		{judge.Refusal(regexp.MustCompile(`(?i)tut mir leid`)), "Das tut mir leid.", "", 1},
		{judge.Similarity(), "kitten", "sitting", 1 - 3.0/7},
		{judge.Similarity(), "", "", 1},
		{judge.Similarity(), "", "abc", 0},
		{judge.RougeL(), "The quick brown dog jumps on the log.", "The quick brown fox jumps over the lazy dog", 2 * .625 * (5.0 / 9) / (.625 + 5.0/9)},
		{judge.TokenF1(), "The cat sat", "a cat", 2.0 / 3},
		{judge.BLEU(), "the cat is on the mat", "the cat is on the mat", 1},
		{judge.BLEU(), "", "a", 0},
	} {
		require.InDelta(t, c.want, value(t, c.scorer, judge.Sample{Output: c.output, Expected: c.expected}), 1e-12, "%s of %q", c.scorer.Name(), c.output)
	}
}

// The similarities are those of rouge-score, sacreBLEU and SQuAD's script.
func TestSimilaritiesAreTheLibraries(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/similarity.json")
	require.NoError(t, err)
	var cases []struct {
		Got, Want string
		RougeL    float64 `json:"rouge_l"`
		BLEU      float64
		ChrF      float64
		TokenF1   float64 `json:"token_f1"`
		Edits     int
	}
	require.NoError(t, json.Unmarshal(raw, &cases))
	require.Len(t, cases, 200)
	for _, c := range cases {
		s := judge.Sample{Output: c.Got, Expected: c.Want}
		require.InDelta(t, c.RougeL, value(t, judge.RougeL(), s), 1e-12, "rouge of %q and %q", c.Got, c.Want)
		require.InDelta(t, c.BLEU, value(t, judge.BLEU(), s), 1e-9, "bleu of %q and %q", c.Got, c.Want)
		require.InDelta(t, c.ChrF, value(t, judge.ChrF(), s), 1e-9, "chrf of %q and %q", c.Got, c.Want)
		require.InDelta(t, c.TokenF1, value(t, judge.TokenF1(), s), 1e-12, "f1 of %q and %q", c.Got, c.Want)
		if longest := max(len(c.Got), len(c.Want)); longest > 0 {
			require.InDelta(t, 1-float64(c.Edits)/float64(longest), value(t, judge.Similarity(), s), 1e-12)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	s, err := judge.Schema("order", []byte(`{
		"type": "object", "required": ["id", "lines"], "additionalProperties": false,
		"properties": {"id": {"type": "string", "format": "uuid"}, "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}}},
		"$defs": {"line": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}}}}`))
	require.NoError(t, err)
	good := `{"id": "6f9619ff-8b86-d011-b42d-00c04fc964ff", "lines": [{"count": 2}]}`
	for output, want := range map[string]float64{
		good:                                     1,
		" " + good + "\n":                        1,
		good + good:                              0,
		good + " done":                           0,
		`{"id": "no", "lines": [{"count": 2}]}`:  0,
		strings.Replace(good, "2}", "0}", 1):     0,
		strings.Replace(good, "2}", "1e400}", 1): 1, // An integer, and one that no float64 holds.
		`{"id": 1}`:                              0,
		"I'm sorry":                              0,
		"":                                       0,
		strings.Replace(good, "2}", "1e99999999}", 1): 0,
		strings.Repeat("[", 1_000_000):                0,
	} {
		score, err := s.Score(t.Context(), &judge.Sample{Output: output})
		require.NoError(t, err)
		require.Equal(t, want, score.Value, "%.100q", output)
		require.Equal(t, want == 0, score.Explanation != "")
	}
	for _, bad := range []string{``, `{`, `{"type": 3}`, `{"$ref": "file:///etc/passwd"}`, `{"$ref": "http://127.0.0.1:1/x"}`, `{"$ref": "other.json"}`} {
		_, err := judge.Schema("bad", []byte(bad))
		require.ErrorIs(t, err, judge.ErrInvalid, bad)
	}
}

// vectors is an embedder whose vectors are written down.
type vectors map[string][]float32

func (v vectors) Embed(_ context.Context, texts []string) ([][]float32, error) {
	var out [][]float32
	for _, text := range texts {
		out = append(out, v[text])
	}
	return out, nil
}

// Content that a filter has ended is a refusal, whatever it says.
func TestRefusalByFilter(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 1, value(t, judge.Refusal(), judge.Sample{Output: "Once", Finish: "content_filter"}), 0)
	require.InDelta(t, 0, value(t, judge.Refusal(), judge.Sample{Output: "Once", Finish: "length"}), 0)
}

// A window of other outputs is told from the reference, one of the same is not.
func TestOutputsDrift(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	about := func(subject int) []float32 {
		v := make([]float32, 12)
		for i := range v {
			v[i] = float32(r.NormFloat64()) * 0.5
		}
		v[subject] += 2
		return v
	}
	var reference [][]float32
	e := vectors{}
	for i := range 400 {
		reference = append(reference, about(i%2))
		e[fmt.Sprintf("same %d", i)] = about(i % 2)
		e[fmt.Sprintf("other %d", i)] = about(1 + i%2)
	}
	o, err := judge.NewOutputs(e, reference, &judge.OutputsOptions{Keep: 200})
	require.NoError(t, err)
	_, err = o.Cut(t.Context())
	require.ErrorIs(t, err, judge.ErrInvalid)
	for _, kind := range []string{"same", "other", "same"} {
		for i := range 400 {
			score, err := o.Score(t.Context(), &judge.Sample{Output: fmt.Sprintf("%s %d", kind, i)})
			require.NoError(t, err)
			require.True(t, score.Value >= 0 && score.Value <= 2)
		}
		d, err := o.Cut(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(400), d.Seen)
		require.Equal(t, 200, d.Kept)
		if kind == "other" {
			require.Less(t, d.MMD.PValue, 0.01)
			require.Less(t, d.Classifier.PValue, 1e-6)
			require.Greater(t, d.Classifier.AUC, 0.8)
			require.Greater(t, d.Centers, 0.2)
		} else {
			require.Greater(t, d.MMD.PValue, 0.01)
			require.Greater(t, d.Classifier.PValue, 0.01)
			require.Less(t, d.Centers, 0.05)
		}
	}
	for _, bad := range []*judge.OutputsOptions{{Keep: -1}, {Keep: 3}, {Keep: 1 << 20}} {
		_, err := judge.NewOutputs(e, reference, bad)
		require.ErrorIs(t, err, judge.ErrInvalid)
	}
	_, err = judge.NewOutputs(e, reference[:3], nil)
	require.ErrorIs(t, err, judge.ErrInvalid)
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	e := vectors{"right": {1, 0}, "up": {0, 2}, "both": {3, 3}, "none": {0, 0}, "long": {1, 2, 3}}
	require.InDelta(t, 0, value(t, judge.Cosine(e), judge.Sample{Output: "right", Expected: "up"}), 1e-12)
	require.InDelta(t, 0.7071067811865475, value(t, judge.Cosine(e), judge.Sample{Output: "right", Expected: "both"}), 1e-12)
	center, err := judge.Center([][]float32{{1, 0}, {0, 1}})
	require.NoError(t, err)
	require.InDelta(t, 0, value(t, judge.Distance(e, center), judge.Sample{Output: "both"}), 1e-7)
	for _, bad := range []string{"none", "long", "unknown"} {
		_, err := judge.Cosine(e).Score(t.Context(), &judge.Sample{Output: bad, Expected: "up"})
		require.ErrorIs(t, err, judge.ErrInvalid)
	}
	_, err = judge.Center([][]float32{{1}, {1, 2}})
	require.ErrorIs(t, err, judge.ErrInvalid)
	_, err = judge.Center(nil)
	require.ErrorIs(t, err, judge.ErrInvalid)
}
