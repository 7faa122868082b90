package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// TestManyOpenANewDatabaseAtOnce as the replicas of a service do.
func TestManyOpenANewDatabaseAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		const starters = 8
		results := make(chan error, starters)
		for range starters {
			go func() {
				store, err := sqlstore.Open(t.Context(), url, nil)
				if err == nil {
					err = store.Close()
				}
				results <- err
			}()
		}
		for range starters {
			require.NoError(t, <-results)
		}
		newRun(t, openURL(t, url), "run1")
	})
}

// applicationPool opens the database as an application of its own does.
func applicationPool(t *testing.T, url string) (*sql.DB, sqlstore.Dialect) {
	t.Helper()
	driver, dialect := "pgx", sqlstore.Postgres
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dialect, url = "sqlite", sqlstore.SQLite, "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)"
	}
	pool, err := sql.Open(driver, url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return pool, dialect
}

func TestNewKeepsItsTablesInTheApplicationsDatabase(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx := t.Context()
		pool, dialect := applicationPool(t, url)
		_, err := pool.ExecContext(ctx, `CREATE TABLE orders (id bigint)`)
		require.NoError(t, err)

		_, err = sqlstore.New(ctx, pool, dialect, nil)
		require.ErrorIs(t, err, tracking.ErrInvalid)
		require.ErrorContains(t, err, "Migrate")
		require.NoError(t, sqlstore.Migrate(ctx, pool, dialect))
		require.NoError(t, sqlstore.Migrate(ctx, pool, dialect))
		store, err := sqlstore.New(ctx, pool, dialect, &sqlstore.Options{ArtifactRoot: "s3://bucket/root/"})
		require.NoError(t, err)
		info := newRun(t, store, "run1")
		require.Equal(t, "s3://bucket/root/"+string(info.Experiment)+"/run1/artifacts", info.ArtifactURI)
		require.NoError(t, store.LogBatch(ctx, "run1", fixtureBatch()))
		requireFixture(t, store, "run1")
		requireFixture(t, openURL(t, url), "run1") // beside another handle
		require.NoError(t, store.Close())
		_, err = store.Run(ctx, "run1")
		require.ErrorIs(t, err, tracking.ErrClosed)
		require.NoError(t, pool.PingContext(ctx))

		_, err = pool.ExecContext(ctx, `INSERT INTO mw_migrations (line, version, name, applied_ms) VALUES ('tracking', 99, 'x', 0)`)
		require.NoError(t, err)
		_, err = sqlstore.New(ctx, pool, dialect, nil)
		require.ErrorIs(t, err, tracking.ErrUnsupported)
		require.ErrorIs(t, sqlstore.Migrate(ctx, pool, dialect), tracking.ErrUnsupported)
		_, err = sqlstore.New(ctx, pool, "oracle", nil)
		require.ErrorIs(t, err, tracking.ErrInvalid)
	})
}

// TestSchemasAreTheSame compares what the two databases call tables and
// columns, and which of them may be NULL.
func TestSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	file := fileURL(filepath.Join(t.TempDir(), "tracking.db"))
	server := pgtest.SchemaURL(t)
	openURL(t, file)
	openURL(t, server)
	columns := func(url, query string) map[string]bool {
		pool, _ := applicationPool(t, url)
		rows, err := pool.QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close()
		out := map[string]bool{}
		for rows.Next() {
			var name string
			var required bool
			require.NoError(t, rows.Scan(&name, &required))
			out[name] = required
		}
		require.NoError(t, rows.Err())
		require.NotEmpty(t, out)
		return out
	}
	require.Equal(t,
		columns(file, `SELECT m.name || '.' || c.name, c."notnull" OR c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name LIKE 'mw\_%' ESCAPE '\'`),
		columns(server, `SELECT table_name || '.' || column_name, is_nullable = 'NO' FROM information_schema.columns WHERE table_schema = current_schema()`))
	indexes := func(url, query string) map[string]bool { return columns(url, query) }
	require.Equal(t,
		indexes(file, `SELECT name, true FROM sqlite_master WHERE type = 'index' AND name LIKE 'mw\_%' ESCAPE '\'`),
		indexes(server, `SELECT indexname, true FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT LIKE '%\_key' AND indexname NOT LIKE '%\_pkey'`))

	// Text in PostgreSQL is compared by bytes, as in SQLite.
	pool, _ := applicationPool(t, server)
	var wrong int
	require.NoError(t, pool.QueryRowContext(t.Context(), `
		SELECT COUNT(*) FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name <> 'mw_migrations' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`).Scan(&wrong))
	require.Zero(t, wrong)
}

// TestHotReadsUseIndexes guards against a plan that walks a whole table.
func TestHotReadsUseIndexes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tracking.db")
	open(t, path)
	db, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer db.Close()
	in := db.Dialect().In
	for query, want := range map[string]string{
		`SELECT data FROM mw_metric_block WHERE run = 1 AND key = 1 AND (ts_ms, step, value, is_nan) > (1, 1, 1, 0) ORDER BY ts_ms, step, value, is_nan LIMIT 9`:                       "SEARCH mw_metric_block USING PRIMARY KEY (run=? AND key=? AND (ts_ms,step,value,is_nan)>(?,?,?,?))",
		`SELECT ts_ms FROM mw_metric_block WHERE run = 1 AND key = 1 AND (ts_ms, step, value, is_nan) <= (1, 1, 1, 0) ORDER BY ts_ms DESC, step DESC, value DESC, is_nan DESC LIMIT 1`: "SEARCH mw_metric_block USING PRIMARY KEY (run=? AND key=? AND (ts_ms,step,value,is_nan)<(?,?,?,?))",
		`SELECT 1 FROM mw_metric_log l WHERE l.run = 1`:                                                                      "SEARCH l USING COVERING INDEX mw_metric_log_by_run (run=?)",
		`SELECT x.run FROM mw_latest x JOIN mw_key k ON k.id = x.key WHERE ` + in("x.run"):                                   "SEARCH x USING PRIMARY KEY (run=?)",
		`SELECT x.run FROM mw_input x JOIN mw_dataset d ON d.id = x.dataset WHERE ` + in("x.run") + ` ORDER BY x.run, x.seq`: "SEARCH x USING PRIMARY KEY (run=?)",
	} {
		rows, err := db.Read().QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, "[1]")
		if err != nil {
			rows, err = db.Read().QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query)
		}
		require.NoError(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Contains(t, plan, want, query)
		for _, line := range plan {
			require.NotRegexp(t, `^SCAN (mw_|l$|k$|x$|d$)|TEMP B-TREE FOR ORDER`, line, query)
		}
	}
}
