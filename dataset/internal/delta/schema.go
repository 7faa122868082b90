package delta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
)

const (
	maxDepth   = 32
	maxColumns = 10_000
)

type structType struct {
	Type   string        `json:"type"`
	Fields []structField `json:"fields"`
}

type structField struct {
	Name     string          `json:"name"`
	Type     json.RawMessage `json:"type"`
	Nullable bool            `json:"nullable"`
	Metadata json.RawMessage `json:"metadata"`
}

type arrayType struct {
	Type         string          `json:"type"`
	ElementType  json.RawMessage `json:"elementType"`
	ContainsNull bool            `json:"containsNull"`
}

type mapType struct {
	Type              string          `json:"type"`
	KeyType           json.RawMessage `json:"keyType"`
	ValueType         json.RawMessage `json:"valueType"`
	ValueContainsNull bool            `json:"valueContainsNull"`
}

// primitives says which Arrow type each Delta type is; anything else is refused
// with a hint. It is exact both ways.
var primitives = map[string]arrow.DataType{
	"boolean":   arrow.FixedWidthTypes.Boolean,
	"byte":      arrow.PrimitiveTypes.Int8,
	"short":     arrow.PrimitiveTypes.Int16,
	"integer":   arrow.PrimitiveTypes.Int32,
	"long":      arrow.PrimitiveTypes.Int64,
	"float":     arrow.PrimitiveTypes.Float32,
	"double":    arrow.PrimitiveTypes.Float64,
	"string":    arrow.BinaryTypes.String,
	"binary":    arrow.BinaryTypes.Binary,
	"date":      arrow.FixedWidthTypes.Date32,
	"timestamp": arrow.FixedWidthTypes.Timestamp_us,
}

// SchemaString is the Delta form of an Arrow schema. faults lists every column
// that Delta cannot hold exactly, in words; the string is "" when there is any.
// Schema and field metadata are not part of a table.
func SchemaString(s *arrow.Schema) (schema string, faults []string) {
	w := &schemaWriter{}
	root := w.fields("", s.Fields(), 0)
	switch n := len(s.Fields()); {
	case n == 0:
		w.fault("the schema has no columns")
	case n > maxColumns:
		w.fault("the schema has %d columns, want at most %d", n, maxColumns)
	}
	if len(w.faults) > 0 {
		return "", w.faults
	}
	return string(w.encode(root)), nil
}

type schemaWriter struct{ faults []string }

func (w *schemaWriter) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func (w *schemaWriter) encode(v any) json.RawMessage {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		w.fault("%v", err)
	}
	return bytes.TrimSpace(out.Bytes())
}

func (w *schemaWriter) fields(prefix string, fields []arrow.Field, depth int) structType {
	out := structType{Type: "struct", Fields: make([]structField, 0, len(fields))}
	seen := map[string]string{}
	for _, f := range fields {
		path := prefix + f.Name
		if f.Name == "" || strings.ContainsAny(f.Name, " ,;{}()\n\t=") || strings.ContainsFunc(f.Name, func(r rune) bool { return r < ' ' || r == '\uFFFD' }) {
			w.fault("column %q: a name may not be empty or hold any of \" ,;{}()=\" or control characters, because Delta readers refuse it", path)
		}
		folded := strings.ToLower(f.Name)
		if first, ok := seen[folded]; ok {
			w.fault("column %q: the name repeats %q; Delta names differ by more than letter case", path, first)
		}
		seen[folded] = f.Name
		out.Fields = append(out.Fields, structField{f.Name, w.typ(path, f.Type, depth+1), f.Nullable, json.RawMessage("{}")})
	}
	return out
}

func (w *schemaWriter) typ(path string, t arrow.DataType, depth int) json.RawMessage {
	if depth > maxDepth {
		w.fault("column %q: nested deeper than %d levels", path, maxDepth)
		return nil
	}
	switch t := t.(type) {
	case *arrow.MapType:
		return w.encode(mapType{"map", w.typ(path+".key", t.KeyType(), depth+1), w.typ(path+".value", t.ItemType(), depth+1), t.ItemField().Nullable})
	case *arrow.ListType:
		return w.encode(arrayType{"array", w.typ(path+".element", t.Elem(), depth+1), t.ElemField().Nullable})
	case *arrow.StructType:
		if len(t.Fields()) == 0 {
			w.fault("column %q: the struct has no fields, which Parquet cannot hold", path)
			return nil
		}
		return w.encode(w.fields(path+".", t.Fields(), depth))
	case *arrow.Decimal128Type:
		if t.Precision < 1 || t.Precision > 38 || t.Scale < 0 || t.Scale > t.Precision {
			w.fault("column %q: %s; Delta wants 1 <= precision <= 38 and 0 <= scale <= precision", path, t)
			return nil
		}
		return w.encode(fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale))
	}
	for name, p := range primitives {
		if arrow.TypeEqual(p, t) {
			return w.encode(name)
		}
	}
	w.fault("column %q: %s %s", path, t, hint(t))
	return nil
}

// hint says what to do with a type that Delta has no exact place for.
func hint(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.Uint8Type:
		return "is unsigned, which Delta has not; store it as int16"
	case *arrow.Uint16Type:
		return "is unsigned, which Delta has not; store it as int32"
	case *arrow.Uint32Type:
		return "is unsigned, which Delta has not; store it as int64"
	case *arrow.Uint64Type:
		return "is unsigned, which Delta has not; store it as decimal(20, 0) or, when it fits, int64"
	case *arrow.TimestampType:
		if t.TimeZone == "" {
			return "has no time zone, so readers would take it for UTC; say which instants it means with timestamp[us, tz=UTC]"
		}
		return "is not the one timestamp that Delta holds exactly; store it as timestamp[us, tz=UTC]"
	case *arrow.DurationType:
		return "is a duration, which Delta has not; store it as int64 and put the unit in the name"
	case *arrow.Time32Type, *arrow.Time64Type:
		return "is a time of day, which Delta has not; store it as int64 and put the unit in the name"
	case *arrow.Date64Type:
		return "would lose its milliseconds; store it as date32 or timestamp[us, tz=UTC]"
	case *arrow.Float16Type:
		return "is a half float, which Delta has not; store it as float32"
	case *arrow.LargeStringType:
		return "would come back as string; store it as string"
	case *arrow.LargeBinaryType, *arrow.FixedSizeBinaryType:
		return "would come back as binary; store it as binary"
	case *arrow.FixedSizeListType, *arrow.LargeListType:
		return "would come back as list; store it as list"
	case *arrow.DictionaryType:
		return "would come back as its values; store it as " + t.ValueType.String() + " (the file is dictionary encoded where that helps)"
	case *arrow.Decimal256Type:
		return "is wider than Delta's 38 digits; store it as decimal128"
	case *arrow.NullType:
		return "has no values; give the column a type"
	}
	return "has no exact form in Delta"
}

var decimalType = regexp.MustCompile(`^decimal\(([0-9]{1,2}),(-?[0-9]{1,2})\)$`)

// ParseSchema reads a schemaString.
func ParseSchema(s string) (*arrow.Schema, error) {
	fields, err := parseFields(json.RawMessage(s), 0)
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, errors.New("the schema has no columns")
	}
	return arrow.NewSchema(fields, nil), nil
}

func parseFields(raw json.RawMessage, depth int) ([]arrow.Field, error) {
	var s structType
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("schemaString is not a struct: %w", err)
	}
	if s.Type != "struct" {
		return nil, fmt.Errorf("type is %q, want a struct", s.Type)
	}
	if len(s.Fields) > maxColumns {
		return nil, fmt.Errorf("%d columns, want at most %d", len(s.Fields), maxColumns)
	}
	fields := make([]arrow.Field, len(s.Fields))
	seen := map[string]bool{}
	for i, f := range s.Fields {
		if f.Name == "" {
			return nil, fmt.Errorf("column %d has no name", i)
		}
		if folded := strings.ToLower(f.Name); seen[folded] {
			return nil, fmt.Errorf("column %q is there twice", f.Name)
		} else {
			seen[folded] = true
		}
		if bytes.Contains(f.Metadata, []byte(`"delta.columnMapping.`)) || bytes.Contains(f.Metadata, []byte(`"delta.invariants"`)) || bytes.Contains(f.Metadata, []byte(`"delta.generationExpression"`)) {
			return nil, fmt.Errorf("column %q uses a Delta feature (column mapping, invariants or generated columns) that is not supported here", f.Name)
		}
		t, err := parseType(f.Type, depth+1)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		fields[i] = arrow.Field{Name: f.Name, Type: t, Nullable: f.Nullable}
	}
	return fields, nil
}

func parseType(raw json.RawMessage, depth int) (arrow.DataType, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	var name string
	if json.Unmarshal(raw, &name) == nil {
		if t, ok := primitives[name]; ok {
			return t, nil
		}
		if m := decimalType.FindStringSubmatch(name); m != nil {
			p, _ := strconv.Atoi(m[1])
			scale, _ := strconv.Atoi(m[2])
			if p >= 1 && p <= 38 && scale >= 0 && scale <= p {
				return &arrow.Decimal128Type{Precision: int32(p), Scale: int32(scale)}, nil
			}
		}
		return nil, fmt.Errorf("the Delta type %q is not supported here", name)
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, fmt.Errorf("the type is neither a name nor an object: %w", err)
	}
	switch kind.Type {
	case "struct":
		fields, err := parseFields(raw, depth)
		if err != nil {
			return nil, err
		}
		if len(fields) == 0 {
			return nil, errors.New("the struct has no fields")
		}
		return arrow.StructOf(fields...), nil
	case "array":
		var a arrayType
		if err := json.Unmarshal(raw, &a); err != nil {
			return nil, err
		}
		elem, err := parseType(a.ElementType, depth+1)
		if err != nil {
			return nil, err
		}
		return arrow.ListOfField(arrow.Field{Name: "element", Type: elem, Nullable: a.ContainsNull}), nil
	case "map":
		var m mapType
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		key, err := parseType(m.KeyType, depth+1)
		if err != nil {
			return nil, err
		}
		value, err := parseType(m.ValueType, depth+1)
		if err != nil {
			return nil, err
		}
		t := arrow.MapOf(key, value)
		t.SetItemNullable(m.ValueContainsNull)
		return t, nil
	}
	return nil, fmt.Errorf("the Delta type %q is not supported here", kind.Type)
}
