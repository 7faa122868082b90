package dataset_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
)

// TestDeltaRSReadsEveryVersion needs a Python with deltalake and pyarrow, named
// by MILLWRIGHT_PYTHON.
func TestDeltaRSReadsEveryVersion(t *testing.T) {
	t.Parallel()
	python := os.Getenv("MILLWRIGHT_PYTHON")
	if python == "" {
		if os.Getenv("REQUIRE_REAL") == "1" {
			t.Fatal("REQUIRE_REAL is 1 and MILLWRIGHT_PYTHON names no Python with deltalake and pyarrow")
		}
		t.Skip("MILLWRIGHT_PYTHON names no Python with deltalake and pyarrow")
	}
	ctx := context.Background()
	dir := t.TempDir()
	d := create(t, folder(t, dir), "all", everyType)
	for _, from := range []int{0, 1000, 2000, 2000} { // The last one appends the same rows again.
		_, err := d.Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, from, from+1000)), nil)
		require.NoError(t, err)
	}
	cmd := exec.CommandContext(ctx, python, "testdata/read_delta.py", filepath.Join(dir, "all"), "4")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	lines := bufio.NewScanner(bytes.NewReader(out))
	for version, ids := range [][]int{nil, span(0, 1000), span(0, 2000), span(0, 3000), append(span(0, 3000), span(2000, 3000)...)} {
		require.True(t, lines.Scan())
		var got struct {
			Rows, IDs, Files, Pruned int
			Types                    map[string]string
			SQL                      []int
			Counts                   map[string]int
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &got))
		sum, counts, pruned := 0, map[string]int{"id": 0, "bool": 0, "f64": 0, "inf": 0, "text": 0, "money": 0, "day": 0, "at": 0}, 0
		for i, id := range ids {
			sum += id
			if i%1000 == 999 && id >= 1500 {
				pruned++
			}
			count := func(name string, hit bool) {
				if hit {
					counts[name]++
				}
			}
			count("id", id >= 1500)
			if id%7 == 3 {
				continue // A row of nulls.
			}
			special := id%100 >= 11 && id%100 <= 13
			count("bool", id%2 == 0)
			count("f64", !special && id > 1000)
			count("inf", id%100 == 12)
			count("text", id%9 == 4)
			count("money", id*101 > 100000)
			count("day", id-500 >= 365)
			count("at", id == 500)
		}
		require.Equal(t, len(ids), got.Rows, "version %d", version)
		require.Equal(t, sum, got.IDs)
		require.Equal(t, version, got.Files)
		require.Equal(t, []int{len(ids), sum}, got.SQL)
		require.Equal(t, counts, got.Counts, "version %d", version)
		require.Equal(t, pruned, got.Pruned)
		require.Equal(t, "timestamp[us, tz=UTC]", got.Types["at"])
		require.Equal(t, "decimal128(12, 2)", got.Types["money"])
	}
}

func span(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}
