package pqfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// DecodeOptions say how to decode a row group.
type DecodeOptions struct {
	// Mem gives the memory of the arrays. The default is the Go heap.
	Mem memory.Allocator
	// Trusted bytes are ours: their digest was checked.
	Trusted bool
	// From and To are the rows that are wanted, for which arrays are made. The
	// default is all rows; To 0 is the end of the row group.
	From, To int64
	// Keep tells whether a run of rows is wanted; nil wants all. Rows that are not
	// may come out as nulls or zeros.
	Keep func(from, to int64) bool
}

// Decode decodes columns of one row group out of the parts of the file that
// hold their chunks: one array of all its rows for each column. Columns are
// positions in the schema of the file. The caller releases the arrays.
func (f *File) Decode(ctx context.Context, parts []Segment, group int, columns []int, opts DecodeOptions) (out []arrow.Array, err error) {
	out = make([]arrow.Array, len(columns))
	defer func() {
		if err != nil {
			for _, a := range out {
				if a != nil {
					a.Release()
				}
			}
			out = nil
		}
	}()
	if opts.To == 0 {
		opts.To = f.rows[group]
	}
	src, own := f.source(parts), opts.Mem
	if opts.Mem == nil {
		own, opts.Mem = heap{}, memory.DefaultAllocator
	}
	var rest []int // Places in columns that the library has to decode.
	for i, c := range columns {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		ok := false
		if opts.Trusted {
			if out[i], ok, err = f.decodeColumn(src, group, c, opts, own); err != nil {
				return out, err
			}
		}
		if !ok {
			rest = append(rest, i)
		}
	}
	if err := f.decodeRest(ctx, parts, group, columns, rest, out, opts); err != nil {
		return out, err
	}
	for _, i := range rest {
		cut(&out[i], opts.From, opts.To)
	}
	return out, nil
}

// cut leaves the rows [from, to) of an array.
func cut(a *arrow.Array, from, to int64) {
	if whole := *a; from > 0 || to < int64(whole.Len()) {
		*a = array.NewSlice(whole, from, to)
		whole.Release()
	}
}

// decodeRest decodes what only the library can.
func (f *File) decodeRest(ctx context.Context, parts []Segment, group int, columns, rest []int, out []arrow.Array, opts DecodeOptions) error {
	if len(rest) == 0 {
		return nil
	}
	picked := make([]int, len(rest))
	for i, at := range rest {
		picked[i] = columns[at]
	}
	r, err := f.Group(ctx, parts, group, picked, ReadOptions{BatchRows: max(f.rows[group], 1), Mem: opts.Mem, Trusted: opts.Trusted})
	if err != nil {
		return err
	}
	defer r.Close()
	pieces := make([][]arrow.Array, len(rest))
	defer func() {
		for _, list := range pieces {
			for _, a := range list {
				a.Release()
			}
		}
	}()
	var rows int64
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		rows += rec.NumRows()
		for i, at := range rest {
			name := f.schema.Field(columns[at]).Name
			in := rec.Schema().FieldIndices(name)
			if len(in) != 1 {
				return fmt.Errorf("row group %d has %d columns %q", group, len(in), name)
			}
			a := rec.Column(in[0])
			a.Retain()
			pieces[i] = append(pieces[i], a)
		}
	}
	if rows != f.rows[group] {
		return fmt.Errorf("row group %d has %d rows, the footer promises %d", group, rows, f.rows[group])
	}
	for i, at := range rest {
		switch len(pieces[i]) {
		case 0:
			out[at] = array.MakeArrayOfNull(opts.Mem, f.schema.Field(columns[at]).Type, 0)
		case 1:
			out[at] = pieces[i][0]
			out[at].Retain()
		default:
			if out[at], err = array.Concatenate(pieces[i], opts.Mem); err != nil {
				return err
			}
		}
	}
	return nil
}
