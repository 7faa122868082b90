package rowsort

import (
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// maxDepth bounds how deep types are nested, and so the recursion.
const maxDepth = 40

// Codec turns rows of one schema into bytes and back. It is immutable and safe
// for concurrent use.
type Codec struct {
	schema *arrow.Schema
	key    []int // Empty: the whole row is the key.
}

// NewCodec makes a codec for the rows of schema, sorted by the key columns. The
// key columns are compared in the order given: integers, dates and decimals by
// size, text and binary by bytes, false before true, null before everything.
// Without key columns the whole row is the key, in no order that means
// anything. faults lists every key column or type that does not serve.
func NewCodec(schema *arrow.Schema, key []string) (c *Codec, faults []string) {
	c = &Codec{schema: schema}
	for _, f := range schema.Fields() {
		if err := checkType(f.Type, 0); err != nil {
			faults = append(faults, fmt.Sprintf("column %q: %v", f.Name, err))
		}
	}
	seen := map[string]bool{}
	for _, name := range key {
		at := schema.FieldIndices(name)
		switch {
		case len(at) != 1:
			faults = append(faults, fmt.Sprintf("there is no column %q", name))
			continue
		case seen[name]:
			faults = append(faults, fmt.Sprintf("key column %q is named twice", name))
			continue
		case !keyType(schema.Field(at[0]).Type):
			faults = append(faults, fmt.Sprintf("column %q is %s, which cannot be a key: want a boolean, integer, text, binary, date, timestamp or decimal", name, schema.Field(at[0]).Type))
			continue
		}
		seen[name] = true
		c.key = append(c.key, at[0])
	}
	return c, faults
}

// Schema is the schema of the rows.
func (c *Codec) Schema() *arrow.Schema { return c.schema }

// keyType tells which types sort as bytes. Floats are left out: NaN and the two
// zeros make a poor identity.
func keyType(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.BOOL, arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.STRING, arrow.BINARY,
		arrow.DATE32, arrow.TIMESTAMP, arrow.DECIMAL128:
		return true
	}
	return false
}

func checkType(t arrow.DataType, depth int) error {
	if depth > maxDepth {
		return errors.New("the type is nested too deeply")
	}
	switch t := t.(type) {
	case *arrow.BooleanType, *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type,
		*arrow.Float32Type, *arrow.Float64Type, *arrow.StringType, *arrow.BinaryType,
		*arrow.Date32Type, *arrow.TimestampType, *arrow.Decimal128Type:
		return nil
	case *arrow.MapType:
		if err := checkType(t.KeyType(), depth+1); err != nil {
			return err
		}
		return checkType(t.ItemType(), depth+1)
	case *arrow.ListType:
		return checkType(t.Elem(), depth+1)
	case *arrow.StructType:
		for _, f := range t.Fields() {
			if err := checkType(f.Type, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("rows with values of type %s are not compared", t)
}

// rowEncoder appends rows of one record to a buffer.
type rowEncoder struct {
	keys, values []encoder
}

// encoder appends value i of one array.
type encoder func(dst []byte, i int) []byte

// bind prepares the rows of rec, whose columns are found by name. A column that
// rec does not have is null in all its rows.
func (c *Codec) bind(rec arrow.Record) (*rowEncoder, error) {
	have := make(map[string]arrow.Array, rec.NumCols())
	for i := range int(rec.NumCols()) {
		have[rec.ColumnName(i)] = rec.Column(i)
	}
	e := &rowEncoder{}
	columns := make([]arrow.Array, len(c.schema.Fields()))
	for i, f := range c.schema.Fields() {
		a := have[f.Name]
		if a != nil && a.DataType().ID() != f.Type.ID() {
			return nil, fmt.Errorf("column %q is %s, want %s", f.Name, a.DataType(), f.Type)
		}
		columns[i] = a
		e.values = append(e.values, valueEncoder(a))
	}
	for _, at := range c.key {
		e.keys = append(e.keys, keyEncoder(columns[at]))
	}
	return e, nil
}

// row appends the key and the row, and says how long the key is.
func (e *rowEncoder) row(dst []byte, i int) (out []byte, key int) {
	for _, put := range e.keys {
		dst = put(dst, i)
	}
	key = len(dst)
	for _, put := range e.values {
		dst = put(dst, i)
	}
	if len(e.keys) == 0 {
		key = len(dst)
	}
	return dst, key
}

// Each calls f with the key and the row of each row of rec, valid during the call.
// A record of the key's columns alone will do for keys.
func (c *Codec) Each(rec arrow.Record, f func(key, row []byte) error) error {
	enc, err := c.bind(rec)
	if err != nil {
		return err
	}
	var row []byte
	for i := range int(rec.NumRows()) {
		var key int
		row, key = enc.row(row[:0], i)
		if err := f(row[:key], row[key:]); err != nil {
			return err
		}
	}
	return nil
}

// Builder collects rows into records.
type Builder struct {
	codec *Codec
	rows  *array.RecordBuilder
	take  []decoder
	n     int
	bytes int
}

// NewBuilder makes a builder of records with the schema of the codec.
func (c *Codec) NewBuilder(mem memory.Allocator) *Builder {
	b := &Builder{codec: c, rows: array.NewRecordBuilder(mem, c.schema)}
	for _, f := range b.rows.Fields() {
		b.take = append(b.take, newDecoder(f))
	}
	return b
}

// Append adds one row. After an error the builder must be released.
func (b *Builder) Append(row []byte) error {
	rest := row
	var err error
	for i, take := range b.take {
		if rest, err = take(rest); err != nil {
			return fmt.Errorf("column %q: %w", b.codec.schema.Field(i).Name, err)
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes too many in a row", len(rest))
	}
	b.n++
	b.bytes += len(row)
	return nil
}

// Rows is the number of rows since the last record, and Bytes about their size.
func (b *Builder) Rows() int { return b.n }

// Bytes is about the size of the rows since the last record.
func (b *Builder) Bytes() int { return b.bytes }

// Record is a record of the rows so far, which the caller releases. The builder
// starts anew.
func (b *Builder) Record() arrow.Record {
	b.n, b.bytes = 0, 0
	return b.rows.NewRecord()
}

// Release frees the builder.
func (b *Builder) Release() { b.rows.Release() }

// Values gives one row as values that JSON shows well, in the order of the
// schema: numbers, texts, and JSON for what is nested.
func (c *Codec) Values(row []byte) ([]any, error) {
	b := c.NewBuilder(memory.DefaultAllocator)
	defer b.Release()
	if err := b.Append(row); err != nil {
		return nil, err
	}
	rec := b.Record()
	defer rec.Release()
	out := make([]any, rec.NumCols())
	for i := range out {
		out[i] = rec.Column(i).GetOneForMarshal(0)
	}
	return out, nil
}

// KeyValues gives the key of a row as Values does, in the order of the key
// columns.
func (c *Codec) KeyValues(row []byte) ([]any, error) {
	values, err := c.Values(row)
	if err != nil || len(c.key) == 0 {
		return values, err
	}
	out := make([]any, len(c.key))
	for i, at := range c.key {
		out[i] = values[at]
	}
	return out, nil
}
