package sqlstore_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// manyRuns is the size of the store of BenchmarkSearch.
const manyRuns = 100_000

// fill makes runs in experiment 1 by SQL: each with 20 params of ten values,
// 20 metrics uniform in 0 to 1 and 4 tags.
func fill(tb testing.TB, db *sql.DB, runs int, postgres bool) {
	tb.Helper()
	exec := func(text string) {
		tb.Helper()
		_, err := db.ExecContext(tb.Context(), text)
		require.NoError(tb, err)
	}
	random := "(abs(random() % 1000000) / 1000000.0)"
	if postgres {
		random = "random()"
	}
	var creates []string
	for _, table := range []string{"mw_param", "mw_tag", "mw_latest"} {
		name := table + "_by_value"
		create := ""
		if postgres {
			require.NoError(tb, db.QueryRowContext(tb.Context(), `SELECT indexdef FROM pg_indexes WHERE indexname = $1`, name).Scan(&create))
		} else {
			require.NoError(tb, db.QueryRowContext(tb.Context(), `SELECT sql FROM sqlite_master WHERE name = ?`, name).Scan(&create))
		}
		creates = append(creates, create)
		exec("DROP INDEX " + name)
	}
	numbers := func(to int) string {
		return fmt.Sprintf("(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s)", to)
	}
	exec(`INSERT INTO mw_experiment (name, artifact_location, created_ms, updated_ms) VALUES ('bench', 'x:/1', 0, 0)`)
	for _, kind := range []string{"p", "m", "t"} {
		exec("INSERT INTO mw_key (key) SELECT '" + kind + "' || g.n FROM " + numbers(20) + " g")
	}
	exec(`INSERT INTO mw_run (run_id, experiment_id, name, user_id, status, start_ms, artifact_uri, n_params, n_metrics, n_tags)
		SELECT 'run' || g.n, 1, 'name', 'user', 'FINISHED', 1700000000000 + g.n * 1000, 'x:/1/run', 20, 20, 4 FROM ` + numbers(runs) + ` g`)
	from := ` FROM mw_run r CROSS JOIN mw_key k WHERE k.key IN `
	value := `CAST(CAST(10 * ` + random + ` - 0.5 AS bigint) AS text)`
	exec(`INSERT INTO mw_param (run, key, value) SELECT r.id, k.id, ` + value + from + `(SELECT key FROM mw_key WHERE key LIKE 'p%') ORDER BY r.id, k.id`)
	exec(`INSERT INTO mw_tag (run, key, value) SELECT r.id, k.id, ` + value + from + `('t1', 't2', 't3', 't4') ORDER BY r.id, k.id`)
	exec(`INSERT INTO mw_latest (run, key, step, ts_ms, value, is_nan) SELECT r.id, k.id, 1, 1700000000000, ` + random + `, 0` + from + `(SELECT key FROM mw_key WHERE key LIKE 'm%') ORDER BY r.id, k.id`)
	for _, create := range creates {
		exec(create)
	}
	if postgres {
		exec(`VACUUM ANALYZE`)
	}
}

// searches are what a page of runs is asked for in the benchmark.
var searches = []struct {
	name    string
	filter  string
	orderBy []string
}{
	{"first", "", nil},
	{"metric,param,tag", "metrics.m3 > 0.9 AND params.p5 = '3' AND tags.t2 = '7'", nil},
	{"narrow", "metrics.m3 > 0.999 AND params.p5 = '3' AND tags.t2 = '7'", nil},
	{"none", "metrics.m3 > 0.9 AND params.p5 = 'x' AND tags.t2 = '7'", nil},
	{"wide", "metrics.m3 > 0.1 AND params.p5 != '3' AND tags.t2 LIKE '%'", nil},
	{"three params", "params.p1 = '1' AND params.p2 = '2' AND params.p3 = '3'", nil},
	{"three metrics", "metrics.m1 > 0.9 AND metrics.m2 > 0.9 AND metrics.m3 > 0.9", nil},
	{"by metric", "", []string{"metrics.m7 DESC"}},
	{"by metric, filtered", "params.p5 = '3' AND tags.t2 = '7'", []string{"metrics.m7 DESC"}},
	{"by param", "", []string{"params.p7"}},
	{"by end", "metrics.m3 > 0.9 AND params.p5 = '3' AND tags.t2 = '7'", []string{"end_time"}},
}

// BenchmarkSearch reads first pages of 100 runs out of manyRuns.
func BenchmarkSearch(b *testing.B) {
	run := func(b *testing.B, store *sqlstore.Store) {
		for _, c := range searches {
			b.Run(c.name, func(b *testing.B) {
				q := tracking.RunQuery{Experiments: []tracking.ExperimentID{"1"}, Filter: c.filter, OrderBy: c.orderBy}
				n := 0
				for b.Loop() {
					page, _, err := store.SearchRuns(b.Context(), q)
					require.NoError(b, err)
					n = len(page)
				}
				b.ReportMetric(float64(n), "runs")
			})
		}
	}
	b.Run("SQLite", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "bench.db")
		store := open(b, path)
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=cache_size(-262144)&_pragma=busy_timeout(10000)")
		require.NoError(b, err)
		fill(b, db, manyRuns, false)
		require.NoError(b, db.Close())
		run(b, store)
	})
	b.Run("Postgres", func(b *testing.B) {
		url := pgtest.URL(b)
		store := openURL(b, url)
		db, err := sql.Open("pgx", url)
		require.NoError(b, err)
		fill(b, db, manyRuns, true)
		require.NoError(b, db.Close())
		run(b, store)
	})
}
