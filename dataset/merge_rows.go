package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/rowsort"
)

// The sides of a three-way merge, as positions.
const (
	baseSide = iota
	ourSide
	theirSide
	mergeSides
)

// threeWay walks the sorted rows of the three sides key by key.
type threeWay struct {
	codec   *rowsort.Codec
	cursors [mergeSides]rowsort.Cursor
	have    [mergeSides]bool // The cursor is at a row.
	key     []byte
	rows    [mergeSides][]byte // The current key's row of each side, nil where it has none.
}

func newThreeWay(codec *rowsort.Codec, sides []*rowsort.Sorted) (_ *threeWay, err error) {
	w := &threeWay{codec: codec}
	for i, s := range sides {
		if w.cursors[i], err = s.Cursor(); err != nil {
			return nil, errors.Join(err, w.close())
		}
		if w.have[i], err = w.cursors[i].Next(); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *threeWay) close() error {
	var errs []error
	for _, c := range w.cursors {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// next moves to the next key; false at the end. The rows are valid until the
// call after.
func (w *threeWay) next() (bool, error) {
	for i := range w.rows {
		if w.rows[i] == nil {
			continue
		}
		// The rows of the key before are done with: only now may their cursors
		// move on.
		var err error
		if w.have[i], err = w.cursors[i].Next(); err != nil {
			return false, err
		}
		if w.have[i] && bytes.Equal(w.cursors[i].Key(), w.key) {
			return false, w.repeated(i)
		}
		w.rows[i] = nil
	}
	w.key = w.key[:0]
	found := false
	for i, c := range w.cursors {
		if w.have[i] && (!found || bytes.Compare(c.Key(), w.key) < 0) {
			found = true
			w.key = append(w.key[:0], c.Key()...)
		}
	}
	for i, c := range w.cursors {
		if w.have[i] && found && bytes.Equal(c.Key(), w.key) {
			w.rows[i] = c.Row()
		}
	}
	return found, nil
}

func (w *threeWay) repeated(i int) error {
	values, err := w.codec.KeyValues(w.cursors[i].Row())
	if err != nil {
		return err
	}
	name := [mergeSides]string{"the common ancestor", "the branch", "the version that is merged"}[i]
	return fmt.Errorf("the key %v is in two rows of %s: a merge by row needs a key without repeats: %w", values, name, ErrInvalid)
}

// decide says what becomes of the current key: the row to keep, nil for none,
// and whether both sides changed it, differently.
func (w *threeWay) decide(opts *MergeOptions) (keep []byte, overlap, conflict bool, err error) {
	base, ours, theirs := w.rows[baseSide], w.rows[ourSide], w.rows[theirSide]
	switch {
	case sameRow(theirs, base):
		return ours, false, false, nil
	case sameRow(ours, theirs):
		return ours, true, false, nil
	case sameRow(ours, base):
		return theirs, false, false, nil
	}
	if opts.Cells && ours != nil && theirs != nil {
		keep, conflict, err = w.codec.MergeCells(base, ours, theirs, opts.Prefer == Theirs)
		return keep, true, conflict, err
	}
	if opts.Prefer == Theirs {
		return theirs, true, true, nil
	}
	return ours, true, true, nil
}

func sameRow(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func (w *threeWay) conflict() (RowConflict, error) {
	var out RowConflict
	var err error
	for i, into := range []*[]any{&out.Base, &out.Ours, &out.Theirs} {
		if w.rows[i] == nil {
			continue
		}
		if *into, err = w.codec.Values(w.rows[i]); err != nil {
			return out, err
		}
		if out.Key == nil {
			if out.Key, err = w.codec.KeyValues(w.rows[i]); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// rowVerdicts is what a first walk over all keys found out.
type rowVerdicts struct {
	overlap   bool // Some key was changed on both sides.
	conflicts int64
	shown     []RowConflict

	// changes are the rows of ours that get others, or none, by key: nil for a row
	// that goes. They are nil when they are too many to hold.
	changes map[string][]byte
	brings  bool // Some rows are of keys that ours does not have.
}

// changeCost is what a change costs beside its key and its row.
const changeCost = 64

// judge walks all keys without making rows.
func judge(ctx context.Context, codec *rowsort.Codec, sides []*rowsort.Sorted, opts *MergeOptions) (out rowVerdicts, err error) {
	w, err := newThreeWay(codec, sides)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	out.changes = map[string][]byte{}
	room := opts.Memory / 4
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return out, ctx.Err()
		}
		more, err := w.next()
		if err != nil || !more {
			return out, err
		}
		keep, overlap, conflict, err := w.decide(opts)
		if err != nil {
			return out, err
		}
		out.overlap = out.overlap || overlap
		switch ours := w.rows[ourSide]; {
		case ours == nil:
			out.brings = out.brings || keep != nil
		case sameRow(keep, ours) || out.changes == nil:
		default:
			if room -= int64(len(w.key) + len(keep) + changeCost); room < 0 {
				out.changes = nil
				break
			}
			out.changes[string(w.key)] = bytes.Clone(keep)
		}
		if !conflict {
			continue
		}
		out.conflicts++
		if len(out.shown) < opts.MaxConflicts {
			c, err := w.conflict()
			if err != nil {
				return out, err
			}
			out.shown = append(out.shown, c)
		}
	}
}

// write hands on the rows that the merge keeps and that are wanted, in the order
// of the key. wants is told what ours has under the key, nil for nothing.
func (w *threeWay) write(ctx context.Context, out *rowBatches, opts *MergeOptions, wants func(ours []byte) bool) error {
	for {
		more, err := w.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		keep, _, _, err := w.decide(opts)
		if err != nil {
			return err
		}
		if keep == nil || !wants(w.rows[ourSide]) {
			continue
		}
		if err := out.add(ctx, keep); err != nil {
			return err
		}
	}
	return out.flush()
}

// rowBatches makes records of rows.
type rowBatches struct {
	rows *rowsort.Builder
	emit func(arrow.Record) error // The record is valid during the call.
}

func (b *rowBatches) add(ctx context.Context, row []byte) error {
	if err := b.rows.Append(row); err != nil {
		return err
	}
	if b.rows.Rows() >= defaultBatchRows || b.rows.Bytes() >= maxBatchBytes {
		return errors.Join(ctx.Err(), b.flush())
	}
	return nil
}

func (b *rowBatches) flush() error {
	if b.rows.Rows() == 0 {
		return nil
	}
	rec := b.rows.Record()
	defer rec.Release()
	return b.emit(rec)
}
