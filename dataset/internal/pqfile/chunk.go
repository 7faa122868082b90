package pqfile

import (
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Chunker cuts a stream of batches into row groups whose borders depend on the
// rows alone. It holds at most one row group, by reference.
type Chunker struct {
	schema  *arrow.Schema
	mem     memory.Allocator
	maxRows int64
	maxBits int64

	parts []arrow.RecordBatch
	rows  int64
	bits  int64
}

// NewChunker makes chunks of at most maxRows rows and about maxBytes bytes of
// Arrow memory; one row larger than that is a chunk of its own.
func NewChunker(schema *arrow.Schema, maxRows, maxBytes int64, mem memory.Allocator) *Chunker {
	return &Chunker{schema: schema, mem: mem, maxRows: maxRows, maxBits: maxBytes * 8}
}

// Add takes a batch and calls emit for each chunk that it completes. The chunk
// is valid during the call, and may be read by several goroutines.
func (c *Chunker) Add(rec arrow.RecordBatch, emit func(arrow.RecordBatch) error) error {
	for from := int64(0); from < rec.NumRows(); {
		left := rec.NumRows() - from
		room := min(left, c.maxRows-c.rows)
		// bits grows with the number of rows, so the first count that does not
		// fit is found by halving.
		fit := int64(sort.Search(int(room), func(i int) bool {
			return c.bits+batchBits(rec, from, from+int64(i)+1) > c.maxBits
		}))
		if c.rows+fit == 0 {
			fit = 1
		}
		if fit > 0 {
			c.parts = append(c.parts, rec.NewSlice(from, from+fit))
			c.rows += fit
			c.bits += batchBits(rec, from, from+fit)
			from += fit
		}
		if fit < left {
			if err := c.Flush(emit); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush emits what is left.
func (c *Chunker) Flush(emit func(arrow.RecordBatch) error) error {
	if c.rows == 0 {
		return nil
	}
	rec, err := c.join()
	c.Release()
	if err != nil {
		return err
	}
	defer rec.Release()
	for _, col := range rec.Columns() {
		settle(col)
	}
	return emit(rec)
}

// settle counts the nulls of an array and of all inside it. The library counts
// them when they are first asked for and keeps the count without a lock, so
// that two readers of one chunk would race.
func settle(a arrow.Array) {
	a.NullN()
	switch a := a.(type) {
	case *array.Struct:
		for k := range a.NumField() {
			settle(a.Field(k))
			// A field of a slice is a slice of the child, which has its own count.
			child := array.MakeFromData(a.Data().Children()[k])
			child.NullN()
			child.Release()
		}
	case *array.Map:
		settle(a.ListValues())
	case *array.List:
		settle(a.ListValues())
	}
}

// Release drops what is held.
func (c *Chunker) Release() {
	for _, p := range c.parts {
		p.Release()
	}
	c.parts, c.rows, c.bits = nil, 0, 0
}

func (c *Chunker) join() (arrow.RecordBatch, error) {
	if len(c.parts) == 1 {
		c.parts[0].Retain()
		return c.parts[0], nil
	}
	cols := make([]arrow.Array, c.schema.NumFields())
	defer func() {
		for _, col := range cols {
			if col != nil {
				col.Release()
			}
		}
	}()
	pieces := make([]arrow.Array, len(c.parts))
	for i := range cols {
		for j, p := range c.parts {
			pieces[j] = p.Column(i)
		}
		var err error
		if cols[i], err = array.Concatenate(pieces, c.mem); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(c.schema, cols, c.rows), nil
}

// batchBits is the Arrow size of rows [i, j) without their validity, in bits so that
// it adds up exactly over any cut.
func batchBits(rec arrow.RecordBatch, i, j int64) (n int64) {
	for _, col := range rec.Columns() {
		n += arrayBits(col, i, j)
	}
	return n
}

func arrayBits(a arrow.Array, i, j int64) int64 {
	if i == j {
		return 0
	}
	switch a := a.(type) {
	case *array.String:
		return 32*(j-i) + 8*int64(a.ValueOffset(int(j-1))+a.ValueLen(int(j-1))-a.ValueOffset(int(i)))
	case *array.Binary:
		return 32*(j-i) + 8*int64(a.ValueOffset(int(j-1))+a.ValueLen(int(j-1))-a.ValueOffset(int(i)))
	case *array.Map:
		return listBits(a.List, i, j)
	case *array.List:
		return listBits(a, i, j)
	case *array.Struct:
		var n int64
		for k := range a.NumField() {
			n += arrayBits(a.Field(k), i, j)
		}
		return n
	}
	if t, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return int64(t.BitWidth()) * (j - i)
	}
	return 0
}

func listBits(a *array.List, i, j int64) int64 {
	from, _ := a.ValueOffsets(int(i))
	_, to := a.ValueOffsets(int(j - 1))
	return 32*(j-i) + arrayBits(a.ListValues(), from, to)
}

// ArrowBytes is the size of a batch as NewChunker counts it.
func ArrowBytes(rec arrow.RecordBatch) int64 { return batchBits(rec, 0, rec.NumRows()) / 8 }
