package loader

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
)

// maxChunk is how many rows of a group are read as one record, at most.
const maxChunk = 1 << 20

// window holds the rows that are mixed with each other, and their order.
type window struct {
	index  int
	chunks []arrow.Record // Of the loader's schema.
	order  []uint64       // chunk<<32 | row of the rows that are delivered.
	bytes  int64          // About the memory of chunks and order.
}

func (w *window) release() {
	for _, c := range w.chunks {
		c.Release()
	}
	w.chunks, w.order = nil, nil
}

// read brings window k of the plan into memory.
func (l *Loader) read(ctx context.Context, p *plan, epoch int64, k int) (*window, error) {
	pieces := p.window(k)
	parts := make([][]arrow.Record, len(pieces))
	w := &window{index: k}
	err := parallel(ctx, len(pieces), l.opts.Workers, func(ctx context.Context, i int) error {
		var err error
		parts[i], err = l.group(ctx, pieces[i].Group)
		return err
	})
	for i, records := range parts {
		first := len(w.chunks)
		w.chunks = append(w.chunks, records...)
		if err == nil {
			w.choose(l, pieces[i], first)
		}
	}
	if err != nil {
		w.release()
		return nil, err
	}
	for i, c := range w.chunks {
		w.chunks[i] = l.project(c)
	}
	if l.opts.Shuffle {
		permute(w.order, generator(l.opts.Seed, epoch, ofRows, p.name(k)))
	}
	w.bytes = 8 * int64(len(w.order))
	for _, c := range w.chunks {
		for _, column := range c.Columns() {
			w.bytes += size(column.Data())
		}
	}
	return w, nil
}

// choose appends to the order the rows of the chunks from first on that are of
// the piece and of the split.
func (w *window) choose(l *Loader, p piece, first int) {
	n := int64(0)
	for _, c := range w.chunks[first:] {
		n += c.NumRows()
	}
	lo, hi := p.of(n)
	for i, c := range w.chunks[first:] {
		from, to := max(lo, 0), min(hi, c.NumRows())
		if from < to {
			if l.opts.Split != nil {
				w.order = l.opts.Split.keep(c, l.key, w.order, from, to, first+i)
			} else {
				for row := from; row < to; row++ {
					w.order = append(w.order, uint64(first+i)<<32|uint64(row))
				}
			}
		}
		lo, hi = lo-c.NumRows(), hi-c.NumRows()
	}
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

// project takes the key columns away that were read for the split only.
func (l *Loader) project(rec arrow.Record) arrow.Record {
	if int(rec.NumCols()) == l.schema.NumFields() {
		return rec
	}
	defer rec.Release()
	return array.NewRecord(l.schema, rec.Columns()[:l.schema.NumFields()], rec.NumRows())
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
	if n == 1 || workers == 1 {
		for i := range n {
			if err := f(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	indexes := make(chan int, n)
	for i := range n {
		indexes <- i
	}
	close(indexes)
	var wg sync.WaitGroup
	for range min(n, workers) {
		wg.Go(func() {
			for i := range indexes {
				if ctx.Err() != nil {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(fmt.Errorf("%w", err))
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
