package judge

import (
	"context"
	"errors"
	"log/slog"
)

// The names of OpenTelemetry's conventions for generative AI, as they are in
// github.com/open-telemetry/semantic-conventions-genai in 2026, all of them still
// in development. They are written nowhere else in this package.
const (
	eventResult          = "gen_ai.evaluation.result"
	attributeName        = "gen_ai.evaluation.name"
	attributeValue       = "gen_ai.evaluation.score.value"
	attributeLabel       = "gen_ai.evaluation.score.label"
	attributeExplanation = "gen_ai.evaluation.explanation"
	attributeResponse    = "gen_ai.response.id"
	attributeModel       = "gen_ai.request.model"
	attributeError       = "error.type"
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
		list := []slog.Attr{slog.String(attributeName, s.Name), slog.String(attributeResponse, r.Sample.ID)}
		if r.Sample.Model != "" {
			list = append(list, slog.String(attributeModel, r.Sample.Model))
		}
		if s.Err != nil {
			list = append(list, slog.String(attributeError, errorType(s.Err)))
		} else {
			list = append(list, slog.Float64(attributeValue, s.Value))
			if s.Label != "" {
				list = append(list, slog.String(attributeLabel, s.Label))
			}
			if explanations && s.Explanation != "" {
				list = append(list, slog.String(attributeExplanation, s.Explanation))
			}
		}
		out[i] = Event{eventResult, list}
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
// at level Info and with the event's name as the message. OpenTelemetry's bridge
// for slog makes events of them.
func LogEvents(logger *slog.Logger, explanations bool) func(Result) {
	return func(r Result) {
		for _, e := range Events(&r, explanations) {
			logger.LogAttrs(context.Background(), slog.LevelInfo, e.Name, e.Attributes...)
		}
	}
}
