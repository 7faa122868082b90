package iceberg

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

// table is the schema of a table in the two forms that Iceberg wants.
type table struct {
	schema  structType
	mapping []mapped // How columns of files without field ids are found.
	last    int      // The highest field id.
}

type structType struct {
	Type     string  `json:"type"`
	SchemaID *int    `json:"schema-id,omitempty"` // Of the root alone.
	Fields   []field `json:"fields"`
}

type field struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Required bool   `json:"required"`
	Type     any    `json:"type"`
}

type listType struct {
	Type            string `json:"type"`
	ElementID       int    `json:"element-id"`
	ElementRequired bool   `json:"element-required"`
	Element         any    `json:"element"`
}

type mapType struct {
	Type          string `json:"type"`
	KeyID         int    `json:"key-id"`
	Key           any    `json:"key"`
	ValueID       int    `json:"value-id"`
	ValueRequired bool   `json:"value-required"`
	Value         any    `json:"value"`
}

// mapped is one field of a name mapping.
type mapped struct {
	ID     int      `json:"field-id"`
	Names  []string `json:"names"`
	Fields []mapped `json:"fields,omitempty"`
}

// primitives says which Iceberg type holds each Arrow type. The small integers
// become int, which holds all their values.
var primitives = map[arrow.Type]string{
	arrow.BOOL:    "boolean",
	arrow.INT8:    "int",
	arrow.INT16:   "int",
	arrow.INT32:   "int",
	arrow.INT64:   "long",
	arrow.FLOAT32: "float",
	arrow.FLOAT64: "double",
	arrow.STRING:  "string",
	arrow.BINARY:  "binary",
	arrow.DATE32:  "date",
}

// tableSchema gives every field of a dataset's schema its id.
func tableSchema(s *arrow.Schema) (*table, error) {
	w := &schemaWriter{}
	fields, mapping := w.fields("", s.Fields())
	if len(w.faults) > 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(w.faults, "; "), ErrUnsupported)
	}
	first := 0
	return &table{structType{"struct", &first, fields}, mapping, w.last}, nil
}

type schemaWriter struct {
	last   int
	faults []string
}

func (w *schemaWriter) next() int {
	w.last++
	return w.last
}

func (w *schemaWriter) fields(prefix string, in []arrow.Field) ([]field, []mapped) {
	fields, mapping := make([]field, 0, len(in)), make([]mapped, 0, len(in))
	for _, f := range in {
		id := w.next()
		typ, below := w.typ(prefix+f.Name, f.Type)
		fields = append(fields, field{id, f.Name, !f.Nullable, typ})
		mapping = append(mapping, mapped{id, []string{f.Name}, below})
	}
	return fields, mapping
}

func (w *schemaWriter) typ(path string, t arrow.DataType) (any, []mapped) {
	switch t := t.(type) {
	case *arrow.MapType:
		key, value := w.next(), w.next()
		keyType, keyBelow := w.typ(path+".key", t.KeyType())
		valueType, valueBelow := w.typ(path+".value", t.ItemType())
		return mapType{"map", key, keyType, value, !t.ItemField().Nullable, valueType},
			[]mapped{{key, []string{"key"}, keyBelow}, {value, []string{"value"}, valueBelow}}
	case *arrow.ListType:
		element := w.next()
		typ, below := w.typ(path+".element", t.Elem())
		return listType{"list", element, !t.ElemField().Nullable, typ}, []mapped{{element, []string{"element"}, below}}
	case *arrow.StructType:
		fields, below := w.fields(path+".", t.Fields())
		return structType{Type: "struct", Fields: fields}, below
	case *arrow.Decimal128Type:
		return fmt.Sprintf("decimal(%d, %d)", t.Precision, t.Scale), nil
	case *arrow.TimestampType:
		switch {
		case t.Unit != arrow.Microsecond:
		case t.TimeZone == "":
			return "timestamp", nil
		case t.TimeZone == "UTC":
			return "timestamptz", nil
		}
	}
	name, ok := primitives[t.ID()]
	if !ok {
		w.faults = append(w.faults, fmt.Sprintf("column %q: %s has no place in Iceberg", path, t))
	}
	return name, nil
}

// encode writes v as JSON that names nothing in escapes it does not need.
func encode(v any) ([]byte, error) {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(out.String(), "\n")), nil
}
