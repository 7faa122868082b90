package blob

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"sort"
	"sync"
)

// ReaderAt reads one object at any offset, for formats such as Parquet that say
// in their last bytes where the rest is.
//
//	r, err := blob.NewReaderAt(ctx, store, key, size, nil)
//	defer r.Close()
//	… read the footer …              // one request for the tail
//	r.Prefetch(columns...)           // few large requests, several at a time
//	… read the columns …             // from memory, or as soon as they are there
//
// What is fetched ahead is dropped as soon as it was read once; other reads go
// to the store. All bytes come from one state of the object: when it is replaced
// meanwhile reads fail with [ErrConflict]. A store that fails for a passing
// reason is asked again for what is missing.
//
// At most the budget of the options is held ahead, and one part for each
// goroutine that reads. ReaderAt is safe for concurrent use. It starts
// goroutines in Prefetch only; Close ends them.
type ReaderAt struct {
	ctx    context.Context // of the reader that it serves, as io.ReaderAt takes none
	cancel context.CancelFunc
	set    RangeOptions
	fetch  *fetcher
	size   int64

	tail     sync.Mutex // held while the tail is fetched
	tailData []byte     // nil until then

	mu      sync.Mutex
	closed  bool
	parts   []*part // sorted, without overlap
	queue   []*part // not yet asked for
	running bool    // a goroutine works through the queue
	slots   chan struct{}
	wg      sync.WaitGroup
}

// part is one request ahead of its reader.
type part struct {
	Range
	started bool          // somebody fetches it; under ReaderAt.mu
	unread  int64         // wanted bytes that nobody read yet; under ReaderAt.mu
	readers int           // that copy out of data; under ReaderAt.mu
	held    int64         // of the budget
	done    chan struct{} // closed when data or err is there
	data    []byte
	err     error
}

// NewReaderAt returns a reader of the object, whose size in bytes is taken for
// granted when it is not -1. It reads until ctx ends.
func NewReaderAt(ctx context.Context, s Store, key string, size int64, opts *RangeOptions) (*ReaderAt, error) {
	set := opts.withDefaults()
	if size < 0 {
		fi, err := s.Stat(ctx, key)
		if err != nil {
			return nil, err
		}
		size = fi.Size()
	}
	r := &ReaderAt{set: set, size: size, slots: make(chan struct{}, set.InFlight)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.fetch = &fetcher{store: s, key: key, size: size}
	return r, nil
}

// Size is the size of the object in bytes.
func (r *ReaderAt) Size() int64 { return r.size }

// Close ends the requests under way and frees what was fetched ahead. Reads
// afterwards report [fs.ErrClosed]. Closing twice is no error.
func (r *ReaderAt) Close() error {
	r.cancel()
	r.mu.Lock()
	r.closed = true
	r.queue = nil
	r.mu.Unlock()
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.parts {
		r.drop(p)
	}
	r.parts = nil
	return nil
}

// Prefetch has the ranges fetched in the background, joined and cut as the
// options say, in the order of their offsets and behind those of earlier calls.
// Bytes that are on their way already are not asked for twice. What lies outside
// the object is ignored.
func (r *ReaderAt) Prefetch(ranges ...Range) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	var wanted []Range
	for _, w := range ranges {
		w.Len = min(w.Len, r.size-w.Off)
		w = Range{max(w.Off, 0), w.end() - max(w.Off, 0)}
		wanted = append(wanted, r.missing(w)...)
	}
	wanted = Coalesce(wanted, 0, math.MaxInt64) // none twice
	var made []*part
	for _, joined := range Coalesce(wanted, r.set.Gap, r.set.Part) {
		for _, piece := range r.missing(joined) { // a gap may hold what is there
			p := &part{Range: piece, done: make(chan struct{})}
			for _, w := range wanted {
				p.unread += max(0, min(w.end(), p.end())-max(w.Off, p.Off))
			}
			if p.unread > 0 {
				made = append(made, p)
			}
		}
	}
	r.queue = append(r.queue, made...)
	r.parts = append(r.parts, made...)
	slices.SortFunc(r.parts, func(a, b *part) int { return cmp.Compare(a.Off, b.Off) })
	if len(r.queue) > 0 && !r.running {
		r.running = true
		r.wg.Go(r.work)
	}
}

// missing returns what of w is in no part. The caller holds the lock.
func (r *ReaderAt) missing(w Range) []Range {
	var out []Range
	for i := r.at(w.Off); w.Len > 0; i++ {
		if i == len(r.parts) || r.parts[i].Off >= w.end() {
			return append(out, w)
		}
		p := r.parts[i]
		if p.Off > w.Off {
			out = append(out, Range{w.Off, p.Off - w.Off})
		}
		w = Range{p.end(), w.end() - p.end()}
	}
	return out
}

// at finds the first part that ends behind off. The caller holds the lock.
func (r *ReaderAt) at(off int64) int {
	return sort.Search(len(r.parts), func(i int) bool { return r.parts[i].end() > off })
}

// work asks for the parts of the queue, each as soon as the budget has room.
func (r *ReaderAt) work() {
	for {
		p := r.next()
		if p == nil {
			return
		}
		held, err := r.set.Budget.acquire(r.ctx, p.Len)
		if err != nil {
			// Closing, or the caller's ctx has ended: who reads now asks for himself.
			r.mu.Lock()
			r.running = false
			r.mu.Unlock()
			return
		}
		r.slots <- struct{}{}
		r.mu.Lock()
		mine := !p.started && !r.closed // else a reader could not wait
		if mine {
			p.started, p.held = true, held
			r.wg.Go(func() {
				r.load(p)
				<-r.slots
			})
		}
		r.mu.Unlock()
		if !mine {
			<-r.slots
			r.set.Budget.release(held)
		}
	}
}

// next is the first part of the queue that nobody fetches, nil at the end.
func (r *ReaderAt) next() *part {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 && r.queue[0].started {
		r.queue = r.queue[1:]
	}
	if len(r.queue) == 0 {
		r.running = false
		return nil
	}
	return r.queue[0]
}

func (r *ReaderAt) load(p *part) {
	p.data = r.set.Budget.buffer(p.Len)
	p.err = r.fetch.read(r.ctx, p.data, p.Off)
	close(p.done)
}

// ReadAt implements [io.ReaderAt].
func (r *ReaderAt) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, r.fetch.fail(fmt.Errorf("offset %d is negative: %w", off, fs.ErrInvalid))
	}
	if off >= r.size {
		return 0, io.EOF
	}
	short := int64(len(b)) > r.size-off
	if short {
		b = b[:r.size-off]
	}
	n := 0
	for n < len(b) {
		got, err := r.readSome(b[n:], off+int64(n))
		n += got
		if err != nil {
			return n, err
		}
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// readSome reads from the one source that has byte off.
func (r *ReaderAt) readSome(b []byte, off int64) (int, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, r.fetch.fail(fs.ErrClosed)
	}
	next := r.size
	if i := r.at(off); i < len(r.parts) {
		p := r.parts[i]
		if p.Off <= off {
			p.readers++
			mine := !p.started
			p.started = true
			r.mu.Unlock()
			return r.fromPart(p, mine, b, off)
		}
		next = p.Off
	}
	r.mu.Unlock()
	if r.set.Tail > 0 && off >= r.size-r.set.Tail {
		return r.fromTail(b, off)
	}
	b = b[:min(int64(len(b)), next-off)]
	if err := r.fetch.readParts(r.ctx, b, off, &r.set); err != nil {
		return 0, err
	}
	return len(b), nil
}

// fromPart copies out of a part. Mine says that the queue has not come to it, so
// that it has to be fetched first.
func (r *ReaderAt) fromPart(p *part, mine bool, b []byte, off int64) (int, error) {
	if mine {
		// Without budget: all of that may be held by parts that only this reader
		// is going to read.
		r.load(p)
	}
	<-p.done
	n := 0
	if p.err == nil {
		n = copy(b, p.data[off-p.Off:])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.readers--
	p.unread -= int64(n)
	if p.unread <= 0 || p.err != nil || r.closed {
		r.remove(p)
	}
	if p.err != nil && r.closed {
		return 0, r.fetch.fail(fs.ErrClosed)
	}
	return n, p.err
}

// remove takes a part out of the way of later reads, and frees it behind the
// last reader. The caller holds the lock.
func (r *ReaderAt) remove(p *part) {
	if i := slices.Index(r.parts, p); i >= 0 {
		r.parts = slices.Delete(r.parts, i, i+1)
	}
	if p.readers == 0 {
		r.drop(p)
	}
}

// drop frees what a part holds; twice is no matter. The caller holds the lock.
func (r *ReaderAt) drop(p *part) {
	if p.data != nil && p.readers == 0 {
		r.set.Budget.recycle(p.data)
		p.data = nil
	}
	if p.held > 0 && p.readers == 0 {
		r.set.Budget.release(p.held)
		p.held = 0
	}
}

// fromTail serves a read of the object's end.
func (r *ReaderAt) fromTail(b []byte, off int64) (int, error) {
	r.tail.Lock()
	defer r.tail.Unlock()
	from := max(r.size-r.set.Tail, 0)
	if r.tailData == nil {
		data := make([]byte, r.size-from)
		if err := r.fetch.read(r.ctx, data, from); err != nil {
			return 0, err
		}
		r.tailData = data
	}
	return copy(b, r.tailData[off-from:]), nil
}
