package inferlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// Versions from before a deletion stay readable for a while, for readers that
// are at work.
const keptVersions = 24 * time.Hour

// Expire deletes the rows of all hours before a time, as Options.Retention does
// once an hour, and collects the files that no version of the last day has. A
// file holds one hour, model and version as long as nobody compacts the
// dataset, so whole files go and none is written anew.
func (l *Log) Expire(ctx context.Context, before time.Time) error {
	subject := fmt.Sprintf("inferlog: expire %q", l.name)
	cut := before.UTC().Truncate(time.Hour)
	_, err := l.data.Delete(ctx, filter.Lt("time", cut), &dataset.CommitOptions{Message: "retention of the inference log"})
	if err != nil && !errors.Is(err, dataset.ErrConflict) { // Another replica was faster.
		return fmt.Errorf("%s: %w", subject, err)
	}
	if _, err := l.data.Collect(ctx, &dataset.CollectOptions{Apply: true, KeepLast: -1, KeepFor: keptVersions}); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}

// janitor expires rows once an hour until Shutdown.
func (l *Log) janitor() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-l.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		if err := l.Expire(ctx, time.Now().Add(-l.opts.Retention)); err != nil && ctx.Err() == nil {
			l.opts.OnError(err)
		}
		select {
		case <-ticker.C:
		case <-l.stop:
			return
		}
	}
}
