package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/sqldb"
)

// TestMembersOfAGroupDoNotHurtEachOther: while one transaction is held open,
// others queue up; those that fail, panic, fill the disk or lose their context
// take nothing from the rest.
func TestMembersOfAGroupDoNotHurtEachOther(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	execSQL(t, db, `CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)`)
	execSQL(t, db, `PRAGMA max_page_count = 200`)
	insert := func(tx *sqldb.Tx, a int) error {
		_, err := tx.ExecContext(context.Background(), `INSERT INTO t (a) VALUES (?)`, a)
		return err
	}
	stop := errors.New("stop")
	canceled, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	results := make([]error, 40)
	started := make(chan struct{}, len(results))
	crowd := sync.OnceFunc(func() { // the leader's func runs again when the disk is full
		for i := range results {
			wg.Go(func() {
				defer func() {
					if p := recover(); p != nil {
						results[i] = fmt.Errorf("panic: %v", p)
					}
				}()
				ctx := t.Context()
				if i%8 == 5 {
					ctx = canceled
				}
				started <- struct{}{}
				results[i] = db.Tx(ctx, func(tx *sqldb.Tx) error {
					if err := insert(tx, i); err != nil {
						return err
					}
					switch i % 8 {
					case 1:
						return stop
					case 2:
						panic("stop")
					case 3:
						return insert(tx, i) // violates the key
					case 4:
						_, err := tx.ExecContext(ctx, `INSERT INTO t (a, b) VALUES (?, zeroblob(2000000))`, 1000+i)
						return err
					}
					return nil
				})
			})
		}
		for range results {
			<-started
		}
		cancel()
	})
	err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		crowd()
		return insert(tx, 500)
	})
	require.NoError(t, err)
	wg.Wait()
	want := 1
	for i, err := range results {
		switch i % 8 {
		case 1:
			require.ErrorIs(t, err, stop)
		case 2:
			require.ErrorContains(t, err, "panic: stop")
		case 3:
			require.True(t, sqldb.IsUnique(err), "%v", err)
		case 4:
			require.ErrorIs(t, err, errs.ErrUnavailable)
		case 5:
			require.ErrorIs(t, err, context.Canceled)
		default:
			require.NoError(t, err)
			want++
		}
	}
	var n, wrong int
	require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT COUNT(*), COALESCE(SUM(a < 500 AND a % 8 IN (1, 2, 3, 4, 5)), 0) FROM t`).Scan(&n, &wrong)
	}))
	require.Equal(t, want, n)
	require.Zero(t, wrong)
}

// TestManyWritersOfOneHandle is what a service does.
func TestManyWritersOfOneHandle(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	execSQL(t, db, `CREATE TABLE n (v INTEGER)`)
	execSQL(t, db, `INSERT INTO n (v) VALUES (0)`)
	const writers, each = 16, 100
	results := make(chan error, writers)
	for w := range writers {
		go func() {
			results <- func() error {
				for range each {
					run := db.Tx
					if w == 0 {
						run = db.TxAlone
					}
					err := run(t.Context(), func(tx *sqldb.Tx) error {
						_, err := tx.ExecContext(t.Context(), `UPDATE n SET v = v + 1`)
						return err
					})
					if err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range writers {
		require.NoError(t, <-results)
	}
	require.Equal(t, []string{fmt.Sprint(writers * each)}, readTexts(t, db, `SELECT CAST(v AS text) FROM n`))
}

// TestAnErrorHoldsWhenItIsTold: who is told that a name is taken finds it, also
// when the one who took it shares the transaction.
func TestAnErrorHoldsWhenItIsTold(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	execSQL(t, db, `CREATE TABLE n (name TEXT PRIMARY KEY)`)
	const writers, rounds = 8, 200
	results := make(chan error, writers)
	for range writers {
		go func() {
			results <- func() error {
				for i := range rounds {
					name := fmt.Sprint("n", i)
					err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
						_, err := tx.ExecContext(t.Context(), `INSERT INTO n VALUES (?)`, name)
						return err
					})
					if err == nil {
						continue
					}
					var found int
					read := db.View(t.Context(), func(tx *sqldb.Tx) error {
						return tx.QueryRowContext(t.Context(), `SELECT count(*) FROM n WHERE name = ?`, name).Scan(&found)
					})
					if read != nil || found != 1 {
						return fmt.Errorf("told that %s is there (%w), and found it %d times: %w", name, err, found, read)
					}
				}
				return nil
			}()
		}()
	}
	for range writers {
		require.NoError(t, <-results)
	}
}

func BenchmarkTx(b *testing.B) {
	db := open(b, nil)
	execSQL(b, db, `CREATE TABLE n (id INTEGER PRIMARY KEY, v INTEGER)`)
	insert := func() {
		err := db.Tx(b.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(b.Context(), `INSERT INTO n (v) VALUES (?)`, 1)
			return err
		})
		if err != nil {
			b.Error(err)
		}
	}
	b.Run("One", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			insert()
		}
	})
	b.Run("Sixteen", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				insert()
			}
		})
	})
}
