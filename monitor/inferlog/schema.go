package inferlog

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors of this package, for errors.Is.
var (
	// ErrNotFound: no request has the id.
	ErrNotFound = errs.ErrNotFound
	// ErrInvalid: the schema is not acceptable, or the dataset has another one.
	ErrInvalid = errs.ErrInvalid
	// ErrConflict: another writer was faster, or holds what is needed.
	ErrConflict = errs.ErrConflict
	// ErrClosed: the log was shut down.
	ErrClosed = errs.ErrClosed
)

// Type is the type of a field.
type Type string

// The types, and the slices that hold them in a Record.
const (
	Float64 Type = "float64" // []float64
	Float32 Type = "float32" // []float32
	Int64   Type = "int64"   // []int64
	Int32   Type = "int32"   // []int32
	Bool    Type = "bool"    // []bool
	String  Type = "string"  // []string or [][]byte, UTF-8
)

// Field is one input or output of the model.
type Field struct {
	Name string
	Type Type
}

// Schema is what a model takes and gives. The column of an input is named
// "in_" and its name, that of an output "out_" and its name; names follow the
// rules of dataset columns.
type Schema struct {
	Inputs, Outputs []Field
}

// Record is one request with one or more rows.
type Record struct {
	RequestID string
	Time      time.Time // Kept to the microsecond; the zero time is now.
	Model     string
	Version   string
	Latency   time.Duration // Kept to the microsecond.
	// Error says why the request failed, "" when it did not. One that failed is
	// always in the sample, and may have no Outputs.
	Error string
	// Inputs and Outputs hold one typed slice a field, in the order of the
	// Schema, all of one length: the rows of the request. In what Find returns a
	// column that was redacted is nil.
	Inputs, Outputs []any
}

const requestID = "request_id"

// fixed are the columns before those of the schema.
var fixed = []arrow.Field{
	{Name: requestID, Type: arrow.BinaryTypes.String},
	{Name: "row", Type: arrow.PrimitiveTypes.Int32},
	{Name: "time", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "model", Type: arrow.BinaryTypes.String},
	{Name: "version", Type: arrow.BinaryTypes.String},
	{Name: "latency_us", Type: arrow.PrimitiveTypes.Int64},
	{Name: "error", Type: arrow.BinaryTypes.String},
}

func (t Type) arrow() arrow.DataType {
	switch t {
	case Float64:
		return arrow.PrimitiveTypes.Float64
	case Float32:
		return arrow.PrimitiveTypes.Float32
	case Int64:
		return arrow.PrimitiveTypes.Int64
	case Int32:
		return arrow.PrimitiveTypes.Int32
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case String:
		return arrow.BinaryTypes.String
	}
	return nil
}

// arrow is the schema of the dataset.
func (s Schema) arrow(f *errs.Faults) *arrow.Schema {
	fields := append([]arrow.Field(nil), fixed...)
	add := func(prefix string, list []Field) {
		for _, field := range list {
			t := field.Type.arrow()
			f.Check(t != nil, "field %q has the type %q, want float64, float32, int64, int32, bool or string", field.Name, field.Type)
			f.Check(field.Name != "", "a field of type %q has no name", field.Type)
			if t != nil {
				fields = append(fields, arrow.Field{Name: prefix + field.Name, Type: t, Nullable: true})
			}
		}
	}
	f.Check(len(s.Inputs)+len(s.Outputs) > 0, "the schema has no fields")
	add(inPrefix, s.Inputs)
	add(outPrefix, s.Outputs)
	return arrow.NewSchema(fields, nil)
}

// The names of columns begin with the side of the model.
const (
	inPrefix  = "in_"
	outPrefix = "out_"
)

// names are those of the columns, inputs first.
func (s Schema) names() []string {
	var names []string
	for _, f := range s.Inputs {
		names = append(names, inPrefix+f.Name)
	}
	for _, f := range s.Outputs {
		names = append(names, outPrefix+f.Name)
	}
	return names
}

// fields are those of both sides.
func (s Schema) fields() []Field { return append(append([]Field(nil), s.Inputs...), s.Outputs...) }

func (s Schema) types() map[string]Type {
	types, fields := map[string]Type{}, s.fields()
	for i, name := range s.names() {
		types[name] = fields[i].Type
	}
	return types
}

func (s Schema) places() map[string]int {
	places := map[string]int{}
	for i, name := range s.names() {
		places[name] = i
	}
	return places
}

// clone keeps the caller from changing the schema later.
func (s Schema) clone() Schema {
	return Schema{append([]Field(nil), s.Inputs...), append([]Field(nil), s.Outputs...)}
}

// differences lists how the dataset's schema is not the wanted one.
func differences(want, have *arrow.Schema) []string {
	var out []string
	left := map[string]arrow.DataType{}
	for _, f := range have.Fields() {
		left[f.Name] = f.Type
	}
	for _, f := range want.Fields() {
		t, ok := left[f.Name]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("it has no column %q", f.Name))
		case !arrow.TypeEqual(t, f.Type):
			out = append(out, fmt.Sprintf("column %q is %s, want %s", f.Name, t, f.Type))
		}
		delete(left, f.Name)
	}
	for _, f := range have.Fields() {
		if _, extra := left[f.Name]; extra {
			out = append(out, fmt.Sprintf("it has the additional column %q", f.Name))
		}
	}
	return out
}

// check says how many rows and bytes a record has, and what is wrong with it.
// A record with a fault counts as its longest slice, and as one row at least.
func (s Schema) check(r *Record) (rows, size int, fault string) {
	fail := func(format string, args ...any) {
		if fault == "" {
			fault = fmt.Sprintf(format, args...)
		}
	}
	failed := r.Error != "" && len(r.Outputs) == 0
	if len(r.Inputs) != len(s.Inputs) || len(r.Outputs) != len(s.Outputs) && !failed {
		fail("it has %d inputs and %d outputs, want %d and %d", len(r.Inputs), len(r.Outputs), len(s.Inputs), len(s.Outputs))
	}
	if !utf8.ValidString(r.RequestID) || !utf8.ValidString(r.Model) || !utf8.ValidString(r.Version) || !utf8.ValidString(r.Error) {
		fail("its request id, model, version or error is not UTF-8")
	}
	first := -1
	for side, values := range [2][]any{r.Inputs, r.Outputs} {
		fields := s.Inputs
		if side == 1 {
			fields = s.Outputs
		}
		for i, v := range values {
			n, bytes, t := measure(v)
			rows, size = max(rows, n), size+bytes
			switch {
			case i >= len(fields):
			case t == "":
				fail("field %q is a %T, want a slice of %s", fields[i].Name, v, fields[i].Type)
			case t != fields[i].Type:
				fail("field %q is a %T, want %s", fields[i].Name, v, fields[i].Type)
			case bytes < 0:
				fail("field %q holds text that is not UTF-8", fields[i].Name)
			case first >= 0 && n != first:
				fail("field %q has %d rows and the one before %d", fields[i].Name, n, first)
			}
			first = n
		}
	}
	if rows == 0 {
		fail("it has no rows")
	}
	// Each row of the dataset has them.
	size += rows * (len(r.RequestID) + len(r.Model) + len(r.Version) + len(r.Error))
	return max(rows, 1), max(size, 0), fault
}

// measure gives the rows, bytes and type of a slice; bytes are negative for
// text that is not UTF-8, and the type is "" for what is no field.
func measure(v any) (rows, bytes int, t Type) {
	switch v := v.(type) {
	case []float64:
		return len(v), 8 * len(v), Float64
	case []float32:
		return len(v), 4 * len(v), Float32
	case []int64:
		return len(v), 8 * len(v), Int64
	case []int32:
		return len(v), 4 * len(v), Int32
	case []bool:
		return len(v), len(v), Bool
	case []string:
		bytes = 4 * len(v)
		for _, s := range v {
			if !utf8.ValidString(s) {
				return len(v), -1, String
			}
			bytes += len(s)
		}
		return len(v), bytes, String
	case [][]byte:
		bytes = 4 * len(v)
		for _, s := range v {
			if !utf8.Valid(s) {
				return len(v), -1, String
			}
			bytes += len(s)
		}
		return len(v), bytes, String
	}
	return 0, 0, ""
}
