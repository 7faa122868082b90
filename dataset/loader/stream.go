package loader

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Stream delivers one shard of one epoch. It is for one goroutine; many streams
// of one loader may run at the same time. It holds rows and goroutines only
// while its records are ranged over.
type Stream struct {
	loader *Loader
	plan   *plan
	token  Token
	most   int64 // Rows of the shard, -1 when they cannot be counted before.
	busy   atomic.Bool
}

func (l *Loader) stream(t Token) *Stream {
	s := &Stream{loader: l, plan: l.plan(t), token: t, most: -1}
	switch {
	case l.opts.Even:
		s.most = s.plan.least()
	case l.opts.Split == nil && l.opts.Where.IsZero():
		s.most = s.plan.rows(s.plan.rank, s.plan.windows())
	}
	return s
}

// Token says where the stream stands: after the record that was delivered last.
// Take it while the record is in hand, before the loop goes on.
func (s *Stream) Token() Token { return s.token }

// Schema is the schema of the records.
func (s *Stream) Schema() *arrow.Schema { return s.loader.schema }

// Rows is the number of rows that are still to come; known is false when a
// filter or a split decides it.
func (s *Stream) Rows() (n int64, known bool) {
	if s.most < 0 {
		return 0, false
	}
	return max(0, s.most-s.delivered()), true
}

// delivered is the number of rows before the token, when they can be counted.
func (s *Stream) delivered() int64 {
	return s.plan.rows(s.plan.rank, int(s.token.window)) + int64(s.token.row)
}

// Records yields the records of the shard from where the stream stands. A record
// is valid until the loop goes on; retain it to keep it longer, and with it its
// window. An error ends the loop. A loop that was left early can be started
// again and goes on after the last record it got.
//
// In memory are the window that is delivered, those that wait, which
// Options.Prefetch bounds, and the one that is being read, twice while its rows
// are put in order.
func (s *Stream) Records(ctx context.Context) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		if !s.busy.CompareAndSwap(false, true) {
			yield(nil, fmt.Errorf("loader: records: the stream is being read already: %w", ErrConflict))
			return
		}
		defer s.busy.Store(false)
		ctx, cancel := context.WithCancel(ctx)
		d := &delivery{stream: s, left: -1}
		if n, known := s.Rows(); known {
			d.left = n
		}
		d.source = s.loader.ahead(ctx, s.plan, int64(s.token.epoch), int(s.token.window))
		defer func() {
			cancel()
			d.close()
		}()
		for {
			rec, err := d.next(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if rec == nil {
				return
			}
			more := yield(rec, nil)
			rec.Release()
			if !more {
				return
			}
		}
	}
}

// delivery cuts windows into records.
type delivery struct {
	stream *Stream
	source *source
	queue  []*window // The first one is being delivered.
	row    int       // Of the first one, delivered.
	joined bool      // The row of the token was looked up.
	left   int64     // Rows that may still come; -1 when that is not known.
}

func (d *delivery) close() {
	for _, w := range d.queue {
		w.release()
	}
	d.source.close()
}

// next returns the next record and moves the token behind it; nil at the end.
func (d *delivery) next(ctx context.Context) (arrow.Record, error) {
	s := d.stream
	want := s.loader.opts.BatchRows
	if d.left >= 0 {
		want = int(min(int64(want), d.left))
	}
	have := -d.row
	for _, w := range d.queue {
		have += w.rows
	}
	for have < want || !d.joined {
		w, err := d.source.next(ctx)
		if err != nil {
			return nil, err
		}
		if w == nil {
			break
		}
		d.queue = append(d.queue, w)
		have += w.rows
		if !d.joined {
			if s.token.row > uint64(w.rows) {
				return nil, fmt.Errorf("loader: token %s is at row %d of a window of %d: %w", s.token, s.token.row, w.rows, ErrInvalid)
			}
			d.row, d.joined = int(s.token.row), true
			have -= d.row
		}
	}
	n := min(want, have)
	if n <= 0 {
		s.token.window, s.token.row = uint64(s.plan.windows()), 0
		return nil, nil
	}
	rec, err := d.cut(n)
	if err != nil {
		return nil, err
	}
	d.advance(n)
	return rec, nil
}

// cut makes a record of the next n rows of the queue: a slice where they lie in
// one chunk, and else a copy.
func (d *delivery) cut(n int) (arrow.Record, error) {
	var chunks []arrow.Record
	var runs []run
	skip, left := d.row, n
	for _, w := range d.queue {
		for _, c := range w.chunks {
			rows := int(c.NumRows())
			if skip >= rows {
				skip -= rows
				continue
			}
			take := min(rows-skip, left)
			if take == n {
				return c.NewSlice(int64(skip), int64(skip+n)), nil
			}
			if take == 0 {
				break
			}
			runs = append(runs, run{skip, int32(take), int32(len(chunks))})
			chunks = append(chunks, c)
			skip, left = 0, left-take
		}
	}
	l := d.stream.loader
	columns := make([]arrow.Array, 0, l.schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i := range l.schema.NumFields() {
		a, err := l.column(i, chunks, runs, n)
		if err != nil {
			return nil, err
		}
		columns = append(columns, a)
	}
	return array.NewRecord(l.schema, columns, int64(n)), nil
}

// column gathers runs of rows of one column of the schema.
func (l *Loader) column(i int, chunks []arrow.Record, runs []run, n int) (arrow.Array, error) {
	return l.gathered(i, chunks, func(mem memory.Allocator, t arrow.DataType, sources []arrow.ArrayData) (arrow.ArrayData, error) {
		return gather(mem, t, sources, runs, n)
	})
}

// shuffled gathers single rows of one column of the schema.
func (l *Loader) shuffled(i int, chunks []arrow.Record, rows []place) (arrow.Array, error) {
	return l.gathered(i, chunks, func(mem memory.Allocator, t arrow.DataType, sources []arrow.ArrayData) (arrow.ArrayData, error) {
		return gatherRows(mem, t, sources, rows)
	})
}

func (l *Loader) gathered(i int, chunks []arrow.Record, by func(memory.Allocator, arrow.DataType, []arrow.ArrayData) (arrow.ArrayData, error)) (arrow.Array, error) {
	sources := make([]arrow.ArrayData, len(chunks))
	for c, rec := range chunks {
		sources[c] = rec.Column(i).Data()
	}
	f := l.schema.Field(i)
	data, err := by(l.opts.Allocator, f.Type, sources)
	if err != nil {
		return nil, fmt.Errorf("loader: %q version %d: column %q: %w", l.version.Dataset, l.version.Number, f.Name, err)
	}
	defer data.Release()
	return array.MakeFromData(data), nil
}

// advance moves the token over n rows of the queue.
func (d *delivery) advance(n int) {
	d.row += n
	if d.left >= 0 {
		d.left -= int64(n)
	}
	t := &d.stream.token
	for len(d.queue) > 0 && d.row >= d.queue[0].rows {
		w := d.queue[0]
		d.row -= w.rows
		t.window = uint64(w.index) + 1
		d.queue = d.queue[1:]
		w.release()
	}
	if len(d.queue) > 0 {
		t.window = uint64(d.queue[0].index)
	}
	t.row = uint64(d.row)
}
