package sqldb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/internal/sqldb"
)

// both gives the steps of SQLite to PostgreSQL, too.
func both(fsys fstest.MapFS) fstest.MapFS {
	for name, file := range fsys {
		text := strings.ReplaceAll(string(file.Data), "(a)", "(a text)")
		text = strings.ReplaceAll(text, "mw_t1 (a text) VALUES", "mw_t1 (a) VALUES")
		fsys[strings.Replace(name, "sqlite", "postgres", 1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestMigratePostgresByManyAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, starters = 3, 8
	for range rounds {
		url := pgtest.URL(t)
		results := make(chan error, starters)
		for range starters {
			go func() {
				results <- func() error {
					db, err := sqldb.Open(context.Background(), url, nil)
					if err != nil {
						return err
					}
					return errors.Join(sqldb.Migrate(context.Background(), db, "test", both(steps(3))), db.Close())
				}()
			}()
		}
		for range starters {
			require.NoError(t, <-results)
		}
		db := openPostgres(t, url, nil)
		require.Equal(t, []string{"1", "2", "3"}, readTexts(t, db, `SELECT CAST(version AS text) FROM mw_migrations ORDER BY version`))
		require.Len(t, readTexts(t, db, `SELECT a FROM mw_t1`), 3)
		require.ErrorIs(t, sqldb.Migrate(t.Context(), db, "test", both(steps(2))), errs.ErrUnsupported)
	}
}

func TestOpenPostgresErrors(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	at := func(from, to string) string { return strings.Replace(url, from, to, 1) }
	db := openPostgres(t, url, nil)
	role := db.Name()[strings.LastIndex(db.Name(), "/")+1:] // roles are the server's
	execSQL(t, db, `CREATE ROLE `+role)
	for name, c := range map[string]struct {
		url, text string
		kind      error
	}{
		"no server":   {"postgres://u:secret@127.0.0.1:1/d", `"127.0.0.1:1/d"`, errs.ErrUnavailable},
		"no database": {at("/test", "/none"), "create the database first", errs.ErrNotFound},
		"no login":    {at("millwright@", role+":secret@"), "refuses this user", errs.ErrInvalid},
		"no slashes":  {"postgres:secret", "postgres://user:password@host", errs.ErrInvalid},
		"bad port":    {"postgres://u:secret@h:x/d", "postgres://user:password@host", errs.ErrInvalid},
		"bad escape":  {"postgres://u:%zz@h/d", "escape special characters", errs.ErrInvalid},
		"bad option":  {"postgres://u:secret@h/d?sslmode=perhaps", `host "h"`, errs.ErrInvalid},
	} {
		_, err := sqldb.Open(t.Context(), c.url, nil)
		require.ErrorIs(t, err, c.kind, name)
		require.ErrorContains(t, err, c.text, name)
		require.NotContains(t, err.Error(), "secret", name)
	}
	for _, scheme := range []string{"postgresql:", "postgresql+psycopg2:", "POSTGRES:"} {
		require.NoError(t, openPostgres(t, at("postgres:", scheme), nil).Close())
	}
}

// TestDeadlocksAreTriedAgain: each of the two waits for the row of the other.
func TestDeadlocksAreTriedAgain(t *testing.T) {
	t.Parallel()
	db := openPostgres(t, pgtest.URL(t), nil)
	execSQL(t, db, `CREATE TABLE n (id bigint, v bigint)`)
	execSQL(t, db, `INSERT INTO n (id, v) VALUES (1, 0), (2, 0)`)
	var first sync.WaitGroup
	first.Add(2)
	results := make(chan error, 2)
	for i := range int64(2) {
		go func() {
			once := sync.OnceFunc(func() { first.Done(); first.Wait() })
			results <- db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				for _, id := range []int64{1 + i, 2 - i} {
					if _, err := tx.ExecContext(t.Context(), `UPDATE n SET v = v + 1 WHERE id = ?`, id); err != nil {
						return err
					}
					once()
				}
				return nil
			})
		}()
	}
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	require.Equal(t, []string{"2", "2"}, readTexts(t, db, `SELECT CAST(v AS text) FROM n`))
}

// TestEveryIncrementCountsOnce while the server is restarted and killed: each
// one that was acknowledged is there, and none twice.
func TestEveryIncrementCountsOnce(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	db := openPostgres(t, server.URL(t), nil)
	execSQL(t, db, `CREATE TABLE n (v bigint)`)
	execSQL(t, db, `INSERT INTO n (v) VALUES (0)`)
	const workers = 4
	var counts [workers]int
	results := make(chan error, workers)
	stop := make(chan struct{})
	progress := make(chan struct{}, 1)
	for w := range workers {
		go func() {
			results <- func() error {
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
						_, err := tx.ExecContext(t.Context(), `UPDATE n SET v = v + 1`)
						return err
					})
					if err != nil {
						return err
					}
					counts[w]++
					select {
					case progress <- struct{}{}:
					default:
					}
				}
			}()
		}()
	}
	for _, fault := range []func(testing.TB){server.Restart, func(t testing.TB) { server.Kill(t); server.Start(t) }, server.Restart} {
		for range 50 {
			<-progress
		}
		fault(t)
	}
	for range 50 {
		<-progress
	}
	close(stop)
	total := 0
	for range workers {
		require.NoError(t, <-results)
	}
	for _, n := range counts {
		total += n
	}
	var v int
	require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT v FROM n`).Scan(&v)
	}))
	require.Equal(t, total, v)
}

func TestAStoppedServerIsUnavailable(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	db := openPostgres(t, server.URL(t), &sqldb.Options{BusyTimeout: 50 * time.Millisecond})
	server.Stop(t)
	nothing := func(*sqldb.Tx) error { return nil }
	for _, call := range []func(context.Context, func(*sqldb.Tx) error) error{db.Tx, db.View} {
		err := call(t.Context(), nothing)
		require.ErrorIs(t, err, errs.ErrUnavailable)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, call(ctx, nothing), context.Canceled)
	}
	server.Start(t)
	require.NoError(t, db.Tx(t.Context(), nothing))
}
