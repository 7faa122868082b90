package sqldb_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/sqldb"
)

// childEnv makes the test binary migrate the file it names and end: a real
// second process.
const childEnv = "MILLWRIGHT_SQLDB_TEST_MIGRATE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := openAndMigrate(context.Background(), path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openAndMigrate(ctx context.Context, path string) error {
	db, err := sqldb.Open(ctx, fileURL(path), nil)
	if err != nil {
		return err
	}
	if err := sqldb.Migrate(ctx, db, "test", steps(3)); err != nil {
		return err
	}
	return db.Close()
}

func requireMigratedOnce(t *testing.T, path string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer db.Close()
	var steps, rows int
	require.NoError(t, db.Read().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM mw_migrations`).Scan(&steps))
	require.NoError(t, db.Read().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM mw_t1`).Scan(&rows))
	require.Equal(t, 3, steps)
	require.Equal(t, 3, rows)
}

func TestMigrateByManyHandlesAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, starters = 20, 8
	for range rounds {
		path := filepath.Join(t.TempDir(), "a.db")
		results := make(chan error, starters)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for range starters {
			wg.Go(func() {
				<-start
				results <- openAndMigrate(t.Context(), path)
			})
		}
		close(start)
		wg.Wait()
		for range starters {
			require.NoError(t, <-results)
		}
		requireMigratedOnce(t, path)
	}
}

func TestMigrateByManyProcessesAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, starters = 2, 8
	for range rounds {
		path := filepath.Join(t.TempDir(), "a.db")
		results := make(chan error, starters)
		for range starters {
			go func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), childEnv+"="+path)
				if out, err := cmd.CombinedOutput(); err != nil {
					results <- fmt.Errorf("%w: %s", err, out)
					return
				}
				results <- nil
			}()
		}
		for range starters {
			require.NoError(t, <-results)
		}
		requireMigratedOnce(t, path)
	}
}

func TestMigrateStepByStepAndByLine(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	require.NoError(t, sqldb.Migrate(t.Context(), db, "a", steps(1)))
	require.NoError(t, sqldb.Migrate(t.Context(), db, "a", steps(3)))
	require.NoError(t, sqldb.Migrate(t.Context(), db, "a", steps(3)))
	other := fstest.MapFS{"sqlite/0001_other.sql": {Data: []byte(`CREATE TABLE mw_other (a)`)}}
	require.NoError(t, sqldb.Migrate(t.Context(), db, "b", other))

	rows, err := db.Read().QueryContext(t.Context(), `SELECT line || version || ':' || name FROM mw_migrations ORDER BY line, version`)
	require.NoError(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var s string
		require.NoError(t, rows.Scan(&s))
		got = append(got, s)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{"a1:0001_step.sql", "a2:0002_step.sql", "a3:0003_step.sql", "b1:0001_other.sql"}, got)
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	require.NoError(t, sqldb.Migrate(t.Context(), db, "a", steps(3)))
	err := sqldb.Migrate(t.Context(), db, "a", steps(2))
	require.ErrorIs(t, err, errs.ErrUnsupported)
	require.ErrorContains(t, err, "version 3")
	require.ErrorContains(t, err, "up to 2")
}

func TestMigrateIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	broken := steps(3)
	broken["sqlite/0003_step.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE mw_t3 (a); no sql at all;`)}
	require.ErrorContains(t, sqldb.Migrate(t.Context(), db, "a", broken), "0003_step.sql")
	require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
		var n int
		require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sqlite_master`).Scan(&n))
		require.Zero(t, n, "nothing of the failed migration stays")
		return nil
	}))
	require.NoError(t, sqldb.Migrate(t.Context(), db, "a", steps(3)))
}

func TestMigrateChecksTheStepFiles(t *testing.T) {
	t.Parallel()
	db := open(t, nil)
	file := &fstest.MapFile{Data: []byte(`SELECT 1`)}
	for name, fsys := range map[string]fstest.MapFS{
		"gap":       {"sqlite/0001_a.sql": file, "sqlite/0003_b.sql": file},
		"duplicate": {"sqlite/0001_a.sql": file, "sqlite/0001_b.sql": file},
		"bad name":  {"sqlite/1.sql": file},
		"foreign":   {"sqlite/0001_a.sql": file, "sqlite/readme.md": file},
	} {
		require.ErrorIs(t, sqldb.Migrate(t.Context(), db, "a", fsys), errs.ErrInvalid, name)
	}
	// A line without steps for this database has no store on it.
	err := sqldb.Migrate(t.Context(), db, "a", fstest.MapFS{"postgres/0001_a.sql": file})
	require.ErrorIs(t, err, errs.ErrUnsupported)
}
