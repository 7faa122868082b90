package blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	defaultGap      = 1 << 20
	defaultPart     = 8 << 20
	defaultInFlight = 4
	defaultTail     = 64 << 10
	// readTries is how often one range is asked for without a byte of progress.
	readTries = 4
)

// Range is a part of an object.
type Range struct {
	Off int64 // First byte.
	Len int64 // Bytes.
}

func (r Range) end() int64 { return r.Off + r.Len }

// RangeOptions say how ranges of an object are fetched.
type RangeOptions struct {
	// Gap is the most bytes between two ranges that are fetched in one request,
	// with what lies between. The default is 1 MiB; -1 joins only ranges that
	// touch.
	Gap int64
	// Part is the most bytes one request asks for. The default is 8 MiB.
	Part int64
	// InFlight is how many requests of one reader run at a time. The default is 4.
	InFlight int
	// Budget bounds the bytes that were asked for and are not yet read. Readers
	// may share one. The default is one of 64 MiB for each reader.
	Budget *Budget
	// Tail is how many bytes at the end of the object are fetched at once by the
	// first read among them: the footer of a Parquet file takes one request so.
	// The default is 64 KiB; -1 is off.
	Tail int64
}

func (o *RangeOptions) withDefaults() RangeOptions {
	var set RangeOptions
	if o != nil {
		set = *o
	}
	set.Gap = max(cmp.Or(set.Gap, defaultGap), 0)
	set.Tail = max(cmp.Or(set.Tail, defaultTail), 0)
	if set.Part <= 0 {
		set.Part = defaultPart
	}
	if set.InFlight <= 0 {
		set.InFlight = defaultInFlight
	}
	if set.Budget == nil {
		set.Budget = NewBudget(8 * defaultPart)
	}
	return set
}

// Coalesce sorts ranges, joins those with at most gap bytes between them, and
// cuts what is longer than part: the requests that [ReaderAt.Prefetch] makes.
// Empty ranges are dropped.
func Coalesce(ranges []Range, gap, part int64) []Range {
	sorted := slices.DeleteFunc(slices.Clone(ranges), func(r Range) bool { return r.Len <= 0 })
	slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.Off, b.Off) })
	var joined []Range
	for _, r := range sorted {
		if n := len(joined); n > 0 && r.Off-joined[n-1].end() <= gap {
			joined[n-1].Len = max(joined[n-1].end(), r.end()) - joined[n-1].Off
			continue
		}
		joined = append(joined, r)
	}
	var parts []Range
	for _, r := range joined {
		// Of about one length, so that none is a crumb.
		n := (r.Len-1)/max(part, 1) + 1
		each := (r.Len-1)/n + 1
		for off := r.Off; off < r.end(); off += each {
			parts = append(parts, Range{off, min(each, r.end()-off)})
		}
	}
	return parts
}

// ReadRange reads len(dst) bytes of an object from byte off into dst, in parts
// of several requests at a time. An object that ends before is an
// [io.ErrUnexpectedEOF], one that is replaced meanwhile an [ErrConflict]; a
// request that fails on the way is repeated for the rest.
func ReadRange(ctx context.Context, s Store, key string, off int64, dst []byte, opts *RangeOptions) error {
	set := opts.withDefaults()
	f := &fetcher{store: s, key: key, size: -1}
	return f.readParts(ctx, dst, off, &set)
}

// fetcher reads ranges of one object, and sees to it that they are all of the
// same one.
type fetcher struct {
	store Store
	key   string

	mu   sync.Mutex
	size int64  // -1 until known
	tag  string // "" until known, or when the store gives none
}

// same checks what a Get opened against what was opened before.
func (f *fetcher) same(r io.Reader) error {
	fi := Opened(r)
	if fi == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	tag := Tag(fi)
	if (f.tag != "" && tag != "" && f.tag != tag) || (f.size >= 0 && f.size != fi.Size()) {
		return fmt.Errorf("the object was replaced while it was read, or is not the expected one: it has %d bytes, tag %q, want %d bytes, tag %q: %w",
			fi.Size(), tag, f.size, f.tag, ErrConflict)
	}
	f.size, f.tag = fi.Size(), cmp.Or(f.tag, tag)
	return nil
}

// readParts fills dst from byte off by a few requests at a time.
func (f *fetcher) readParts(ctx context.Context, dst []byte, off int64, set *RangeOptions) error {
	if int64(len(dst)) <= set.Part {
		return f.read(ctx, dst, off)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, set.InFlight)
	var wg sync.WaitGroup
	for _, p := range Coalesce([]Range{{off, int64(len(dst))}}, 0, set.Part) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			if err := f.read(ctx, dst[p.Off-off:p.end()-off], p.Off); err != nil {
				cancel(err)
			}
			<-slots
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// read fills dst from byte off. A body that breaks off, or fails for a passing
// reason, is gone on with where it stopped.
func (f *fetcher) read(ctx context.Context, dst []byte, off int64) error {
	for try := 0; len(dst) > 0; try++ {
		n, err := f.readOnce(ctx, dst, off)
		if err == nil {
			return nil
		}
		if n > 0 {
			try = 0
		}
		dst, off = dst[n:], off+int64(n)
		if final(err) || ctx.Err() != nil || try >= readTries-1 {
			return f.fail(err)
		}
		if pause(ctx, try) != nil {
			return f.fail(err)
		}
	}
	return nil
}

func (f *fetcher) readOnce(ctx context.Context, dst []byte, off int64) (int, error) {
	r, err := f.store.Get(ctx, f.key, off, int64(len(dst)))
	if err != nil {
		return 0, err
	}
	if err := f.same(r); err != nil {
		return 0, errors.Join(err, r.Close())
	}
	n, err := io.ReadFull(r, dst)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if closeErr := r.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && Opened(r) != nil && Opened(r).Size() <= off+int64(n) {
		err = fmt.Errorf("the object ends at byte %d: %w: %w", off+int64(n), io.ErrUnexpectedEOF, fs.ErrInvalid)
	}
	return n, err
}

func (f *fetcher) fail(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return &fs.PathError{Op: "read", Path: f.key, Err: err}
}

// final reports errors that no repetition mends, or that a store reports when it
// has tried often enough itself.
func final(err error) bool {
	for _, kind := range []error{fs.ErrNotExist, fs.ErrInvalid, fs.ErrPermission, fs.ErrClosed, ErrConflict, ErrUnsupported, errs.ErrUnavailable} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// pause waits 10 ms and twice as long with each try, more or less.
func pause(ctx context.Context, try int) error {
	d := 10 * time.Millisecond << try
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
