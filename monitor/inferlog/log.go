package inferlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	defaultFlushRows  = 1 << 16
	defaultFlushEvery = time.Minute
	defaultBuffered   = 1 << 20

	// chunkBytes seals a chunk of wide rows early, and bufferedBytes bounds what
	// is pending whatever the number of rows.
	chunkBytes    = 64 << 20
	bufferedBytes = 512 << 20
)

// Options of Open.
type Options struct {
	// FlushRows is how many rows are written as one version at least, when
	// nothing else flushes before. The default is 65536.
	FlushRows int
	// FlushEvery is how long a row waits at most before it is written. The
	// default is 1 minute; -1 writes by FlushRows, Flush and Shutdown only.
	FlushEvery time.Duration
	// MaxBuffered is how many rows may be pending; further ones are dropped. The
	// default is 1048576. Never more than 512 MiB are pending either.
	MaxBuffered int
	// OnError gets what goes wrong behind Append: failed writes, which are tried
	// again, and the reason of drops. It is called from the worker, never
	// concurrently, and must not call Flush or Shutdown. The default ignores.
	OnError func(error)
}

// Stats counts rows. Observed is always the sum of the three others.
type Stats struct {
	Observed uint64 // Rows of all records given to Append.
	Written  uint64 // Durable in the dataset.
	Dropped  uint64 // Malformed, too many, or after Shutdown.
	Pending  uint64 // In memory.
}

// Log writes inferences into a dataset. It is of the Shutdown kind: one worker
// starts with the first Append, and Shutdown writes what is pending. It is safe
// for concurrent use; several logs, in one process or many, may share a
// dataset.
type Log struct {
	data    *dataset.Dataset
	name    string
	app     string // Makes the writes of this log idempotent.
	schema  Schema
	columns *arrow.Schema
	opts    Options

	wake chan struct{} // One slot.
	stop chan struct{} // Closed when the worker shall end.
	done chan struct{} // Closed when it has.

	mu      sync.Mutex
	stats   Stats
	size    int // Bytes pending.
	current *chunk
	sealed  []*chunk // Oldest first; the first may be being written.
	waiters []waiter
	dropped dropReport
	started bool
	closing bool
	closed  bool
}

// waiter is a Flush that waits until a chunk is written.
type waiter struct {
	seq  int64
	done chan error // One slot.
}

// dropReport is what OnError has not heard yet.
type dropReport struct {
	rows   uint64
	reason string // Of the first.
}

// Open creates the dataset, or opens one that a log of the same schema has
// written. It returns ErrInvalid when the schema is not acceptable or the
// dataset has another one; the text lists every fault.
func Open(ctx context.Context, cat *dataset.Catalog, name string, schema Schema, opts *Options) (*Log, error) {
	subject := fmt.Sprintf("inferlog: open %q", name)
	l := &Log{
		name: name, schema: schema.clone(), app: "inferlog-" + rand.Text(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	var f errs.Faults
	f.Check(cat != nil, "the catalog is nil")
	l.columns = schema.arrow(&f)
	l.opts = resolve(opts, &f)
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	var err error
	l.data, err = cat.Open(ctx, name)
	if errors.Is(err, dataset.ErrNotFound) {
		l.data, err = cat.Create(ctx, name, l.columns, &dataset.CreateOptions{Description: "inference log"})
		if errors.Is(err, dataset.ErrExists) {
			l.data, err = cat.Open(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	latest, err := l.data.Latest(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	if diff := differences(l.columns, latest.Schema()); len(diff) > 0 {
		return nil, fmt.Errorf("%s: the dataset holds something else: %s: use another name for another schema: %w", subject, strings.Join(diff, "; "), ErrInvalid)
	}
	l.current = newChunk(l.schema, 1, nil)
	return l, nil
}

func resolve(opts *Options, f *errs.Faults) Options {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	f.Check(o.FlushRows >= 0, "flush rows are %d, want at least 0", o.FlushRows)
	f.Check(o.MaxBuffered >= 0, "max buffered is %d, want at least 0", o.MaxBuffered)
	if o.FlushRows == 0 {
		o.FlushRows = defaultFlushRows
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = defaultFlushEvery
	}
	if o.MaxBuffered == 0 {
		o.MaxBuffered = defaultBuffered
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	return o
}

// Append takes one request. It copies what it keeps, so the slices are free
// when it returns; it does no I/O and never waits for the worker. A record that
// is malformed, that does not fit into the buffer, or that comes after Shutdown
// is dropped whole, and its rows are counted.
func (l *Log) Append(rec Record) {
	rows, size, fault := l.schema.check(&rec)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Observed += uint64(rows)
	switch {
	case fault != "":
		fault = "the record is malformed: " + fault
	case l.closing:
		fault = "the log is shut down"
	case int(l.stats.Pending)+rows > l.opts.MaxBuffered:
		fault = "the buffer is full: the store is too slow or failing"
	case l.size+size > bufferedBytes || size > chunkBytes:
		fault = "the buffer is full: the rows are very large"
	}
	if fault != "" {
		l.stats.Dropped += uint64(rows)
		if l.dropped.rows == 0 {
			l.dropped.reason = fault
		}
		l.dropped.rows += uint64(rows)
		l.begin()
		l.signal()
		return
	}
	if l.current.rows > 0 && l.current.size+size > chunkBytes {
		l.seal()
	}
	l.current.add(&rec, rows, size)
	l.stats.Pending += uint64(rows)
	l.size += size
	l.begin()
	if l.current.rows >= l.opts.FlushRows {
		l.seal()
		l.signal()
	}
}

// begin starts the worker, once.
func (l *Log) begin() {
	if !l.started && !l.closed {
		l.started = true
		go l.run()
	}
}

// signal wakes the worker.
func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// seal ends the current chunk.
func (l *Log) seal() {
	if l.current.rows == 0 {
		return
	}
	l.sealed = append(l.sealed, l.current)
	l.current = newChunk(l.schema, l.current.seq+1, l.current)
}

// Stats counts the rows so far.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Flush writes all rows that were appended before. The error is that of the
// write, which will be tried again, or that of ctx. After Shutdown it is
// ErrClosed.
func (l *Log) Flush(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return fmt.Errorf("inferlog: flush %q: %w", l.name, ErrClosed)
	}
	l.seal()
	if len(l.sealed) == 0 {
		l.mu.Unlock()
		return nil
	}
	w := waiter{l.sealed[len(l.sealed)-1].seq, make(chan error, 1)}
	l.waiters = append(l.waiters, w)
	l.signal()
	l.mu.Unlock()
	select {
	case err := <-w.done:
		if err != nil {
			return fmt.Errorf("inferlog: flush %q: %w", l.name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("inferlog: flush %q: %w", l.name, ctx.Err())
	}
}

// Shutdown takes no more records, writes what is pending and ends the worker.
// When it returns an error, rows are still pending and it can be called again;
// after it returned nil it keeps returning nil. Find works on.
func (l *Log) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	if err := l.Flush(ctx); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
		if !l.started {
			close(l.done)
		}
	}
	l.mu.Unlock()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("inferlog: shut down %q: %w", l.name, ctx.Err())
	}
}
