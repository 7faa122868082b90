package ingest_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/ingest"
)

// The files of testdata were written by Polars 1, DuckDB 1, pyarrow and pandas
// with their defaults.
func TestFilesOfOtherTools(t *testing.T) {
	t.Parallel()
	polars := []string{
		`1|a|x|2026-01-01 00:00:00Z|[1,2]|{"a":1,"b":"x"}|2026-01-01`,
		`2|(null)|y|(null)|[]|{"a":null,"b":null}|(null)`,
		`3|a long string that is more than twelve bytes|x|(null)|(null)|(null)|(null)`,
	}
	for name, want := range map[string][]string{
		"polars.arrow":   polars,
		"polars.ndjson":  polars,
		"duckdb.parquet": {`1|x|2026-01-01 00:00:00Z|1.50|[1,2]|{"k":1}|[{"key":"a","value":1}]|(null)`},
		"pyarrow.feather": {
			`1|a|1970-01-01 00:00:00.000001Z|1970-01-01 00:00:00Z|[1,2]|["a"]|(null)|true`,
			`2|(null)|1970-01-01 00:00:00.000002Z|1970-01-01 00:00:00.001Z|(null)|[]|(null)|false`,
			`3|ü|(null)|(null)|[3,4]|(null)|(null)|(null)`,
		},
		"pandas.csv.gz": {"1|2026-01-01|a|1.5", "2|2026-01-02|(null)|(null)"},
	} {
		r, err := ingest.Open(context.Background(), []string{"testdata/" + name}, &ingest.Options{Location: time.UTC})
		require.NoError(t, err, name)
		got, err := rows(r)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

// An Arrow file that can only be read from its start is read as a stream, and
// one that is cut off is no shorter file.
func TestArrowFilesWithoutOffsets(t *testing.T) {
	t.Parallel()
	data := string(arrowFile(t, foreignRecord(t), foreignRecord(t)))
	read := func(text string) (int, error) {
		r, err := ingest.NewReader(context.Background(), "a.arrow", io.MultiReader(strings.NewReader(text)), nil)
		if err != nil {
			return 0, err
		}
		got, err := rows(r)
		return len(got), err
	}
	n, err := read(data)
	require.NoError(t, err)
	require.Equal(t, 6, n)
	for cut := 9; cut < strings.LastIndex(data, "ARROW1")-2000; cut += 97 {
		_, err = read(data[:cut])
		require.ErrorIs(t, err, ingest.ErrInvalid, "cut after %d bytes", cut)
		require.ErrorIs(t, drain("a.arrow", []byte(data[:cut]), nil), ingest.ErrInvalid)
	}
}
