package dataset

import (
	"context"
	"errors"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/rowsort"
)

// rowMerge stores what a merge by row makes of our files.
type rowMerge struct {
	*merger
	codec  *rowsort.Codec
	sides  []*rowsort.Sorted
	merged *arrow.Schema
	found  rowVerdicts
	ours   []*dataFile // Those that the sides do not share.

	gate    *gate
	checked []int // Our columns in records of the codec.
	columns []int // Those of the merged schema.
}

func (m *rowMerge) run(ctx context.Context, ch *change) error {
	ch.removes = m.ours
	if m.found.changes != nil {
		var err error
		if ch.removes, err = m.touched(ctx); err != nil {
			return err
		}
	}
	var err error
	if m.gate, err = m.merger.gate(ctx, ch, true); err != nil {
		return err
	}
	m.checked = m.gateColumns(m.codec.Schema())
	for _, f := range m.merged.Fields() {
		m.columns = append(m.columns, m.codec.Schema().FieldIndices(f.Name)[0])
	}
	out := &rewrite{}
	if m.found.changes != nil {
		for _, f := range ch.removes {
			if err := m.again(ctx, out, f); err != nil {
				return err
			}
		}
	}
	if m.found.changes == nil || m.found.brings {
		if err := m.walk(ctx, out); err != nil {
			return err
		}
	}
	ch.adds = out.adds
	if ch.record, err = out.record(nil); err != nil {
		return err
	}
	if ch.record == nil && m.gate != nil {
		ch.record = &record{}
	}
	return m.gate.finish(&out.counted, ch.record)
}

// touched are our files with a row that changes.
func (m *rowMerge) touched(ctx context.Context) ([]*dataFile, error) {
	if len(m.found.changes) == 0 {
		return nil, nil
	}
	var out []*dataFile
	for _, f := range m.ours {
		part := m.merger.ours.subset([]*dataFile{f})
		part.schema = m.codec.Schema()
		hit := errors.New("it has one")
		err := part.each(ctx, m.o.Key, func(rec arrow.Record) error {
			return m.codec.Each(rec, func(key, _ []byte) error {
				if _, ok := m.found.changes[string(key)]; ok {
					return hit
				}
				return nil
			})
		})
		switch {
		case errors.Is(err, hit):
			out = append(out, f)
		case err != nil:
			return nil, err
		}
	}
	return out, nil
}

// store writes the rows that fill hands on, as files from a place on.
func (m *rowMerge) store(ctx context.Context, out *rewrite, order int64, fill func(*rowBatches) error) error {
	w, err := newAppender(ctx, m.b.dataset, m.merged, m.o.Commit.Progress)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.key(m.o.Commit.Key); err != nil {
		return err
	}
	rows := m.codec.NewBuilder(m.b.dataset.catalog.mem)
	defer rows.Release()
	err = fill(&rowBatches{rows, func(rec arrow.Record) error {
		m.gate.add(rec, m.checked)
		return w.add(rec, m.columns)
	}})
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		return err
	}
	for i, d := range w.files {
		if order > 0 {
			d.order = order + int64(i)
		}
		out.adds = append(out.adds, d)
	}
	out.rows += w.rows
	return out.counted.Merge(w.summary())
}

// again writes one of our files anew, with the changes, in its place.
func (m *rowMerge) again(ctx context.Context, out *rewrite, f *dataFile) error {
	part := m.merger.ours.subset([]*dataFile{f})
	part.schema = m.codec.Schema()
	return m.store(ctx, out, f.order, func(rows *rowBatches) error {
		err := part.each(ctx, nil, func(rec arrow.Record) error {
			return m.codec.Each(rec, func(key, row []byte) error {
				if other, ok := m.found.changes[string(key)]; ok {
					if row = other; row == nil {
						return nil
					}
				}
				return rows.add(ctx, row)
			})
		})
		if err != nil {
			return err
		}
		return rows.flush()
	})
}

// walk writes the rows behind ours that ours does not have, or all when too many
// change.
func (m *rowMerge) walk(ctx context.Context, out *rewrite) error {
	w, err := newThreeWay(m.codec, m.sides)
	if err != nil {
		return err
	}
	all := m.found.changes == nil
	err = m.store(ctx, out, 0, func(rows *rowBatches) error {
		return w.write(ctx, rows, m.o, func(ours []byte) bool { return all || ours == nil })
	})
	return errors.Join(err, w.close())
}
