package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

const (
	logFolder    = "_delta_log/"
	commitFolder = "_mlops/commits/"
	dataFolder   = "_refs/data/"

	// maxLogBytes bounds one log entry and maxRecordBytes one commit record.
	maxLogBytes    = 64 << 20
	maxRecordBytes = 64 << 20
	// fetchers is how many small objects are read at once.
	fetchers = 8
)

// Dataset is one versioned table. It is a plain value, safe for concurrent use.
// It remembers the log entries that it has read, which never change.
type Dataset struct {
	catalog *Catalog
	name    string
	store   blob.Store // Rooted at the dataset's folder.

	mu  sync.Mutex
	log []*commit // log[n] made version n; the elements are immutable.
}

// Name is the name in the catalog.
func (d *Dataset) Name() string { return d.name }

// Latest returns the newest version.
func (d *Dataset) Latest(ctx context.Context) (*Version, error) {
	if err := d.refresh(ctx); err != nil {
		return nil, fmt.Errorf("dataset: latest version of %q: %w", d.name, err)
	}
	log := d.snapshot()
	return d.version(log, int64(len(log))-1)
}

// Version returns version n, which is Delta version n: 0 is the empty table.
// ErrNotFound when there is none yet.
func (d *Dataset) Version(ctx context.Context, n int64) (*Version, error) {
	if n < 0 {
		return nil, fmt.Errorf("dataset: version %d of %q: versions start at 0: %w", n, d.name, ErrInvalid)
	}
	if n >= int64(len(d.snapshot())) {
		if err := d.refresh(ctx); err != nil {
			return nil, fmt.Errorf("dataset: version %d of %q: %w", n, d.name, err)
		}
	}
	log := d.snapshot()
	if n >= int64(len(log)) {
		return nil, fmt.Errorf("dataset: version %d of %q: the latest is %d: %w", n, d.name, len(log)-1, ErrNotFound)
	}
	return d.version(log, n)
}

// ByDigest returns the newest version with the digest ("sha256:…"), ErrNotFound
// when no version has it. Versions have equal digests when they have equal
// content.
func (d *Dataset) ByDigest(ctx context.Context, digest string) (*Version, error) {
	if err := d.refresh(ctx); err != nil {
		return nil, fmt.Errorf("dataset: digest %s of %q: %w", digest, d.name, err)
	}
	log := d.snapshot()
	for n, c := range slices.Backward(log) {
		// The digest in the log is a hint that saves the count; what is returned
		// was counted.
		if c.bad != nil || (c.summary.Digest != "" && c.summary.Digest != digest) {
			continue
		}
		if v, err := d.version(log, int64(n)); err != nil {
			return nil, err
		} else if v.Digest == digest {
			return v, nil
		}
	}
	return nil, fmt.Errorf("dataset: digest %s of %q: no version has it: %w", digest, d.name, ErrNotFound)
}

func (d *Dataset) snapshot() []*commit {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log
}

// learn keeps log if it is longer than what is known.
func (d *Dataset) learn(log []*commit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(log) > len(d.log) {
		d.log = log
	}
}

// refresh reads the log entries that are new. fs.ErrNotExist when there is no
// table.
func (d *Dataset) refresh(ctx context.Context) error {
	log := d.snapshot()
	if len(log) == 0 {
		return d.load(ctx)
	}
	log = slices.Clip(log)
	for {
		c, err := d.fetch(ctx, log)
		if errors.Is(err, fs.ErrNotExist) {
			d.learn(log)
			return nil
		}
		if err != nil {
			return err
		}
		log = append(log, c)
	}
}

// load reads the whole log. The listing says only how far it goes: a folder
// that is listed while it is written may miss names in the middle.
func (d *Dataset) load(ctx context.Context) error {
	last := int64(-1)
	for info, err := range d.store.List(ctx, logFolder) {
		if err != nil {
			return err
		}
		if n, ok := delta.ParseLogName(path.Base(info.Name())); ok {
			last = max(last, n)
		}
	}
	if last < 0 {
		return fmt.Errorf("there is no Delta log: %w", fs.ErrNotExist)
	}
	if last > 1<<24 {
		return fmt.Errorf("the log claims %d versions: %w", last, ErrUnsupported)
	}
	entries := make([]*delta.Entry, last+1)
	faults := make([]error, last+1)
	err := parallel(ctx, len(entries), func(ctx context.Context, i int) error {
		var err error
		entries[i], faults[i], err = d.entry(ctx, int64(i))
		if errors.Is(err, fs.ErrNotExist) {
			faults[i] = fmt.Errorf("log entry %s is missing: a cleanup of the log removed it: %w", delta.LogName(int64(i)), ErrUnsupported)
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	log := make([]*commit, 0, len(entries))
	for i, e := range entries {
		log = append(log, next(log, e, faults[i]))
	}
	d.learn(log)
	return nil
}

// fetch reads the entry after log; fs.ErrNotExist when there is none.
func (d *Dataset) fetch(ctx context.Context, log []*commit) (*commit, error) {
	e, fault, err := d.entry(ctx, int64(len(log)))
	if err != nil {
		return nil, err
	}
	return next(log, e, fault), nil
}

// entry reads one log entry. fault says why its bytes are no entry, err that
// they could not be read.
func (d *Dataset) entry(ctx context.Context, n int64) (e *delta.Entry, fault, err error) {
	data, err := blob.ReadAll(ctx, d.store, logFolder+delta.LogName(n), maxLogBytes)
	if err != nil {
		return nil, nil, err
	}
	if e, err = delta.Parse(data); err != nil {
		return nil, fmt.Errorf("log entry %s is damaged or not of this protocol: %w: %w", delta.LogName(n), err, ErrUnsupported), nil
	}
	return e, nil, nil
}

// parallel runs f for 0..n-1 on a few goroutines and returns the first error.
func parallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	indexes := make(chan int)
	var wg sync.WaitGroup
	for range min(n, fetchers) {
		wg.Go(func() {
			for i := range indexes {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case indexes <- i:
		case <-ctx.Done():
		}
	}
	close(indexes)
	wg.Wait()
	return context.Cause(ctx)
}
