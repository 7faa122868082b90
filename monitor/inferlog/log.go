package inferlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Stats counts rows. Observed is always the sum of Written, Dropped, SampledOut
// and Pending.
type Stats struct {
	Observed   uint64 // Rows of all records given to Append, and Replayed.
	Written    uint64 // Durable in the dataset.
	Dropped    uint64 // Malformed, too many, or after Shutdown.
	SampledOut uint64 // Not in the sample: see Options.Sample.
	Pending    uint64 // In memory, or on disk in Options.SpillDir.
	// Replayed rows were found in Options.SpillDir by Open. They are in Observed,
	// and were in that of the process that was killed.
	Replayed uint64
	// SpilledBytes is the size of the files in Options.SpillDir.
	SpilledBytes int64
}

// Results are the rows by what became of them: "written", "dropped",
// "sampled_out" and "pending".
func (s Stats) Results() map[string]uint64 {
	return map[string]uint64{"written": s.Written, "dropped": s.Dropped, "sampled_out": s.SampledOut, "pending": s.Pending}
}

// Log writes inferences into a dataset. It is of the Shutdown kind: its workers
// start with the first Append, or with Open when that found rows to write, and
// Shutdown writes what is pending. It is safe for concurrent use; several logs,
// in one process or many, may share a dataset.
type Log struct {
	data    *dataset.Dataset
	name    string
	app     string // Makes the writes of this log idempotent.
	schema  Schema
	columns *arrow.Schema
	opts    Options
	policy  *policy
	folder  *folder // Nil without Spill.

	wake    chan struct{} // One slot.
	stop    chan struct{} // Closed when the workers shall end.
	done    chan struct{} // Closed when they have.
	workers sync.WaitGroup
	blocks  blocks

	anonymous atomic.Uint64 // Requests without an id.

	mu      sync.Mutex
	room    *sync.Cond // Rows were written, or the log is closing.
	stats   Stats
	batches int64 // Taken so far.
	memory  int   // Rows in memory.
	size    int   // Bytes in memory.
	seq     int64 // Of the chunk that was sealed last.
	open    []*chunk
	before  *chunk   // Sealed last; the next is made as large.
	sealed  []*chunk // Oldest first.
	writing *chunk
	waiters []waiter
	dropped dropReport
	faults  []error // What OnError has not heard yet.
	frame   []byte
	started bool
	closing bool
	closed  bool
}

// openChunks is how many partitions are collected at a time; the one that has
// waited longest for a row is written when there are more.
const openChunks = 8

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
// written. It returns ErrInvalid when the schema or the options are not
// acceptable or the dataset has another schema; the text lists every fault.
// With Spill it takes over what logs that were killed have left.
func Open(ctx context.Context, cat *dataset.Catalog, name string, schema Schema, opts *Options) (*Log, error) {
	subject := fmt.Sprintf("inferlog: open %q", name)
	l := &Log{
		name: name, schema: schema.clone(), app: "inferlog-" + rand.Text(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	l.room = sync.NewCond(&l.mu)
	var f errs.Faults
	f.Check(cat != nil, "the catalog is nil")
	l.columns = schema.arrow(&f)
	l.opts = resolve(opts, schema, &f)
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	l.policy = newPolicy(&l.opts, l.schema)
	if err := l.openDataset(ctx, cat); err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	if l.opts.Overflow == Spill {
		if err := l.openFolder(ctx); err != nil {
			return nil, fmt.Errorf("%s: spill dir: %w", subject, err)
		}
	}
	return l, nil
}

func (l *Log) openDataset(ctx context.Context, cat *dataset.Catalog) error {
	var err error
	l.data, err = cat.Open(ctx, l.name)
	if errors.Is(err, dataset.ErrNotFound) {
		l.data, err = cat.Create(ctx, l.name, l.columns, &dataset.CreateOptions{Description: "inference log"})
		if errors.Is(err, dataset.ErrExists) {
			l.data, err = cat.Open(ctx, l.name)
		}
	}
	if err != nil {
		return err
	}
	latest, err := l.data.Latest(ctx)
	if err != nil {
		return err
	}
	if diff := differences(l.columns, latest.Schema()); len(diff) > 0 {
		return fmt.Errorf("the dataset holds something else: %s: use another name for another schema: %w", strings.Join(diff, "; "), ErrInvalid)
	}
	return nil
}

func (l *Log) openFolder(ctx context.Context) error {
	folder, segments, err := openFolder(l.opts.SpillDir, l.name, l.schema)
	if err != nil {
		return err
	}
	l.folder = folder
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.replay(ctx, segments); err != nil {
		for _, c := range l.sealed {
			err = errors.Join(err, c.segment.file.Close())
		}
		return errors.Join(err, folder.close())
	}
	if len(l.sealed) > 0 {
		l.begin()
		l.signal()
	}
	return nil
}

// Append takes one request. It copies what it keeps, so the slices are free
// when it returns. A record that is malformed or comes after Shutdown is
// dropped whole, and its rows are counted; Options.Overflow says what happens
// to one that does not fit into the buffer. Only Block waits, and only Spill
// does I/O: one write to a local file.
func (l *Log) Append(rec Record) {
	rows, size, fault := l.schema.check(&rec)
	if fault != "" {
		l.mu.Lock()
		l.refuse(rows, "the record is malformed: "+fault)
		l.mu.Unlock()
		return
	}
	if !l.keeps(&rec) {
		l.mu.Lock()
		l.stats.Observed += uint64(rows)
		l.stats.SampledOut += uint64(rows)
		l.mu.Unlock()
		return
	}
	if rec.Time.IsZero() {
		rec.Time = time.Now()
	}
	at := rec.Time.UnixMicro()
	b := batch{key: partition{hourOf(at), rec.Model, rec.Version}, rows: rows, size: size, inputs: rec.Inputs, outputs: rec.Outputs}
	one := [1]entry{{rec.RequestID, rec.Error, at, rec.Latency.Microseconds(), rows}}
	b.entries = one[:]
	l.policy.protect(&b)
	l.mu.Lock()
	l.accept(&b)
	l.mu.Unlock()
}

// keeps reports whether the record is in the sample.
func (l *Log) keeps(r *Record) bool {
	p := l.policy
	return p.all() || r.Error != "" || p.sampled(r.RequestID, &l.anonymous) || p.outlier(r) || p.wanted(r)
}

// refuse counts rows that do not come in. The caller holds l.mu.
func (l *Log) refuse(rows int, reason string) {
	l.stats.Observed += uint64(rows)
	l.drop(rows, reason)
}

// drop counts rows that are lost. The caller holds l.mu.
func (l *Log) drop(rows int, reason string) {
	l.stats.Dropped += uint64(rows)
	if l.dropped.rows == 0 {
		l.dropped.reason = reason
	}
	l.dropped.rows += uint64(rows)
	l.begin()
	l.signal()
}

// begin starts the workers, once.
func (l *Log) begin() {
	if l.started || l.closed {
		return
	}
	l.started = true
	l.workers.Go(l.run)
	if l.opts.Retention > 0 {
		l.workers.Go(l.janitor)
	}
	go func() {
		l.workers.Wait()
		close(l.done)
	}()
}

// signal wakes the worker.
func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
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
	l.sealAll()
	if len(l.sealed) == 0 {
		l.mu.Unlock()
		return nil
	}
	w := waiter{l.sealed[len(l.sealed)-1].seq, make(chan error, 1)}
	l.waiters = append(l.waiters, w)
	l.begin()
	l.signal()
	l.mu.Unlock()
	select {
	case err := <-w.done:
		if err != nil {
			return fmt.Errorf("inferlog: flush %q: %w", l.name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("inferlog: flush %q: %w", l.name, context.Cause(ctx))
	}
}

// Shutdown takes no more records, writes what is pending and ends the workers.
// When it returns an error, rows are still pending and it can be called again;
// those that Spill has on disk are also written by the next log that uses the
// folder. After it returned nil it keeps returning nil. Find works on.
func (l *Log) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	l.closing = true
	l.room.Broadcast()
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
	case <-ctx.Done():
		return fmt.Errorf("inferlog: shut down %q: %w", l.name, context.Cause(ctx))
	}
	if l.folder != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := l.folder.close(); err != nil {
			return fmt.Errorf("inferlog: shut down %q: %w", l.name, err)
		}
	}
	return nil
}
