package rollout_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/millwright-ml/millwright/serve/rollout"
)

// table is a Store in a database, as an application writes it.
type table struct{ db *sql.DB }

func newTable(t testing.TB) *table {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "rollouts.db")+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), `CREATE TABLE rollouts (name TEXT PRIMARY KEY, state TEXT NOT NULL, revision INTEGER NOT NULL)`)
	require.NoError(t, err)
	return &table{db}
}

func (s *table) Load(ctx context.Context, name string) (state []byte, revision int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT state, revision FROM rollouts WHERE name = ?`, name).Scan(&state, &revision)
	if errors.Is(err, sql.ErrNoRows) {
		err = rollout.ErrNotFound
	}
	return state, revision, err
}

func (s *table) Save(ctx context.Context, name string, state []byte, revision int64) error {
	var res sql.Result
	var err error
	if revision == 0 {
		res, err = s.db.ExecContext(ctx, `INSERT INTO rollouts (name, state, revision) VALUES (?, ?, 1) ON CONFLICT DO NOTHING`, name, string(state))
	} else {
		res, err = s.db.ExecContext(ctx, `UPDATE rollouts SET state = ?, revision = revision + 1 WHERE name = ? AND revision = ?`, string(state), name, revision)
	}
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, rollout.ErrConflict)
	}
	return nil
}

func TestStores(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t testing.TB) rollout.Store{
		"Mem":    func(testing.TB) rollout.Store { return new(rollout.Mem) },
		"SQLite": func(t testing.TB) rollout.Store { return newTable(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			ctx := t.Context()
			_, _, err := s.Load(ctx, "e")
			require.ErrorIs(t, err, rollout.ErrNotFound)
			require.ErrorIs(t, s.Save(ctx, "e", []byte("x"), 1), rollout.ErrConflict)
			require.NoError(t, s.Save(ctx, "e", []byte("a"), 0))
			require.ErrorIs(t, s.Save(ctx, "e", []byte("b"), 0), rollout.ErrConflict)
			require.NoError(t, s.Save(ctx, "e", []byte("b"), 1))
			state, revision, err := s.Load(ctx, "e")
			require.NoError(t, err)
			require.Equal(t, "b", string(state))
			require.EqualValues(t, 2, revision)

			// Of those who count up at once nobody gets lost.
			require.NoError(t, s.Save(ctx, "n", []byte("0"), 0))
			var all sync.WaitGroup
			var done atomic.Int64
			for range 4 {
				all.Go(func() {
					for range 10 {
						for {
							state, revision, err := s.Load(ctx, "n")
							var n int
							if err == nil {
								_, err = fmt.Sscan(string(state), &n)
							}
							if err == nil {
								err = s.Save(ctx, "n", fmt.Append(nil, n+1), revision)
							}
							if err == nil {
								done.Add(1)
								break
							}
							if !errors.Is(err, rollout.ErrConflict) {
								t.Error(err)
								return
							}
						}
					}
				})
			}
			all.Wait()
			state, _, err = s.Load(ctx, "n")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(done.Load()), string(state))
			require.EqualValues(t, 40, done.Load())
		})
	}
}

// TestReplicasDecideOnce: three replicas, none of which has seen enough by
// itself, decide on what they saw together, once and alike.
func TestReplicasDecideOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(rollout.Mem)
		var mu sync.Mutex
		var recorded []rollout.Event
		events := make([][]rollout.Event, 3)
		e := experiment()
		e.MinSamples = 300
		var all sync.WaitGroup
		var replicas []*running
		for i := range events {
			s := newServer(t, new(behaviour), &behaviour{fails: every(4)})
			r := newRollout(t, e, &rollout.Options{
				Store:   store,
				OnEvent: func(ev rollout.Event) { events[i] = append(events[i], ev) },
				Record: func(_ context.Context, ev rollout.Event) error {
					mu.Lock()
					defer mu.Unlock()
					recorded = append(recorded, ev)
					return nil
				},
			})
			replicas = append(replicas, run(t, r, s))
			synctest.Wait()
			all.Go(func() { traffic(t.Context(), s, 500) })
		}
		all.Wait()
		for _, q := range replicas {
			require.NoError(t, q.over())
		}
		require.Len(t, recorded, 1)
		require.Equal(t, rollout.Rollback, recorded[0].Verdict)
		require.GreaterOrEqual(t, recorded[0].Evidence[0].Requests[1], int64(300))
		require.Equal(t, recorded[0], events[0][len(events[0])-1])
		last := func(i int) string {
			text, err := json.Marshal(events[i][len(events[i])-1])
			require.NoError(t, err)
			return string(text)
		}
		require.Equal(t, last(0), last(1))
		require.Equal(t, last(0), last(2))
	})
}

// TestRestart: an experiment goes on where it was, on its sums.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(rollout.Mem)
		e := experiment()
		e.MinSamples = 400
		var events []rollout.Event
		start := func() (*rollout.Rollout, *running, func(int)) {
			s := newServer(t, new(behaviour), new(behaviour))
			r := newRollout(t, e, &rollout.Options{Store: store, OnEvent: func(ev rollout.Event) { events = append(events, ev) }})
			q := run(t, r, s)
			synctest.Wait()
			return r, q, func(n int) { traffic(t.Context(), s, n) }
		}
		r, q, ask := start()
		ask(500)
		require.ErrorIs(t, q.end(), context.Canceled)
		before := r.Status()
		require.EqualValues(t, 500, before.Requests+before.Challengers[0].Requests, "the last requests were merged at the end")

		r, q, ask = start()
		require.Equal(t, before.Requests, r.Status().Requests)
		ask(600)
		require.NoError(t, q.over())
		require.Equal(t, rollout.Promote, r.Status().Challengers[0].Verdict)
		require.Len(t, events, 2)

		// Who comes after the end finds it over, and acts on it.
		_, q, _ = start()
		require.NoError(t, q.over())

		// Another experiment cannot have the name.
		e.Alpha = 0.01
		_, q, _ = start()
		require.ErrorIs(t, q.over(), rollout.ErrConflict)
	})
}

// failing is a Store that fails while it is told to.
type failing struct {
	rollout.Mem
	down atomic.Bool
}

func (f *failing) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if f.down.Load() {
		return nil, 0, errors.New("connection refused")
	}
	return f.Mem.Load(ctx, name)
}

// TestOutage: without its store an experiment goes on for a while, then sends
// everything to the champion; nothing that was counted is lost.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(failing)
		store.down.Store(true)
		e := experiment()
		e.Guards[0].Margin = 0.0001 // It takes longer than this test.
		s := newServer(t, new(behaviour), new(behaviour))
		r := newRollout(t, e, &rollout.Options{Store: store, Outage: 10 * time.Second})
		q := run(t, r, s)
		synctest.Wait()
		require.Empty(t, r.Version("user-1"), "before the first state nobody gets a challenger")
		store.down.Store(false)
		pass(time.Second)
		require.NotEmpty(t, r.Version("user-1"))

		store.down.Store(true)
		traffic(t.Context(), s, 500)
		require.NotEmpty(t, r.Version("user-1"))
		traffic(t.Context(), s, 700)
		require.Empty(t, r.Version("user-1"))

		store.down.Store(false)
		pass(time.Second)
		require.NotEmpty(t, r.Version("user-1"))
		st := r.Status()
		require.InDelta(t, 1000, st.Requests+st.Challengers[0].Requests, 100)
		require.ErrorIs(t, q.end(), context.Canceled)
	})
}

// fixed is a Store with a state of a stranger's.
type fixed struct {
	rollout.Mem
	state []byte
}

func (f *fixed) Load(context.Context, string) ([]byte, int64, error) { return f.state, 1, nil }

// FuzzState: whatever is in the store, Run ends or goes on; it does not panic.
func FuzzState(f *testing.F) {
	store := new(rollout.Mem)
	e := experiment()
	e.Guards = append(e.Guards, rollout.Guard{Metric: rollout.Latency, Margin: 0.1}, rollout.Guard{Metric: rollout.Label, Margin: 0.1})
	s := newServer(f, new(behaviour), new(behaviour))
	r := newRollout(f, e, &rollout.Options{Store: store})
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	require.ErrorIs(f, r.Run(ctx, s), context.Canceled)
	state, _, err := store.Load(f.Context(), "e")
	require.NoError(f, err)
	f.Add(state)
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, state []byte) {
		r := newRollout(t, e, &rollout.Options{Store: &fixed{state: state}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = r.Run(ctx, s)
		_ = r.Status()
	})
}
