package rowsort

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
)

// MergeCells joins the changes that two sides made to one row, column by
// column: a column that only one side changed takes that side's value. A nil
// base is a row that both sides added. conflict tells that some column was
// changed differently on both sides; it has the value of theirs when
// preferTheirs is set, else of ours.
func (c *Codec) MergeCells(base, ours, theirs []byte, preferTheirs bool) (merged []byte, conflict bool, err error) {
	for _, f := range c.schema.Fields() {
		var b, o, t []byte
		if base != nil {
			if b, base, err = cutValue(f.Type, base); err != nil {
				return nil, false, err
			}
		}
		if o, ours, err = cutValue(f.Type, ours); err != nil {
			return nil, false, err
		}
		if t, theirs, err = cutValue(f.Type, theirs); err != nil {
			return nil, false, err
		}
		take := o
		switch {
		case bytes.Equal(o, t), b != nil && bytes.Equal(t, b):
		case b != nil && bytes.Equal(o, b):
			take = t
		default:
			conflict = true
			if preferTheirs {
				take = t
			}
		}
		merged = append(merged, take...)
	}
	return merged, conflict, nil
}

// cutValue takes the bytes of one value of type t from the front of a row.
func cutValue(t arrow.DataType, row []byte) (value, rest []byte, err error) {
	rest, err = skipValue(t, row)
	if err != nil {
		return nil, nil, err
	}
	return row[:len(row)-len(rest)], rest, nil
}

// skipValue reads over what valueEncoder writes.
func skipValue(t arrow.DataType, src []byte) (rest []byte, err error) {
	if len(src) == 0 {
		return nil, errShort
	}
	kind := src[0]
	src = src[1:]
	switch kind {
	case isNull:
		return src, nil
	case isValue:
	default:
		return nil, fmt.Errorf("a value starts with byte %d", kind)
	}
	switch t := t.(type) {
	case *arrow.BooleanType, *arrow.Int8Type:
		return skipBytes(src, 1)
	case *arrow.StringType, *arrow.BinaryType:
		n, src, err := takeCount(src, 1)
		if err != nil {
			return nil, err
		}
		return src[n:], nil
	case *arrow.MapType:
		return skipEach(src, 2, t.KeyType(), t.ItemType())
	case *arrow.ListType:
		return skipEach(src, 1, t.Elem())
	case *arrow.StructType:
		for _, f := range t.Fields() {
			if src, err = skipValue(f.Type, src); err != nil {
				return nil, err
			}
		}
		return src, nil
	case arrow.FixedWidthDataType:
		return skipBytes(src, t.BitWidth()/8)
	}
	return nil, fmt.Errorf("values of type %s are not compared", t)
}

func skipBytes(src []byte, n int) ([]byte, error) {
	if len(src) < n {
		return nil, errShort
	}
	return src[n:], nil
}

func skipEach(src []byte, size int, types ...arrow.DataType) ([]byte, error) {
	n, src, err := takeCount(src, size)
	if err != nil {
		return nil, err
	}
	for range n {
		for _, t := range types {
			if src, err = skipValue(t, src); err != nil {
				return nil, err
			}
		}
	}
	return src, nil
}

// takeCount reads a length, which can be no more than what follows has room for
// when each element takes at least size bytes.
func takeCount(src []byte, size int) (n int, rest []byte, err error) {
	count, used := binary.Uvarint(src)
	if used <= 0 || count > uint64(len(src)-used)/uint64(size) {
		return 0, nil, errShort
	}
	return int(count), src[used:], nil
}
