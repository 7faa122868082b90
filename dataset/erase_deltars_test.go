package dataset_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
)

// TestDeltaRSReadsErasedVersions needs a Python with deltalake and pyarrow,
// named by MILLWRIGHT_PYTHON.
func TestDeltaRSReadsErasedVersions(t *testing.T) {
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
	s := folder(t, dir)
	members(t, s)
	before := contents(t, s)
	d, err := dataset.New(s, nil).Open(ctx, "m")
	require.NoError(t, err)
	_, err = d.Erase(ctx, forget, nil)
	require.NoError(t, err)
	const script = `
import os, sys
from deltalake import DeltaTable
for table in sys.argv[1:]:
    for n in range(DeltaTable(table).version() + 1):
        t = DeltaTable(table, version=n).to_pyarrow_table()
        print(n, sorted(x or "" for x in t.column("mail").to_pylist()))
sys.stdout.flush()
os._exit(0)  # The threads of pyarrow now and then abort an interpreter that ends.
`
	main, refs := filepath.Join(dir, "m"), filepath.Join(dir, "m", "_refs")
	for branch, table := range map[string]string{"main": main, "dev": refs} {
		cmd := exec.CommandContext(ctx, python, "-c", script, table)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		for name, list := range before {
			number, ok := strings.CutPrefix(name, branch+"@")
			if !ok {
				continue
			}
			var quoted []string
			for _, m := range slices.Sorted(slices.Values(without(list))) {
				quoted = append(quoted, "'"+m+"'")
			}
			require.Contains(t, lines, number+" ["+strings.Join(quoted, ", ")+"]", name)
		}
	}
}
