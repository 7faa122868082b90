package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/sqldb"
)

func fileURL(path string) string { return "sqlite:" + filepath.ToSlash(path) }

func open(t testing.TB, opts *sqldb.Options) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), fileURL(filepath.Join(t.TempDir(), "a.db")), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func execSQL(t testing.TB, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	}))
}

func TestOpenSetsThePragmas(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		db := open(t, &sqldb.Options{FullSync: full})
		want := map[string]string{"journal_mode": "wal", "foreign_keys": "1", "cache_size": "-65536", "synchronous": "1", "busy_timeout": "50"}
		if full {
			want["synchronous"] = "2"
		}
		for pragma, value := range want {
			var got string
			require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got)
			}))
			require.Equal(t, value, got, pragma)
		}
	}
}

func TestOpenTakesOddFileNames(t *testing.T) {
	t.Parallel()
	names := map[string]string{ // in the URL → on disk
		"a%3Fb%23c%2541.db":  "a?b#c%41.db",
		"with space&x=1.db":  "with space&x=1.db",
		"täst.db":            "täst.db",
		"_pragma=evil(1).db": "_pragma=evil(1).db",
	}
	if runtime.GOOS == "windows" {
		t.Skip("these names are not valid on this system")
	}
	for inURL, onDisk := range names {
		dir := t.TempDir()
		db, err := sqldb.Open(t.Context(), fileURL(dir)+"/"+inURL, nil)
		require.NoError(t, err)
		execSQL(t, db, `CREATE TABLE t (a)`)
		require.NoError(t, db.Close())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1, "the log files are gone after Close")
		require.Equal(t, onDisk, entries[0].Name())
	}
}

func TestOpenNamesTheMistake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("not a database\n", 500)), 0o600))
	unwritable := "/proc/self" // refuses new files even to root
	if os.Geteuid() != 0 {
		unwritable = filepath.Join(dir, "sealed")
		require.NoError(t, os.Mkdir(unwritable, 0o500))
	}
	cases := []struct {
		name, path, text string
		kind             error
		linuxOnly        bool
	}{
		{"missing folder", filepath.Join(dir, "no", "a.db"), "does not exist", errs.ErrNotFound, false},
		{"folder", dir, "is a folder", errs.ErrInvalid, false},
		{"file as folder", filepath.Join(text, "a.db"), "not a folder", errs.ErrInvalid, false},
		{"not a database", text, "not an SQLite database", errs.ErrInvalid, false},
		{"unwritable folder", unwritable + "/a.db", "cannot be written", errs.ErrUnavailable, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.linuxOnly && runtime.GOOS != "linux" {
				t.Skip("needs Linux paths and permissions")
			}
			_, err := sqldb.Open(t.Context(), fileURL(c.path), nil)
			require.ErrorContains(t, err, c.text)
			require.ErrorContains(t, err, c.path)
			require.ErrorIs(t, err, c.kind)
		})
	}
}

func TestOptionsReportEveryFault(t *testing.T) {
	t.Parallel()
	_, err := sqldb.Open(t.Context(), fileURL(filepath.Join(t.TempDir(), "a.db")), &sqldb.Options{BusyTimeout: -1, Readers: -1})
	require.ErrorIs(t, err, errs.ErrInvalid)
	require.ErrorContains(t, err, "BusyTimeout")
	require.ErrorContains(t, err, "Readers")
}

func TestTxCommitsAndRollsBack(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	execSQL(t, db, `CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t(a))`)
	sentinel := errors.New("stop")
	err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO t (a) VALUES (1)`)
		require.NoError(t, err)
		return sentinel
	})
	require.ErrorIs(t, err, sentinel)
	require.PanicsWithValue(t, "stop", func() {
		_ = db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO t (a) VALUES (2)`)
			require.NoError(t, err)
			panic("stop")
		})
	})
	execSQL(t, db, `INSERT INTO t (a) VALUES (3)`) // fails if a transaction is still open
	var sum int
	require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT SUM(a) FROM t`).Scan(&sum)
	}))
	require.Equal(t, 3, sum)

	insert := func(query string) error {
		return db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), query)
			return err
		})
	}
	require.True(t, sqldb.IsUnique(insert(`INSERT INTO t (a) VALUES (3)`)))
	require.True(t, sqldb.IsForeignKey(insert(`INSERT INTO t (a, b) VALUES (4, 99)`)))
	require.False(t, sqldb.IsUnique(sentinel))
	require.False(t, sqldb.IsForeignKey(nil))
}

func TestViewIsOneSnapshotAndReadOnly(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	execSQL(t, db, `CREATE TABLE t (a)`)
	require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
		var before, after int
		require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM t`).Scan(&before))
		execSQL(t, db, `INSERT INTO t (a) VALUES (1)`) // the writer does not wait for the reader
		require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM t`).Scan(&after))
		require.Equal(t, before, after)
		return nil
	}))
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO t (a) VALUES (2)`)
		return err
	})
	require.ErrorIs(t, err, errs.ErrUnavailable)
}

func TestFullDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	execSQL(t, db, `CREATE TABLE t (a)`)
	execSQL(t, db, `PRAGMA max_page_count = 4`)
	err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO t (a) VALUES (zeroblob(100000))`)
		return err
	})
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.ErrorContains(t, err, "full")
	execSQL(t, db, `INSERT INTO t (a) VALUES (1)`) // what fits still goes in
}

func TestDamagedFileIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	execSQL(t, db, `CREATE TABLE t (a)`)
	execSQL(t, db, `INSERT INTO t (a) VALUES ('x')`)
	require.NoError(t, db.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 4096; i < len(data); i++ { // keep page 1, so that it still opens
		data[i] = 0xa5
	}
	require.NoError(t, os.WriteFile(path, data, 0o600))
	db, err = sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer db.Close()
	err = db.View(t.Context(), func(tx *sqldb.Tx) error {
		var a string
		return tx.QueryRowContext(t.Context(), `SELECT a FROM t`).Scan(&a)
	})
	require.ErrorIs(t, err, errs.ErrInvalid)
	require.ErrorContains(t, err, "damaged")
}

func TestLockIsWaitedForWithinTheLimits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	holder, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer holder.Close()
	impatient, err := sqldb.Open(t.Context(), fileURL(path), &sqldb.Options{BusyTimeout: 20 * time.Millisecond})
	require.NoError(t, err)
	defer impatient.Close()
	patient, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer patient.Close()

	nothing := func(*sqldb.Tx) error { return nil }
	waited := make(chan error, 1)
	require.NoError(t, holder.Tx(t.Context(), func(*sqldb.Tx) error {
		err := impatient.Tx(t.Context(), nothing)
		require.ErrorIs(t, err, errs.ErrUnavailable)
		require.ErrorContains(t, err, "lock")

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, patient.Tx(ctx, nothing), context.DeadlineExceeded)
		require.Less(t, time.Since(start), 10*time.Second, "the context ends the wait, not BusyTimeout")

		go func() { waited <- patient.Tx(context.Background(), nothing) }()
		return nil
	}))
	require.NoError(t, <-waited)
}

func TestCanceledStatementAnswersTheContext(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := db.View(ctx, func(tx *sqldb.Tx) error {
		var n int
		return tx.QueryRowContext(ctx, `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT COUNT(*) FROM c`).Scan(&n)
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestStatementsBeyondThoseKeptPrepared(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	execSQL(t, db, `CREATE TABLE t (a)`)
	for range 2 { // the second time most are prepared
		require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			for i := range 600 {
				if _, err := tx.ExecContext(t.Context(), fmt.Sprintf(`INSERT INTO t (a) VALUES (?+%d)`, i), 1); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	var n, sum int
	require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT COUNT(*), SUM(a) FROM t`).Scan(&n, &sum)
	}))
	require.Equal(t, 1200, n)
	require.Equal(t, 2*600*601/2, sum)
	err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(t.Context(), `no sql`)
		return err
	})
	require.Error(t, err)
	err = db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRowContext(t.Context(), `no sql`).Scan(&n)
	})
	require.ErrorContains(t, err, "syntax")
}

func TestClosed(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	require.ErrorIs(t, db.Tx(t.Context(), func(*sqldb.Tx) error { return nil }), errs.ErrClosed)
	require.ErrorIs(t, db.View(t.Context(), func(*sqldb.Tx) error { return nil }), errs.ErrClosed)
}

func TestConcurrentWritersOfOneFileLoseNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	const handles, each = 4, 50
	first, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer first.Close()
	execSQL(t, first, `CREATE TABLE t (n INTEGER NOT NULL)`)
	execSQL(t, first, `INSERT INTO t (n) VALUES (0)`)
	var wg sync.WaitGroup
	failed := make(chan error, handles)
	for range handles {
		wg.Go(func() {
			failed <- func() error {
				db, err := sqldb.Open(t.Context(), fileURL(path), nil)
				if err != nil {
					return err
				}
				defer db.Close()
				for range each { // read, then write: loses updates unless BEGIN takes the lock
					err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
						var n int
						if err := tx.QueryRowContext(t.Context(), `SELECT n FROM t`).Scan(&n); err != nil {
							return err
						}
						_, err := tx.ExecContext(t.Context(), `UPDATE t SET n = ?`, n+1)
						return err
					})
					if err != nil {
						return err
					}
				}
				return nil
			}()
		})
	}
	wg.Wait()
	for range handles {
		require.NoError(t, <-failed)
	}
	var n int
	require.NoError(t, first.Read().QueryRowContext(t.Context(), `SELECT n FROM t`).Scan(&n))
	require.Equal(t, handles*each, n)
}

// steps returns n migration steps of which the first is not idempotent, so
// that a step that ran twice shows.
func steps(n int) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 1; i <= n; i++ {
		text := fmt.Sprintf("CREATE TABLE mw_t%d (a); INSERT INTO mw_t1 (a) VALUES (%d);", i, i)
		fsys[fmt.Sprintf("sqlite/%04d_step.sql", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}
