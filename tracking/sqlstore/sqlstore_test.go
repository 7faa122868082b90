package sqlstore_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func fileURL(path string) string { return "sqlite:" + filepath.ToSlash(path) }

func open(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	return openURL(t, fileURL(path))
}

func openURL(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), url, nil)
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

// openPostgres opens a store in a fresh schema.
func openPostgres(t testing.TB) tracking.Store {
	t.Helper()
	return openURL(t, pgtest.SchemaURL(t))
}

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		trackingtest.Run(t, openNew)
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		pgtest.SchemaURL(t) // skips here, once
		trackingtest.Run(t, openPostgres)
	})
}

func BenchmarkStore(b *testing.B) {
	trackingtest.Bench(b, openNew)
}

func BenchmarkPostgres(b *testing.B) {
	trackingtest.Bench(b, openPostgres)
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
		"postgres://user:secret@127.0.0.1:1/db":         {tracking.ErrUnavailable, "cannot be reached"},
		"postgresql+psycopg2://u:secret@127.0.0.1:1/db": {tracking.ErrUnavailable, "127.0.0.1:1/db"},
		"postgres://u:secret@host:port/db":              {tracking.ErrInvalid, "postgres://user:password@host:port/database"},
		"postgres:secret":                               {tracking.ErrInvalid, "postgres://user:password@host:port/database"},
		"mysql://u:secret@host/db":                      {tracking.ErrInvalid, "mysql"},
		"sqlite:///":                                    {tracking.ErrInvalid, "names no file"},
		fileURL(filepath.Join(dir, "a/b.db")):           {tracking.ErrNotFound, "does not exist"},
		fileURL(dir):                                    {tracking.ErrInvalid, "is a folder"},
		fileURL(text):                                   {tracking.ErrInvalid, "not an SQLite database"},
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
	require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
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
	_, _, err = store.SearchExperiments(t.Context(), tracking.ExperimentQuery{})
	require.ErrorIs(t, err, tracking.ErrClosed)
	_, err = store.CreateRun(t.Context(), tracking.RunInfo{ID: "run2", Experiment: info.Experiment})
	require.ErrorIs(t, err, tracking.ErrClosed)
	_, err = store.Run(t.Context(), info.ID)
	require.ErrorIs(t, err, tracking.ErrClosed)
	require.ErrorIs(t, store.UpdateRun(t.Context(), info.ID, tracking.RunUpdate{Name: "x"}), tracking.ErrClosed)
	require.ErrorIs(t, store.LogBatch(t.Context(), info.ID, tracking.Batch{}), tracking.ErrClosed)
	_, _, err = store.History(t.Context(), info.ID, "m", tracking.Page{})
	require.ErrorIs(t, err, tracking.ErrClosed)
	_, _, err = store.SearchRuns(t.Context(), tracking.RunQuery{Experiments: []tracking.ExperimentID{info.Experiment}})
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
	require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
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
		Inputs: []tracking.DatasetInput{{Name: "flights", Version: "3", Digest: "abc", Context: "training", SourceType: "delta", Source: "s3://b/f", Schema: "{}", Profile: "{\"rows\":1}", Tags: map[string]string{"owner": "ñ"}}},
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
	newRun(f, store, "run1")
	require.NoError(f, store.LogBatch(f.Context(), "run1", fixtureBatch()))
	_, history, err := store.History(f.Context(), "run1", "loss", tracking.Page{Max: 1})
	require.NoError(f, err)
	for _, seed := range []string{history, "", "A", "AAAAAAAAAAAA", "====", history + history} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		points, _, err := store.History(t.Context(), "run1", "loss", tracking.Page{Max: 2, Token: token})
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
		require.LessOrEqual(t, len(points), 2)
	})
}
