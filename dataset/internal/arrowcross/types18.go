package arrowcross

import (
	"fmt"

	arrow15 "github.com/apache/arrow/go/v15/arrow"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
)

// Type18 is the v18 twin of t. Types that v15 code cannot hold in the same
// bytes (views, run ends, unions, extensions) are an error.
func Type18(t arrow15.DataType) (arrow18.DataType, error) {
	switch t := t.(type) {
	case *arrow15.NullType:
		return arrow18.Null, nil
	case *arrow15.BooleanType:
		return arrow18.FixedWidthTypes.Boolean, nil
	case *arrow15.Int8Type:
		return arrow18.PrimitiveTypes.Int8, nil
	case *arrow15.Int16Type:
		return arrow18.PrimitiveTypes.Int16, nil
	case *arrow15.Int32Type:
		return arrow18.PrimitiveTypes.Int32, nil
	case *arrow15.Int64Type:
		return arrow18.PrimitiveTypes.Int64, nil
	case *arrow15.Uint8Type:
		return arrow18.PrimitiveTypes.Uint8, nil
	case *arrow15.Uint16Type:
		return arrow18.PrimitiveTypes.Uint16, nil
	case *arrow15.Uint32Type:
		return arrow18.PrimitiveTypes.Uint32, nil
	case *arrow15.Uint64Type:
		return arrow18.PrimitiveTypes.Uint64, nil
	case *arrow15.Float16Type:
		return arrow18.FixedWidthTypes.Float16, nil
	case *arrow15.Float32Type:
		return arrow18.PrimitiveTypes.Float32, nil
	case *arrow15.Float64Type:
		return arrow18.PrimitiveTypes.Float64, nil
	case *arrow15.StringType:
		return arrow18.BinaryTypes.String, nil
	case *arrow15.BinaryType:
		return arrow18.BinaryTypes.Binary, nil
	case *arrow15.LargeStringType:
		return arrow18.BinaryTypes.LargeString, nil
	case *arrow15.LargeBinaryType:
		return arrow18.BinaryTypes.LargeBinary, nil
	case *arrow15.FixedSizeBinaryType:
		return &arrow18.FixedSizeBinaryType{ByteWidth: t.ByteWidth}, nil
	case *arrow15.Date32Type:
		return arrow18.FixedWidthTypes.Date32, nil
	case *arrow15.Date64Type:
		return arrow18.FixedWidthTypes.Date64, nil
	case *arrow15.Time32Type:
		return &arrow18.Time32Type{Unit: arrow18.TimeUnit(t.Unit)}, nil
	case *arrow15.Time64Type:
		return &arrow18.Time64Type{Unit: arrow18.TimeUnit(t.Unit)}, nil
	case *arrow15.DurationType:
		return &arrow18.DurationType{Unit: arrow18.TimeUnit(t.Unit)}, nil
	case *arrow15.TimestampType:
		return &arrow18.TimestampType{Unit: arrow18.TimeUnit(t.Unit), TimeZone: t.TimeZone}, nil
	case *arrow15.Decimal128Type:
		return &arrow18.Decimal128Type{Precision: t.Precision, Scale: t.Scale}, nil
	case *arrow15.Decimal256Type:
		return &arrow18.Decimal256Type{Precision: t.Precision, Scale: t.Scale}, nil
	case *arrow15.DictionaryType:
		index, err := Type18(t.IndexType)
		if err != nil {
			return nil, err
		}
		value, err := Type18(t.ValueType)
		if err != nil {
			return nil, err
		}
		return &arrow18.DictionaryType{IndexType: index, ValueType: value, Ordered: t.Ordered}, nil
	case *arrow15.MapType:
		key, err := field18(t.KeyField())
		if err != nil {
			return nil, err
		}
		item, err := field18(t.ItemField())
		if err != nil {
			return nil, err
		}
		m := arrow18.MapOfFields(key, item)
		m.KeysSorted = t.KeysSorted
		return m, nil
	case *arrow15.ListType:
		f, err := field18(t.ElemField())
		if err != nil {
			return nil, err
		}
		return arrow18.ListOfField(f), nil
	case *arrow15.LargeListType:
		f, err := field18(t.ElemField())
		if err != nil {
			return nil, err
		}
		return arrow18.LargeListOfField(f), nil
	case *arrow15.FixedSizeListType:
		f, err := field18(t.ElemField())
		if err != nil {
			return nil, err
		}
		return arrow18.FixedSizeListOfField(t.Len(), f), nil
	case *arrow15.StructType:
		fields := make([]arrow18.Field, len(t.Fields()))
		for i, f := range t.Fields() {
			var err error
			if fields[i], err = field18(f); err != nil {
				return nil, err
			}
		}
		return arrow18.StructOf(fields...), nil
	}
	return nil, fmt.Errorf("the Arrow type %s has no form that both library versions share", t)
}

func field18(f arrow15.Field) (arrow18.Field, error) {
	t, err := Type18(f.Type)
	return arrow18.Field{Name: f.Name, Type: t, Nullable: f.Nullable}, err
}

// Schema18 is the v18 twin of s, without metadata.
func Schema18(s *arrow15.Schema) (*arrow18.Schema, error) {
	fields := make([]arrow18.Field, len(s.Fields()))
	for i, f := range s.Fields() {
		var err error
		if fields[i], err = field18(f); err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
	}
	return arrow18.NewSchema(fields, nil), nil
}
