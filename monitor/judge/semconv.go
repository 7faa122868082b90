package judge

import (
	"context"
	"errors"
	"log/slog"

	"github.com/millwright-ml/millwright/serve/llm/genai"
)

// Event is one gen_ai.evaluation.result.
type Event struct {
	// Name is the event's name.
	Name string
	// Attributes are its attributes.
	Attributes []slog.Attr
}

// Events are the events of a result, one a score. The explanation of a score may
// cite what it judges: it is in them only if asked for.
func Events(r *Result, explanations bool) []Event {
	out := make([]Event, len(r.Scores))
	for i := range r.Scores {
		s := &r.Scores[i]
		list := []slog.Attr{slog.String(genai.EvaluationName, s.Name), slog.String(genai.ResponseID, or(r.Sample.ResponseID, r.Sample.ID))}
		if r.Sample.Model != "" {
			list = append(list, slog.String(genai.RequestModel, r.Sample.Model))
		}
		if s.Err != nil {
			list = append(list, slog.String(genai.ErrorType, errorType(s.Err)))
		} else {
			list = append(list, slog.Float64(genai.EvaluationScoreValue, s.Value))
			if s.Label != "" {
				list = append(list, slog.String(genai.EvaluationScoreLabel, s.Label))
			}
			if explanations && s.Explanation != "" {
				list = append(list, slog.String(genai.EvaluationExplanation, s.Explanation))
			}
		}
		out[i] = Event{genai.EvaluationResult, list}
	}
	return out
}

func errorType(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, ErrBudget):
		return "budget"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrInvalid):
		return "invalid"
	}
	return "_OTHER"
}

// LogEvents makes an OnResult that writes the events of each result to a logger,
// at level Info and with the event's name as the message.
func LogEvents(logger *slog.Logger, explanations bool) func(Result) {
	return func(r Result) {
		for _, e := range Events(&r, explanations) {
			logger.LogAttrs(context.Background(), slog.LevelInfo, e.Name, e.Attributes...)
		}
	}
}
