package dataset

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	mem18 "github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// columns finds the columns of the plan in a file.
func (p *readPlan) columns(file *pqfile.File) ([]int, error) {
	out := make([]int, len(p.fields))
	for i, f := range p.fields {
		at := file.Schema().FieldIndices(f.Name)
		switch {
		case len(at) == 1:
			out[i] = at[0]
		case len(at) == 0 && f.Nullable:
			out[i] = -1
		default:
			return nil, fmt.Errorf("the file has %d columns %q: %w", len(at), f.Name, ErrInvalid)
		}
	}
	return out, nil
}

// decode makes the records of one row group.
func (p *readPlan) decode(ctx context.Context, l *loaded, w wantedGroup) (out []arrow.Record, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("file %s: row group %d: %w", l.from.Path, w.index, err)
		}
	}()
	rows := l.file.Rows(w.index)
	span := rowSpan{to: rows}
	cols := make([]arrow18.Array, len(p.fields))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	mask := w.rows
	if p.bound != nil && !w.all {
		mask = span.tighten(mask)
		if err := p.decodeColumns(ctx, l, w.index, span, mask, cols, 0, p.tested); err != nil {
			return nil, err
		}
		if mask, err = p.match(cols, span.rows(), mask); err != nil || mask.Count() == 0 {
			return nil, err
		}
		// Only what lies between the first and the last match is decoded of the rest.
		from := span.from
		mask = span.tighten(mask)
		for i, c := range cols[:p.tested] {
			cols[i] = array18.NewSlice(c, span.from-from, span.to-from)
			c.Release()
		}
		if mask.Count() == mask.Len() {
			mask = nil
		}
	} else if err := p.decodeColumns(ctx, l, w.index, span, nil, cols, 0, p.tested); err != nil {
		return nil, err
	}
	if err := p.decodeColumns(ctx, l, w.index, span, mask, cols, p.tested, len(cols)); err != nil {
		return nil, err
	}
	return p.records(ctx, cols, span.rows(), mask)
}

// rowSpan is the rows [from, to) of a row group.
type rowSpan struct{ from, to int64 }

func (s rowSpan) rows() int64 { return s.to - s.from }

// tighten makes the span that of the marked rows, of which there are some; nil
// marks all. It returns the mask of the new span.
func (s *rowSpan) tighten(mask *filter.Mask) *filter.Mask {
	if mask == nil {
		return nil
	}
	from, to := mask.Span()
	s.from, s.to = s.from+int64(from), s.from+int64(to)
	return mask.Slice(from, to)
}

// decodeColumns fills cols[from:to] with arrays of the table's types.
func (p *readPlan) decodeColumns(ctx context.Context, l *loaded, group int, rows rowSpan, mask *filter.Mask, cols []arrow18.Array, from, to int) error {
	mem := p.v.dataset.catalog.mem
	opts := pqfile.DecodeOptions{Mem: mem, Trusted: l.trusted, From: rows.from, To: rows.to}
	if mem == memory.DefaultAllocator {
		opts.Mem = nil
	}
	if mask != nil {
		opts.Keep = func(from, to int64) bool {
			return mask.Any(int(max(from-rows.from, 0)), int(min(to, rows.to)-rows.from))
		}
	}
	var columns, places []int
	for i := from; i < to; i++ {
		if l.columns[i] >= 0 {
			columns, places = append(columns, l.columns[i]), append(places, i)
			continue
		}
		t, err := arrowcross.Type18(p.fields[i].Type)
		if err != nil {
			return err
		}
		cols[i] = array18.MakeArrayOfNull(mem, t, int(rows.rows()))
	}
	if len(columns) == 0 {
		return nil
	}
	arrays, err := l.file.Decode(ctx, l.parts, group, columns, opts)
	if err != nil {
		return err
	}
	for k, a := range arrays {
		cols[places[k]] = a
	}
	for _, i := range places {
		if cols[i], err = p.fit(ctx, p.fields[i], cols[i]); err != nil {
			return err
		}
	}
	return nil
}

// match finds the rows that Where asks for among those of within.
func (p *readPlan) match(cols []arrow18.Array, rows int64, within *filter.Mask) (*filter.Mask, error) {
	schema := arrow.NewSchema(p.fields[:p.tested], nil)
	tested, err := p.cross(cols[:p.tested], schema, rows)
	if err != nil {
		return nil, err
	}
	defer tested.Release()
	mask, err := p.bound.Eval(tested)
	if err != nil {
		return nil, err
	}
	if p.except {
		mask = mask.Invert()
	}
	if within != nil {
		mask = mask.And(within)
	}
	return mask, nil
}

// cross shows arrays as a record of the public types.
func (p *readPlan) cross(cols []arrow18.Array, schema *arrow.Schema, rows int64) (arrow.Record, error) {
	fields := make([]arrow18.Field, len(cols))
	order := make([]int, len(cols))
	for i, c := range cols {
		fields[i] = arrow18.Field{Name: schema.Field(i).Name, Type: c.DataType(), Nullable: true}
		order[i] = i
	}
	rec := array18.NewRecordBatch(arrow18.NewSchema(fields, nil), cols, rows)
	defer rec.Release()
	return arrowcross.Record15(rec, schema, order), nil
}

// records picks the rows of the mask, all when it is nil, and cuts them.
func (p *readPlan) records(ctx context.Context, cols []arrow18.Array, rows int64, mask *filter.Mask) ([]arrow.Record, error) {
	picked := make([]arrow18.Array, len(p.order))
	for i, at := range p.order {
		picked[i] = cols[at]
	}
	if mask != nil {
		bits := mask.Words()
		raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(bits))), len(bits)*8)
		keep := array18.NewBoolean(mask.Len(), mem18.NewBufferBytes(raw), nil, 0)
		defer keep.Release()
		ctx = compute.WithAllocator(ctx, p.v.dataset.catalog.mem)
		for i, c := range picked {
			kept, err := pick(ctx, c, keep, mask)
			if err != nil {
				return nil, err
			}
			defer kept.Release()
			picked[i] = kept
		}
		rows = int64(mask.Count())
	}
	whole, err := p.cross(picked, p.schema, rows)
	if err != nil {
		return nil, err
	}
	defer whole.Release()
	var out []arrow.Record
	for from := int64(0); from < rows; from += p.batch {
		out = append(out, whole.NewSlice(from, min(from+p.batch, rows)))
	}
	return out, nil
}

// pick gives the marked values. The library's kernels know no maps, so nested
// values are put together from the runs of marked rows.
func pick(ctx context.Context, a arrow18.Array, keep arrow18.Array, mask *filter.Mask) (arrow18.Array, error) {
	if flags, ok := a.(*array18.Boolean); ok {
		return pickFlags(ctx, flags, mask), nil
	}
	if _, nested := a.DataType().(arrow18.NestedType); !nested {
		return compute.FilterArray(ctx, a, keep, *compute.DefaultFilterOptions())
	}
	var runs []arrow18.Array
	defer func() {
		for _, r := range runs {
			r.Release()
		}
	}()
	for from, to := range mask.Runs() {
		runs = append(runs, array18.NewSlice(a, int64(from), int64(to)))
	}
	return array18.Concatenate(runs, compute.GetAllocator(ctx))
}

// pickFlags gives the marked booleans. The library's kernel loses the validity of
// some of them.
func pickFlags(ctx context.Context, a *array18.Boolean, mask *filter.Mask) arrow18.Array {
	b := array18.NewBooleanBuilder(compute.GetAllocator(ctx))
	defer b.Release()
	b.Reserve(mask.Count())
	for from, to := range mask.Runs() {
		for i := from; i < to; i++ {
			if a.IsNull(i) {
				b.UnsafeAppendBoolToBitmap(false)
			} else {
				b.UnsafeAppend(a.Value(i))
			}
		}
	}
	return b.NewArray()
}
