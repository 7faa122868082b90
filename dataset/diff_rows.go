package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/rowsort"
)

// maxRepeats is how many rows with one key may wait for a partner: a column
// that repeats more often is no key.
const maxRepeats = 1 << 16

// RowChange is a batch of rows that changed in the same way. Before and After
// have the columns that were compared, and for Changed one row for each other.
// Before is nil for rows that were Added, After for rows that were Removed.
type RowChange struct {
	Kind          ChangeKind
	Before, After arrow.Record
}

// Rows yields the rows that differ, by key. Only files that one of the versions
// does not have are read, each once; their rows are sorted in Memory, and in
// temporary files when that is too little. Rows of one kind come in the order
// of the key.
//
// Column values are equal when they are equal bit by bit, and a column that a
// version does not have is null in it. Where a key repeats within a version,
// equal rows are paired first and the others as they come. A record is valid
// until the next step unless it is retained. An error ends the sequence.
func (d *Diff) Rows(ctx context.Context) iter.Seq2[*RowChange, error] {
	return func(yield func(*RowChange, error) bool) {
		stopped := false
		err := d.rows(ctx, func(c *RowChange) bool {
			stopped = !yield(c, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(nil, fmt.Errorf("%s: rows: %w", d.subject(), err))
		}
	}
}

func (d *Diff) rows(ctx context.Context, yield func(*RowChange) bool) (err error) {
	if len(d.faults) > 0 {
		return fmt.Errorf("%s: %w", join(d.faults), ErrUnsupported)
	}
	codec, faults := rowsort.NewCodec(d.schema, d.opts.Key)
	if len(faults) > 0 {
		return fmt.Errorf("%s: %w", join(faults), ErrInvalid)
	}
	sides, err := sortSides(ctx, codec, d.opts.Memory, d.opts.TempDir, []side{{d.From, d.removed}, {d.To, d.added}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSides(sides)) }()
	var cursors [2]rowsort.Cursor
	for i, s := range sides {
		if cursors[i], err = s.Cursor(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cursors[i].Close()) }()
	}
	out := newChangeWriter(codec, d.From.dataset.catalog.mem, d.opts.BatchRows, yield)
	defer out.release()
	return out.run(ctx, cursors[0], cursors[1])
}

func join(faults []string) string {
	var b bytes.Buffer
	for i, f := range faults {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f)
	}
	return b.String()
}

// side is a part of a version to sort.
type side struct {
	v     *Version
	files []*dataFile
}

// sortSides sorts the rows of the files of each side, the sides at once. The
// caller closes the result.
func sortSides(ctx context.Context, codec *rowsort.Codec, limit int64, dir string, sides []side) ([]*rowsort.Sorted, error) {
	out := make([]*rowsort.Sorted, len(sides))
	err := parallel(ctx, len(sides), func(ctx context.Context, i int) (err error) {
		s := rowsort.NewSorter(codec, limit/int64(len(sides)), dir)
		if err := sides[i].feed(ctx, codec, s); err != nil {
			return errors.Join(err, s.Close())
		}
		out[i] = s.Sort()
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, closeSides(out))
	}
	return out, nil
}

func closeSides(sides []*rowsort.Sorted) error {
	var errs []error
	for _, s := range sides {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// feed reads the files of the side into a sorter, as rows of the codec's schema:
// columns that a file does not have are null, and smaller integers grow.
func (s side) feed(ctx context.Context, codec *rowsort.Codec, into *rowsort.Sorter) error {
	if len(s.files) == 0 {
		return nil
	}
	part := s.v.subset(s.files)
	part.schema = codec.Schema()
	return part.each(ctx, nil, func(rec arrow.Record) error { return into.Add(ctx, rec) })
}

// changeWriter pairs the rows of two sides and hands them on in batches.
type changeWriter struct {
	codec *rowsort.Codec
	batch int
	yield func(*RowChange) bool

	removed, added, before, after *rowsort.Builder

	// Rows of one key that are only on one side so far.
	key     []byte
	waiting [][]byte
	isOld   bool // The side of waiting.
	stopped bool
}

func newChangeWriter(codec *rowsort.Codec, mem memory.Allocator, batch int, yield func(*RowChange) bool) *changeWriter {
	return &changeWriter{
		codec: codec, batch: batch, yield: yield,
		removed: codec.NewBuilder(mem), added: codec.NewBuilder(mem), before: codec.NewBuilder(mem), after: codec.NewBuilder(mem),
	}
}

func (w *changeWriter) release() {
	for _, b := range []*rowsort.Builder{w.removed, w.added, w.before, w.after} {
		b.Release()
	}
}

func (w *changeWriter) run(ctx context.Context, before, after rowsort.Cursor) error {
	haveOld, err := before.Next()
	if err != nil {
		return err
	}
	haveNew, err := after.Next()
	for n := 0; err == nil && (haveOld || haveNew) && !w.stopped; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		order := 0
		switch {
		case !haveNew:
			order = -1
		case !haveOld:
			order = 1
		default:
			order = bytes.Compare(before.Data(), after.Data())
		}
		if order < 0 {
			err = w.single(before, true)
		} else if order > 0 {
			err = w.single(after, false)
		}
		if err == nil && order <= 0 {
			haveOld, err = before.Next()
		}
		if err == nil && order >= 0 {
			haveNew, err = after.Next()
		}
	}
	if err == nil && !w.stopped {
		err = w.settle()
	}
	if err == nil {
		w.flush(1)
	}
	return err
}

// single takes a row that has no equal on the other side.
func (w *changeWriter) single(c rowsort.Cursor, isOld bool) error {
	key, row := c.Key(), c.Row()
	if len(w.waiting) > 0 && !bytes.Equal(key, w.key) {
		if err := w.settle(); err != nil {
			return err
		}
	}
	if len(w.waiting) > 0 && w.isOld != isOld {
		partner := w.waiting[0]
		w.waiting = w.waiting[1:]
		before, after := partner, row
		if isOld {
			before, after = row, partner
		}
		if err := errors.Join(w.before.Append(before), w.after.Append(after)); err != nil {
			return err
		}
		w.flush(w.batch)
		return nil
	}
	if len(c.Data()) == len(key) {
		// The whole row is the key: no partner can come.
		return w.alone(row, isOld)
	}
	if len(w.waiting) == maxRepeats {
		values, err := w.codec.KeyValues(row)
		return errors.Join(fmt.Errorf("the key %v is in one version more than %d times: name columns that tell rows apart: %w", values, maxRepeats, ErrInvalid), err)
	}
	w.key, w.isOld = append(w.key[:0], key...), isOld
	w.waiting = append(w.waiting, slices.Clone(row))
	return nil
}

// settle gives up on partners for the rows that wait.
func (w *changeWriter) settle() error {
	for _, row := range w.waiting {
		if err := w.alone(row, w.isOld); err != nil {
			return err
		}
	}
	w.waiting = w.waiting[:0]
	return nil
}

func (w *changeWriter) alone(row []byte, isOld bool) error {
	into := w.added
	if isOld {
		into = w.removed
	}
	if err := into.Append(row); err != nil {
		return err
	}
	w.flush(w.batch)
	return nil
}

// maxBatchBytes ends a batch of very large rows early.
const maxBatchBytes = 32 << 20

// flush hands on the batches of at least so many rows.
func (w *changeWriter) flush(least int) {
	full := func(b *rowsort.Builder) bool {
		return !w.stopped && b.Rows() > 0 && (b.Rows() >= least || b.Bytes() >= maxBatchBytes)
	}
	if full(w.removed) {
		w.hand(&RowChange{Kind: Removed, Before: w.removed.Record()})
	}
	if full(w.added) {
		w.hand(&RowChange{Kind: Added, After: w.added.Record()})
	}
	if full(w.before) || full(w.after) {
		w.hand(&RowChange{Kind: Changed, Before: w.before.Record(), After: w.after.Record()})
	}
}

func (w *changeWriter) hand(c *RowChange) {
	w.stopped = !w.yield(c)
	for _, rec := range []arrow.Record{c.Before, c.After} {
		if rec != nil {
			rec.Release()
		}
	}
}
