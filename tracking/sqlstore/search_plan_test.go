package sqlstore

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// openWithRuns opens a store with some runs in experiment 1.
func openWithRuns(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.CreateExperiment(t.Context(), tracking.Experiment{ID: "1", Name: "x", Created: time.UnixMilli(1)})
	require.NoError(t, err)
	for i := range 30 {
		id := tracking.RunID(fmt.Sprint("r", i))
		_, err := s.CreateRun(t.Context(), tracking.RunInfo{ID: id, Experiment: "1", Status: tracking.Running, Start: time.UnixMilli(int64(i))})
		require.NoError(t, err)
		require.NoError(t, s.LogBatch(t.Context(), id, tracking.Batch{
			Params: map[string]string{"p": fmt.Sprint(i % 3)}, Tags: map[string]string{"t": fmt.Sprint(i % 5)},
			Metrics: []tracking.Metric{{Key: "m", Value: float64(i), Time: time.UnixMilli(1)}},
		}))
	}
	return s
}

// explained is the plan of the statement that a search sends for a stage.
func explained(t *testing.T, s *Store, filter string, orders []string, stageNumber int, listed bool) string {
	t.Helper()
	clauses, err := search.Runs().Filter(filter)
	require.NoError(t, err)
	order, err := search.Runs().Order(orders)
	require.NoError(t, err)
	require.NoError(t, s.foldExperiments(t.Context(), []int64{1}))
	var plan []string
	err = s.db.View(t.Context(), func(tx *sqldb.Tx) error {
		l, _, err := s.newLookup(t.Context(), tx, searchedRuns(), clauses, order)
		if err != nil {
			return err
		}
		l.Groups, l.Base = inExperiments(s.dialect, []int64{1}), inView(tracking.ActiveOnly)
		var ids []int64
		if listed {
			ids = []int64{1, 2, 3}
		}
		text := l.Statement(stageNumber, 10, ids)
		explain := "EXPLAIN QUERY PLAN "
		if s.dialect == sqldb.Postgres {
			explain = "EXPLAIN "
		}
		rows, err := tx.QueryBuilt(t.Context(), explain+text.Text, text.Args...)
		if err != nil {
			return err
		}
		return drainRows(rows, func(rows *sql.Rows) error {
			cols, err := rows.Columns()
			if err != nil {
				return err
			}
			line := make([]any, len(cols))
			for i := range line {
				line[i] = new(sql.NullString)
			}
			err = rows.Scan(line...)
			plan = append(plan, line[len(line)-1].(*sql.NullString).String)
			return err
		})
	})
	require.NoError(t, err)
	return strings.Join(plan, "\n")
}

// The statements walk along their indexes and look values up by primary keys.
func TestPlansSQLite(t *testing.T) {
	t.Parallel()
	s := openWithRuns(t, "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "x.db")))
	const all = "metrics.m > 3 AND params.p = '1' AND tags.t LIKE '%'"
	for _, c := range []struct {
		filter string
		order  []string
		stage  int
		listed bool
		want   []string
	}{
		{"", nil, 0, false, []string{"SEARCH e USING INDEX mw_run_by_start (experiment_id=?)"}},
		{all, nil, 0, false, []string{"SEARCH e USING INDEX mw_run_by_start (experiment_id=?)", "SEARCH p EXISTS USING PRIMARY KEY (run=? AND key=?)"}},
		{all, nil, 0, true, []string{"SEARCH e USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH p EXISTS USING PRIMARY KEY (run=? AND key=?)"}},
		{all, []string{"metrics.m DESC"}, 0, false, []string{"SEARCH o0 USING COVERING INDEX mw_latest_by_value (key=? AND is_nan=?)", "SEARCH e USING INTEGER PRIMARY KEY"}},
		{"", []string{"metrics.m"}, 2, false, []string{"SEARCH e USING INDEX mw_run_by_start", "SEARCH o0 USING PRIMARY KEY (run=? AND key=?)"}},
		{"", []string{"params.p", "metrics.m"}, 0, false, []string{"SEARCH o0 USING COVERING INDEX mw_param_by_value (key=?)", "SEARCH o1 USING PRIMARY KEY (run=? AND key=?) LEFT-JOIN"}},
		{"", []string{"tags.t DESC"}, 0, false, []string{"SEARCH o0 USING COVERING INDEX mw_tag_by_value (key=?)"}},
	} {
		plan := explained(t, s, c.filter, c.order, c.stage, c.listed)
		for _, want := range c.want {
			require.Contains(t, plan, want, "%s %s", c.filter, c.order)
		}
		require.NotContains(t, plan, "AUTOMATIC", "%s %s", c.filter, c.order)
	}
	// The lists of clauses come from the indexes alone.
	require.NoError(t, s.db.View(t.Context(), func(tx *sqldb.Tx) error {
		clauses, err := search.Runs().Filter(all)
		require.NoError(t, err)
		l, _, err := s.newLookup(t.Context(), tx, searchedRuns(), clauses, nil)
		require.NoError(t, err)
		for i, index := range []string{"mw_latest_by_value", "mw_param_by_value", "mw_tag_by_value"} {
			rows, err := tx.QueryBuilt(t.Context(), "EXPLAIN QUERY PLAN "+l.Lists()[i].Text, l.Lists()[i].Args...)
			require.NoError(t, err)
			require.NoError(t, drainRows(rows, func(rows *sql.Rows) error {
				var a, b, c int
				var detail string
				err := rows.Scan(&a, &b, &c, &detail)
				require.Contains(t, detail, "USING COVERING INDEX "+index)
				return err
			}))
		}
		return nil
	}))
}

func TestPlansPostgres(t *testing.T) {
	t.Parallel()
	s := openWithRuns(t, pgtest.URL(t))
	// The planner wants something to choose for.
	for _, text := range []string{
		`INSERT INTO mw_run (run_id, experiment_id, name, user_id, status, start_ms, artifact_uri)
			SELECT 'x' || n, 1, 'x', 'x', 'RUNNING', n, 'x' FROM generate_series(1, 5000) n`,
		`INSERT INTO mw_param (run, key, value) SELECT r.id, k.id, r.run_id FROM mw_run r CROSS JOIN mw_key k WHERE k.key = 'p' AND r.run_id LIKE 'x%'`,
		`INSERT INTO mw_tag (run, key, value) SELECT r.id, k.id, r.run_id FROM mw_run r CROSS JOIN mw_key k WHERE k.key = 't' AND r.run_id LIKE 'x%'`,
		`INSERT INTO mw_latest (run, key, step, ts_ms, value, is_nan)
			SELECT r.id, k.id, 1, 1, random(), 0 FROM mw_run r CROSS JOIN mw_key k WHERE k.key = 'm' AND r.run_id LIKE 'x%'`,
		`ANALYZE`,
	} {
		_, err := s.db.Read().ExecContext(t.Context(), text)
		require.NoError(t, err)
	}
	for _, c := range []struct {
		filter string
		order  []string
		want   []string
	}{
		{"", nil, []string{"mw_run_by_start"}},
		{"", []string{"metrics.m DESC"}, []string{"mw_latest_by_value", "Incremental Sort"}},
		{"", []string{"params.p"}, []string{"mw_param_by_value", "Incremental Sort"}},
		{"tags.t = 'x3'", nil, []string{"mw_tag_by_value"}},
		{"metrics.m > 0.999", nil, []string{"mw_latest_by_value"}},
	} {
		plan := explained(t, s, c.filter, c.order, 0, false)
		for _, want := range c.want {
			require.Contains(t, plan, want, "%s %s", c.filter, c.order)
		}
	}
}
