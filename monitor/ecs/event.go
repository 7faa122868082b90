package ecs

import (
	"log/slog"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/monitor"
)

// Level is the level that a report deserves: warnings for drifts and limits.
func Level(r monitor.Report) slog.Level {
	if r.Verdict == monitor.Drift || len(r.Quality) > 0 {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Event describes a report in the schema's fields: an alert where a trigger is
// open, else a metric; its key as event.id, so that a line shipped twice is one
// event; the causes as event.reason.
func Event(r monitor.Report) []slog.Attr {
	kind, outcome := "metric", "success"
	if r.Trigger != nil {
		kind = "alert"
	}
	if r.Verdict == monitor.Drift {
		outcome = "failure"
	}
	attrs := []slog.Attr{
		slog.String("event.kind", kind),
		slog.String("event.action", "model-monitoring"),
		slog.String("event.outcome", outcome),
		slog.String("event.id", r.Key),
		slog.Time("event.start", r.From),
		slog.Time("event.end", r.To),
		slog.Duration("event.duration", r.To.Sub(r.From)),
		slog.String("model", r.Model),
		slog.String("version", r.Version),
		slog.Int("window", r.Window),
		slog.Uint64("rows", r.Rows),
		slog.String("verdict", string(r.Verdict)),
		slog.String("state", string(r.State)),
		slog.Int("features_with_alarm", r.Alarms()),
	}
	if len(r.Causes) > 0 {
		attrs = append(attrs, slog.String("event.reason", strings.Join(r.Causes, "; ")))
	}
	if len(r.Features) > 0 {
		w := r.Worst()
		attrs = append(attrs, slog.String("worst_feature", w.Name), slog.String("worst_severity", strconv.FormatFloat(w.Severity, 'g', 4, 64)))
	}
	if r.Trigger != nil {
		attrs = append(attrs, slog.String("trigger", r.Trigger.Key))
	}
	return attrs
}
