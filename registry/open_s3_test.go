//go:build s3 && unix

package registry_test

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// BenchmarkS3 opens a model that lies on a real S3 server, which
// internal/bench/registry starts: MILLWRIGHT_S3 is its URL with credentials and
// bucket. It is behind a tag to keep the SDK out of the other tests.
func BenchmarkS3(b *testing.B) {
	files := s3Files(b)
	size, err := strconv.Atoi(os.Getenv("MILLWRIGHT_S3_SIZE")) //nolint:forbidigo // As above.
	require.NoError(b, err)
	ctx := b.Context()
	store := new(registrytest.Mem)
	reg := registry.New(store, files, nil)
	register := func(parts int) *registry.Version {
		dir := b.TempDir()
		for i := range parts {
			require.NoError(b, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte(noise(size/parts, uint64(parts*100+i))), 0o600))
		}
		v, err := reg.Register(ctx, "big", registry.Draft{Files: os.DirFS(dir)})
		require.NoError(b, err)
		require.NoError(b, os.RemoveAll(dir))
		return v
	}
	one, four := register(1), register(4)
	runtime.GC()
	rate := func(b *testing.B, f func()) {
		began := time.Now()
		f()
		b.ReportMetric(float64(size)/1e6/time.Since(began).Seconds(), "MB/s")
	}
	key := func(f registry.File) string { return "sha256/" + f.SHA256[:2] + "/" + f.SHA256 }
	limit := func(b *testing.B, workers int, v *registry.Version) {
		rate(b, func() {
			var next atomic.Int64
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					buf := make([]byte, 256<<10)
					for {
						off := (next.Add(1) - 1) * part
						if off >= v.Files[0].Size {
							return
						}
						body, err := files.Get(ctx, key(v.Files[0]), off, part)
						if err != nil {
							b.Error(err)
							return
						}
						_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body}, buf)
						if err != nil {
							b.Error(err)
						}
						_ = body.Close()
					}
				})
			}
			wg.Wait()
		})
	}
	workers := min(max(4, 2*runtime.GOMAXPROCS(0)), 16)
	b.Run("limit_of_ranged_GETs,_bytes_thrown_away", func(b *testing.B) { limit(b, workers, one) })
	b.Run("limit_of_one_GET", func(b *testing.B) {
		rate(b, func() {
			body, err := files.Get(ctx, key(one.Files[0]), 0, -1)
			require.NoError(b, err)
			_, err = io.Copy(io.Discard, body)
			require.NoError(b, err)
			require.NoError(b, body.Close())
		})
	})
	b.Run("limit_of_SHA-256_on_one_core", func(b *testing.B) {
		content := noise(64<<20, 1)
		began := time.Now()
		hexSum(content)
		b.ReportMetric(float64(len(content))/1e6/time.Since(began).Seconds(), "MB/s")
	})
	load := func(b *testing.B, v *registry.Version, opts *registry.Options, fetch bool) {
		fresh := registry.New(store, files, opts)
		if fetch {
			require.NoError(b, fresh.Fetch(ctx, v))
		}
		fsys, err := fresh.Open(ctx, v)
		require.NoError(b, err)
		for _, f := range v.Files {
			f, err := fsys.Open(f.Path)
			require.NoError(b, err)
			require.NoError(b, f.Close())
		}
	}
	open := func(b *testing.B, v *registry.Version, opts *registry.Options, fetch bool) {
		rate(b, func() { load(b, v, opts, fetch) })
	}
	b.Run("one_file,_no_cache", func(b *testing.B) { open(b, one, &registry.Options{TempDir: b.TempDir()}, false) })
	b.Run("one_file,_into_the_cache", func(b *testing.B) { open(b, one, &registry.Options{CacheDir: b.TempDir()}, false) })
	b.Run("four_files,_into_the_cache,_one_by_one", func(b *testing.B) { open(b, four, &registry.Options{CacheDir: b.TempDir()}, false) })
	b.Run("four_files,_into_the_cache,_by_Fetch", func(b *testing.B) { open(b, four, &registry.Options{CacheDir: b.TempDir()}, true) })
	b.Run("peak_of_the_heap", func(b *testing.B) {
		var peak atomic.Uint64
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
				select {
				case <-done:
					return
				case <-tick.C:
				}
			}
		})
		load(b, four, &registry.Options{CacheDir: b.TempDir()}, true)
		close(done)
		wg.Wait()
		b.ReportMetric(float64(peak.Load())/(1<<20), "MiB")
	})
}

// s3Files is the store on the server.
func s3Files(b *testing.B) *s3blob.Store {
	server, err := url.Parse(os.Getenv("MILLWRIGHT_S3")) //nolint:forbidigo // Set by the program that runs it.
	require.NoError(b, err)
	if server.Host == "" {
		b.Skip("internal/bench/registry runs this one")
	}
	secret, _ := server.User.Password()
	files, err := s3blob.Open(b.Context(), "s3:/"+server.Path, &s3blob.Options{
		Endpoint: "http://" + server.Host, PathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(server.User.Username(), secret, ""),
	})
	require.NoError(b, err)
	return files
}

// BenchmarkS3Client registers the model in the folder MILLWRIGHT_S3_FOLDER and
// opens it into an empty cache, and does nothing else, so that what the process
// took at most is what these two need.
func BenchmarkS3Client(b *testing.B) {
	files, ctx := s3Files(b), b.Context()
	dir := os.Getenv("MILLWRIGHT_S3_FOLDER") //nolint:forbidigo // Set by the program that runs it.
	store := new(registrytest.Mem)
	var v *registry.Version
	rate := func(b *testing.B, f func() error) {
		began := time.Now()
		require.NoError(b, f())
		b.ReportMetric(float64(v.Files[0].Size)/1e6/time.Since(began).Seconds(), "MB/s")
	}
	b.Run("register", func(b *testing.B) {
		rate(b, func() (err error) {
			v, err = registry.New(store, files, nil).Register(ctx, "big", registry.Draft{Files: os.DirFS(dir)})
			return err
		})
	})
	b.Run("cold_open", func(b *testing.B) {
		rate(b, func() error {
			fsys, err := registry.New(store, files, &registry.Options{CacheDir: b.TempDir()}).Open(ctx, v)
			if err != nil {
				return err
			}
			f, err := fsys.Open(v.Files[0].Path)
			if err != nil {
				return err
			}
			return f.Close()
		})
	})
	b.Run("peak_memory_of_the_client", func(b *testing.B) {
		var used syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
		b.ReportMetric(float64(used.Maxrss)/1024, "MiB")
	})
}
