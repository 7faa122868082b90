package pgstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/serve/llm/pgstore"
)

// While the database is away requests go on from what is held. Then they are
// refused, or let through and counted when it is there again.
func TestDatabaseIsAway(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	url := server.URL(t)
	store := func(open bool) *pgstore.Store {
		o := pgstore.Options{Refresh: 20 * time.Millisecond, Lease: time.Hour, Timeout: 3 * time.Second, FailOpen: open}
		s, err := pgstore.Open(t.Context(), url, &o)
		require.NoError(t, err)
		return s
	}
	closed, open := store(false), store(true)
	charge := budget("closed", 600, 1000)
	require.Eventually(t, func() bool {
		short, _, err := closed.Take(t.Context(), charge)
		return err == nil && short == -1
	}, 5*time.Minute, 10*time.Millisecond)
	server.Kill(t)
	require.NoError(t, closed.Settle(t.Context(), settled(charge, 100)), "it needs no round trip")
	require.Eventually(t, func() bool {
		_, _, err := closed.Take(t.Context(), budget("closed", 1000, 1000))
		return err != nil
	}, 5*time.Minute, 10*time.Millisecond)
	_, _, err := closed.Take(t.Context(), budget("other", 1, 1000))
	require.ErrorIs(t, err, pgstore.ErrUnavailable)
	through := budget("open", 1700, 1000)
	short, _, err := open.Take(t.Context(), through)
	require.NoError(t, err)
	require.Equal(t, -1, short)
	require.NoError(t, open.Settle(t.Context(), settled(through, 1500)))
	server.Start(t)
	require.Eventually(t, func() bool {
		short, _, err := closed.Take(t.Context(), budget("closed", 900, 1000))
		return err == nil && short == -1
	}, 5*time.Minute, 10*time.Millisecond)
	passed := int64(0) // While it is away.
	require.Eventually(t, func() bool {
		short, _, err := open.Take(t.Context(), budget("open", 1, 1000))
		if err == nil && short < 0 {
			passed++
		}
		return err == nil && short == 0
	}, 5*time.Minute, 10*time.Millisecond)
	db := connect(t, url)
	require.Eventually(t, func() bool {
		return number(t, db, used, "open") == 1500+passed && number(t, db, used, "closed") == 100+900
	}, 5*time.Minute, 10*time.Millisecond, "what was settled, and what runs")
	// On a very slow machine their last word may come too late.
	_, _ = closed.Shutdown(context.Background()), open.Shutdown(context.Background())
	_, _, err = open.Take(t.Context(), budget("open", 1, 1000))
	require.ErrorIs(t, err, pgstore.ErrClosed)
	require.NoError(t, open.Shutdown(context.Background()))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := pgstore.Open(t.Context(), "postgres://", &pgstore.Options{Ahead: -2, Refresh: time.Minute, Lease: time.Minute, Connections: -1})
	require.ErrorIs(t, err, pgstore.ErrInvalid)
	for _, part := range []string{"Ahead", "four times Refresh", "Connections"} {
		require.ErrorContains(t, err, part)
	}
	db := connect(t, pgtest.SchemaURL(t))
	_, err = pgstore.New(t.Context(), db, nil)
	require.ErrorIs(t, err, pgstore.ErrInvalid)
	require.NoError(t, pgstore.Migrate(t.Context(), db))
	s, err := pgstore.New(t.Context(), db, nil)
	require.NoError(t, err)
	require.NoError(t, s.Shutdown(context.Background()))
	require.NoError(t, db.PingContext(t.Context()), "it is the program's own")
}

// The store is one for PostgreSQL.
func Example() {
	_, err := pgstore.Open(context.Background(), "sqlite:gateway.db", nil)
	fmt.Println(err)
	// Output:
	// llm/pgstore: open: the URL is not one of PostgreSQL: invalid
}
