package sqlstore_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// childDir makes the test binary the process that is killed: it registers into
// this folder until it dies.
const childDir = "MILLWRIGHT_TEST_REGISTER_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, registerForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func openIn(ctx context.Context, dir string) (*registry.Registry, *sqlstore.Store, *dirblob.Store, error) {
	store, err := sqlstore.Open(ctx, "sqlite://"+filepath.ToSlash(filepath.Join(dir, "registry.db")), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	files, err := dirblob.Open(filepath.Join(dir, "files"))
	if err != nil {
		return nil, nil, nil, err
	}
	return registry.New(store, files, nil), store, files, nil
}

// content is what version-to-be i of the process pid holds: a small file, and
// one of 5 MiB that takes the way through two reads.
func content(pid, i int) fstest.MapFS {
	return fstest.MapFS{
		"small": {Data: fmt.Append(nil, pid, " ", i)},
		"large": {Data: bytes.Repeat(fmt.Appendf(nil, "%07d%09d", pid, i), 5<<20/16)},
	}
}

// registerForever writes "number i alias" for each version it was told is safe.
func registerForever(dir string) error {
	ctx := context.Background()
	reg, _, _, err := openIn(ctx, dir)
	if err != nil {
		return err
	}
	pid := os.Getpid()
	for i := 0; ; i++ {
		files := content(pid, i)
		if i%4 != 0 {
			delete(files, "large")
		}
		v, err := reg.Register(ctx, "fraud", registry.Draft{Files: files})
		if err != nil {
			return err
		}
		fmt.Printf("version %d %d\n", v.Number, i)
		if err := reg.SetAlias(ctx, "fraud", "champion", v.Number, &registry.AliasOptions{Expect: -1}); err != nil {
			return err
		}
		fmt.Printf("alias %d %d\n", v.Number, i)
	}
}

// A process that registers in a loop is killed at any moment; whatever it was
// told is registered must be there, whole, and the next process carries on.
func TestKilledWhileRegistering(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	last := 0
	for range 4 {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())

		// What was acknowledged before the pipe broke counts, also what came
		// between the decision to kill and the kill.
		type ack struct{ number, i int }
		var versions []ack
		alias := 0
		lines, stopAfter := bufio.NewScanner(out), 1+rng.IntN(16)
		for n := 1; lines.Scan(); n++ {
			var what string
			var a ack
			_, err := fmt.Sscan(lines.Text(), &what, &a.number, &a.i)
			require.NoError(t, err, lines.Text())
			if what == "version" {
				versions = append(versions, a)
			} else {
				alias = a.number
			}
			if n == stopAfter {
				// At any point of what it does next.
				time.AfterFunc(time.Duration(rng.IntN(5000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait() // "signal: killed"
		require.Empty(t, stderr.String(), "the child must end by the kill")
		require.NotEmpty(t, versions)

		reg, store, files, err := openIn(ctx, dir)
		require.NoError(t, err)
		for _, a := range versions {
			require.Greater(t, a.number, last)
			last = a.number
			v, err := reg.Version(ctx, "fraud", a.number)
			require.NoError(t, err, "an acknowledged version is lost")
			fsys, err := reg.Open(ctx, v)
			require.NoError(t, err)
			for path, want := range content(cmd.Process.Pid, a.i) {
				if path == "large" && a.i%4 != 0 {
					continue
				}
				got, err := fs.ReadFile(fsys, path)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want.Data, got), "%s of %s", path, v.Ref())
			}
		}
		if alias != 0 {
			at, err := reg.Alias(ctx, "fraud", "champion")
			require.NoError(t, err)
			require.GreaterOrEqual(t, at, alias, "an acknowledged move of the alias is lost")
		}
		// Unacknowledged versions may exist; then they are whole too, and the
		// numbers have no gap.
		n := 0
		for v, err := range reg.Versions(ctx, "fraud") {
			require.NoError(t, err)
			if n != 0 {
				require.Equal(t, n-1, v.Number)
			} else {
				last = v.Number
				fsys, err := reg.Open(ctx, v)
				require.NoError(t, err)
				_, err = fs.ReadFile(fsys, "small")
				require.NoError(t, err)
			}
			n = v.Number
		}
		require.Equal(t, 1, n)
		require.NoError(t, store.Close())
		require.NoError(t, files.Close())
	}
}
