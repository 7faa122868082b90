package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// memoryLimits run a test with files in memory and with files spooled.
var memoryLimits = map[string]int64{"memory": 0, "spooled": 1}

func TestOpenIsAFileSystem(t *testing.T) {
	t.Parallel()
	for name, limit := range memoryLimits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			ctx, b := t.Context(), setup(t, &registry.Options{MaxMemory: limit, TempDir: tmp})
			d := draft("model.json", "{}", "trees/0.bin", "zero", "trees/deep/1.bin", "one", "trees-2", "x", "empty", "")
			d.Profile = []byte(`{"format":1}`)
			v, err := b.Register(ctx, "fraud", d)
			require.NoError(t, err)
			fsys, err := b.Open(ctx, v)
			require.NoError(t, err)
			require.NoError(t, fstest.TestFS(fsys, "model.json", "trees/0.bin", "trees/deep/1.bin", "trees-2", "empty", "profile.json"))
			require.Implements(t, (*fs.ReadFileFS)(nil), fsys)
			require.Implements(t, (*fs.ReadDirFS)(nil), fsys)
			require.Implements(t, (*fs.StatFS)(nil), fsys)

			f, err := fsys.Open("trees/0.bin")
			require.NoError(t, err)
			at := make([]byte, 2)
			_, err = f.(io.ReaderAt).ReadAt(at, 2)
			require.NoError(t, err)
			require.Equal(t, "ro", string(at))
			require.NoError(t, f.Close())
			_, err = f.Read(at)
			require.ErrorIs(t, err, fs.ErrClosed)
			require.ErrorIs(t, f.Close(), fs.ErrClosed)

			// A version can be registered again from its own file system.
			copied, err := b.Register(ctx, "copy", registry.Draft{Files: fsys})
			require.NoError(t, err)
			require.Equal(t, v.Digest, copied.Digest)
			profile, err := b.Profile(ctx, copied)
			require.NoError(t, err)
			require.Equal(t, d.Profile, profile)

			left, err := os.ReadDir(tmp)
			require.NoError(t, err)
			require.Empty(t, left, "temporary files must be gone")
		})
	}
}

func TestOpenRefusesDamagedFiles(t *testing.T) {
	t.Parallel()
	const content = "the quick brown fox"
	for name, damage := range map[string]struct {
		bytes string
		have  string
		text  string
	}{
		"one bit":  {"the quick brown fow", hexSum("the quick brown fow"), "has SHA-256 " + hexSum("the quick brown fow")},
		"cut":      {"the quick", hexSum("the quick"), "has 9 of the 19 bytes registered"},
		"emptied":  {"", hexSum(""), "has 0 of the 19 bytes registered"},
		"appended": {content + "!", "", "has more than the 19 bytes registered"},
	} {
		for mode, limit := range memoryLimits {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				tmp := t.TempDir()
				ctx, b := t.Context(), setup(t, &registry.Options{MaxMemory: limit, TempDir: tmp})
				v, err := b.Register(ctx, "fraud", draft("dir/model.bin", content, "other", "fine"))
				require.NoError(t, err)
				require.NoError(t, b.files.Put(ctx, key(content), strings.NewReader(damage.bytes), -1))
				fsys, err := b.Open(ctx, v)
				require.NoError(t, err)

				check := func(err error) {
					t.Helper()
					var got *registry.DigestError
					require.ErrorAs(t, err, &got)
					require.Equal(t, []string{"fraud", "dir/model.bin", hexSum(content), damage.have}, []string{got.Name, got.Path, got.Want, got.Have})
					require.Equal(t, 1, got.Number)
					require.ErrorContains(t, err, `registry: "fraud" v1: stored file "dir/model.bin" `+damage.text+", want SHA-256 "+hexSum(content))
					require.ErrorContains(t, err, "it was damaged or replaced after registration; restore object "+key(content)+" from a backup or register the same files again")
					var pe *fs.PathError
					require.ErrorAs(t, err, &pe)
					require.Equal(t, "dir/model.bin", pe.Path)
				}
				_, err = fsys.Open("dir/model.bin")
				check(err)
				_, err = fs.ReadFile(fsys, "dir/model.bin")
				check(err)
				fine, err := fs.ReadFile(fsys, "other")
				require.NoError(t, err)
				require.Equal(t, "fine", string(fine))
				left, err := os.ReadDir(tmp)
				require.NoError(t, err)
				require.Empty(t, left)

				// The advice of the error works.
				_, err = b.Register(ctx, "fraud", draft("dir/model.bin", content, "other", "fine"))
				require.NoError(t, err)
				mended, err := fs.ReadFile(fsys, "dir/model.bin")
				require.NoError(t, err)
				require.Equal(t, content, string(mended))
			})
		}
	}
}

func TestOpenTellsALostFileFromOneThatNeverWas(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	v, err := b.Register(ctx, "fraud", draft("model", "m"))
	require.NoError(t, err)
	require.NoError(t, b.files.Delete(ctx, key("m")))
	fsys, err := b.Open(ctx, v)
	require.NoError(t, err)
	_, err = fs.ReadFile(fsys, "model")
	var lost *registry.DigestError
	require.ErrorAs(t, err, &lost)
	require.Empty(t, lost.Have)
	require.NotErrorIs(t, err, fs.ErrNotExist, "a loader would take the file for optional")
	require.ErrorContains(t, err, `stored file "model" is missing`)
	_, err = fs.ReadFile(fsys, "never")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = b.Profile(ctx, v)
	require.ErrorIs(t, err, registry.ErrNotFound)
	require.EqualError(t, err, `registry: "fraud/1" was registered without a reference profile: not found`)
}

func TestProfileIsVerified(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	v, err := b.Register(ctx, "fraud", registry.Draft{Profile: []byte(`{"format":1}`)})
	require.NoError(t, err)
	require.NoError(t, b.files.Put(ctx, key(`{"format":1}`), strings.NewReader(`{"format":2}`), -1))
	_, err = b.Profile(ctx, v)
	var damaged *registry.DigestError
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, "profile.json", damaged.Path)
}

func TestProfileIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	files := []registry.File{{Path: registry.ProfilePath, Size: 64<<20 + 1, SHA256: hexSum("huge")}}
	_, err := b.Profile(t.Context(), &registry.Version{Name: "fraud", Number: 1, Files: files, Digest: registry.ManifestDigest(files)})
	require.ErrorIs(t, err, registry.ErrInvalid)
	require.ErrorContains(t, err, `profile of "fraud/1": file "profile.json" has 67108865 bytes, want at most 67108864`)
}

func TestOpenDistrustsTheRecord(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	made, err := b.Register(ctx, "fraud", draft("model", "m", "other", "o"))
	require.NoError(t, err)
	for name, change := range map[string]func(v *registry.Version){
		"file swapped":   func(v *registry.Version) { v.Files[0].SHA256 = v.Files[1].SHA256 },
		"file dropped":   func(v *registry.Version) { v.Files = v.Files[:1] },
		"path escapes":   func(v *registry.Version) { v.Files[0].Path = "../model" },
		"not a digest":   func(v *registry.Version) { v.Files[0].SHA256 = "../../etc/passwd" },
		"file is folder": func(v *registry.Version) { v.Files[1].Path = "model/x" },
		"negative size":  func(v *registry.Version) { v.Files[0].Size = -1 },
		"nothing at all": func(v *registry.Version) { *v = registry.Version{} },
	} {
		v, err := b.Version(ctx, "fraud", made.Number)
		require.NoError(t, err)
		change(v)
		_, err = b.Open(ctx, v)
		require.ErrorIs(t, err, registry.ErrInvalid, name)
	}
	_, err = b.Open(ctx, nil)
	require.ErrorIs(t, err, registry.ErrInvalid)
	small := registry.New(b.store, b.files, &registry.Options{MaxFileSize: 1})
	_, err = small.Open(ctx, made)
	require.NoError(t, err)
	big, err := b.Register(ctx, "fraud", draft("model", "mm"))
	require.NoError(t, err)
	_, err = small.Open(ctx, big)
	require.ErrorIs(t, err, registry.ErrInvalid)
	require.ErrorContains(t, err, "over the limit of this registry, 1")
	_, err = registry.New(b.store, nil, nil).Open(ctx, made)
	require.ErrorIs(t, err, registry.ErrUnsupported)
}

// broken breaks off in the middle of a body.
type broken struct{ registry.Files }

var errWire = errors.New("connection reset")

func (b broken) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	body, err := b.Files.Get(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	part := make([]byte, 2)
	if _, err := io.ReadFull(body, part); err != nil {
		return nil, err
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(part), failing{})), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errWire }

func TestOpenTellsTroubleFromDamage(t *testing.T) {
	t.Parallel()
	for mode, limit := range memoryLimits {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ctx, b := t.Context(), setup(t, nil)
			v, err := b.Register(ctx, "fraud", draft("model", "content"))
			require.NoError(t, err)
			tmp := t.TempDir()
			reg := registry.New(b.store, broken{b.files}, &registry.Options{MaxMemory: limit, TempDir: tmp})
			fsys, err := reg.Open(ctx, v)
			require.NoError(t, err)
			_, err = fsys.Open("model")
			require.ErrorIs(t, err, errWire)
			var damaged *registry.DigestError
			require.NotErrorAs(t, err, &damaged, "a broken connection is no damage")
			left, err := os.ReadDir(tmp)
			require.NoError(t, err)
			require.Empty(t, left)

			ended, cancel := context.WithCancel(ctx)
			fsys, err = b.Open(ended, v)
			require.NoError(t, err)
			cancel()
			_, err = fsys.Open("model")
			require.ErrorIs(t, err, context.Canceled)
		})
	}
	ctx, b := t.Context(), setup(t, nil)
	v, err := b.Register(ctx, "fraud", draft("model", "content"))
	require.NoError(t, err)
	nowhere := registry.New(b.store, b.files, &registry.Options{MaxMemory: 1, TempDir: "/does/not/exist"})
	fsys, err := nowhere.Open(ctx, v)
	require.NoError(t, err)
	_, err = fsys.Open("model")
	require.ErrorContains(t, err, "making a temporary file to verify 7 bytes")
}

func TestOpenPaths(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	v, err := b.Register(ctx, "fraud", draft("d/model", "m"))
	require.NoError(t, err)
	fsys, err := b.Open(ctx, v)
	require.NoError(t, err)
	for _, p := range []string{"/d/model", "../x", "d/", "", "d//model"} {
		_, err := fsys.Open(p)
		require.ErrorIs(t, err, fs.ErrInvalid, p)
	}
	_, err = fs.ReadFile(fsys, "d")
	require.ErrorIs(t, err, fs.ErrInvalid)
	_, err = fs.ReadDir(fsys, "d/model")
	require.ErrorIs(t, err, fs.ErrInvalid)
	fi, err := fs.Stat(fsys, "d/model")
	require.NoError(t, err)
	require.Equal(t, v.Created, fi.ModTime())
	require.Equal(t, fs.FileMode(0o444), fi.Mode())
}
