package judge

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors of this package, for errors.Is.
var (
	// ErrInvalid: an option, a rubric or a schema is not acceptable, a sample
	// lacks what a scorer needs, or a judge gave no verdict that can be read.
	ErrInvalid = errs.ErrInvalid
	// ErrUnavailable: the judge's or the embedder's server did not answer.
	ErrUnavailable = errs.ErrUnavailable
	// ErrClosed: the worker was shut down.
	ErrClosed = errs.ErrClosed
	// ErrBudget: what the budget has left does not cover the next call.
	ErrBudget = errors.New("budget is spent")
)

// Sample is one output of a model and what is known about it.
type Sample struct {
	// ID names it: the request's id, or that of a row of a dataset. Sampling
	// goes by it.
	ID string `json:"id"`
	// Input is what the model was asked.
	Input string `json:"input,omitempty"`
	// Output is what it answered, and what is scored.
	Output string `json:"output"`
	// Expected is the right answer, where there is one.
	Expected string `json:"expected,omitempty"`
	// Context is what the answer should rest on, like retrieved documents.
	Context string `json:"context,omitempty"`
	// Other is another model's answer, for a comparison of two.
	Other string `json:"other,omitempty"`
	// Model and Version name what answered, and Prompt what it was asked with: a
	// prompt's name and version.
	Model   string `json:"model,omitempty"`
	Version string `json:"version,omitempty"`
	Prompt  string `json:"prompt,omitempty"`
	// ResponseID is the answer's own id, for events. Default ID.
	ResponseID string `json:"response_id,omitempty"`
	// Finish is why the answer ended, in OpenAI's words: "stop", "length",
	// "content_filter".
	Finish string `json:"finish,omitempty"`
	// Trace is where the answer was made, as the header traceparent of W3C's
	// Trace Context has it: events go there.
	Trace string `json:"trace,omitempty"`
}

// Score is what one scorer says about a sample.
type Score struct {
	// Value is higher for better, except where a scorer measures without
	// judging (Length, Refusal).
	Value float64 `json:"value"`
	// Label says the same in a word, where a scorer has words: "pass", "fail",
	// "refusal", "first".
	Label string `json:"label,omitempty"`
	// Explanation is the judge's reason, or what does not fit.
	Explanation string `json:"explanation,omitempty"`
	// Ratings are the single verdicts of a judge that was asked several times.
	Ratings []int `json:"ratings,omitempty"`
	// Usage is what the scorer's calls took.
	Usage Usage `json:"usage,omitzero"`
}

// Usage is what calls of models took.
type Usage struct {
	Calls  int64   `json:"calls"`
	Input  int64   `json:"input_tokens"`
	Output int64   `json:"output_tokens"`
	Money  float64 `json:"money"`
}

func (u *Usage) add(v Usage) {
	u.Calls += v.Calls
	u.Input += v.Input
	u.Output += v.Output
	u.Money += v.Money
}

// Scorer scores samples. It must be safe for concurrent use and must not keep the
// sample.
type Scorer interface {
	// Name names the score, in metrics and events: letters, digits, '_', '-',
	// '.', '/' and spaces.
	Name() string
	// Score looks at one sample. An error is no score at all; ErrBudget in it
	// says that the sample was left out.
	Score(ctx context.Context, s *Sample) (Score, error)
}

// Func makes a scorer of a function.
func Func(name string, score func(ctx context.Context, s *Sample) (Score, error)) Scorer {
	return &function{name, score, nil}
}

type function struct {
	name  string
	score func(ctx context.Context, s *Sample) (Score, error)
	about map[string]string
}

func (f *function) Name() string { return f.name }

func (f *function) Score(ctx context.Context, s *Sample) (Score, error) { return f.score(ctx, s) }

// Describe says what the function was made with.
func (f *function) Describe() map[string]string { return maps.Clone(f.about) }

// plain makes a scorer of a function of the sample alone.
func plain(name string, score func(s *Sample) Score, about ...string) Scorer {
	f := &function{name: name, score: func(_ context.Context, s *Sample) (Score, error) { return score(s), nil }, about: map[string]string{}}
	for pair := range slices.Chunk(about, 2) {
		f.about[pair[0]] = pair[1]
	}
	return f
}

// passes is the score of a yes or no.
func passes(ok bool) Score {
	if ok {
		return Score{Value: 1, Label: "pass"}
	}
	return Score{Label: "fail"}
}
