package dataset

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	mem18 "github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
)

// fit gives the values the type that the table has for them. It takes over a.
func (p *readPlan) fit(ctx context.Context, f arrow.Field, a arrow18.Array) (arrow18.Array, error) {
	want, err := arrowcross.Type18(f.Type)
	if err != nil {
		return a, err
	}
	fitted, err := reshape(ctx, p.v.dataset.catalog.mem, f.Name, a, want)
	if err != nil {
		return a, err
	}
	a.Release()
	return fitted, nil
}

// reshape gives values the type that the table has for them: fields that came
// later are null, and narrow numbers become wide ones.
func reshape(ctx context.Context, mem mem18.Allocator, path string, a arrow18.Array, want arrow18.DataType) (arrow18.Array, error) {
	if same(a.DataType(), want) {
		a.Retain()
		return a, nil
	}
	refuse := fmt.Errorf("column %q is %s in the file and %s in the table: %w", path, a.DataType(), want, ErrInvalid)
	switch want := want.(type) {
	case *arrow18.StructType:
		s, ok := a.(*array18.Struct)
		if !ok {
			return nil, refuse
		}
		return reshapeStruct(ctx, mem, path, s, want)
	case *arrow18.MapType:
		m, ok := a.(*array18.Map)
		if !ok {
			return nil, refuse
		}
		return reshapeList(ctx, mem, path, m, m.ListValues(), want, want.Elem())
	case *arrow18.ListType:
		l, ok := a.(*array18.List)
		if !ok {
			return nil, refuse
		}
		return reshapeList(ctx, mem, path+".element", l, l.ListValues(), want, want.Elem())
	}
	if !fits(a.DataType(), want) {
		return nil, refuse
	}
	cast, err := compute.CastArray(compute.WithAllocator(ctx, mem), a, compute.SafeCastOptions(want))
	if err != nil {
		return nil, fmt.Errorf("column %q: %w: %w", path, err, ErrInvalid)
	}
	return cast, nil
}

func same(a, b arrow18.DataType) bool {
	x, err := arrowcross.Type15(a)
	if err != nil {
		return false
	}
	y, err := arrowcross.Type15(b)
	return err == nil && arrowcross.Same(x, y)
}

func reshapeList(ctx context.Context, mem mem18.Allocator, path string, a, values arrow18.Array, want, elem arrow18.DataType) (arrow18.Array, error) {
	child, err := reshape(ctx, mem, path, values, elem)
	if err != nil {
		return nil, err
	}
	defer child.Release()
	data := array18.NewData(want, a.Len(), a.Data().Buffers(), []arrow18.ArrayData{child.Data()}, a.NullN(), a.Data().Offset())
	defer data.Release()
	return array18.MakeFromData(data), nil
}

func reshapeStruct(ctx context.Context, mem mem18.Allocator, path string, a *array18.Struct, want *arrow18.StructType) (arrow18.Array, error) {
	children := make([]arrow18.ArrayData, want.NumFields())
	defer func() {
		for _, c := range children {
			if c != nil {
				c.Release()
			}
		}
	}()
	have := a.DataType().(*arrow18.StructType)
	off := a.Data().Offset()
	for i, f := range want.Fields() {
		at, ok := have.FieldIdx(f.Name)
		var child arrow18.Array
		var err error
		switch {
		case ok:
			// The child as it lies there, from before the struct's own offset.
			whole := array18.MakeFromData(a.Data().Children()[at])
			child, err = reshape(ctx, mem, path+"."+f.Name, whole, f.Type)
			whole.Release()
		case f.Nullable:
			child = array18.MakeArrayOfNull(mem, f.Type, a.Len()+off)
		default:
			err = fmt.Errorf("column %q is not in the file: %w", path+"."+f.Name, ErrInvalid)
		}
		if err != nil {
			return nil, err
		}
		children[i] = child.Data()
		children[i].Retain()
		child.Release()
	}
	data := array18.NewData(want, a.Len(), a.Data().Buffers(), children, a.NullN(), off)
	defer data.Release()
	return array18.MakeFromData(data), nil
}

// fits tells whether every value of one type is a value of the other, or else an
// error: what a column was before the schema grew, and what other writers store.
func fits(from, to arrow18.DataType) bool {
	switch to.ID() {
	case arrow18.INT16, arrow18.INT32, arrow18.INT64:
		return arrow18.IsSignedInteger(from.ID()) && from.(arrow18.FixedWidthDataType).BitWidth() < to.(arrow18.FixedWidthDataType).BitWidth()
	case arrow18.FLOAT64:
		return from.ID() == arrow18.FLOAT32 || arrow18.IsSignedInteger(from.ID()) && from.ID() != arrow18.INT64
	case arrow18.DECIMAL128:
		f, ok := from.(*arrow18.Decimal128Type)
		t := to.(*arrow18.Decimal128Type)
		return ok && f.Scale <= t.Scale && f.Precision-f.Scale <= t.Precision-t.Scale
	case arrow18.STRING:
		return from.ID() == arrow18.LARGE_STRING || from.ID() == arrow18.STRING_VIEW || isDictionaryOf(from, arrow18.STRING, arrow18.LARGE_STRING)
	case arrow18.BINARY:
		return from.ID() == arrow18.LARGE_BINARY || from.ID() == arrow18.BINARY_VIEW || isDictionaryOf(from, arrow18.BINARY, arrow18.LARGE_BINARY)
	case arrow18.TIMESTAMP:
		f, ok := from.(*arrow18.TimestampType)
		return ok && f.TimeZone != ""
	}
	return false
}

func isDictionaryOf(t arrow18.DataType, ids ...arrow18.Type) bool {
	d, ok := t.(*arrow18.DictionaryType)
	if !ok {
		return false
	}
	for _, id := range ids {
		if d.ValueType.ID() == id {
			return true
		}
	}
	return false
}
