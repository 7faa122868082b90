package delta_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

var everyType = arrow.NewSchema([]arrow.Field{
	{Name: "a", Type: arrow.FixedWidthTypes.Boolean},
	{Name: "b", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "c", Type: arrow.PrimitiveTypes.Int16},
	{Name: "d", Type: arrow.PrimitiveTypes.Int32},
	{Name: "e", Type: arrow.PrimitiveTypes.Int64},
	{Name: "f", Type: arrow.PrimitiveTypes.Float32},
	{Name: "g", Type: arrow.PrimitiveTypes.Float64},
	{Name: "h", Type: arrow.BinaryTypes.String},
	{Name: "i", Type: arrow.BinaryTypes.Binary},
	{Name: "j", Type: arrow.FixedWidthTypes.Date32},
	{Name: "k", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "l", Type: &arrow.Decimal128Type{Precision: 38, Scale: 38}},
	{Name: "m", Type: arrow.ListOf(arrow.ListOfNonNullable(arrow.PrimitiveTypes.Float32))},
	{Name: "n", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String}, arrow.Field{Name: "y", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true})},
}, nil)

func TestSchemaComesBackExactly(t *testing.T) {
	t.Parallel()
	s, faults := delta.SchemaString(everyType)
	require.Empty(t, faults)
	got, err := delta.ParseSchema(s)
	require.NoError(t, err)
	for i, f := range everyType.Fields() {
		g := got.Field(i)
		require.Equal(t, f.Name, g.Name)
		require.Equal(t, f.Nullable, g.Nullable)
		require.True(t, arrow.TypeEqual(f.Type, g.Type), "%s became %s", f.Type, g.Type)
	}
	again, faults := delta.SchemaString(got)
	require.Empty(t, faults)
	require.Equal(t, s, again)
}

func TestEveryInexactTypeIsRefusedWithAHint(t *testing.T) {
	t.Parallel()
	bad := map[string]arrow.DataType{
		"int16":                    arrow.PrimitiveTypes.Uint8,
		"int32":                    arrow.PrimitiveTypes.Uint16,
		"int64":                    arrow.PrimitiveTypes.Uint32,
		"decimal(20, 0)":           arrow.PrimitiveTypes.Uint64,
		"has no time zone":         &arrow.TimestampType{Unit: arrow.Microsecond},
		"timestamp[us, tz=UTC]":    arrow.FixedWidthTypes.Timestamp_ns,
		"is a duration":            arrow.FixedWidthTypes.Duration_s,
		"is a time of day":         arrow.FixedWidthTypes.Time64us,
		"milliseconds":             arrow.FixedWidthTypes.Date64,
		"half float":               arrow.FixedWidthTypes.Float16,
		"come back as string":      arrow.BinaryTypes.LargeString,
		"come back as binary":      &arrow.FixedSizeBinaryType{ByteWidth: 4},
		"come back as list":        arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32),
		"come back as its values":  &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
		"38 digits":                &arrow.Decimal256Type{Precision: 40},
		"precision <= 38":          &arrow.Decimal128Type{Precision: 5, Scale: -1},
		"has no values":            arrow.Null,
		"has no exact form":        arrow.FixedWidthTypes.MonthInterval,
		"the struct has no fields": arrow.StructOf(),
		"element\": uint64":        arrow.ListOf(arrow.PrimitiveTypes.Uint64),
	}
	var fields []arrow.Field
	var wants []string
	for want, typ := range bad {
		fields = append(fields, arrow.Field{Name: "c" + strings.Repeat("x", len(fields)), Type: typ})
		wants = append(wants, want)
	}
	s, faults := delta.SchemaString(arrow.NewSchema(fields, nil))
	require.Empty(t, s)
	require.Len(t, faults, len(bad), "every fault at once")
	for i, want := range wants {
		require.Contains(t, faults[i], want)
		require.Contains(t, faults[i], fields[i].Name)
	}

	_, faults = delta.SchemaString(arrow.NewSchema(nil, nil))
	require.Equal(t, []string{"the schema has no columns"}, faults)
	deep := arrow.DataType(arrow.PrimitiveTypes.Int8)
	for range 40 {
		deep = arrow.ListOf(deep)
	}
	_, faults = delta.SchemaString(arrow.NewSchema([]arrow.Field{{Name: "deep", Type: deep}}, nil))
	require.Len(t, faults, 1)
	require.Contains(t, faults[0], "nested deeper")
}

func TestParseSchemaRefuses(t *testing.T) {
	t.Parallel()
	field := func(typ, metadata string) string {
		return `{"type":"struct","fields":[{"name":"a","type":` + typ + `,"nullable":true,"metadata":` + metadata + `}]}`
	}
	for s, want := range map[string]string{
		``:                                "not a struct",
		`{}`:                              "want a struct",
		`{"type":"struct"}`:               "no columns",
		field(`"timestamp_ntz"`, "{}"):    "not supported",
		field(`"decimal(39,0)"`, "{}"):    "not supported",
		field(`{"type":"variant"}`, "{}"): "not supported",
		field(`7`, "{}"):                  "neither a name nor an object",
		field(`"long"`, `{"delta.columnMapping.id":1}`):                                                    "column mapping",
		`{"type":"struct","fields":[{"name":"a","type":"long"},{"name":"A","type":"long"}]}`:               "there twice",
		field(strings.Repeat(`{"type":"array","elementType":`, 50)+`"long"`+strings.Repeat(`}`, 50), "{}"): "nested deeper",
	} {
		_, err := delta.ParseSchema(s)
		require.ErrorContains(t, err, want, s)
	}
}

func FuzzParseSchema(f *testing.F) {
	s, _ := delta.SchemaString(everyType)
	f.Add(s)
	f.Add(`{"type":"struct","fields":[{"name":"a","type":{"type":"map","keyType":"string","valueType":"decimal(5,2)","valueContainsNull":false},"nullable":true,"metadata":{}}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		schema, err := delta.ParseSchema(s)
		if err != nil {
			return
		}
		canonical, faults := delta.SchemaString(schema)
		if len(faults) > 0 {
			return // Legal in Delta and not for us: names, mostly.
		}
		again, err := delta.ParseSchema(canonical)
		require.NoError(t, err)
		require.True(t, schema.Equal(again))
	})
}
