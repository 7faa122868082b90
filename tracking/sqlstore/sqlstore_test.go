package sqlstore_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func fileURL(path string) string { return "sqlite:" + filepath.ToSlash(path) }

func open(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func openNew(t testing.TB) tracking.Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "tracking.db"))
}

// newRun creates an experiment and a run in it.
func newRun(t testing.TB, store tracking.Store, id tracking.RunID) tracking.RunInfo {
	t.Helper()
	exp, err := store.CreateExperiment(t.Context(), tracking.Experiment{Name: "of " + string(id), Created: time.Now()})
	require.NoError(t, err)
	info, err := store.CreateRun(t.Context(), tracking.RunInfo{
		ID: id, Experiment: exp.ID, Name: "x", Status: tracking.Running, Start: time.UnixMilli(1000),
	})
	require.NoError(t, err)
	return info
}

func TestContract(t *testing.T) {
	t.Parallel()
	trackingtest.Run(t, openNew)
}

func BenchmarkStore(b *testing.B) {
	trackingtest.Benchmark(b, openNew)
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(text, []byte("these are notes and not a database, however long they may get and whatever they say"), 0o600))
	for url, want := range map[string]struct {
		kind error
		text string
	}{
		"postgres://user:secret@host/db":      {tracking.ErrUnsupported, "PostgreSQL is not supported in this version"},
		"sqlite:///":                          {tracking.ErrInvalid, "names no file"},
		fileURL(filepath.Join(dir, "a/b.db")): {tracking.ErrNotFound, "does not exist"},
		fileURL(dir):                          {tracking.ErrInvalid, "is a folder"},
		fileURL(text):                         {tracking.ErrInvalid, "not an SQLite database"},
	} {
		_, err := sqlstore.Open(t.Context(), url, nil)
		require.ErrorIs(t, err, want.kind, url)
		require.ErrorContains(t, err, want.text)
		require.Regexp(t, "^tracking/sqlstore: ", err.Error())
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tracking.db")
	require.NoError(t, open(t, path).Close())
	db, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	require.NoError(t, db.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO mw_migrations (line, version, name, applied_ms) VALUES ('tracking', 99, 'x', 0)`)
		return err
	}))
	require.NoError(t, db.Close())
	_, err = sqlstore.Open(t.Context(), fileURL(path), nil)
	require.ErrorIs(t, err, tracking.ErrUnsupported)
	require.ErrorContains(t, err, "upgrade the program")
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	store := open(t, filepath.Join(t.TempDir(), "tracking.db"))
	info := newRun(t, store, "run1")
	require.NoError(t, store.Close())
	require.NoError(t, store.Close())
	_, err := store.CreateExperiment(t.Context(), tracking.Experiment{Name: "x", Created: time.Now()})
	require.ErrorIs(t, err, tracking.ErrClosed)
	_, _, err = store.Experiments(t.Context(), tracking.ExperimentQuery{})
	require.ErrorIs(t, err, tracking.ErrClosed)
	_, err = store.CreateRun(t.Context(), tracking.RunInfo{ID: "run2", Experiment: info.Experiment})
	require.ErrorIs(t, err, tracking.ErrClosed)
	_, err = store.Run(t.Context(), info.ID)
	require.ErrorIs(t, err, tracking.ErrClosed)
	require.ErrorIs(t, store.UpdateRun(t.Context(), info.ID, tracking.RunUpdate{Name: "x"}), tracking.ErrClosed)
	require.ErrorIs(t, store.LogBatch(t.Context(), info.ID, tracking.Batch{}), tracking.ErrClosed)
	_, _, err = store.History(t.Context(), info.ID, "m", tracking.Page{})
	require.ErrorIs(t, err, tracking.ErrClosed)
	_, _, err = store.SearchRuns(t.Context(), tracking.RunQuery{Experiment: info.Experiment})
	require.ErrorIs(t, err, tracking.ErrClosed)
}

func TestReopenFindsEverything(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tracking.db")
	store := open(t, path)
	info := newRun(t, store, "run1")
	batch := fixtureBatch()
	require.NoError(t, store.LogBatch(t.Context(), info.ID, batch))
	require.NoError(t, store.Close())
	requireFixture(t, open(t, path), info.ID)
}

// TestMetricKeyLimit brings the counter near the limit by SQL, because a
// hundred thousand keys would take seconds.
func TestMetricKeyLimit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tracking.db")
	store := open(t, path)
	info := newRun(t, store, "run1")
	point := func(key string, step int64) tracking.Batch {
		return tracking.Batch{Metrics: []tracking.Metric{{Key: key, Step: step, Time: time.UnixMilli(1)}}}
	}
	require.NoError(t, store.LogBatch(t.Context(), info.ID, point("first", 1)))
	db, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE mw_run SET n_metrics = n_metrics + ?`, tracking.MaxRunMetricKeys-2)
		return err
	}))
	require.NoError(t, store.LogBatch(t.Context(), info.ID, point("last", 1)))
	err = store.LogBatch(t.Context(), info.ID, point("beyond", 1))
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, "100001 metric keys")
	require.NoError(t, store.LogBatch(t.Context(), info.ID, point("first", 2)), "known keys still take points")
	found, err := store.Run(t.Context(), info.ID)
	require.NoError(t, err)
	require.Len(t, found.Metrics, 2)
}

// TestQueriesUseIndexes guards against a plan that walks a whole table.
func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tracking.db")
	open(t, path)
	db, err := sqldb.Open(t.Context(), fileURL(path), nil)
	require.NoError(t, err)
	defer db.Close()
	for query, want := range map[string]string{
		`SELECT id FROM mw_run WHERE experiment_id = 1 AND start_ms <= 9 AND (start_ms < 9 OR run_id > 'x') ORDER BY start_ms DESC, run_id LIMIT 9`:                        "SEARCH mw_run USING COVERING INDEX mw_run_by_start (experiment_id=? AND start_ms<?)",
		`SELECT id FROM mw_run WHERE experiment_id = 1 AND status = 'RUNNING' AND start_ms <= 9 AND (start_ms < 9 OR run_id > 'x') ORDER BY start_ms DESC, run_id LIMIT 9`: "SEARCH mw_run USING COVERING INDEX mw_run_by_status (experiment_id=? AND status=? AND start_ms<?)",
		`SELECT step FROM mw_metric WHERE run = 1 AND key = 1 AND (ts_ms, step, value, is_nan) > (1, 1, 1, 0) ORDER BY ts_ms, step, value, is_nan LIMIT 9`:                 "SEARCH mw_metric USING PRIMARY KEY (run=? AND key=? AND (ts_ms,step,value,is_nan)>(?,?,?,?))",
		`SELECT l.run, k.key FROM mw_latest l JOIN mw_key k ON k.id = l.key WHERE l.run IN (SELECT value FROM json_each('[1]'))`:                                           "SEARCH l USING PRIMARY KEY (run=?)",
		`SELECT i.run FROM mw_input i JOIN mw_dataset d ON d.id = i.dataset WHERE i.run IN (SELECT value FROM json_each('[1]')) ORDER BY i.run, i.seq`:                     "SEARCH i USING PRIMARY KEY (run=?)",
	} {
		rows, err := db.Read().QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query)
		require.NoError(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, errors.Join(rows.Err(), rows.Close()))
		require.Contains(t, plan, want, query)
		for _, line := range plan {
			require.NotRegexp(t, `^SCAN (mw_|l$|k$|i$|d$)|TEMP B-TREE FOR ORDER`, line, query)
		}
	}
}

var update = flag.Bool("update", false, "write the fixture testdata/v1.db anew")

// TestFixtureOpens reads a file that schema version 1 wrote.
func TestFixtureOpens(t *testing.T) {
	t.Parallel()
	fixture := filepath.Join("testdata", "v1.db")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, errors.Join(os.RemoveAll(fixture)))
		path, err := filepath.Abs(fixture)
		require.NoError(t, err)
		store := open(t, path)
		newRun(t, store, "fixture")
		require.NoError(t, store.LogBatch(t.Context(), "fixture", fixtureBatch()))
		require.NoError(t, store.UpdateRun(t.Context(), "fixture", tracking.RunUpdate{Status: tracking.Finished, End: time.UnixMilli(2000)}))
		require.NoError(t, store.Close())
	}
	data, err := os.ReadFile(fixture)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	store := open(t, path)
	info := requireFixture(t, store, "fixture")
	require.Equal(t, tracking.Finished, info.Status)
	require.Equal(t, time.UnixMilli(2000).UTC(), info.End)
	newRun(t, store, "another")
	require.NoError(t, store.LogBatch(t.Context(), "another", fixtureBatch()))
}

func fixtureBatch() tracking.Batch {
	return tracking.Batch{
		Metrics: []tracking.Metric{
			{Key: "loss", Value: 0.5, Step: 1, Time: time.UnixMilli(1001)},
			{Key: "loss", Value: math.Inf(1), Step: 2, Time: time.UnixMilli(1002)},
			{Key: "loss", Value: math.NaN(), Step: 3, Time: time.UnixMilli(1003)},
		},
		Params: map[string]string{"learning rate": "0.1"},
		Tags:   map[string]string{"team": "ñandú"},
		Inputs: []tracking.DatasetInput{{Name: "flights", Version: "3", Digest: "abc", Context: "training", SourceType: "delta", Source: "s3://b/f", Schema: "{}", Profile: "{\"rows\":1}"}},
	}
}

func requireFixture(t *testing.T, store tracking.Store, id tracking.RunID) tracking.RunInfo {
	t.Helper()
	want := fixtureBatch()
	info, err := store.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, want.Params, info.Params)
	require.Equal(t, want.Tags, info.Tags)
	require.Equal(t, want.Inputs, info.Inputs)
	require.True(t, math.IsNaN(info.Metrics["loss"].Value))
	points, next, err := store.History(t.Context(), id, "loss", tracking.Page{})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Len(t, points, 3)
	require.Equal(t, fmt.Sprint(want.Metrics[1].Value, 2), fmt.Sprint(points[1].Value, points[1].Step))
	return info
}

func FuzzPageToken(f *testing.F) {
	store := openNew(f)
	info := newRun(f, store, "run1")
	second := info
	second.ID = "run2"
	_, err := store.CreateRun(f.Context(), second)
	require.NoError(f, err)
	newRun(f, store, "run3")
	require.NoError(f, store.LogBatch(f.Context(), "run1", fixtureBatch()))
	page := tracking.Page{Max: 1}
	_, history, err := store.History(f.Context(), "run1", "loss", page)
	require.NoError(f, err)
	_, runs, err := store.SearchRuns(f.Context(), tracking.RunQuery{Experiment: info.Experiment, Page: page})
	require.NoError(f, err)
	_, experiments, err := store.Experiments(f.Context(), tracking.ExperimentQuery{Page: page})
	require.NoError(f, err)
	for _, seed := range []string{history, runs, experiments, "", "A", "AAAAAAAAAAAA", "====", history + history} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		page := tracking.Page{Max: 2, Token: token}
		points, _, err := store.History(t.Context(), "run1", "loss", page)
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
		require.LessOrEqual(t, len(points), 2)
		found, _, err := store.SearchRuns(t.Context(), tracking.RunQuery{Experiment: info.Experiment, Page: page})
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
		require.LessOrEqual(t, len(found), 2)
		_, _, err = store.Experiments(t.Context(), tracking.ExperimentQuery{Page: page})
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
	})
}
