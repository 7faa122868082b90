package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// pause is the time between two looks for what is old enough to go.
const pause = time.Hour

// retain removes for good what the flags say, until ctx ends. After each look
// that removed something it calls after.
func retain(ctx context.Context, cfg *config, client *tracking.Client, m *metrics, log *slog.Logger, after func(context.Context) error) {
	if cfg.retention == 0 && cfg.traceRetention == 0 {
		return
	}
	opts := &tracking.PurgeOptions{OlderThan: cfg.retention, Traces: cfg.traceRetention}
	if cfg.retention == 0 {
		opts.OlderThan = 1<<63 - 1 // traces only
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		report, err := client.Purge(ctx, opts)
		m.tell(report)
		if report != (tracking.PurgeReport{}) {
			err = errors.Join(err, after(ctx))
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // the next look tries again
			log.Warn("retention", "error", err)
		case report != tracking.PurgeReport{}:
			log.Info("retention", "removed", report)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
