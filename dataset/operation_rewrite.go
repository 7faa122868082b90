package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// Overwrite replaces rows by the records of rr, in one version: all rows, or,
// with CommitOptions.Where, those that match. Then every record must match too,
// so that the same call made again has the same result. Rows that other writers
// append meanwhile stay.
//
// What is said of Append about records, memory and failures holds here. When
// files that it replaces were replaced by another writer meanwhile it is a
// *ConflictError, and nothing is committed.
func (b *Branch) Overwrite(ctx context.Context, rr array.RecordReader, opts *CommitOptions) (*Version, error) {
	return b.operate(ctx, overwriting, opts, func(opts *CommitOptions) (*Version, error) {
		if rr == nil {
			return nil, fmt.Errorf("the record reader is nil: %w", ErrInvalid)
		}
		return b.overwrite(ctx, rr, opts)
	})
}

// overwriting is what an Overwrite is called in errors.
const overwriting = "overwrite"

func (b *Branch) overwrite(ctx context.Context, rr array.RecordReader, opts *CommitOptions) (*Version, error) {
	tip, v, err := b.ready(ctx, opts)
	if v != nil || err != nil {
		return v, err
	}
	ch := &change{operation: "WRITE", parameters: map[string]any{"mode": "Overwrite"}, dataChange: true, removes: tip.files}
	kept := &rewrite{}
	if !opts.Where.IsZero() {
		ch.parameters["predicate"] = opts.Where.String()
		if kept, err = b.without(ctx, tip, opts.Where, opts); err != nil {
			return nil, err
		}
		ch.removes = kept.removes
		guarded := newMatching(rr, opts.Where)
		defer guarded.Release()
		rr = guarded
	}
	g, err := b.gate(ctx, tip, func() (*Version, error) { return b.stays(ctx, tip, kept, opts) }, opts)
	if err != nil {
		return nil, err
	}
	adds, rec, err := b.write(ctx, tip, rr, g, opts)
	if err != nil {
		return nil, err
	}
	ch.adds = append(kept.adds, adds...)
	if ch.record, err = kept.record(rec); err != nil {
		return nil, err
	}
	return b.commit(ctx, opts, g.guard(ch, b.fixed(tip, ch)))
}

// Delete removes the rows that match, in one version. Rows for which the
// condition is null stay, as in SQL. Only files that hold such a row are written
// anew, without it; statistics decide about most of the others without reading
// them. When no row matches it returns the newest version. Rows that other
// writers append meanwhile stay; a file that another writer replaced meanwhile
// makes it a *ConflictError.
func (b *Branch) Delete(ctx context.Context, where filter.Expr, opts *CommitOptions) (*Version, error) {
	return b.operate(ctx, "delete from", opts, func(opts *CommitOptions) (*Version, error) {
		return b.delete(ctx, where, opts)
	})
}

func (b *Branch) delete(ctx context.Context, where filter.Expr, opts *CommitOptions) (*Version, error) {
	tip, v, err := b.ready(ctx, opts)
	if v != nil || err != nil {
		return v, err
	}
	kept, err := b.without(ctx, tip, where, opts)
	if err != nil {
		return nil, err
	}
	if len(kept.removes) == 0 && opts.App == "" {
		return b.dataset.version(ctx, b.log, tip)
	}
	ch := &change{operation: "DELETE", parameters: map[string]any{"predicate": where.String()}, dataChange: true, removes: kept.removes, adds: kept.adds}
	if ch.record, err = kept.record(nil); err != nil {
		return nil, err
	}
	g, err := b.gateDelete(ctx, tip, kept, ch, opts)
	if err != nil {
		return nil, err
	}
	return b.commit(ctx, opts, g.guard(ch, b.fixed(tip, ch)))
}

// rewrite is what takes the place of files that lose rows.
type rewrite struct {
	removes []*dataFile
	adds    []draft
	rows    int64
	counted profile.Table // Of the rows of adds.
}

// record adds the files that were written anew to the record of those that are
// new; nil when nothing was written.
func (r *rewrite) record(fresh *record) (*record, error) {
	if len(r.adds) == 0 {
		return fresh, nil
	}
	out := &record{Rows: r.rows}
	for _, a := range r.adds {
		out.Files = append(out.Files, a.File)
	}
	if fresh != nil {
		out.Rows += fresh.Rows
		out.Files = append(out.Files, fresh.Files...)
		out.Validation = fresh.Validation
		if len(fresh.Profile) == 0 {
			return out, nil // See CommitOptions.NoProfile.
		}
		var t profile.Table
		if err := json.Unmarshal(fresh.Profile, &t); err != nil {
			return nil, err
		}
		if err := r.counted.Merge(&t); err != nil {
			return nil, err
		}
	}
	var err error
	out.Profile, err = json.Marshal(&r.counted)
	return out, err
}

// without writes the files that hold matching rows anew, without these.
func (b *Branch) without(ctx context.Context, tip *snapshot, where filter.Expr, opts *CommitOptions) (*rewrite, error) {
	bound, err := where.Bind(tip.schema)
	if err != nil {
		return nil, err
	}
	v, err := b.dataset.version(ctx, b.log, tip)
	if err != nil {
		return nil, err
	}
	out := &rewrite{}
	for _, f := range tip.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch bound.PruneJSON(f.stats, f.own()) {
		case filter.None:
			continue
		case filter.All:
			out.removes = append(out.removes, f)
			continue
		}
		part := v.subset([]*dataFile{f})
		hits := int64(0)
		err := part.eachOf(ctx, &ReadOptions{Columns: bound.Columns(), Where: where}, func(rec arrow.Record) error {
			hits += rec.NumRows()
			return nil
		})
		if err != nil {
			return nil, err
		}
		if hits == 0 {
			continue
		}
		out.removes = append(out.removes, f)
		if hits == f.Rows {
			continue
		}
		if err := b.writeRest(ctx, out, part, where, opts); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// each reads the records of a version; columns nil means all.
func (v *Version) each(ctx context.Context, columns []string, f func(rec arrow.Record) error) error {
	return v.eachOf(ctx, &ReadOptions{Columns: columns}, f)
}

// eachOf reads the records that the options ask for.
func (v *Version) eachOf(ctx context.Context, opts *ReadOptions, f func(rec arrow.Record) error) error {
	rr, err := v.Read(ctx, opts)
	if err != nil {
		return err
	}
	defer rr.Release()
	for rr.Next() {
		if err := f(rr.Record()); err != nil {
			return err
		}
	}
	return rr.Err()
}

// writeRest writes the rows of a file that do not match. They keep their place.
func (b *Branch) writeRest(ctx context.Context, out *rewrite, part *Version, where filter.Expr, opts *CommitOptions) error {
	w, err := newAppender(ctx, b.dataset, part.schema, opts.Progress)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.key(opts.Key); err != nil {
		return err
	}
	columns := make([]int, len(part.schema.Fields()))
	for i := range columns {
		columns[i] = i
	}
	err = part.eachOf(ctx, &ReadOptions{Where: where, except: true}, func(rec arrow.Record) error { return w.add(rec, columns) })
	if err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	for i, d := range w.files {
		d.order = part.live[0].order + int64(i)
		out.adds = append(out.adds, d)
	}
	out.rows += w.rows
	return out.counted.Merge(w.summary())
}

// matching passes records on and refuses those that hold a row which does not
// match.
type matching struct {
	array.RecordReader
	refs  atomic.Int64
	where filter.Expr
	bound *filter.Bound
	rows  int64
	err   error
}

func newMatching(rr array.RecordReader, where filter.Expr) *matching {
	m := &matching{RecordReader: rr, where: where}
	m.refs.Store(1)
	return m
}

// Retain and Release leave the reader below, which is the caller's, alone.
func (m *matching) Retain()  { m.refs.Add(1) }
func (m *matching) Release() { m.refs.Add(-1) }

func (m *matching) Next() bool {
	if m.err != nil || !m.RecordReader.Next() {
		return false
	}
	rec := m.Record()
	if m.bound == nil {
		if m.bound, m.err = m.where.Bind(rec.Schema()); m.err != nil {
			return false
		}
	}
	mask, err := m.bound.Eval(rec)
	if err != nil {
		m.err = err
		return false
	}
	for from := range mask.Invert().Runs() {
		m.err = fmt.Errorf("row %d does not match %s, so that overwriting again would not replace it: %w", m.rows+int64(from), m.where, ErrInvalid)
		return false
	}
	m.rows += rec.NumRows()
	return true
}

func (m *matching) Err() error {
	if m.err != nil {
		return m.err
	}
	return m.RecordReader.Err()
}
