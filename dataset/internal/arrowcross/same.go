package arrowcross

import (
	arrow15 "github.com/apache/arrow/go/v15/arrow"
)

// Same tells whether two types lay out their values in the same bytes with the
// same meaning. The names of list elements and map entries, nullability and
// metadata are left out: Parquet, Delta and Arrow each name those differently.
// The names of a struct's fields do count.
func Same(a, b arrow15.DataType) bool {
	switch a := a.(type) {
	case *arrow15.MapType:
		m, ok := b.(*arrow15.MapType)
		return ok && Same(a.KeyType(), m.KeyType()) && Same(a.ItemType(), m.ItemType())
	case *arrow15.ListType:
		l, ok := b.(*arrow15.ListType)
		return ok && Same(a.Elem(), l.Elem())
	case *arrow15.StructType:
		s, ok := b.(*arrow15.StructType)
		if !ok || len(a.Fields()) != len(s.Fields()) {
			return false
		}
		for i, f := range a.Fields() {
			if f.Name != s.Field(i).Name || !Same(f.Type, s.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return arrow15.TypeEqual(a, b)
}
