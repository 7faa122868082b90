package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/bench/rivals"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// The names of what is measured without a server.
const (
	watchTitle = "alias moved, another process is told, p50"
	coldTitle  = "cold open from a folder"
	warmTitle  = "warm open, p50"
)

// atHome measures what runs in the program that uses the registry.
func atHome(ctx context.Context, c config, table *rivals.Results) error {
	ours := func(name, unit string, less bool, value float64) { table.Add(name, unit, less, rivals.Ours, value) }
	if strings.Contains(watchTitle, c.only) {
		url := "sqlite:///" + filepath.Join(c.dir, "watch.db")
		if c.postgres != "" {
			url, _, _ = strings.Cut(c.postgres, ",")
		}
		ms, err := watch(ctx, c, url)
		if err != nil {
			return fmt.Errorf("%s: %w", watchTitle, err)
		}
		ours(watchTitle, "ms", true, ms)
	}
	if strings.Contains(coldTitle, c.only) || strings.Contains(warmTitle, c.only) {
		if err := opens(ctx, c, ours); err != nil {
			return fmt.Errorf("open: %w", err)
		}
	}
	if c.s3 != "" && strings.Contains("cold open from S3", c.only) {
		return fromS3(ctx, c, table)
	}
	return nil
}

// watch is the median time from before an alias is moved through one handle
// on the database until a watcher on another is told.
func watch(ctx context.Context, c config, url string) (float64, error) {
	mover, err := sqlstore.Open(ctx, url, nil)
	if err != nil {
		return 0, err
	}
	defer mover.Close()
	other, err := sqlstore.Open(ctx, url, nil)
	if err != nil {
		return 0, err
	}
	defer other.Close()
	for range 2 {
		if _, err := mover.CreateVersion(ctx, &registry.Version{Name: "watched", Created: time.UnixMilli(seedStart), Status: registry.Ready}, ""); err != nil {
			return 0, err
		}
	}
	return told(ctx, mover, other, "watched", time.Duration(c.seconds*float64(time.Second)))
}

// told is the median time from before an alias of the model is moved, to its
// first version or its second, until a watcher knows.
func told(ctx context.Context, mover, other registry.Store, model string, length time.Duration) (float64, error) {
	reg := registry.New(mover, nil, nil)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type place struct {
		number int
		err    error
	}
	news := make(chan place)
	go func() {
		for a, err := range registry.New(other, nil, nil).Watch(ctx, model, "watched") {
			select {
			case news <- place{a.Number, err}:
			case <-ctx.Done():
			}
		}
	}()
	if first := <-news; first.err != nil {
		return 0, first.err
	}
	n := 0
	return rivals.Median(length, func() error {
		n++
		if err := reg.SetAlias(ctx, model, "watched", 1+n%2, &registry.AliasOptions{Expect: -1}); err != nil {
			return err
		}
		select {
		case got := <-news:
			if got.err == nil && got.number != 1+n%2 {
				return fmt.Errorf("told of version %d, want %d", got.number, 1+n%2)
			}
			return got.err
		case <-time.After(10 * time.Second):
			return errors.New("not told within 10 s")
		}
	})
}

// folder makes a model of the size in one file of noise.
func folder(c config) (string, error) {
	dir := filepath.Join(c.dir, "model")
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	f, err := os.Create(filepath.Join(dir, "model.bin"))
	if err != nil {
		return "", err
	}
	_, err = io.CopyN(f, rand.Reader, c.size)
	return dir, errors.Join(err, f.Close())
}

// opens measures a model in a folder, without cache, into the cache, and from it.
func opens(ctx context.Context, c config, ours func(string, string, bool, float64)) error {
	dir, err := folder(c)
	if err != nil {
		return err
	}
	blobs := filepath.Join(c.dir, "blobs")
	if err := os.Mkdir(blobs, 0o755); err != nil {
		return err
	}
	files, err := dirblob.Open(blobs)
	if err != nil {
		return err
	}
	defer files.Close()
	store, err := sqlstore.Open(ctx, "sqlite:///"+filepath.Join(c.dir, "open.db"), nil)
	if err != nil {
		return err
	}
	defer store.Close()
	v, err := registry.New(store, files, nil).Register(ctx, "big", registry.Draft{Files: os.DirFS(dir)})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	open := func(opts *registry.Options) (time.Duration, error) {
		began := time.Now()
		fsys, err := registry.New(store, files, opts).Open(ctx, v)
		if err != nil {
			return 0, err
		}
		f, err := fsys.Open("model.bin")
		if err != nil {
			return 0, err
		}
		took := time.Since(began)
		return took, f.Close()
	}
	took, err := open(&registry.Options{TempDir: c.dir})
	if err != nil {
		return err
	}
	ours(coldTitle+", no cache", "MB/s", false, float64(c.size)/1e6/took.Seconds())
	cached := &registry.Options{CacheDir: filepath.Join(c.dir, "cache")}
	runtime.GC()
	peak, err := rivals.Peak(ctx, heap, func(context.Context) (err error) {
		took, err = open(cached)
		return err
	})
	if err != nil {
		return err
	}
	ours(coldTitle+", into the cache", "MB/s", false, float64(c.size)/1e6/took.Seconds())
	ours(coldTitle+", peak of the heap", "MiB", true, peak)
	ms, err := rivals.Median(time.Second, func() error { _, err := open(cached); return err })
	if err != nil {
		return err
	}
	ours(warmTitle, "ms", true, ms)
	return nil
}

// heap is what this program holds, in MiB.
func heap() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse) / (1 << 20)
}
