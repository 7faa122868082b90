package sqlstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// Keys and values reach the database as parameters only: whatever stands in
// them, a search answers or says ErrInvalid, and finds what has exactly it.
func TestSearchProbes(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		testProbes(t, openNew(t).(*sqlstore.Store))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		testProbes(t, openURL(t, pgtest.URL(t)))
	})
}

func testProbes(t *testing.T, store *sqlstore.Store) {
	probes := []string{
		"'", `"`, "`", "''", `\`, `\'`, "%", "_", "?", "$1", ":a", "@a", "--", "/*", ";", "*/", "a'; DROP TABLE mw_run; --",
		`a"; DROP TABLE mw_run; --`, "a` OR 1=1", "1=1", "?1", "\u00a0", "\u200b", "\ufeff", strings.Repeat("x", 3000),
	}
	ctx := t.Context()
	one := []tracking.ExperimentID{"1"}
	_, err := store.CreateExperiment(ctx, tracking.Experiment{ID: "1", Name: "x", Created: time.UnixMilli(1)})
	require.NoError(t, err)
	for i, probe := range probes {
		id := fmt.Sprint("r", i)
		_, err := store.CreateRun(ctx, tracking.RunInfo{ID: tracking.RunID(id), Experiment: "1", Name: probe, Status: tracking.Running, Start: time.UnixMilli(1)})
		require.NoError(t, err)
		require.NoError(t, store.LogBatch(ctx, tracking.RunID(id), tracking.Batch{Params: map[string]string{"p": probe}, Tags: map[string]string{"t": probe}}))
		_, err = store.CreateModel(ctx, tracking.LoggedModel{ID: tracking.ModelID("m" + id), Experiment: "1", Name: "m", Params: map[string]string{"p": probe}, Created: time.UnixMilli(1)})
		require.NoError(t, err)
		_, err = store.PutTrace(ctx, tracking.Trace{ID: tracking.TraceID("t" + id), Experiment: "1", Start: time.UnixMilli(1), Tags: map[string]string{"t": probe}})
		require.NoError(t, err)
	}
	quote := func(s, q string) string { return q + strings.ReplaceAll(s, q, q+q) + q }
	for i, probe := range probes {
		want := fmt.Sprint("r", i)
		for _, q := range []string{"'", `"`} {
			for _, filter := range []string{"params.p = ", "tags.t = ", "run_name = "} {
				runs, _, err := store.SearchRuns(ctx, tracking.RunQuery{Experiments: one, Filter: filter + quote(probe, q)})
				require.NoError(t, err, filter+quote(probe, q))
				require.Len(t, runs, 1, filter+quote(probe, q))
				require.Equal(t, want, string(runs[0].ID))
			}
			models, _, err := store.SearchModels(ctx, tracking.ModelQuery{Experiments: one, Filter: "params.p IN (" + quote(probe, q) + ")"})
			require.NoError(t, err)
			require.Len(t, models, 1)
			traces, _, err := store.SearchTraces(ctx, tracking.TraceQuery{Experiments: one, Filter: "tags.t = " + quote(probe, q)})
			require.NoError(t, err)
			require.Len(t, traces, 1)
		}
		// As keys they name nothing.
		for _, key := range []string{"params." + quote(probe, "`"), "tags." + quote(probe, `"`), "metrics." + quote(probe, "`")} {
			runs, _, err := store.SearchRuns(ctx, tracking.RunQuery{Experiments: one, OrderBy: []string{key + " DESC"}})
			require.NoError(t, err, key)
			require.Len(t, runs, len(probes))
			comparison := " != 'x'"
			if strings.HasPrefix(key, "metrics") {
				comparison = " != 0"
			}
			runs, _, err = store.SearchRuns(ctx, tracking.RunQuery{Experiments: one, Filter: key + comparison})
			require.NoError(t, err, key)
			require.Empty(t, runs)
		}
		_, _, err := store.SearchModels(ctx, tracking.ModelQuery{Experiments: one, OrderBy: []tracking.ModelOrder{{Field: "metrics." + probe, Dataset: tracking.DatasetRef{Name: probe}}}})
		require.NoError(t, err, probe)
		_, _, err = store.SearchTraces(ctx, tracking.TraceQuery{Experiments: one, Filter: "span.attributes." + quote(probe, "`") + " = 'x' AND feedback." + quote(probe, "`") + " = 'x'"})
		require.NoError(t, err, probe)
		// Without quotes they are at most no filter.
		for _, filter := range []string{probe, "params." + probe + " = 'x'", "params.p = " + probe, "params.p " + probe + " 'x'", "params.p = 'x' " + probe} {
			if _, _, err := store.SearchRuns(ctx, tracking.RunQuery{Experiments: one, Filter: filter}); err != nil {
				require.True(t, errors.Is(err, tracking.ErrInvalid), "%s: %v", filter, err)
			}
		}
	}
	for _, bad := range []string{"params.p = 'a\x00'", "params.`\x00` = 'a'", "params.p = '\xff'", "\x00"} {
		_, _, err := store.SearchRuns(ctx, tracking.RunQuery{Experiments: one, Filter: bad})
		require.ErrorIs(t, err, tracking.ErrInvalid, "%q", bad)
		_, _, err = store.SearchTraces(ctx, tracking.TraceQuery{Experiments: one, Filter: bad})
		require.ErrorIs(t, err, tracking.ErrInvalid, "%q", bad)
		_, _, err = store.SearchExperiments(ctx, tracking.ExperimentQuery{Filter: bad})
		require.ErrorIs(t, err, tracking.ErrInvalid, "%q", bad)
	}
	experiments, _, err := store.SearchExperiments(ctx, tracking.ExperimentQuery{Filter: "name = 'x' AND tags.`'` IS NULL"})
	require.NoError(t, err)
	require.Len(t, experiments, 1)
}
