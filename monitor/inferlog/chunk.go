package inferlog

import (
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// chunk holds the rows of whole requests by column. It grows while it is the
// current one and never changes after it was sealed.
type chunk struct {
	seq      int64
	schema   Schema
	rows     int
	size     int // Bytes, about.
	ids      []byte
	requests []request
	columns  []column // Inputs, then outputs.
}

// request is what the rows of one record have in common.
type request struct {
	idFrom, idTo   int // In chunk.ids.
	model, version string
	at, latency    int64 // Microseconds.
	first, rows    int
}

// column holds the values of one field; only the slice of its type is used.
type column struct {
	t       Type
	f64     []float64
	f32     []float32
	i64     []int64
	i32     []int32
	bools   []bool
	text    []byte
	offsets []int32 // Of text; one more than rows.
}

// newChunk makes room for as much as the chunk before held.
func newChunk(schema Schema, seq int64, before *chunk) *chunk {
	c := &chunk{seq: seq, schema: schema, columns: make([]column, 0, len(schema.Inputs)+len(schema.Outputs))}
	for _, list := range [][]Field{schema.Inputs, schema.Outputs} {
		for _, f := range list {
			c.columns = append(c.columns, column{t: f.Type})
		}
	}
	if before != nil {
		c.ids = make([]byte, 0, len(before.ids))
		c.requests = make([]request, 0, len(before.requests))
	}
	for i := range c.columns {
		col := &c.columns[i]
		if before != nil {
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

// add copies a record that was checked.
func (c *chunk) add(r *Record, rows, size int) {
	req := request{idFrom: len(c.ids), at: r.Time.UnixMicro(), latency: r.Latency.Microseconds(), first: c.rows, rows: rows}
	c.ids = append(c.ids, r.RequestID...)
	req.idTo = len(c.ids)
	// A log sees few models and versions: their names are shared.
	if n := len(c.requests); n > 0 && c.requests[n-1].model == r.Model && c.requests[n-1].version == r.Version {
		req.model, req.version = c.requests[n-1].model, c.requests[n-1].version
	} else {
		req.model, req.version = clone(r.Model), clone(r.Version)
	}
	c.requests = append(c.requests, req)
	for i, v := range r.Inputs {
		c.columns[i].add(v)
	}
	for i, v := range r.Outputs {
		c.columns[len(r.Inputs)+i].add(v)
	}
	c.rows += rows
	c.size += size
}

func clone(s string) string { return string([]byte(s)) }

func (c *column) add(v any) {
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
			c.text = append(c.text, s...)
			c.offsets = append(c.offsets, int32(len(c.text)))
		}
	}
}

// values copies the rows [from, to) out again.
func (c *column) values(from, to int) any {
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
		if string(c.ids[r.idFrom:r.idTo]) != id {
			continue
		}
		out := &Record{
			RequestID: id, Time: time.UnixMicro(r.at).UTC(), Model: r.model, Version: r.version, Latency: time.Duration(r.latency) * time.Microsecond,
			Inputs: []any{}, Outputs: []any{},
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
	ids := array.NewStringBuilder(memory.DefaultAllocator)
	row := array.NewInt32Builder(memory.DefaultAllocator)
	at := array.NewTimestampBuilder(memory.DefaultAllocator, arrow.FixedWidthTypes.Timestamp_us.(*arrow.TimestampType))
	model := array.NewStringBuilder(memory.DefaultAllocator)
	version := array.NewStringBuilder(memory.DefaultAllocator)
	latency := array.NewInt64Builder(memory.DefaultAllocator)
	for _, r := range c.requests {
		id := string(c.ids[r.idFrom:r.idTo])
		for i := range r.rows {
			ids.Append(id)
			row.Append(int32(i))
			at.Append(arrow.Timestamp(r.at))
			model.Append(r.model)
			version.Append(r.version)
			latency.Append(r.latency)
		}
	}
	cols := []arrow.Array{ids.NewArray(), row.NewArray(), at.NewArray(), model.NewArray(), version.NewArray(), latency.NewArray()}
	for i := range c.columns {
		cols = append(cols, c.columns[i].array(c.rows))
	}
	return array.NewRecord(schema, cols, int64(c.rows))
}

func (c *column) array(rows int) arrow.Array {
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
		b := array.NewBooleanBuilder(memory.DefaultAllocator)
		b.AppendValues(c.bools, nil)
		return b.NewArray()
	case String:
		buffers = []*memory.Buffer{memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets)), memory.NewBufferBytes(c.text)}
	}
	return array.MakeFromData(array.NewData(c.t.arrow(), rows, append([]*memory.Buffer{nil}, buffers...), nil, 0, 0))
}
