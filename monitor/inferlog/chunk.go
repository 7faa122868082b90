package inferlog

import (
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// chunk holds the rows of one partition by column. It grows while it is open
// and does not change after it was sealed.
type chunk struct {
	key      partition
	schema   Schema
	app      string // With number, what makes its commit idempotent; set when sealed.
	number   int64
	seq      int64 // Its place among the sealed.
	touched  int64 // When a row came last, as a count of batches.
	rows     int
	size     int // Bytes in memory, about; 0 when it is parked.
	parked   bool
	path     string   // Of the segment, of a parked one.
	segment  *segment // Its rows on disk, nil where there are none.
	texts    []byte   // Ids and errors.
	requests []request
	columns  []column // Inputs, then outputs.
}

// request is what the rows of one record have in common.
type request struct {
	idFrom, idTo, errTo int // In chunk.texts: the error follows the id.
	at, latency         int64
	first, rows         int
}

// column holds the values of one field; only the slice of its type is used.
type column struct {
	t       Type
	rows    int
	nulls   []span // Rows without a value, which have a zero one.
	f64     []float64
	f32     []float32
	i64     []int64
	i32     []int32
	bools   []bool
	text    []byte
	offsets []int32 // Of text; one more than rows.
}

// nullableText is text of which some is missing.
type nullableText struct {
	texts []string
	null  []bool
}

// span is the rows [from, to).
type span struct{ from, to int }

// newChunk makes room for as much as an earlier chunk held.
func newChunk(schema Schema, key partition, before *chunk) *chunk {
	own := partition{key.hour, strings.Clone(key.model), strings.Clone(key.version)}
	c := &chunk{key: own, schema: schema, columns: make([]column, 0, len(schema.Inputs)+len(schema.Outputs))}
	for _, list := range [][]Field{schema.Inputs, schema.Outputs} {
		for _, f := range list {
			c.columns = append(c.columns, column{t: f.Type})
		}
	}
	if before != nil {
		c.texts = make([]byte, 0, len(before.texts))
		c.requests = make([]request, 0, len(before.requests))
	}
	for i := range c.columns {
		col := &c.columns[i]
		if before != nil && i < len(before.columns) {
			col.reserve(&before.columns[i])
		}
		if col.t == String {
			col.offsets = append(col.offsets, 0)
		}
	}
	return c
}

func (c *column) reserve(before *column) {
	switch c.t {
	case Float64:
		c.f64 = make([]float64, 0, len(before.f64))
	case Float32:
		c.f32 = make([]float32, 0, len(before.f32))
	case Int64:
		c.i64 = make([]int64, 0, len(before.i64))
	case Int32:
		c.i32 = make([]int32, 0, len(before.i32))
	case Bool:
		c.bools = make([]bool, 0, len(before.bools))
	case String:
		c.text, c.offsets = make([]byte, 0, len(before.text)), make([]int32, 0, len(before.offsets))
	}
}

// add copies a batch that was checked.
func (c *chunk) add(b *batch) {
	for i := range b.entries {
		e := &b.entries[i]
		r := request{idFrom: len(c.texts), at: e.at, latency: e.latency, first: c.rows, rows: e.rows}
		c.texts = append(c.texts, e.id...)
		r.idTo = len(c.texts)
		c.texts = append(c.texts, e.fault...)
		r.errTo = len(c.texts)
		c.requests = append(c.requests, r)
		c.rows += e.rows
	}
	for i := range c.columns {
		c.columns[i].add(b.value(i, len(c.schema.Inputs)), b.rows)
	}
	c.size += b.size
}

// add appends a slice of the column's type, or so many nulls.
func (c *column) add(v any, rows int) {
	switch v := v.(type) {
	case []float64:
		c.f64 = append(c.f64, v...)
	case []float32:
		c.f32 = append(c.f32, v...)
	case []int64:
		c.i64 = append(c.i64, v...)
	case []int32:
		c.i32 = append(c.i32, v...)
	case []bool:
		c.bools = append(c.bools, v...)
	case []string:
		for _, s := range v {
			c.text = append(c.text, s...)
			c.offsets = append(c.offsets, int32(len(c.text)))
		}
	case [][]byte:
		for _, s := range v {
			c.addText(s)
		}
	case *nullableText:
		for i, s := range v.texts {
			if v.null[i] {
				c.addNulls(1)
			} else {
				c.text = append(c.text, s...)
				c.offsets = append(c.offsets, int32(len(c.text)))
				c.rows++
			}
		}
		return
	default:
		c.addNulls(rows)
		return
	}
	c.rows += rows
}

func (c *column) addNulls(rows int) {
	defer func() { c.rows += rows }()
	if n := len(c.nulls); n > 0 && c.nulls[n-1].to == c.rows {
		c.nulls[n-1].to += rows
	} else {
		c.nulls = append(c.nulls, span{c.rows, c.rows + rows})
	}
	for range rows {
		switch c.t {
		case Float64:
			c.f64 = append(c.f64, 0)
		case Float32:
			c.f32 = append(c.f32, 0)
		case Int64:
			c.i64 = append(c.i64, 0)
		case Int32:
			c.i32 = append(c.i32, 0)
		case Bool:
			c.bools = append(c.bools, false)
		case String:
			c.offsets = append(c.offsets, int32(len(c.text)))
		}
	}
}

// values copies the rows [from, to) out again, nil where they are null.
func (c *column) values(from, to int) any {
	for _, s := range c.nulls {
		if from >= s.from && from < s.to {
			return nil
		}
	}
	switch c.t {
	case Float64:
		return append([]float64(nil), c.f64[from:to]...)
	case Float32:
		return append([]float32(nil), c.f32[from:to]...)
	case Int64:
		return append([]int64(nil), c.i64[from:to]...)
	case Int32:
		return append([]int32(nil), c.i32[from:to]...)
	case Bool:
		return append([]bool(nil), c.bools[from:to]...)
	default:
		out := make([]string, 0, to-from)
		for i := from; i < to; i++ {
			out = append(out, string(c.text[c.offsets[i]:c.offsets[i+1]]))
		}
		return out
	}
}

// find returns the last record with the id, nil when there is none.
func (c *chunk) find(id string) *Record {
	for i := len(c.requests) - 1; i >= 0; i-- {
		r := &c.requests[i]
		if string(c.texts[r.idFrom:r.idTo]) != id {
			continue
		}
		out := &Record{
			RequestID: id, Time: time.UnixMicro(r.at).UTC(), Model: c.key.model, Version: c.key.version,
			Latency: time.Duration(r.latency) * time.Microsecond, Error: string(c.texts[r.idTo:r.errTo]), Inputs: []any{}, Outputs: []any{},
		}
		for k := range c.columns {
			v := c.columns[k].values(r.first, r.first+r.rows)
			if k < len(c.schema.Inputs) {
				out.Inputs = append(out.Inputs, v)
			} else {
				out.Outputs = append(out.Outputs, v)
			}
		}
		return out
	}
	return nil
}

// record shows the chunk as Arrow. Numbers and text are not copied.
func (c *chunk) record(schema *arrow.Schema) arrow.Record {
	// What the rows of a request have in common. An id and the error behind it are
	// no longer together than all texts, unless a request has many rows.
	ids, faults := newTexts(c.rows, len(c.texts)), newTexts(c.rows, 0)
	models, versions := newTexts(c.rows, c.rows*len(c.key.model)), newTexts(c.rows, c.rows*len(c.key.version))
	row, at, latency := column{t: Int32, i32: make([]int32, 0, c.rows)}, make([]int64, 0, c.rows), column{t: Int64, i64: make([]int64, 0, c.rows)}
	for i := range c.requests {
		r := &c.requests[i]
		id, fault := c.texts[r.idFrom:r.idTo], c.texts[r.idTo:r.errTo]
		for n := range r.rows {
			ids.addText(id)
			faults.addText(fault)
			row.i32 = append(row.i32, int32(n))
			at = append(at, r.at)
			latency.i64 = append(latency.i64, r.latency)
		}
	}
	model, version := []byte(c.key.model), []byte(c.key.version)
	for range c.rows {
		models.addText(model)
		versions.addText(version)
	}
	times := array.MakeFromData(array.NewData(arrow.FixedWidthTypes.Timestamp_us, c.rows,
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(at))}, nil, 0, 0))
	cols := []arrow.Array{
		ids.array(c.rows), row.array(c.rows), times, models.array(c.rows), versions.array(c.rows), latency.array(c.rows), faults.array(c.rows),
	}
	for i := range c.columns {
		cols = append(cols, c.columns[i].array(c.rows))
	}
	return array.NewRecord(schema, cols, int64(c.rows))
}

// newTexts is a column of text with room for so many rows and bytes.
func newTexts(rows, size int) *column {
	return &column{t: String, text: make([]byte, 0, size), offsets: append(make([]int32, 0, rows+1), 0)}
}

func (c *column) addText(s []byte) {
	c.text = append(c.text, s...)
	c.offsets = append(c.offsets, int32(len(c.text)))
}

func (c *column) array(rows int) arrow.Array {
	valid, nulls := c.valid(rows)
	var buffers []*memory.Buffer
	switch c.t {
	case Float64:
		buffers = []*memory.Buffer{memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(c.f64))}
	case Float32:
		buffers = []*memory.Buffer{memory.NewBufferBytes(arrow.Float32Traits.CastToBytes(c.f32))}
	case Int64:
		buffers = []*memory.Buffer{memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.i64))}
	case Int32:
		buffers = []*memory.Buffer{memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.i32))}
	case Bool:
		buffers = []*memory.Buffer{memory.NewBufferBytes(bitmap(c.bools))}
	case String:
		buffers = []*memory.Buffer{memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets)), memory.NewBufferBytes(c.text)}
	}
	return array.MakeFromData(array.NewData(c.t.arrow(), rows, append([]*memory.Buffer{valid}, buffers...), nil, nulls, 0))
}

// valid marks the rows that have a value, nil when all have.
func (c *column) valid(rows int) (*memory.Buffer, int) {
	if len(c.nulls) == 0 {
		return nil, 0
	}
	has := make([]bool, rows)
	for i := range has {
		has[i] = true
	}
	n := 0
	for _, s := range c.nulls {
		clear(has[s.from:s.to])
		n += s.to - s.from
	}
	return memory.NewBufferBytes(bitmap(has)), n
}

// bitmap packs eight to a byte, the first in the lowest bit.
func bitmap(bools []bool) []byte {
	out := make([]byte, (len(bools)+7)/8)
	for i, b := range bools {
		if b {
			out[i/8] |= 1 << (i % 8)
		}
	}
	return out
}
