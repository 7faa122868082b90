package pgstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/pgstore"
)

// patient are options under which a loaded machine is no database that is away.
func patient(o pgstore.Options) *pgstore.Options {
	o.Timeout = 5 * time.Minute
	return &o
}

func open(t testing.TB, url string, o pgstore.Options) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), url, patient(o))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

func connect(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func number(t testing.TB, db *sql.DB, query string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

const used = `SELECT COALESCE(SUM(used), 0) FROM mw_llm_account WHERE key = $1`

// budget is a charge on a budget that ends tomorrow.
func budget(key string, amount, limit int64) []llm.Charge {
	return []llm.Charge{{Key: key, Amount: amount, Limit: limit, Until: time.Now().Add(24 * time.Hour)}}
}

// settled is what tells that a request did cost so much.
func settled(taken []llm.Charge, cost int64) []llm.Charge {
	c := taken[0]
	c.Taken, c.Amount = c.Amount, cost-c.Amount
	return []llm.Charge{c}
}

// Several replicas spend one budget at once: what was spent and what is reserved
// never exceed it together, and in the end the database knows it to the unit.
func TestReplicasShareABudget(t *testing.T) {
	t.Parallel()
	const limit = 200_000
	for name, ahead := range map[string]time.Duration{"Ahead": 0, "Exact": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.SchemaURL(t)
			var held, spent, most atomic.Int64 // Reserved and spent; spent.
			var stores []*pgstore.Store
			var wg sync.WaitGroup
			for range 4 {
				s := open(t, url, pgstore.Options{Ahead: ahead, Refresh: 10 * time.Millisecond})
				stores = append(stores, s)
				for range 4 {
					wg.Go(func() {
						for range 150 {
							charge := budget("a", 1+rand.Int64N(1000), limit)
							short, wait, err := s.Take(t.Context(), charge)
							if err != nil {
								t.Error(err)
								return
							}
							if short >= 0 {
								if wait <= 0 || wait > 25*time.Hour {
									t.Error(wait)
								}
								continue
							}
							now := held.Add(charge[0].Amount)
							for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
							}
							cost := rand.Int64N(charge[0].Amount + 1)
							spent.Add(cost)
							held.Add(cost - charge[0].Amount)
							if err := s.Settle(t.Context(), settled(charge, cost)); err != nil {
								t.Error(err)
							}
						}
					})
				}
			}
			wg.Wait()
			require.LessOrEqual(t, most.Load(), int64(limit))
			for _, s := range stores {
				require.NoError(t, s.Shutdown(context.Background()))
			}
			db := connect(t, url)
			require.Equal(t, spent.Load(), number(t, db, used, "a"))
			// All that is left can be spent, and nothing more.
			last := open(t, url, pgstore.Options{Ahead: ahead})
			short, _, err := last.Take(t.Context(), budget("a", limit-spent.Load()+1, limit))
			require.NoError(t, err)
			require.Zero(t, short)
			if left := limit - spent.Load(); left > 0 {
				short, _, err = last.Take(t.Context(), budget("a", left, limit))
				require.NoError(t, err)
				require.Equal(t, -1, short)
			}
		})
	}
}

// One replica answers as the store in memory does, whatever comes.
func TestSameAsMemory(t *testing.T) {
	t.Parallel()
	s, m := open(t, pgtest.SchemaURL(t), pgstore.Options{}), llm.NewMemory()
	var running [][]llm.Charge
	for range 400 {
		if len(running) > 0 && rand.IntN(3) == 0 {
			last := running[len(running)-1]
			running = running[:len(running)-1]
			for i := range last {
				last[i].Taken = last[i].Amount
				last[i].Amount = rand.Int64N(2*last[i].Amount+1) - last[i].Amount
			}
			require.NoError(t, m.Settle(t.Context(), last))
			require.NoError(t, s.Settle(t.Context(), last))
			continue
		}
		both := append(budget("a", 1+rand.Int64N(40), 2000), budget("b", 1+rand.Int64N(100), 5000)...)
		other := append([]llm.Charge(nil), both...)
		want, _, err := m.Take(t.Context(), other)
		require.NoError(t, err)
		got, _, err := s.Take(t.Context(), both)
		require.NoError(t, err)
		require.Equal(t, want < 0, got < 0, "%+v %+v", other, both)
		if got < 0 {
			running = append(running, both)
		}
	}
}

func TestLimitsFillUpByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	url := pgtest.SchemaURL(t)
	s := open(t, url, pgstore.Options{Ahead: -1, Refresh: 10 * time.Millisecond})
	minute := []llm.Charge{{Key: "m", Amount: 600, Limit: 600, Per: time.Hour}}
	short, _, err := s.Take(t.Context(), minute)
	require.NoError(t, err)
	require.Equal(t, -1, short)
	short, wait, err := s.Take(t.Context(), minute)
	require.NoError(t, err)
	require.Zero(t, short)
	require.Greater(t, wait, 10*time.Minute)
	require.LessOrEqual(t, wait, time.Hour)
	// Half an hour passes in the database, and nowhere else.
	db := connect(t, url)
	_, err = db.ExecContext(t.Context(), `UPDATE mw_llm_account SET at = at - interval '30 minutes'`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		short, _, err := s.Take(t.Context(), []llm.Charge{{Key: "m", Amount: 300, Limit: 600, Per: time.Hour}})
		return err == nil && short == -1
	}, 5*time.Minute, 10*time.Millisecond)
	// A period that is over for more than a day cannot begin anew.
	late := []llm.Charge{{Key: "p", Amount: 1, Limit: 600, Until: time.Now().Add(-48 * time.Hour)}}
	short, _, err = s.Take(t.Context(), late)
	require.NoError(t, err)
	require.Zero(t, short)
	// And what is not needed is swept, while what is stays.
	_, err = db.ExecContext(t.Context(), `UPDATE mw_llm_account SET keep = now() - interval '1 second' WHERE key = 'p'`)
	require.NoError(t, err)
	require.NoError(t, s.Sweep(t.Context()))
	require.EqualValues(t, 1, number(t, db, `SELECT COUNT(*) FROM mw_llm_account`))
	require.EqualValues(t, 1, number(t, db, `SELECT COUNT(*) FROM mw_llm_lease`))
}

// A replica that was taken for dead, and is not, tells its sums anew.
func TestReplicaComesBack(t *testing.T) {
	t.Parallel()
	url := pgtest.SchemaURL(t)
	s := open(t, url, pgstore.Options{Refresh: time.Hour, Lease: 8 * time.Hour})
	other := open(t, url, pgstore.Options{Ahead: -1})
	first := budget("a", 600, 1000)
	short, _, err := s.Take(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, -1, short)
	db := connect(t, url)
	_, err = db.ExecContext(t.Context(), `UPDATE mw_llm_lease SET expires = now() - interval '1 second'`)
	require.NoError(t, err)
	short, _, err = other.Take(t.Context(), budget("a", 1000, 1000))
	require.NoError(t, err)
	require.Equal(t, -1, short, "it is given back")
	require.NoError(t, s.Settle(t.Context(), settled(first, 500)))
	require.NoError(t, s.Shutdown(context.Background()))
	require.EqualValues(t, 1500, number(t, db, used, "a"), "which is by how much it was overspent: less than what was held")
}

// With these set the test binary is a replica that is killed.
const (
	childURLEnv = "MILLWRIGHT_PGSTORE_TEST_URL"
	childTook   = "took"
)

// TestKilledChild is not a test by itself: it is the replica that
// TestReplicaIsKilled kills.
func TestKilledChild(t *testing.T) {
	url := os.Getenv(childURLEnv)
	if url == "" {
		return // This process is the parent.
	}
	s, err := pgstore.Open(t.Context(), url, patient(pgstore.Options{Refresh: 100 * time.Millisecond, Lease: 10 * time.Second}))
	require.NoError(t, err)
	for _, key := range []string{"back", "kept"} {
		charge := budget(key, 700, 1000)
		short, _, err := s.Take(t.Context(), charge)
		require.NoError(t, err)
		require.Equal(t, -1, short)
		done := budget(key, 100, 1000)
		short, _, err = s.Take(t.Context(), done)
		require.NoError(t, err)
		require.Equal(t, -1, short)
		require.NoError(t, s.Settle(t.Context(), settled(done, 100)))
	}
	fmt.Println(childTook)
	select {}
}

// What a replica held that is killed is given back when its lease is over, or is
// kept as spent, and what it had told that it spent is spent.
func TestReplicaIsKilled(t *testing.T) {
	t.Parallel()
	url := pgtest.SchemaURL(t)
	s := open(t, url, pgstore.Options{Ahead: -1})
	keeps := open(t, url, pgstore.Options{Ahead: -1, KeepLost: true})
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledChild$")
	child.Env = append(os.Environ(), childURLEnv+"="+url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Equal(t, childTook, lines.Text())
	db := connect(t, url)
	require.Eventually(t, func() bool {
		return number(t, db, `SELECT COUNT(*) FROM mw_llm_lease WHERE spent = 100`) == 2
	}, 5*time.Minute, 10*time.Millisecond)
	// While it lives it renews its leases, and its reservations hold.
	const expires = `SELECT CAST(EXTRACT(epoch FROM MIN(expires)) * 1000 AS bigint) FROM mw_llm_lease WHERE spent = 100`
	began := number(t, db, expires)
	require.Eventually(t, func() bool {
		short, _, err := s.Take(t.Context(), budget("back", 900, 1000))
		require.NoError(t, err)
		require.Zero(t, short)
		return number(t, db, expires) > began
	}, 5*time.Minute, 10*time.Millisecond)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.Eventually(t, func() bool {
		short, _, err := s.Take(t.Context(), budget("back", 900, 1000))
		return err == nil && short == -1
	}, 5*time.Minute, 10*time.Millisecond)
	short, _, err := keeps.Take(t.Context(), budget("kept", 900, 1000))
	require.NoError(t, err)
	require.Zero(t, short)
	require.EqualValues(t, 1, number(t, db, `SELECT COUNT(*) FROM mw_llm_lease WHERE key = 'kept' AND expires < now()`))
	require.GreaterOrEqual(t, number(t, db, used, "kept"), int64(800))
}
