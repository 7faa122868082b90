package loader

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
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
// is valid until the loop goes on; retain it to keep it longer. An error ends
// the loop. A loop that was left early can be started again and goes on after
// the last record it got.
//
// About three windows are in memory: the one that is delivered, those that wait,
// which Options.Prefetch bounds, and the one that is being read.
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
	runs   []run
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
		have += len(w.order)
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
		have += len(w.order)
		if !d.joined {
			if s.token.row > uint64(len(w.order)) {
				return nil, fmt.Errorf("loader: token %s is at row %d of a window of %d: %w", s.token, s.token.row, len(w.order), ErrInvalid)
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
		return nil, fmt.Errorf("loader: %q version %d: %w", s.loader.version.Dataset, s.loader.version.Number, err)
	}
	d.advance(n)
	return rec, nil
}

// cut makes a record of the next n rows of the queue.
func (d *delivery) cut(n int) (arrow.Record, error) {
	chunks := d.pick(n)
	if len(d.runs) == 1 {
		r := d.runs[0]
		return chunks[r.chunk].NewSlice(int64(r.row), int64(r.row+r.n)), nil
	}
	l := d.stream.loader
	columns := make([]arrow.Array, 0, l.schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	sources := make([]arrow.ArrayData, len(chunks))
	for i, f := range l.schema.Fields() {
		for c, rec := range chunks {
			sources[c] = rec.Column(i).Data()
		}
		data, err := gather(l.opts.Allocator, f.Type, sources, d.runs, n)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		columns = append(columns, array.MakeFromData(data))
		data.Release()
	}
	return array.NewRecord(l.schema, columns, int64(n)), nil
}

// pick sets the runs of the next n rows of the queue, over the chunks that it
// returns.
func (d *delivery) pick(n int) (chunks []arrow.Record) {
	d.runs = d.runs[:0]
	row := d.row
	for _, w := range d.queue {
		if n == 0 {
			break
		}
		first := len(chunks)
		chunks = append(chunks, w.chunks...)
		order := w.order[row:]
		order = order[:min(n, len(order))]
		n, row = n-len(order), 0
		for i, ref := range order {
			if i > 0 && ref == order[i-1]+1 {
				d.runs[len(d.runs)-1].n++
				continue
			}
			d.runs = append(d.runs, run{first + int(ref>>32), int(uint32(ref)), 1})
		}
	}
	return chunks
}

// advance moves the token over n rows of the queue.
func (d *delivery) advance(n int) {
	d.row += n
	if d.left >= 0 {
		d.left -= int64(n)
	}
	t := &d.stream.token
	for len(d.queue) > 0 && d.row >= len(d.queue[0].order) {
		w := d.queue[0]
		d.row -= len(w.order)
		t.window = uint64(w.index) + 1
		d.queue = d.queue[1:]
		w.release()
	}
	if len(d.queue) > 0 {
		t.window = uint64(d.queue[0].index)
	}
	t.row = uint64(d.row)
}
