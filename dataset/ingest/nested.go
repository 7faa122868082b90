package ingest

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// validity is the validity of an array from its own first bit; nil when all
// values are there.
func (c converter) validity(a arrow.Array) *memory.Buffer {
	if a.NullN() == 0 {
		return nil
	}
	n := a.Len()
	out := memory.NewResizableBuffer(c.o.memory())
	out.Resize(int(bitutil.BytesForBits(int64(n))))
	clear(out.Bytes())
	bitutil.CopyBitmap(a.NullBitmapBytes(), a.Data().Offset(), n, out.Bytes(), 0)
	return out
}

func (c converter) structure(a *array.Struct, want *arrow.StructType) (arrow.Array, error) {
	have := a.DataType().(*arrow.StructType)
	children := make([]arrow.ArrayData, 0, want.NumFields())
	defer func() {
		for _, d := range children {
			d.Release()
		}
	}()
	for _, f := range want.Fields() {
		var child arrow.Array
		if at, ok := have.FieldIdx(f.Name); ok {
			var err error
			if child, err = c.member(a, at, f.Type); err != nil {
				return nil, err // The row of the child is that of the parent.
			}
		} else {
			child = array.MakeArrayOfNull(c.o.memory(), f.Type, a.Len())
		}
		child.Data().Retain()
		children = append(children, child.Data())
		child.Release()
	}
	return c.assemble(want, a, nil, children), nil
}

// member converts a field of a struct. What a field holds where the struct is
// null means nothing, and cannot be at fault.
func (c converter) member(a *array.Struct, at int, want arrow.DataType) (arrow.Array, error) {
	from := a.Field(at)
	from.Retain()
	for {
		out, err := c.array(from, want)
		m := (*misfit)(nil)
		if !errors.As(err, &m) || a.IsValid(m.row) {
			from.Release()
			return out, err
		}
		hollow, err := blank(from, m.row)
		from.Release()
		if err != nil {
			return nil, err
		}
		from = hollow
	}
}

// assemble makes an array with the length and the validity of another.
func (c converter) assemble(want arrow.DataType, like arrow.Array, offsets *memory.Buffer, children []arrow.ArrayData) arrow.Array {
	valid := c.validity(like)
	buffers := []*memory.Buffer{valid}
	if offsets != nil {
		buffers = append(buffers, offsets)
	}
	data := array.NewData(want, like.Len(), buffers, children, like.NullN(), 0)
	defer data.Release()
	if valid != nil {
		valid.Release()
	}
	return array.MakeFromData(data)
}

func (c converter) list(a array.ListLike, want *arrow.ListType) (arrow.Array, error) {
	values, offsets, err := c.reach(a)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	defer offsets.Release()
	elements, err := c.array(values, want.Elem())
	if err != nil {
		return nil, inRow(err, offsets)
	}
	defer elements.Release()
	return c.assemble(want, a, offsets, []arrow.ArrayData{elements.Data()}), nil
}

func (c converter) mapping(a *array.Map, want *arrow.MapType) (arrow.Array, error) {
	values, offsets, err := c.reach(a)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	defer offsets.Release()
	entries := values.(*array.Struct)
	to := want.Elem().(*arrow.StructType)
	children := make([]arrow.ArrayData, 0, 2)
	for i := range 2 {
		child, err := c.array(entries.Field(i), to.Field(i).Type)
		if err != nil {
			return nil, inRow(err, offsets)
		}
		defer child.Release()
		children = append(children, child.Data())
	}
	data := array.NewData(to, entries.Len(), []*memory.Buffer{nil}, children, 0, 0)
	defer data.Release()
	return c.assemble(want, a, offsets, []arrow.ArrayData{data}), nil
}

// reach gives the elements that the valid rows of a list have, one after the
// other, and where each row's start.
func (c converter) reach(a array.ListLike) (values arrow.Array, offsets *memory.Buffer, err error) {
	n := a.Len()
	offsets = memory.NewResizableBuffer(c.o.memory())
	offsets.Resize(arrow.Int32Traits.BytesRequired(n + 1))
	out := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	out[0] = 0
	var runs []arrow.Array
	defer func() {
		for _, r := range runs {
			r.Release()
		}
		if err != nil {
			offsets.Release()
		}
	}()
	total, from, to := int64(0), int64(0), int64(0)
	end := func() {
		if to > from {
			runs = append(runs, array.NewSlice(a.ListValues(), from, to))
		}
	}
	for i := range n {
		if a.IsValid(i) {
			start, stop := a.ValueOffsets(i)
			if start != to {
				end()
				from = start
			}
			to = stop
			if total += stop - start; total > math.MaxInt32 {
				return nil, nil, fmt.Errorf("more than %d elements in one batch", math.MaxInt32)
			}
		}
		out[i+1] = int32(total)
	}
	end()
	switch len(runs) {
	case 0:
		return array.NewSlice(a.ListValues(), 0, 0), offsets, nil
	case 1:
		runs[0].Retain()
		return runs[0], offsets, nil
	}
	values, err = array.Concatenate(runs, c.o.memory())
	return values, offsets, err
}

// inRow turns the place of an element into that of its row.
func inRow(err error, offsets *memory.Buffer) error {
	if m := (*misfit)(nil); errors.As(err, &m) {
		at := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
		m.row = sort.Search(len(at)-1, func(i int) bool { return int(at[i+1]) > m.row })
	}
	return err
}

// blank is a with a null in one row.
func blank(a arrow.Array, row int) (arrow.Array, error) {
	null := array.MakeArrayOfNull(memory.DefaultAllocator, a.DataType(), 1)
	defer null.Release()
	before, after := array.NewSlice(a, 0, int64(row)), array.NewSlice(a, int64(row)+1, int64(a.Len()))
	defer before.Release()
	defer after.Release()
	return array.Concatenate([]arrow.Array{before, null, after}, memory.DefaultAllocator)
}
