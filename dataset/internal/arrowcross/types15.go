package arrowcross

import (
	"fmt"

	arrow15 "github.com/apache/arrow/go/v15/arrow"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
)

// Type15 is the v15 twin of t. Types that v15 does not know (views, run ends,
// small decimals) are an error.
func Type15(t arrow18.DataType) (arrow15.DataType, error) {
	switch t := t.(type) {
	case *arrow18.NullType:
		return arrow15.Null, nil
	case *arrow18.BooleanType:
		return arrow15.FixedWidthTypes.Boolean, nil
	case *arrow18.Int8Type:
		return arrow15.PrimitiveTypes.Int8, nil
	case *arrow18.Int16Type:
		return arrow15.PrimitiveTypes.Int16, nil
	case *arrow18.Int32Type:
		return arrow15.PrimitiveTypes.Int32, nil
	case *arrow18.Int64Type:
		return arrow15.PrimitiveTypes.Int64, nil
	case *arrow18.Uint8Type:
		return arrow15.PrimitiveTypes.Uint8, nil
	case *arrow18.Uint16Type:
		return arrow15.PrimitiveTypes.Uint16, nil
	case *arrow18.Uint32Type:
		return arrow15.PrimitiveTypes.Uint32, nil
	case *arrow18.Uint64Type:
		return arrow15.PrimitiveTypes.Uint64, nil
	case *arrow18.Float16Type:
		return arrow15.FixedWidthTypes.Float16, nil
	case *arrow18.Float32Type:
		return arrow15.PrimitiveTypes.Float32, nil
	case *arrow18.Float64Type:
		return arrow15.PrimitiveTypes.Float64, nil
	case *arrow18.StringType:
		return arrow15.BinaryTypes.String, nil
	case *arrow18.BinaryType:
		return arrow15.BinaryTypes.Binary, nil
	case *arrow18.LargeStringType:
		return arrow15.BinaryTypes.LargeString, nil
	case *arrow18.LargeBinaryType:
		return arrow15.BinaryTypes.LargeBinary, nil
	case *arrow18.FixedSizeBinaryType:
		return &arrow15.FixedSizeBinaryType{ByteWidth: t.ByteWidth}, nil
	case *arrow18.Date32Type:
		return arrow15.FixedWidthTypes.Date32, nil
	case *arrow18.Date64Type:
		return arrow15.FixedWidthTypes.Date64, nil
	case *arrow18.Time32Type:
		return &arrow15.Time32Type{Unit: arrow15.TimeUnit(t.Unit)}, nil
	case *arrow18.Time64Type:
		return &arrow15.Time64Type{Unit: arrow15.TimeUnit(t.Unit)}, nil
	case *arrow18.DurationType:
		return &arrow15.DurationType{Unit: arrow15.TimeUnit(t.Unit)}, nil
	case *arrow18.TimestampType:
		return &arrow15.TimestampType{Unit: arrow15.TimeUnit(t.Unit), TimeZone: t.TimeZone}, nil
	case *arrow18.Decimal128Type:
		return &arrow15.Decimal128Type{Precision: t.Precision, Scale: t.Scale}, nil
	case *arrow18.Decimal256Type:
		return &arrow15.Decimal256Type{Precision: t.Precision, Scale: t.Scale}, nil
	case *arrow18.DictionaryType:
		index, err := Type15(t.IndexType)
		if err != nil {
			return nil, err
		}
		value, err := Type15(t.ValueType)
		if err != nil {
			return nil, err
		}
		return &arrow15.DictionaryType{IndexType: index, ValueType: value, Ordered: t.Ordered}, nil
	case *arrow18.MapType:
		key, err := Type15(t.KeyType())
		if err != nil {
			return nil, err
		}
		item, err := Type15(t.ItemType())
		if err != nil {
			return nil, err
		}
		m := arrow15.MapOf(key, item)
		m.KeysSorted = t.KeysSorted
		m.SetItemNullable(t.ItemField().Nullable)
		return m, nil
	case *arrow18.ListType:
		f, err := field15(t.ElemField())
		if err != nil {
			return nil, err
		}
		return arrow15.ListOfField(f), nil
	case *arrow18.LargeListType:
		f, err := field15(t.ElemField())
		if err != nil {
			return nil, err
		}
		return arrow15.LargeListOfField(f), nil
	case *arrow18.FixedSizeListType:
		f, err := field15(t.ElemField())
		if err != nil {
			return nil, err
		}
		return arrow15.FixedSizeListOfField(t.Len(), f), nil
	case *arrow18.StructType:
		fields := make([]arrow15.Field, len(t.Fields()))
		for i, f := range t.Fields() {
			var err error
			if fields[i], err = field15(f); err != nil {
				return nil, err
			}
		}
		return arrow15.StructOf(fields...), nil
	}
	return nil, fmt.Errorf("the Arrow type %s has no form that both library versions share", t)
}

func field15(f arrow18.Field) (arrow15.Field, error) {
	t, err := Type15(f.Type)
	return arrow15.Field{Name: f.Name, Type: t, Nullable: f.Nullable}, err
}

// Schema15 is the v15 twin of s, without metadata.
func Schema15(s *arrow18.Schema) (*arrow15.Schema, error) {
	fields := make([]arrow15.Field, len(s.Fields()))
	for i, f := range s.Fields() {
		var err error
		if fields[i], err = field15(f); err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
	}
	return arrow15.NewSchema(fields, nil), nil
}
