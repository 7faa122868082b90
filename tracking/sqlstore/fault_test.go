package sqlstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// TestNothingIsLostWhenPostgresRestarts: while writers log, the server is
// restarted, killed and restarted. Every call succeeds, every run and batch
// that was acknowledged is there, and no create was done twice or refused for
// its own sake.
func TestNothingIsLostWhenPostgresRestarts(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	store := openURL(t, server.URL(t))
	experiment := newRun(t, store, "first").Experiment
	const writers = 4
	type wrote struct{ runs, batches int }
	var done [writers]wrote
	results := make(chan error, writers)
	stop := make(chan struct{})
	progress := make(chan struct{}, 1)
	name := func(w, run int) tracking.RunID { return tracking.RunID(fmt.Sprintf("w%d-%d", w, run)) }
	write := func(w int) error {
		ctx, d := t.Context(), &done[w]
		id := name(w, d.runs)
		_, err := store.CreateRun(ctx, tracking.RunInfo{ID: id, Experiment: experiment, Status: tracking.Running, Start: time.UnixMilli(1), Tags: map[string]string{"w": "1"}})
		if err != nil {
			return err
		}
		d.runs, d.batches = d.runs+1, 0
		for n := range 5 {
			b := tracking.Batch{Metrics: []tracking.Metric{{Key: "m", Step: int64(n), Time: time.UnixMilli(1)}}}
			if n == 3 {
				b.Params = map[string]string{"p": "1"}
			}
			if err := store.LogBatch(ctx, id, b); err != nil {
				return err
			}
			d.batches = n + 1
		}
		if _, _, err := store.History(ctx, id, "m", tracking.Page{}); err != nil {
			return err
		}
		return store.UpdateRun(ctx, id, tracking.RunUpdate{DeleteTags: []string{"w"}})
	}
	for w := range writers {
		go func() {
			results <- func() error {
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					if err := write(w); err != nil {
						return err
					}
					select {
					case progress <- struct{}{}:
					default:
					}
				}
			}()
		}()
	}
	advance := func() {
		for range 10 {
			select {
			case <-progress:
			case err := <-results:
				require.NoError(t, errors.Join(err, errors.New("a writer ended")))
			}
		}
	}
	for _, fault := range []func(testing.TB){server.Restart, func(t testing.TB) { server.Kill(t); server.Start(t) }, server.Restart} {
		advance()
		fault(t)
	}
	advance()
	close(stop)
	for range writers {
		require.NoError(t, <-results)
	}
	total := 0
	for w, d := range done {
		for n := range d.runs {
			info, err := store.Run(t.Context(), name(w, n))
			require.NoError(t, err)
			require.Empty(t, info.Tags)
			require.Equal(t, map[string]string{"p": "1"}, info.Params)
			require.Len(t, readHistory(t, store, info.ID, "m", 0), 5)
			total++
		}
	}
	t.Logf("%d runs of 5 batches, none lost", total)

	// A server that stays away is an error that names it.
	server.Stop(t)
	_, err := sqlstore.Open(t.Context(), "postgres://u:secret@"+server.Addr()+"/d", nil)
	require.ErrorIs(t, err, tracking.ErrUnavailable)
	require.ErrorContains(t, err, server.Addr())
	require.NotContains(t, err.Error(), "secret")
}
