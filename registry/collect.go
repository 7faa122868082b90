package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// CollectOptions of Collect; nil takes every default.
type CollectOptions struct {
	// MinAge spares objects written within it, so that a program which stores
	// files by another way has the time to register them. Default 1 hour, -1
	// for none; uploads by Register are safe at any age.
	MinAge time.Duration
	// DryRun counts and removes nothing.
	DryRun bool
	// Progress, unless nil, is called after every batch.
	Progress func(CollectResult)
}

// CollectResult counts what Collect did.
type CollectResult struct {
	Seen, Removed int
	RemovedBytes  int64
}

const (
	// collectBatch is the number of objects of one Condemn.
	collectBatch = 500
	// deleteTime is how long a collector deletes what it condemned at once, and
	// markTime how long its marks hold: the difference is for a deletion under
	// way and for clocks that disagree.
	deleteTime = time.Minute
	markTime   = 2 * time.Minute
)

// Collect removes the objects that no version and no running upload needs. It
// may run at any time, also several at once and beside uploads, and may be
// killed: what it left half done a later one finishes, and until then, for two
// minutes, uploads of the very same content wait. A DryRun counts as Removed
// what it would remove now.
//
// Errors: ErrUnsupported when the store is no Collector or the Files are no
// FileLister.
func (r *Registry) Collect(ctx context.Context, opts *CollectOptions) (CollectResult, error) {
	var o CollectOptions
	if opts != nil {
		o = *opts
	}
	if o.MinAge == 0 {
		o.MinAge = time.Hour
	}
	collector, ok := r.store.(Collector)
	lister, ok2 := r.files.(FileLister)
	if !ok || !ok2 {
		return CollectResult{}, fmt.Errorf("registry: collect: the store or the files cannot be collected: %w", ErrUnsupported)
	}
	c := collection{store: collector, files: lister, opts: o, token: newLease(), sizes: map[string]int64{}}
	if err := c.run(ctx); err != nil {
		return c.result, fmt.Errorf("registry: collect: %w", err)
	}
	return c.result, nil
}

// collection is one run of Collect.
type collection struct {
	store  Collector
	files  FileLister
	opts   CollectOptions
	token  string
	sizes  map[string]int64 // of the batch, by digest
	result CollectResult
}

func (c *collection) run(ctx context.Context) error {
	for fi, err := range c.files.List(ctx, "sha256/") {
		if err != nil {
			return err
		}
		key := fi.Name()
		sum := key[strings.LastIndexByte(key, '/')+1:]
		if !isSHA256(sum) || objectKey(sum) != key {
			continue // not ours
		}
		c.result.Seen++
		if c.opts.MinAge > 0 && time.Since(fi.ModTime()) < c.opts.MinAge {
			continue
		}
		c.sizes[sum] = fi.Size()
		if len(c.sizes) == collectBatch {
			if err := c.batch(ctx); err != nil {
				return err
			}
		}
	}
	return c.batch(ctx)
}

// batch condemns and deletes. Also the empty batch does: it takes over what a
// collector that died had condemned.
func (c *collection) batch(ctx context.Context) (err error) {
	began := now()
	doomed, err := c.store.Condemn(ctx, c.token, slices.Sorted(maps.Keys(c.sizes)), began, began.Add(markTime))
	if err != nil {
		return err
	}
	defer func() {
		// Broken off or done: what is not deleted by now will not be, and the
		// uploads that wait for it need not.
		clearing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, c.store.Cleared(clearing, c.token, doomed))
	}()
	deleting, cancel := context.WithDeadline(ctx, began.Add(deleteTime))
	defer cancel()
	for _, sum := range doomed {
		if deleting.Err() != nil {
			break
		}
		if !c.opts.DryRun {
			if err := c.files.Delete(deleting, objectKey(sum)); err != nil {
				return err
			}
		}
		if size, ok := c.sizes[sum]; ok {
			c.result.Removed++
			c.result.RemovedBytes += size
		}
	}
	clear(c.sizes)
	if c.opts.Progress != nil {
		c.opts.Progress(c.result)
	}
	return ctx.Err()
}
