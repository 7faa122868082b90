package sqlstore_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// With these set the test binary is another process that works on the database
// and the folder.
const (
	childURLEnv   = "MILLWRIGHT_REGISTRY_TEST_URL"
	childFilesEnv = "MILLWRIGHT_REGISTRY_TEST_FILES"
)

func openRegistry(ctx context.Context, url, dir string) (*registry.Registry, func() error, error) {
	store, err := sqlstore.Open(ctx, url, nil)
	if err != nil {
		return nil, nil, err
	}
	files, err := dirblob.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	return registry.New(store, files, nil), func() error { return errors.Join(store.Close(), files.Close()) }, nil
}

// TestKilledChild is not a test by itself: it is the process that
// TestAcknowledgedWorkSurvivesKill kills.
func TestKilledChild(t *testing.T) {
	url := os.Getenv(childURLEnv)
	if url == "" {
		return // this process is the parent
	}
	ctx := context.Background()
	r, _, err := openRegistry(ctx, url, os.Getenv(childFilesEnv))
	require.NoError(t, err)
	yes := true
	for {
		v, err := r.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{
			"shared": {Data: []byte("the same in all")}, "own": {Data: []byte(rand.Text())}, "trees/1": {Data: make([]byte, 50_000)},
		}})
		require.NoError(t, err)
		fmt.Println("registered", v.Number, v.Digest)
		_, err = r.Promote(ctx, "fraud", "champion", v.Number, &registry.PromoteOptions{By: "child"})
		require.NoError(t, err)
		head, err := r.VerifyAudit(ctx)
		require.NoError(t, err)
		fmt.Println("head", head.Seq, head.Hash)
		if v.Number%3 == 0 {
			old := v.Number - 1
			fmt.Println("purging", old, "-")
			require.NoError(t, r.UpdateVersion(ctx, "fraud", old, registry.VersionUpdate{Deleted: &yes}))
			require.NoError(t, r.PurgeVersion(ctx, "fraud", old, "child"))
			_, err := r.Collect(ctx, &registry.CollectOptions{MinAge: -1})
			require.NoError(t, err)
		}
	}
}

// A process that registers, promotes, deletes, purges and collects without a
// pause is killed again and again. Whatever it acknowledged is there and whole,
// the log has each head that it ever had, and the next process goes on.
func TestAcknowledgedWorkSurvivesKill(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		testKill(t, freshURL(t))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		testKill(t, pgtest.SchemaURL(t))
	})
}

func testKill(t *testing.T, url string) {
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "files")
	rounds := 3
	if os.Getenv("REQUIRE_REAL") == "1" {
		rounds = 25
	}
	digests, purged := map[int]string{}, map[int]bool{}
	var heads []registry.AuditHead
	for range rounds {
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledChild$")
		child.Env = append(os.Environ(), childURLEnv+"="+url, childFilesEnv+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines, wait := bufio.NewScanner(out), 3+mathrand.IntN(12)
		for n := 0; lines.Scan(); n++ {
			var what, text string
			var number int
			if _, err := fmt.Sscan(lines.Text(), &what, &number, &text); err != nil {
				require.Fail(t, lines.Text())
			}
			switch what {
			case "registered":
				digests[number] = text
			case "head":
				heads = append(heads, registry.AuditHead{Seq: int64(number), Hash: text})
			case "purging":
				purged[number] = true
			default:
				require.Fail(t, lines.Text())
			}
			if n == wait { // lines already in the pipe are read below
				require.NoError(t, child.Process.Kill())
			}
		}
		require.Error(t, child.Wait(), "the child ends by the kill only")

		r, end, err := openRegistry(ctx, url, dir)
		require.NoError(t, err)
		_, err = r.VerifyAudit(ctx, heads...)
		require.NoError(t, err)
		seen := map[int]bool{}
		for v, err := range r.SearchVersions(ctx, registry.VersionQuery{Name: "fraud", View: registry.All}) {
			require.NoError(t, err)
			seen[v.Number] = true
			fsys, err := r.Open(ctx, v)
			require.NoError(t, err)
			for _, f := range v.Files {
				_, err := fs.ReadFile(fsys, f.Path)
				require.NoError(t, err)
			}
			if digests[v.Number] != "" {
				require.Equal(t, digests[v.Number], v.Digest)
			}
		}
		for number := range digests {
			require.True(t, seen[number] || purged[number], "version %d was acknowledged", number)
		}
		at, err := r.Alias(ctx, "fraud", "champion")
		require.NoError(t, err)
		require.True(t, seen[at])
		require.NoError(t, end())
	}
	t.Logf("%d kills, %d acknowledged versions, none lost", rounds, len(digests))
}
