package ingest

import (
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	arrow18 "github.com/apache/arrow-go/v18/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
)

// tableType is the type in which a dataset keeps values of type t; zone is that
// of times without one, nil refuses them.
func tableType(t arrow18.DataType, zone *time.Location) (arrow18.DataType, error) {
	switch t := t.(type) {
	case *arrow18.BooleanType, *arrow18.Int8Type, *arrow18.Int16Type, *arrow18.Int32Type, *arrow18.Int64Type,
		*arrow18.Float32Type, *arrow18.Float64Type, *arrow18.StringType, *arrow18.BinaryType, *arrow18.Date32Type, *arrow18.Decimal128Type:
		return t, nil
	case *arrow18.Uint8Type:
		return arrow18.PrimitiveTypes.Int16, nil
	case *arrow18.Uint16Type:
		return arrow18.PrimitiveTypes.Int32, nil
	case *arrow18.Uint32Type, *arrow18.Uint64Type:
		return arrow18.PrimitiveTypes.Int64, nil
	case *arrow18.Float16Type:
		return arrow18.PrimitiveTypes.Float32, nil
	case *arrow18.NullType, *arrow18.LargeStringType, *arrow18.StringViewType:
		return arrow18.BinaryTypes.String, nil
	case *arrow18.LargeBinaryType, *arrow18.FixedSizeBinaryType, *arrow18.BinaryViewType:
		return arrow18.BinaryTypes.Binary, nil
	case *arrow18.Date64Type:
		return arrow18.FixedWidthTypes.Date32, nil
	case *arrow18.TimestampType:
		if t.TimeZone == "" && zone == nil {
			return nil, fmt.Errorf("%s has no zone: say in Options.Location where its clock stood, time.UTC for one", t)
		}
		return arrow18.FixedWidthTypes.Timestamp_us, nil
	case arrow18.DecimalType:
		if t.GetPrecision() <= 38 {
			return &arrow18.Decimal128Type{Precision: t.GetPrecision(), Scale: t.GetScale()}, nil
		}
	case *arrow18.DictionaryType:
		return tableType(t.ValueType, zone)
	case *arrow18.MapType:
		key, err := tableType(t.KeyType(), zone)
		if err != nil {
			return nil, err
		}
		item, err := tableType(t.ItemType(), zone)
		if err != nil {
			return nil, err
		}
		return arrow18.MapOf(key, item), nil
	case *arrow18.ListType, *arrow18.LargeListType, *arrow18.FixedSizeListType:
		elem, err := tableType(t.(arrow18.ListLikeType).Elem(), zone)
		if err != nil {
			return nil, err
		}
		return arrow18.ListOf(elem), nil
	case *arrow18.StructType:
		fields := make([]arrow18.Field, t.NumFields())
		for i, f := range t.Fields() {
			to, err := tableType(f.Type, zone)
			if err != nil {
				return nil, fmt.Errorf("field %q: %w", f.Name, err)
			}
			fields[i] = arrow18.Field{Name: f.Name, Type: to, Nullable: true}
		}
		return arrow18.StructOf(fields...), nil
	}
	return nil, fmt.Errorf("a dataset has no type for %s: convert it, or leave it out with Options.Columns", t)
}

// checkType says why records cannot have a type that was asked for.
func checkType(t arrow.DataType) error {
	if t == nil {
		return errors.New("the type is nil")
	}
	inner, err := arrowcross.Type18(t)
	if err != nil {
		return err
	}
	kept, err := tableType(inner, nil)
	if err != nil {
		return err
	}
	outer, err := arrowcross.Type15(kept)
	if err != nil {
		return err
	}
	if !arrowcross.Same(outer, t) {
		return fmt.Errorf("a dataset has no type %s: ask for %s", t, outer)
	}
	return nil
}
