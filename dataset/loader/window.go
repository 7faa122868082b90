package loader

import (
	"context"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
)

const (
	// maxChunk is how many rows of a group are read as one record, at most.
	maxChunk = 1 << 20
	// maxSettled is about how many bytes of rows one chunk gets when they are put
	// in order: an array of text cannot have more than 2 GB.
	maxSettled = 1 << 30
)

// window holds the rows that are mixed with each other, in the order in which
// they are delivered.
type window struct {
	index  int
	chunks []arrow.Record
	rows   int
	bytes  int64 // About the memory of the chunks.
}

func (w *window) release() {
	for _, c := range w.chunks {
		c.Release()
	}
	w.chunks = nil
}

// keep takes a chunk over.
func (w *window) keep(rec arrow.Record) {
	w.chunks = append(w.chunks, rec)
	w.rows += int(rec.NumRows())
	for _, column := range rec.Columns() {
		w.bytes += size(column.Data())
	}
}

// read brings window k of the plan into memory.
func (l *Loader) read(ctx context.Context, p *plan, epoch int64, k int) (*window, error) {
	pieces := p.window(k)
	parts := make([][]arrow.Record, len(pieces))
	defer func() {
		for _, records := range parts {
			for _, rec := range records {
				rec.Release()
			}
		}
	}()
	err := parallel(ctx, len(pieces), l.opts.Workers, func(ctx context.Context, i int) (err error) {
		parts[i], err = l.group(ctx, pieces[i].Group)
		return err
	})
	if err != nil {
		return nil, err
	}
	w := &window{index: k}
	var chunks []arrow.Record
	var order []place
	if l.opts.Shuffle || l.opts.Split != nil {
		n := int64(0)
		for _, records := range parts {
			for _, rec := range records {
				n += rec.NumRows()
			}
		}
		order = make([]place, 0, n)
	}
	for i, records := range parts {
		for part := range pieces[i].slices(records) {
			switch {
			case l.opts.Split != nil:
				l.opts.Split.keep(part, l.key, func(row int) { order = append(order, placeOf(len(chunks), row)) })
			case l.opts.Shuffle:
				for row := range int(part.NumRows()) {
					order = append(order, placeOf(len(chunks), row))
				}
			default:
				part.Retain()
				w.keep(part)
			}
			chunks = append(chunks, part)
		}
	}
	defer func() {
		for _, c := range chunks {
			c.Release()
		}
	}()
	if l.opts.Shuffle {
		permute(order, generator(l.opts.Seed, epoch, ofRows, p.name(k)))
	}
	if len(order) > 0 {
		if err := l.settle(ctx, w, chunks, order); err != nil {
			w.release()
			return nil, err
		}
	}
	return w, nil
}

// slices yields the rows of the piece out of the records of its group. The
// caller releases them.
func (p piece) slices(records []arrow.Record) func(yield func(arrow.Record) bool) {
	return func(yield func(arrow.Record) bool) {
		n := int64(0)
		for _, rec := range records {
			n += rec.NumRows()
		}
		lo, hi := p.of(n)
		for _, rec := range records {
			from, to := max(lo, 0), min(hi, rec.NumRows())
			if from < to && !yield(rec.NewSlice(from, to)) {
				return
			}
			lo, hi = lo-rec.NumRows(), hi-rec.NumRows()
		}
	}
}

// settle copies the rows into their order. It goes column by column through the
// whole window: the values of one column are in the processor's cache for a
// while, those of a window are not. A record of a few shuffled rows at a time
// would miss the cache for every single value.
func (l *Loader) settle(ctx context.Context, w *window, chunks []arrow.Record, order []place) error {
	var bytes int64
	for _, c := range chunks {
		for _, column := range c.Columns() {
			bytes += size(column.Data())
		}
	}
	segments := int(bytes/maxSettled) + 1
	each := (len(order) + segments - 1) / segments
	fields := l.schema.Fields()
	columns := make([][]arrow.Array, len(fields)) // Of each field, its segments.
	defer func() {
		for _, segments := range columns {
			for _, a := range segments {
				a.Release()
			}
		}
	}()
	err := parallel(ctx, len(fields), l.opts.Workers, func(_ context.Context, i int) error {
		for from := 0; from < len(order); from += each {
			part := order[from:min(from+each, len(order))]
			a, err := l.shuffled(i, chunks, part)
			if err != nil {
				return err
			}
			columns[i] = append(columns[i], a)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for s, from := 0, 0; from < len(order); s, from = s+1, from+each {
		arrays := make([]arrow.Array, len(fields))
		for i := range fields {
			arrays[i] = columns[i][s]
		}
		w.keep(array.NewRecord(l.schema, arrays, int64(min(each, len(order)-from))))
	}
	return nil
}

// group reads the rows of one group that the filter lets through.
func (l *Loader) group(ctx context.Context, g dataset.Group) (records []arrow.Record, err error) {
	rr, err := l.version.ReadGroups(ctx, []dataset.Group{g}, &dataset.ReadOptions{
		Columns: l.columns, Where: l.opts.Where, BatchRows: int(min(g.Rows, maxChunk)),
	})
	if err != nil {
		return nil, err
	}
	defer rr.Release()
	for rr.Next() {
		rec := rr.Record()
		rec.Retain()
		records = append(records, rec)
	}
	if err = rr.Err(); err != nil {
		for _, rec := range records {
			rec.Release()
		}
		return nil, err
	}
	return records, nil
}

// size is the memory that a column keeps alive, buffers that it shares counted.
func size(d arrow.ArrayData) int64 {
	var n int64
	for _, b := range d.Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	for _, c := range d.Children() {
		n += size(c)
	}
	return n
}

// parallel runs f for 0..n-1 on a few goroutines and returns the first error.
func parallel(ctx context.Context, n, workers int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	indexes := make(chan int, n)
	for i := range n {
		indexes <- i
	}
	close(indexes)
	work := func() {
		for i := range indexes {
			if ctx.Err() != nil {
				return
			}
			if err := f(ctx, i); err != nil {
				cancel(err)
			}
		}
	}
	var wg sync.WaitGroup
	for range min(n, workers) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return context.Cause(ctx)
}
