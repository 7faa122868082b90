package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// bundle is a registry in memory with both of its halves at hand.
type bundle struct {
	*registry.Registry
	store *registrytest.Mem
	files *blob.Mem
}

func setup(t testing.TB, opts *registry.Options) bundle {
	t.Helper()
	b := bundle{store: new(registrytest.Mem), files: new(blob.Mem)}
	b.Registry = registry.New(b.store, b.files, opts)
	return b
}

func draft(pairs ...string) registry.Draft {
	files := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return registry.Draft{Files: files}
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func key(content string) string {
	sum := hexSum(content)
	return "sha256/" + sum[:2] + "/" + sum
}

func objects(t *testing.T, files *blob.Mem) []string {
	t.Helper()
	var out []string
	for fi, err := range files.List(t.Context(), "") {
		require.NoError(t, err)
		out = append(out, fi.Name())
	}
	return out
}

func TestRegisterKeepsEverything(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	d := draft("trees/model.json", "{}", "a.txt", "hello")
	d.Profile = []byte(`{"format":1}`)
	d.Signature = json.RawMessage(" { \"inputs\" : [ ] } ")
	d.Framework, d.Flavor, d.Run = "xgboost 2.1", "xgboost-json", "r1"
	d.Datasets = []registry.Dataset{{Name: "payments", Version: "12", Digest: "d", Context: "training"}}
	d.Metrics = map[string]float64{"auc": 0.91}
	d.Tags = map[string]string{"team": "risk"}
	v, err := b.Register(ctx, "fraud", d)
	require.NoError(t, err)
	require.Equal(t, "fraud/1", v.Ref())
	require.Equal(t, []registry.File{
		{Path: "a.txt", Size: 5, SHA256: hexSum("hello")},
		{Path: "profile.json", Size: 12, SHA256: hexSum(`{"format":1}`)},
		{Path: "trees/model.json", Size: 2, SHA256: hexSum("{}")},
	}, v.Files)
	require.Equal(t, registry.ManifestDigest(v.Files), v.Digest)
	require.Equal(t, `{"inputs":[]}`, string(v.Signature))
	require.Equal(t, d.Datasets, v.Datasets)
	require.Equal(t, d.Metrics, v.Metrics)
	require.Equal(t, d.Tags, v.Tags)
	require.Equal(t, []string{"xgboost 2.1", "xgboost-json", "r1"}, []string{v.Framework, v.Flavor, v.Run})

	got, err := b.Resolve(ctx, "fraud/1")
	require.NoError(t, err)
	require.Equal(t, v, got)
	profile, err := b.Profile(ctx, v)
	require.NoError(t, err)
	require.Equal(t, d.Profile, profile)
}

func TestRegisterSharesObjects(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	_, err := b.Register(ctx, "fraud", draft("a", "same", "b", "same", "empty", ""))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{key("same"), key("")}, objects(t, b.files))
	v, err := b.Register(ctx, "churn", draft("x", "same", "y", "other"))
	require.NoError(t, err)
	require.Equal(t, 1, v.Number)
	require.ElementsMatch(t, []string{key("same"), key(""), key("other")}, objects(t, b.files))
	// The same files are another version all the same, with the same digest.
	again, err := b.Register(ctx, "churn", draft("x", "same", "y", "other"))
	require.NoError(t, err)
	require.Equal(t, 2, again.Number)
	require.Equal(t, v.Digest, again.Digest)
}

func TestRegisterReportsEveryFault(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, &registry.Options{MaxFiles: 3, MaxFileSize: 10})
	d := draft("ok", "1", `back\slash`, "2")
	d.Metrics = map[string]float64{"auc": math.NaN(), "loss": math.Inf(1)}
	d.Tags = map[string]string{"": "x", "bad": "\xff"}
	d.Signature = json.RawMessage("{")
	d.Run = strings.Repeat("r", 256)
	d.Datasets = []registry.Dataset{{}}
	_, err := b.Register(ctx, "a/b", d)
	require.ErrorIs(t, err, registry.ErrInvalid)
	for _, want := range []string{
		`registry: register "a/b": model name "a/b" holds a slash`,
		`metric "auc" is NaN, want a finite number`,
		`metric "loss" is +Inf`,
		`a tag has no key`,
		`value of tag bad holds invalid UTF-8`,
		`signature is not valid JSON`,
		`run has 256 bytes, want at most 255`,
		`a dataset has no name`,
		`a path of the draft is unfit: "back\\slash"`,
	} {
		require.ErrorContains(t, err, want)
	}

	for _, c := range []struct {
		name  string
		draft registry.Draft
		want  string
	}{
		{"m", registry.Draft{}, "the draft has no files"},
		{"m", draft(), "the draft has no files"},
		{"", draft("a", "1"), "the model name is empty"},
		{"..", draft("a", "1"), "is a path step"},
		{"a\nb", draft("a", "1"), "control character"},
		{strings.Repeat("n", 256), draft("a", "1"), "model name of 256 bytes"},
		{"m", draft("a", "1", "b", "2", "c", "3", "d", "4"), "more than 3 files"},
		{"m", draft("a", "12345678901"), `file "a" has more than 10 bytes`},
		{"m", registry.Draft{Files: fstest.MapFS{"profile.json": {Data: []byte("{}")}}, Profile: []byte("{}")}, "leave one out"},
		{"m", registry.Draft{Profile: []byte("{")}, "profile is not valid JSON"},
		{"m", registry.Draft{Files: fstest.MapFS{"p": {Mode: fs.ModeNamedPipe}}}, `"p" is a pipe, not a regular file`},
	} {
		_, err := b.Register(ctx, c.name, c.draft)
		require.ErrorIs(t, err, registry.ErrInvalid, c.want)
		require.ErrorContains(t, err, c.want)
	}
	for range b.Models(ctx) {
		require.Fail(t, "a refused draft must leave no model")
	}
}

func TestRegisterRefusesSymbolicLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("s"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "model"), []byte("m"), 0o600))
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	b := setup(t, nil)
	_, err := b.Register(t.Context(), "fraud", registry.Draft{Files: os.DirFS(dir)})
	require.ErrorIs(t, err, registry.ErrInvalid)
	require.ErrorContains(t, err, `"link" is a symbolic link, not a regular file`)
	require.Empty(t, objects(t, b.files))
}

func TestRegisterKey(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	d := draft("model", "1")
	d.Key, d.Tags = "run-7", map[string]string{"a": "b"}
	first, err := b.Register(ctx, "fraud", d)
	require.NoError(t, err)
	again, err := b.Register(ctx, "fraud", d)
	require.NoError(t, err)
	require.Equal(t, first, again)

	other := draft("model", "2")
	other.Key = "run-7"
	_, err = b.Register(ctx, "fraud", other)
	require.ErrorIs(t, err, registry.ErrConflict)
	require.EqualError(t, err, `registry: register "fraud": key "run-7" was used before for v1, which differs in files; take another key for other content: conflict`)

	next, err := b.Register(ctx, "fraud", draft("model", "2"))
	require.NoError(t, err)
	require.Equal(t, 2, next.Number, "a repeated key uses up no number")
}

// shifty gives other bytes each time a file is opened, as a training that still
// writes does.
type shifty struct {
	fs.FS
	mu    sync.Mutex
	opens map[string]int
	data  func(open int) []byte
}

func (s *shifty) Open(name string) (fs.File, error) {
	if name == "." {
		return s.FS.Open(name)
	}
	s.mu.Lock()
	n := s.opens[name]
	s.opens[name]++
	s.mu.Unlock()
	return fstest.MapFS{name: {Data: s.data(n)}}.Open(name)
}

func TestRegisterNoticesAFileThatChanges(t *testing.T) {
	t.Parallel()
	const size = 5 << 20 // large enough to be read twice
	for name, data := range map[string]func(open int) []byte{
		"last byte": func(n int) []byte { b := make([]byte, size); b[size-1] = byte(n); return b },
		"shorter":   func(n int) []byte { return make([]byte, size-n) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			files := &shifty{FS: fstest.MapFS{"model": {}}, opens: map[string]int{}, data: data}
			_, err := b.Register(t.Context(), "fraud", registry.Draft{Files: files})
			require.ErrorIs(t, err, registry.ErrConflict)
			require.ErrorContains(t, err, `registry: register "fraud": file "model": it changed while it was being registered`)
			require.Empty(t, objects(t, b.files), "bytes with a wrong digest must not be stored")
		})
	}
	// What is appended meanwhile is not part of the version.
	b := setup(t, nil)
	grows := &shifty{FS: fstest.MapFS{"model": {}}, opens: map[string]int{}, data: func(n int) []byte { return make([]byte, size+n) }}
	v, err := b.Register(t.Context(), "fraud", registry.Draft{Files: grows})
	require.NoError(t, err)
	require.EqualValues(t, size, v.Files[0].Size)
}

// plain has the two methods of registry.Files and no more.
type plain struct{ inner registry.Files }

func (p plain) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	return p.inner.Create(ctx, key, body, size)
}

func (p plain) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	return p.inner.Get(ctx, key, off, n)
}

func TestRegisterMendsDamagedObjects(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{"changed": "MODEL", "cut": "mo", "empty": "", "longer": "model and more"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, b := t.Context(), setup(t, nil)
			require.NoError(t, b.files.Put(ctx, key("model"), strings.NewReader(bad), int64(len(bad))))

			_, err := registry.New(b.store, plain{b.files}, nil).Register(ctx, "fraud", draft("m.bin", "model"))
			var damaged *registry.DigestError
			require.ErrorAs(t, err, &damaged)
			require.Equal(t, hexSum("model"), damaged.Want)
			require.ErrorContains(t, err, `registry: register "fraud": file "m.bin" was stored before as object `+key("model"))
			_, err = b.Version(ctx, "fraud", 1)
			require.ErrorIs(t, err, registry.ErrNotFound)

			v, err := b.Register(ctx, "fraud", draft("m.bin", "model"))
			require.NoError(t, err)
			fsys, err := b.Open(ctx, v)
			require.NoError(t, err)
			got, err := fs.ReadFile(fsys, "m.bin")
			require.NoError(t, err)
			require.Equal(t, "model", string(got))
		})
	}
}

// flaky fails to create one key.
type flaky struct {
	registry.Files
	key string
}

var errDisk = errors.New("disk on fire")

func (f *flaky) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	if key == f.key {
		return errDisk
	}
	return f.Files.Create(ctx, key, body, size)
}

func TestRegisterLeavesNoVersionBehindAFailure(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	d := draft("a", "1", "b", "2", "c", "3")
	for n := range 3 {
		_, err := registry.New(b.store, &flaky{Files: b.files, key: key(fmt.Sprint(n + 1))}, nil).Register(ctx, "fraud", d)
		require.ErrorIs(t, err, errDisk)
		require.EqualError(t, err, fmt.Sprintf(`registry: register "fraud": storing "%c": disk on fire`, 'a'+n))
		_, err = b.Version(ctx, "fraud", 1)
		require.ErrorIs(t, err, registry.ErrNotFound)
	}
	v, err := b.Register(ctx, "fraud", d)
	require.NoError(t, err)
	require.Equal(t, 1, v.Number)
	require.Len(t, objects(t, b.files), 3)
}

// lazy reports success without taking the whole body.
type lazy struct{ registry.Files }

func (lazy) Create(_ context.Context, _ string, body io.Reader, _ int64) error {
	_, err := io.ReadFull(body, make([]byte, 1))
	return err
}

func TestRegisterDistrustsTheFileStore(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	_, err := registry.New(b.store, lazy{b.files}, nil).Register(ctx, "fraud", draft("a", "four"))
	require.ErrorContains(t, err, `storing "a": the file store took 1 of 4 bytes and reported success`)

	_, err = registry.New(b.store, nil, nil).Register(ctx, "fraud", draft("a", "1"))
	require.ErrorIs(t, err, registry.ErrUnsupported)

	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = b.Register(gone, "fraud", draft("a", "1"))
	require.ErrorIs(t, err, context.Canceled)
}

// late learns of an object only after the first look at it, as a registry does
// that another one overtakes.
type late struct {
	plain
	mu     sync.Mutex
	looked map[string]bool
}

func (l *late) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.looked[key] {
		l.looked[key] = true
		return nil, &fs.PathError{Op: "get", Path: key, Err: fs.ErrNotExist}
	}
	return l.plain.Get(ctx, key, off, n)
}

func TestRegisterOvertaken(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	_, err := b.Register(ctx, "fraud", draft("a", "good", "b", "bad"))
	require.NoError(t, err)
	_, err = registry.New(b.store, &late{plain: plain{b.files}, looked: map[string]bool{}}, nil).Register(ctx, "fraud", draft("a", "good"))
	require.NoError(t, err)
	require.NoError(t, b.files.Put(ctx, key("bad"), strings.NewReader("BAD"), 3))
	_, err = registry.New(b.store, &late{plain: plain{b.files}, looked: map[string]bool{}}, nil).Register(ctx, "fraud", draft("b", "bad"))
	var damaged *registry.DigestError
	require.ErrorAs(t, err, &damaged)
}

func TestRegisterConcurrently(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	var wg sync.WaitGroup
	numbers := make([]int, 8)
	for i := range numbers {
		wg.Go(func() {
			v, err := b.Register(ctx, "fraud", draft("shared", "same", "own", fmt.Sprint(i)))
			if err == nil {
				numbers[i] = v.Number
			}
		})
	}
	wg.Wait()
	require.ElementsMatch(t, []int{1, 2, 3, 4, 5, 6, 7, 8}, numbers)
	require.Len(t, objects(t, b.files), 9)
}

func TestLargeFileRoundTrip(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	data := bytes.Repeat([]byte("0123456789abcdef"), 6<<20/16)
	v, err := b.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"big": {Data: data}}})
	require.NoError(t, err)
	require.Equal(t, hexSum(string(data)), v.Files[0].SHA256)
	again, err := b.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"big": {Data: data}}})
	require.NoError(t, err)
	require.Equal(t, v.Digest, again.Digest)
	require.Len(t, objects(t, b.files), 1)
}
