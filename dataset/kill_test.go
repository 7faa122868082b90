package dataset_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
)

// TestKilledChild is not a test by itself: it is the process that
// TestAcknowledgedVersionsSurviveKill kills.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv("DATASET_TEST_APPEND_TO")
	if dir == "" {
		return // this process is the parent
	}
	ctx := context.Background()
	d, err := dataset.New(folder(t, dir), nil).Open(ctx, "n")
	require.NoError(t, err)
	for i := int64(0); ; i++ {
		values := make([]int64, 500)
		for k := range values {
			values[k] = i*1000 + int64(k)
		}
		v, err := d.Append(ctx, numbers(t, values...), nil)
		require.NoError(t, err)
		fmt.Printf("acknowledged %d %s\n", v.Number, v.Digest)
	}
}

func TestAcknowledgedVersionsSurviveKill(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	store := folder(t, dir)
	d := create(t, store, "n", small)
	digests := map[int64]string{}
	for round := range 4 {
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledChild$")
		child.Env = append(os.Environ(), "DATASET_TEST_APPEND_TO="+dir)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		// The child appends without a pause, so that the kill meets it anywhere
		// between two acknowledgements.
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if !strings.HasPrefix(lines.Text(), "acknowledged") {
				t.Fatal(lines.Text())
			}
			var number int64
			var digest string
			_, err := fmt.Sscanf(lines.Text(), "acknowledged %d %s", &number, &digest)
			require.NoError(t, err)
			digests[number] = digest
			if n == 3+5*round {
				require.NoError(t, child.Process.Kill())
			}
		}
		require.Error(t, child.Wait(), "the child was killed")

		// The next append works at once.
		v, err := d.Append(ctx, numbers(t, int64(-1-round)), nil)
		require.NoError(t, err)
		digests[v.Number] = v.Digest
	}
	again, err := dataset.New(store, nil).Open(ctx, "n")
	require.NoError(t, err)
	require.Greater(t, len(digests), 20)
	for number, digest := range digests {
		v, err := again.Version(ctx, number)
		require.NoError(t, err)
		require.Equal(t, digest, v.Digest)
	}
	latest, err := again.Latest(ctx)
	require.NoError(t, err)
	require.Len(t, readNumbers(t, latest), int(latest.Rows))
}
