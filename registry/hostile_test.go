package registry_test

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// zipped is an archive with entries of these names, in which a name that ends
// with "@" is a symbolic link to its content.
func zipped(t *testing.T, pairs ...string) *zip.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := 0; i < len(pairs); i += 2 {
		h := &zip.FileHeader{Name: strings.TrimSuffix(pairs[i], "@"), Method: zip.Deflate}
		h.SetMode(0o644)
		if strings.HasSuffix(pairs[i], "@") {
			h.SetMode(0o777 | fs.ModeSymlink)
		}
		f, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = io.WriteString(f, pairs[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		require.ErrorIs(t, err, zip.ErrInsecurePath)
	}
	return r
}

// Whatever an archive calls its entries, a version has paths below its root,
// or the archive is refused.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1100)
	for name, c := range map[string]struct {
		entries []string
		want    string // of the error; "" registers
		paths   []string
	}{
		"climbs":             {[]string{"../../etc/passwd", "x", "model", "m"}, "", []string{"etc/passwd", "model"}},
		"absolute":           {[]string{"/etc/passwd", "x"}, "", []string{"etc/passwd"}},
		"backslashes":        {[]string{`..\..\windows\system.ini`, "x"}, "", []string{"windows/system.ini"}},
		"symbolic link":      {[]string{"model@", "/etc/passwd"}, `"model" is a symbolic link, not a regular file`, nil},
		"link to a folder":   {[]string{"d@", "/etc", "d/passwd", "x"}, "", []string{"d/passwd"}},
		"same name twice":    {[]string{"model", "1", "model", "2"}, "duplicate entries in zip file", nil},
		"file is folder":     {[]string{"model", "1", "model/x", "2"}, "", nil},
		"control characters": {[]string{"mo\x01del", "1"}, "a path of the draft is unfit", nil},
		"no UTF-8":           {[]string{"mo\xffdel", "1"}, "invalid file name", nil},
		"long path":          {[]string{long, "1"}, "a path of the draft is unfit", nil},
		"deep folder":        {[]string{strings.Repeat("d/", 600) + "model", "1"}, "one of a path over 1024 bytes", nil},
		"too large":          {[]string{"model", strings.Repeat("0", 2<<20)}, "has more than 1048576 bytes", nil},
		"only a folder":      {[]string{"d/", ""}, "the draft has no files", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, b := t.Context(), setup(t, &registry.Options{MaxFileSize: 1 << 20})
			v, err := b.Register(ctx, "fraud", registry.Draft{Files: zipped(t, c.entries...)})
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
			}
			if err != nil {
				_, err = b.Model(ctx, "fraud")
				require.ErrorIs(t, err, registry.ErrNotFound)
				return
			}
			var paths []string
			for _, f := range v.Files {
				require.True(t, filepath.IsLocal(filepath.FromSlash(f.Path)), f.Path)
				paths = append(paths, f.Path)
			}
			if c.paths != nil {
				require.Equal(t, c.paths, paths)
			}
			fsys, err := b.Open(ctx, v)
			require.NoError(t, err)
			require.NoError(t, os.CopyFS(t.TempDir(), fsys))
		})
	}
}

// endless is a folder that holds itself.
type endless struct{ width int }

func (e endless) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (e endless) Stat(string) (fs.FileInfo, error) {
	return fstest.MapFS{"d": {Mode: fs.ModeDir | 0o755}}.Stat("d")
}

func (e endless) ReadDir(string) ([]fs.DirEntry, error) {
	fi, err := e.Stat("")
	list := make([]fs.DirEntry, e.width)
	for i := range list {
		list[i] = fs.FileInfoToDirEntry(fi)
	}
	return list, err
}

func TestRegisterComesToAnEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, &registry.Options{MaxFiles: 100})
	for _, width := range []int{1, 2, 3000} {
		_, err := b.Register(t.Context(), "fraud", registry.Draft{Files: endless{width}})
		require.ErrorIs(t, err, registry.ErrInvalid)
		require.ErrorContains(t, err, "more than 1000 folders, or one of a path over 1024 bytes")
	}
}

// What lies outside of the folder that is registered stays there.
func TestRegisterStaysInItsFolder(t *testing.T) {
	t.Parallel()
	ctx, b, dir := t.Context(), setup(t, nil), t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model"), []byte("m"), 0o600))
	for name, target := range map[string]string{"file": secret, "folder": filepath.Dir(secret), "nowhere": "/does/not/exist", "itself": "."} {
		link := filepath.Join(dir, "link")
		if err := os.Symlink(target, link); err != nil {
			t.Skip("no symbolic links here")
		}
		_, err := b.Register(ctx, "fraud", registry.Draft{Files: os.DirFS(dir)})
		require.ErrorIs(t, err, registry.ErrInvalid, name)
		require.ErrorContains(t, err, `"link" is a symbolic link, not a regular file`)
		require.NoError(t, os.Remove(link))
	}

	// A file that becomes a link between the listing and the reading is
	// followed by os.DirFS; a Root refuses it.
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	_, err = b.Register(ctx, "fraud", registry.Draft{Files: swapped{root.FS(), func() {
		require.NoError(t, os.Remove(filepath.Join(dir, "model")))
		require.NoError(t, os.Symlink(secret, filepath.Join(dir, "model")))
	}}})
	require.ErrorContains(t, err, "model")
	require.Empty(t, objects(t, b.files))
}

// swapped does something after the listing.
type swapped struct {
	fs.FS
	then func()
}

func (s swapped) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(s.FS, name)
	s.then()
	return list, err
}

// The names of models, aliases and digests never become paths.
func TestNamesAreNoPaths(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, &registry.Options{CacheDir: t.TempDir()})
	made, err := b.Register(ctx, "fraud", draft("model", "m"))
	require.NoError(t, err)
	for _, name := range []string{"..", ".", "../x", "a/b", `a\b`, `..\x`, "/etc", "C:", "a\x00b", "file:x", "", strings.Repeat("x", 256)} {
		_, err := b.Register(ctx, name, draft("model", "m"))
		require.ErrorIs(t, err, registry.ErrInvalid, "%q", name)
		require.ErrorIs(t, b.SetAlias(ctx, "fraud", name, 1, nil), registry.ErrInvalid, "%q", name)
		require.ErrorIs(t, b.UpdateModel(ctx, "fraud", registry.ModelUpdate{Rename: name + "/", Time: time.Now()}), registry.ErrInvalid, "%q", name)
	}
	for _, sum := range []string{"../../../../etc/passwd", strings.Repeat("../", 21) + "x", "", strings.Repeat("A", 64)} {
		v := *made
		v.Files = []registry.File{{Path: "model", Size: 1, SHA256: sum}}
		v.Digest = registry.ManifestDigest(v.Files)
		_, err := b.Open(ctx, &v)
		require.ErrorIs(t, err, registry.ErrInvalid, "%q", sum)
	}
	for _, path := range []string{"../model", "/model", "a/../model", `a\model`, "a//b", "a\nb", "."} {
		v := *made
		v.Files = []registry.File{{Path: path, Size: 1, SHA256: hexSum("m")}}
		v.Digest = registry.ManifestDigest(v.Files)
		_, err := b.Open(ctx, &v)
		require.ErrorIs(t, err, registry.ErrInvalid, "%q", path)
	}
}
