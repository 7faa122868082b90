package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/dataset/internal/collect"
	"github.com/millwright-ml/millwright/internal/errs"
)

const defaultMaxObjects = 100_000

// standardRules are the times that all processes of a dataset must agree on.
var standardRules = collect.Rules{Lease: time.Hour, Grace: 24 * time.Hour}

// CollectOptions say which versions stay readable, and whether anything is
// deleted.
type CollectOptions struct {
	// Apply makes it real. The default is a dry run, which writes nothing and
	// reports what would happen.
	Apply bool
	// KeepLast is how many of the newest versions of every branch are kept. The
	// default 0 keeps every version, so that only files go that no version has;
	// -1 keeps the heads alone.
	KeepLast int
	// KeepFor also keeps every version that was the newest of its branch at some
	// time in this span, so that Branch.At works within it. The default 0 keeps
	// none for its age.
	KeepFor time.Duration
	// Keep are more versions to keep, beside the heads of all branches, the tags
	// and the Iceberg exports, which are always kept. The default is none.
	Keep []*Version
	// MaxObjects is how many objects one call condemns at most; the rest waits
	// for the next call. The default is 100000, the limit 500000.
	MaxObjects int
	// Progress, when set, is called from one goroutine at a time as the
	// collection proceeds.
	Progress func(CollectReport)
}

// CollectReport says what a collection found and did.
type CollectReport struct {
	// DryRun says that nothing was done: Condemned and Deleted are what would be.
	DryRun bool
	// Versions are those of all branches, and Kept how many of them stay
	// readable.
	Versions, Kept int64
	// Objects and Bytes are the data files and commit records in the store, and
	// Used and UsedBytes those that are kept.
	Objects, Bytes  int64
	Used, UsedBytes int64
	// Young are unused objects of the last day: a writer may be about to commit
	// them.
	Young int64
	// Condemned objects are unused and were put on a list now. They are deleted
	// by a call that comes a day later.
	Condemned, CondemnedBytes int64
	// Waiting objects were condemned before, and Next is when the first of them
	// can be deleted; zero when there is none.
	Waiting int64
	Next    time.Time
	// Deleted objects are gone. Spared were condemned and are used again.
	Deleted, DeletedBytes int64
	Spared                int64
	// Checkpoints of the logs were deleted, which nothing needs but the speed of
	// opening old versions.
	Checkpoints, CheckpointBytes int64
}

// Collect deletes data files and commit records that no kept version uses. It is
// safe beside any number of writers, readers and other collections: files are
// condemned first, and deleted by a call at least 24 hours later that finds them
// unused again. Call it from time to time, for instance daily. A call that was
// killed leaves its work to the next.
//
// The versions that are not kept stay in the log with all that it says about
// them; only their rows cannot be read any more. [Branch.Restore] brings such a
// version back as long as its files are there.
//
// Only files that this package wrote are collected, never those of other
// engines. Of the logs it takes checkpoints that are a day old: it leaves the
// newest two, those of kept versions, and one for every hundred versions, from
// which all others are told. What it deleted is noted in _mlops/collected, so that
// [Dataset.Verify] can tell it from damage. In a bucket with versioning a delete hides
// an object and frees nothing before a lifecycle rule takes the old versions.
//
// What is left to trust: a request of a writer takes effect within 22 hours
// after it was sent, and no other engine restores versions that are not kept.
func (d *Dataset) Collect(ctx context.Context, opts *CollectOptions) (*CollectReport, error) {
	subject := fmt.Sprintf("dataset: collect %q", d.name)
	if opts == nil {
		opts = &CollectOptions{}
	}
	var f errs.Faults
	f.Check(opts.KeepLast >= -1, "keep last is %d, want at least -1", opts.KeepLast)
	f.Check(opts.KeepFor >= 0, "keep for is %s, want at least 0", opts.KeepFor)
	f.Check(opts.KeepLast != 0 || opts.KeepFor == 0, "keep for %s without keep last keeps every version: set keep last to -1", opts.KeepFor)
	f.Check(opts.MaxObjects >= 0 && opts.MaxObjects <= 500_000, "max objects is %d, want 0 to 500000", opts.MaxObjects)
	for _, v := range opts.Keep {
		f.Check(v != nil && v.dataset != nil && v.Dataset == d.name, "a version to keep is nil or of another dataset")
	}
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	c := &collector{d: d, opts: opts, rules: d.catalog.rules, report: CollectReport{DryRun: !opts.Apply}}
	if err := c.run(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	return &c.report, nil
}

// collector is one call of Collect.
type collector struct {
	d      *Dataset
	opts   *CollectOptions
	rules  collect.Rules
	now    time.Time // By the store, when the call started.
	used   map[string]bool
	heads  map[string]int64 // Newest entries of the logs when they were marked.
	report CollectReport
}

func (c *collector) run(ctx context.Context) error {
	// The time is taken before everything else: ages are rather too low.
	c.now = time.Now()
	if c.opts.Apply {
		var err error
		if c.now, err = c.d.storeTime(ctx); err != nil {
			return err
		}
	}
	if err := c.d.quiet(ctx); err != nil {
		return err
	}
	lists, err := c.d.readLists(ctx, nil)
	if err != nil {
		return err
	}
	k := &keeper{d: c.d, opts: c.opts, now: c.now}
	if err := k.mark(ctx); err != nil {
		return err
	}
	c.used, c.report.Versions = k.used, k.versions
	for _, numbers := range k.kept {
		c.report.Kept += int64(len(numbers))
	}
	c.heads = map[string]int64{}
	for l, w := range k.walks {
		c.heads[l.name] = w.last()
	}
	listed := map[string]bool{}
	for _, l := range lists {
		if err := c.list(ctx, l); err != nil {
			return err
		}
		for _, name := range l.Objects {
			listed[name] = true
		}
	}
	if err := c.condemn(ctx, listed); err != nil {
		return err
	}
	return c.thin(ctx, k)
}

// list takes the step that is due for one list.
func (c *collector) list(ctx context.Context, l listedAt) error {
	if l.Erase {
		return nil // Such names never come back.
	}
	published, swept := l.ages(c.now)
	switch c.rules.Next(published, swept) {
	case collect.Wait:
		c.report.Waiting += int64(len(l.Objects))
		if due := l.published.Add(c.rules.Grace); c.report.Next.IsZero() || due.Before(c.report.Next) {
			c.report.Next = due
		}
	case collect.Sweep:
		return c.sweep(ctx, l)
	case collect.Retire:
	case collect.Forget:
		if !c.opts.Apply {
			return nil
		}
		// The list first: a note without a list means nothing.
		err := retry(ctx, func() error { return c.d.store.Delete(ctx, gcListKey(l.ID)) })
		if err != nil {
			return err
		}
		return retry(ctx, func() error { return c.d.store.Delete(ctx, gcSweptKey(l.ID)) })
	}
	return nil
}

// sweep deletes the objects of a list that are still unused.
func (c *collector) sweep(ctx context.Context, l listedAt) error {
	const batch = 1000
	if c.opts.Apply {
		// The list must stand, or it was swept long ago.
		if open, err := c.open(ctx, l); err != nil || !open {
			return err
		}
		if err := c.recordSweep(ctx, l); err != nil {
			return err
		}
	}
	for at := 0; at < len(l.Objects); at += batch {
		// The list must stand, or its names may have come back.
		looked := time.Now()
		if open, err := c.open(ctx, l); err != nil || !open {
			return err
		}
		part := l.Objects[at:min(at+batch, len(l.Objects))]
		var deleted, bytes, spared atomic.Int64
		err := parallel(ctx, len(part), func(ctx context.Context, i int) error {
			switch {
			case c.used[part[i]]:
				spared.Add(1)
				return nil
			case !c.rules.Relies(time.Since(looked)):
				return fmt.Errorf("the store is too slow: %d objects were not deleted in %s: %w", len(part), c.rules.Lease, ErrUnavailable)
			}
			if len(l.Sizes) > 0 {
				bytes.Add(l.Sizes[at+i])
			}
			deleted.Add(1)
			if !c.opts.Apply {
				return nil
			}
			return retry(ctx, func() error { return c.d.store.Delete(ctx, part[i]) })
		})
		c.report.Deleted += deleted.Load()
		c.report.DeletedBytes += bytes.Load()
		c.report.Spared += spared.Load()
		if err != nil {
			return err
		}
		c.progress()
	}
	if !c.opts.Apply {
		return nil
	}
	note := []byte("{\"format\":1}\n")
	err := retry(ctx, func() error {
		return c.d.store.Create(ctx, gcSweptKey(l.ID), bytes.NewReader(note), int64(len(note)))
	})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// open tells whether a list stands and was not swept.
func (c *collector) open(ctx context.Context, l listedAt) (bool, error) {
	if err := c.d.quiet(ctx); err != nil {
		return false, err
	}
	_, err := c.d.store.Stat(ctx, gcListKey(l.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = c.d.store.Stat(ctx, gcSweptKey(l.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// recordFile is the key of a commit record.
var recordFile = regexp.MustCompile(`^_mlops/commits/([0-9a-f-]+)\.json$`)

// collectable tells whether an object is one that collections may delete.
func collectable(key string) bool {
	if ownFile.MatchString(key) {
		return true
	}
	m := recordFile.FindStringSubmatch(key)
	return m != nil && validRecord.MatchString(m[1])
}

// condemn puts what is unused on a new list.
func (c *collector) condemn(ctx context.Context, listed map[string]bool) error {
	limit := c.opts.MaxObjects
	if limit == 0 {
		limit = defaultMaxObjects
	}
	list := &gcList{Format: 1, ID: newID(), Time: c.now.UTC()}
	r := &c.report
	for _, folder := range []string{dataFolder, commitFolder} {
		for info, err := range c.d.store.List(ctx, folder) {
			if err != nil {
				return err
			}
			key := info.Name()
			if !collectable(key) {
				continue
			}
			if r.Objects%1000 == 0 {
				c.progress()
			}
			r.Objects++
			r.Bytes += info.Size()
			used := c.used[key]
			switch {
			case used:
				r.Used++
				r.UsedBytes += info.Size()
			case listed[key]:
			case !c.rules.Condemns(used, c.now.Sub(info.ModTime())):
				r.Young++
			case len(list.Objects) < limit:
				list.Objects, list.Sizes = append(list.Objects, key), append(list.Sizes, info.Size())
				r.Condemned++
				r.CondemnedBytes += info.Size()
			}
		}
	}
	if c.opts.Apply && len(list.Objects) > 0 {
		if err := c.d.writeList(ctx, list); err != nil {
			return err
		}
	}
	c.progress()
	return nil
}

func (c *collector) progress() {
	if c.opts.Progress != nil {
		c.opts.Progress(c.report)
	}
}
