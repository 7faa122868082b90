package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
)

// misfit is a value that the type asked for cannot hold.
type misfit struct {
	row    int
	reason string
}

func (m *misfit) Error() string { return fmt.Sprintf("row %d %s", m.row, m.reason) }

func faultList(faults []string) string { return strings.Join(faults, "; ") }

// converter changes the types of arrays where no value changes its meaning.
type converter struct {
	ctx context.Context
	o   *Options
}

// same tells whether arrays of two types are the same bytes with the same
// meaning, the names of list elements and nullability aside.
func same(a, b arrow.DataType) bool {
	switch a := a.(type) {
	case *arrow.MapType:
		m, ok := b.(*arrow.MapType)
		return ok && same(a.KeyType(), m.KeyType()) && same(a.ItemType(), m.ItemType())
	case *arrow.ListType:
		l, ok := b.(*arrow.ListType)
		return ok && same(a.Elem(), l.Elem())
	case *arrow.StructType:
		s, ok := b.(*arrow.StructType)
		if !ok || a.NumFields() != s.NumFields() {
			return false
		}
		for i, f := range a.Fields() {
			if f.Name != s.Field(i).Name || !same(f.Type, s.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return arrow.TypeEqual(a, b)
}

// possible says why no array of one type can become one of the other; "" when
// some can.
func (c converter) possible(have, want arrow.DataType) string {
	if same(have, want) || have.ID() == arrow.NULL {
		return ""
	}
	no := fmt.Sprintf("is %s, which does not become %s", have, want)
	if d, ok := have.(*arrow.DictionaryType); ok {
		return c.possible(d.ValueType, want)
	}
	switch want := want.(type) {
	case *arrow.StructType:
		s, ok := have.(*arrow.StructType)
		if !ok {
			return no
		}
		for _, f := range want.Fields() {
			at, ok := s.FieldIdx(f.Name)
			if !ok {
				continue
			}
			if why := c.possible(s.Field(at).Type, f.Type); why != "" {
				return "." + f.Name + " " + why
			}
		}
		for _, f := range s.Fields() {
			if _, ok := want.FieldIdx(f.Name); !ok && !c.o.IgnoreUnknown {
				return fmt.Sprintf("has a field %q that the records do not have: Options.IgnoreUnknown skips it", f.Name)
			}
		}
		return ""
	case *arrow.MapType:
		m, ok := have.(*arrow.MapType)
		if !ok {
			return no
		}
		if why := c.possible(m.KeyType(), want.KeyType()); why != "" {
			return "key " + why
		}
		if why := c.possible(m.ItemType(), want.ItemType()); why != "" {
			return "value " + why
		}
		return ""
	case *arrow.ListType:
		switch have.(type) {
		case *arrow.ListType, *arrow.LargeListType, *arrow.FixedSizeListType:
			if why := c.possible(have.(arrow.ListLikeType).Elem(), want.Elem()); why != "" {
				return "element " + why
			}
			return ""
		}
		return no
	case *arrow.TimestampType:
		t, ok := have.(*arrow.TimestampType)
		switch {
		case !ok && have.ID() != arrow.DATE32 && have.ID() != arrow.DATE64:
			return no
		case ok && t.TimeZone == "" && c.o.Location == nil:
			return fmt.Sprintf("is %s, which has no zone: say in Options.Location where its clock stood, time.UTC for one", t)
		}
		return ""
	}
	if arrow.IsInteger(have.ID()) && arrow.IsInteger(want.ID()) {
		return ""
	}
	if _, ok := have.(*arrow.TimestampType); ok || have.ID() == arrow.STRUCT || !compute.CanCast(have, want) {
		return no
	}
	if isString(want) != isString(have) || want.ID() == arrow.BOOL {
		return no // Numbers as text, and texts as numbers, are the reader's of CSV.
	}
	return ""
}

func isString(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return true
	}
	return false
}

// array returns a as an array of the type; the caller releases both. A value
// that does not fit is a *misfit.
func (c converter) array(a arrow.Array, want arrow.DataType) (arrow.Array, error) {
	have := a.DataType()
	switch {
	case same(have, want):
		a.Retain()
		return a, nil
	case have.ID() == arrow.NULL:
		return array.MakeArrayOfNull(c.o.memory(), want, a.Len()), nil
	}
	if d, ok := a.(*array.Dictionary); ok {
		plain, err := c.cast(a, d.DataType().(*arrow.DictionaryType).ValueType)
		if err != nil {
			return nil, err
		}
		defer plain.Release()
		return c.array(plain, want)
	}
	switch want := want.(type) {
	case *arrow.StructType:
		return c.structure(a.(*array.Struct), want)
	case *arrow.MapType:
		return c.mapping(a.(*array.Map), want)
	case *arrow.ListType:
		return c.list(a.(array.ListLike), want)
	case *arrow.TimestampType:
		return c.timestamp(a, want)
	}
	if arrow.IsInteger(have.ID()) && arrow.IsInteger(want.ID()) {
		return c.integers(a, want)
	}
	if f, ok := a.(*array.FixedSizeBinary); ok {
		b := array.NewBinaryBuilder(c.o.memory(), arrow.BinaryTypes.Binary)
		defer b.Release()
		for i := range f.Len() {
			if f.IsNull(i) {
				b.AppendNull()
			} else {
				b.Append(f.Value(i))
			}
		}
		return b.NewArray(), nil
	}
	return c.cast(a, want)
}

// cast leaves it to the Arrow library, and finds the value at fault by halving.
func (c converter) cast(a arrow.Array, want arrow.DataType) (arrow.Array, error) {
	opts := compute.SafeCastOptions(want)
	opts.AllowTimeTruncate = c.o.Round
	ctx := compute.WithAllocator(c.ctx, c.o.memory())
	out, err := compute.CastArray(ctx, a, opts)
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return out, err
	}
	fails := func(from, to int) bool {
		part := array.NewSlice(a, int64(from), int64(to))
		defer part.Release()
		out, err := compute.CastArray(ctx, part, opts)
		if err == nil {
			out.Release()
		}
		return err != nil
	}
	row := sort.Search(a.Len(), func(i int) bool { return fails(0, i+1) })
	if row == a.Len() || a.IsNull(row) {
		return nil, err // Not a value's fault.
	}
	reason := fmt.Sprintf("does not fit into %s", want)
	if want.ID() == arrow.TIMESTAMP {
		reason = "is finer than a microsecond, Options.Round cuts it, or too far away"
	}
	return nil, &misfit{row, reason}
}

// integers changes the width of integers, which keeps their values or fails.
func (c converter) integers(a arrow.Array, want arrow.DataType) (arrow.Array, error) {
	value := integerAt(a)
	low, high := integerRange(want)
	b := array.NewBuilder(c.o.memory(), want)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		v, ok := value(i)
		if !ok || v < low || v > high {
			return nil, &misfit{i, fmt.Sprintf("is out of the range of %s", want)}
		}
		switch b := b.(type) {
		case *array.Int8Builder:
			b.UnsafeAppend(int8(v))
		case *array.Int16Builder:
			b.UnsafeAppend(int16(v))
		case *array.Int32Builder:
			b.UnsafeAppend(int32(v))
		case *array.Int64Builder:
			b.UnsafeAppend(v)
		}
	}
	return b.NewArray(), nil
}

func integerAt(a arrow.Array) func(int) (int64, bool) {
	switch a := a.(type) {
	case *array.Int8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }
	case *array.Int16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }
	case *array.Int32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }
	case *array.Uint8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }
	case *array.Uint16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }
	case *array.Uint32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), true }
	case *array.Uint64:
		return func(i int) (int64, bool) { return int64(a.Value(i)), a.Value(i) <= math.MaxInt64 }
	}
	return func(i int) (int64, bool) { return a.(*array.Int64).Value(i), true }
}

func integerRange(t arrow.DataType) (low, high int64) {
	switch t.ID() {
	case arrow.INT8:
		return math.MinInt8, math.MaxInt8
	case arrow.INT16:
		return math.MinInt16, math.MaxInt16
	case arrow.INT32:
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

// timestamp makes microseconds in UTC of times and dates of any unit and zone.
func (c converter) timestamp(a arrow.Array, want *arrow.TimestampType) (arrow.Array, error) {
	var per, divide int64 = 1, 1
	local := false
	var value func(int) int64
	switch a := a.(type) {
	case *array.Date32:
		per, value = 86_400_000_000, func(i int) int64 { return int64(a.Value(i)) }
	case *array.Date64:
		per, value = 1000, func(i int) int64 { return int64(a.Value(i)) }
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		local = t.TimeZone == ""
		value = func(i int) int64 { return int64(a.Value(i)) }
		switch t.Unit {
		case arrow.Second:
			per = 1_000_000
		case arrow.Millisecond:
			per = 1000
		case arrow.Nanosecond:
			divide = 1000
		}
	}
	b := array.NewTimestampBuilder(c.o.memory(), want)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		v := value(i)
		if v > math.MaxInt64/per || v < math.MinInt64/per {
			return nil, &misfit{i, fmt.Sprintf("is out of the range of %s", want)}
		}
		v *= per
		if divide > 1 {
			rest := v % divide
			if rest != 0 && !c.o.Round {
				return nil, &misfit{i, "is finer than a microsecond: Options.Round cuts it"}
			}
			if v /= divide; rest < 0 {
				v-- // Cut towards the past, before 1970, too.
			}
		}
		if local && c.o.Location != time.UTC {
			seconds := v / 1e6
			if v%1e6 < 0 {
				seconds--
			}
			v -= offsetAt(c.o.Location, seconds) * 1e6
		}
		b.UnsafeAppend(arrow.Timestamp(v))
	}
	return b.NewArray(), nil
}
