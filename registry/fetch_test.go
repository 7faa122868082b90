package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// Sizes around those of the parts that large objects are fetched in.
const part = 8 << 20

// noise is n bytes that nothing else is likely to hold.
func noise(n int, seed uint64) string {
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = rng.Read(b)
	return string(b)
}

// partial breaks off some of the bodies that are asked for, and delays others.
type partial struct {
	*blob.Mem
	mu     sync.Mutex
	breaks int // bodies still to break
	asked  atomic.Int64
}

func (p *partial) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	p.asked.Add(1)
	body, err := p.Mem.Get(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.breaks == 0 {
		return body, nil
	}
	p.breaks--
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, 100_000), failing{}), body}, nil
}

// modes are the ways in which an object reaches a caller.
func modes(t *testing.T) map[string]*registry.Options {
	return map[string]*registry.Options{
		"memory": {MaxMemory: 1 << 30}, "spooled": {MaxMemory: 1, TempDir: t.TempDir()}, "cached": {CacheDir: t.TempDir()},
	}
}

func TestLargeFilesComeInParts(t *testing.T) {
	t.Parallel()
	for _, size := range []int{part, part + 12345} {
		content := noise(size, uint64(size))
		store, files := new(registrytest.Mem), &partial{Mem: new(blob.Mem)}
		v, err := registry.New(store, files, nil).Register(t.Context(), "fraud", draft("model", content))
		require.NoError(t, err)
		for mode, opts := range modes(t) {
			files.breaks = 2 // fewer than a part is tried
			if size == part {
				files.breaks = 0 // and one request is not repeated
			}
			files.asked.Store(0)
			fsys, err := registry.New(store, files, opts).Open(t.Context(), v)
			require.NoError(t, err)
			f, err := fsys.Open("model")
			require.NoError(t, err, "%s %d", mode, size)
			got, err := io.ReadAll(f)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			require.True(t, content == string(got), "%s %d", mode, size)
			require.GreaterOrEqual(t, files.asked.Load(), int64((size+part-1)/part))
			if opts.CacheDir != "" {
				continue
			}
			files.breaks = 1000
			_, err = fsys.Open("model")
			require.ErrorIs(t, err, errWire, "%s %d", mode, size)
		}
	}
}

func TestLargeFilesAreVerified(t *testing.T) {
	t.Parallel()
	content := noise(2*part+777, 1)
	store := new(registrytest.Mem)
	v, err := registry.New(store, new(blob.Mem), nil).Register(t.Context(), "fraud", draft("model", content))
	require.NoError(t, err)
	flipped := func(at int) string {
		b := []byte(content)
		b[at] ^= 1
		return string(b)
	}
	for name, damage := range map[string]struct{ bytes, text, have string }{
		"byte between":  {flipped(part), "has SHA-256", hexSum(flipped(part))},
		"last byte":     {flipped(len(content) - 1), "has SHA-256", hexSum(flipped(len(content) - 1))},
		"one too short": {content[:len(content)-1], "has 16777992 of the 16777993 bytes", hexSum(content[:len(content)-1])},
		"at a part":     {content[:part], "has 8388608 of the 16777993 bytes", hexSum(content[:part])},
		"emptied":       {"", "has 0 of the", hexSum("")},
		"one too long":  {content + "x", "has more than the 16777993 bytes", ""},
		"missing":       {"-", "is missing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := new(blob.Mem)
			if damage.bytes != "-" {
				require.NoError(t, files.Put(t.Context(), key(content), strings.NewReader(damage.bytes), -1))
			}
			for mode, opts := range modes(t) {
				fsys, err := registry.New(store, files, opts).Open(t.Context(), v)
				require.NoError(t, err)
				_, err = fsys.Open("model")
				var bad *registry.DigestError
				require.ErrorAs(t, err, &bad, mode)
				require.Equal(t, damage.have, bad.Have, mode)
				require.ErrorContains(t, err, damage.text, mode)
				for _, dir := range []string{opts.TempDir, opts.CacheDir} {
					left, err := filepath.Glob(filepath.Join(dir, "*-*"))
					require.NoError(t, err)
					require.Empty(t, left, mode)
				}
			}
		})
	}
}

func TestLargeFilesStopWithTheContext(t *testing.T) {
	t.Parallel()
	b := setup(t, &registry.Options{MaxMemory: 1, TempDir: t.TempDir()})
	v, err := b.Register(t.Context(), "fraud", draft("model", noise(part+1, 3)))
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := &stopper{Mem: b.files, stop: func() { cancel(errWire) }}
	fsys, err := registry.New(b.store, stopping, &registry.Options{TempDir: t.TempDir()}).Open(ctx, v)
	require.NoError(t, err)
	_, err = fsys.Open("model")
	require.ErrorIs(t, err, errWire)
}

// stopper ends a context at its second request.
type stopper struct {
	*blob.Mem
	asked atomic.Int64
	stop  func()
}

func (s *stopper) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if s.asked.Add(1) == 2 {
		s.stop()
	}
	return s.Mem.Get(ctx, key, off, n)
}

func TestFetch(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	files, store := &partial{Mem: new(blob.Mem)}, new(registrytest.Mem)
	d := draft("big", noise(part+part/2, 4), "same", "x", "again", "x", "empty", "")
	for i := range 40 {
		d.Files.(fstest.MapFS)["small/"+strconv.Itoa(i)] = &fstest.MapFile{Data: []byte(noise(100+i, uint64(i)))}
	}
	v, err := registry.New(store, files, nil).Register(ctx, "fraud", d)
	require.NoError(t, err)
	require.ErrorIs(t, registry.New(store, files, nil).Fetch(ctx, v), registry.ErrUnsupported)

	reg := registry.New(store, files, &registry.Options{CacheDir: dir})
	require.NoError(t, reg.Fetch(ctx, v))
	asked := files.asked.Load()
	require.NoError(t, reg.Fetch(ctx, v))
	fsys, err := reg.Open(ctx, v)
	require.NoError(t, err)
	for _, f := range v.Files {
		got, err := fs.ReadFile(fsys, f.Path)
		require.NoError(t, err)
		want, err := fs.ReadFile(d.Files, f.Path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), f.Path)
	}
	require.Equal(t, asked, files.asked.Load(), "all of it is in the cache")

	// One bad object fails it, and names its file.
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, files.Put(ctx, key("x"), strings.NewReader("y"), 1))
	err = registry.New(store, files, &registry.Options{CacheDir: dir}).Fetch(ctx, v)
	var bad *registry.DigestError
	require.ErrorAs(t, err, &bad)
	require.Contains(t, []string{"same", "again"}, bad.Path)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	err = registry.New(store, files, &registry.Options{CacheDir: t.TempDir()}).Fetch(ended, v)
	require.True(t, errors.Is(err, context.Canceled), err)
}

// BenchmarkColdOpen opens a large file that is in no cache, on a store that
// costs nothing: what is left is the digest and the temporary file.
func BenchmarkColdOpen(b *testing.B) {
	ctx := b.Context()
	content := noise(256<<20, 1)
	for mode, opts := range map[string]*registry.Options{"memory": {MaxMemory: 1 << 30}, "spooled": {}, "cached": {CacheDir: b.TempDir()}} {
		b.Run(mode, func(b *testing.B) {
			reg := registry.New(new(registrytest.Mem), new(blob.Mem), opts)
			v, err := reg.Register(ctx, "fraud", draft("model", content))
			require.NoError(b, err)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				fsys, err := reg.Open(ctx, v)
				require.NoError(b, err)
				f, err := fsys.Open("model")
				require.NoError(b, err)
				require.NoError(b, f.Close())
				if opts.CacheDir != "" {
					require.NoError(b, os.RemoveAll(filepath.Join(opts.CacheDir, "sha256")))
				}
			}
		})
	}
}
