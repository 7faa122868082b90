package inttest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

// TestEnginesReadInferences has pandas and DuckDB read an inference log of two
// versions and hours, with failed requests, a redacted and a hashed column.
func TestEnginesReadInferences(t *testing.T) {
	t.Parallel()
	python := inttest.EnginePython(t)
	ctx, dir := t.Context(), t.TempDir()
	store, err := dirblob.Open(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	key := []byte("sixteen bytes, 16")
	l, err := inferlog.Open(ctx, dataset.New(store, nil), "inferences", inferlog.Schema{
		Inputs:  []inferlog.Field{{Name: "amount", Type: inferlog.Float64}, {Name: "city", Type: inferlog.String}, {Name: "secret", Type: inferlog.String}},
		Outputs: []inferlog.Field{{Name: "score", Type: inferlog.Float32}},
	}, &inferlog.Options{
		Overflow: inferlog.Spill, SpillDir: filepath.Join(dir, "spill"), Redact: []string{"in_secret"}, Hash: []string{"in_city"}, HashKey: key,
	})
	require.NoError(t, err)
	type answer struct {
		Rows      int            `json:"rows"`
		Requests  int            `json:"requests"`
		ByVersion map[string]int `json:"by version"`
		Hour      int            `json:"hour"`
		Amount    float64        `json:"amount"`
		Scored    int            `json:"scored"`
		Errors    []string       `json:"errors"`
		Redacted  bool           `json:"redacted"`
		Cities    []string       `json:"cities"`
		Opened    int            `json:"opened"` // Of the 4 files, for one version and, but in DuckDB, one hour.
	}
	want := answer{ByVersion: map[string]int{}, Errors: []string{"", "the model has no such version"}, Redacted: true}
	start := time.Date(2026, 11, 22, 5, 30, 0, 0, time.UTC)
	for i := range 600 {
		r := inferlog.Record{
			RequestID: fmt.Sprintf("r-%d", i), Time: start.Add(time.Duration(i) * 6 * time.Second), Model: "churn", Version: []string{"3", "4"}[i%2],
			Inputs:  []any{[]float64{float64(i), 0.5}, []string{"Köln", "Bonn"}, []string{"never", "stored"}},
			Outputs: []any{[]float32{0.25, 0.5}},
		}
		if i%50 == 7 {
			r.Error, r.Outputs = "the model has no such version", nil
		} else {
			want.Scored += 2
		}
		l.Append(r)
		want.Rows += 2
		want.Requests++
		want.ByVersion[r.Version] += 2
		want.Amount += float64(i) + 0.5
		if r.Version == "4" && r.Time.Hour() == 6 {
			want.Hour += 2
		}
	}
	require.NoError(t, l.Shutdown(ctx))
	found, err := l.Find(ctx, "r-1")
	require.NoError(t, err)
	want.Cities = found.Inputs[1].([]string)
	if want.Cities[0] > want.Cities[1] {
		want.Cities[0], want.Cities[1] = want.Cities[1], want.Cities[0]
	}

	cmd := exec.CommandContext(ctx, python, filepath.Join("testdata", "read_inferences.py"), filepath.Join(dir, "inferences"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	var got map[string]answer
	require.NoError(t, json.Unmarshal(out, &got), string(out))
	pandas, duck := want, want
	pandas.Opened, duck.Opened = 1, 2
	require.Equal(t, map[string]answer{"pandas": pandas, "duckdb": duck}, got)
}
