package pqfile

import (
	"errors"
	"fmt"
	mathbits "math/bits"
	"slices"
)

// Table reads the leaf columns of a small Parquet file that is in memory, such as
// a checkpoint: nested columns too, which come as their levels leave them. It
// takes the forms that writers of checkpoints use and says ErrForeign of any
// other, which the library then reads. It is there because the library asks for
// a megabyte of buffers before it has read a value. It is for one goroutine.
type Table struct {
	data   []byte
	leaves []TableLeaf
	groups []tableGroup

	scratch [blockOf]uint32
}

// ErrForeign is the kind of errors about Parquet files that are in order as far
// as one can tell, and have a form that only the library reads.
var ErrForeign = errors.New("of a form that is not read here")

// TableLeaf is a leaf column.
type TableLeaf struct {
	Path     []string
	physical int64
	maxDef   int
	maxRep   int
}

type tableGroup struct {
	rows   int64
	chunks []tableChunk
}

type tableChunk struct {
	physical   int64
	codec      int64
	values     int64
	size       int64
	data, dict int64 // Where the pages start.
	elsewhere  bool  // In another file, or encrypted.
}

// Parquet's numbers for the physical types and codecs that a Table reads.
const (
	physicalInt32  = 1
	physicalInt64  = 2
	physicalBinary = 6

	codecSnappy = 1
)

const (
	maxTableLeaves = 10_000
	maxTableDepth  = 32
	maxTableSlots  = 1 << 24
)

// OpenTable reads the footer.
func OpenTable(data []byte) (*Table, error) {
	size := int64(len(data))
	need, err := TailNeeded(data, size)
	if err != nil {
		return nil, err
	}
	t := &Table{data: data}
	r := &thriftReader{b: data[size-need : size-footerTrailer]}
	var schema []schemaElement
	encrypted := false
	r.fields(0, func(id int16, kind byte) bool {
		switch {
		case id == 2 && kind == thriftList:
			r.structs(maxTableLeaves, func() { schema = append(schema, r.schemaElement()) })
		case id == 4 && kind == thriftList:
			r.structs(maxTableLeaves, func() { t.groups = append(t.groups, r.group()) })
		case id == 8:
			encrypted = true
			return false
		default:
			return false
		}
		return true
	})
	if r.bad {
		return nil, fmt.Errorf("the footer is cut off or malformed: %w", ErrDamaged)
	}
	if encrypted {
		return nil, fmt.Errorf("an encrypted file: %w", ErrForeign)
	}
	if len(schema) == 0 {
		return nil, fmt.Errorf("the footer has no schema: %w", ErrDamaged)
	}
	if rest, ok := t.tree(schema[1:], int(schema[0].children), nil, 0, 0); !ok || len(rest) > 0 {
		return nil, fmt.Errorf("the schema of the footer is no tree: %w", ErrDamaged)
	}
	return t, t.check()
}

// check makes sure that the chunks are where there are bytes.
func (t *Table) check() error {
	for g, group := range t.groups {
		if group.rows < 0 || len(group.chunks) != len(t.leaves) {
			return fmt.Errorf("row group %d claims %d rows and %d columns of %d: %w", g, group.rows, len(group.chunks), len(t.leaves), ErrDamaged)
		}
		for i := range group.chunks {
			c := &group.chunks[i]
			if c.elsewhere {
				return fmt.Errorf("row group %d: column %v lies elsewhere: %w", g, t.leaves[i].Path, ErrForeign)
			}
			start := c.data
			if c.dict > 0 {
				start = min(start, c.dict)
			}
			if size := int64(len(t.data)); start < 0 || c.size < 0 || start > size || c.size > size-start || c.values < 0 || c.physical != t.leaves[i].physical {
				return fmt.Errorf("row group %d: column %v claims %d values in bytes %d to %d of %d: %w", g, t.leaves[i].Path, c.values, start, start+c.size, size, ErrDamaged)
			}
			c.data = start
		}
	}
	return nil
}

type schemaElement struct {
	physical   int64
	repetition int64
	name       string
	children   int64
}

func (r *thriftReader) schemaElement() (e schemaElement) {
	r.fields(1, func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftI32:
			e.physical = r.int()
		case id == 3 && kind == thriftI32:
			e.repetition = r.int()
		case id == 4 && kind == thriftBinary:
			e.name = string(r.bytes())
		case id == 5 && kind == thriftI32:
			e.children = r.int()
		default:
			return false
		}
		return true
	})
	return e
}

func (r *thriftReader) group() (g tableGroup) {
	r.fields(1, func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftList:
			r.structs(maxTableLeaves, func() { g.chunks = append(g.chunks, r.chunk()) })
		case id == 3 && kind == thriftI64:
			g.rows = r.int()
		default:
			return false
		}
		return true
	})
	return g
}

func (r *thriftReader) chunk() (c tableChunk) {
	r.fields(2, func(id int16, kind byte) bool {
		switch {
		case id == 1 || id == 8 || id == 9:
			c.elsewhere = true
			return false
		case id != 3 || kind != thriftStruct:
			return false
		}
		r.fields(3, func(id int16, kind byte) bool {
			var to *int64
			switch id {
			case 1:
				to = &c.physical
			case 4:
				to = &c.codec
			case 5:
				to = &c.values
			case 7:
				to = &c.size
			case 9:
				to = &c.data
			case 11:
				to = &c.dict
			}
			if to == nil || kind != thriftI32 && kind != thriftI64 {
				return false
			}
			*to = r.int()
			return true
		})
		return true
	})
	return c
}

// tree reads count nodes below a path and returns the elements behind them.
func (t *Table) tree(elements []schemaElement, count int, path []string, def, rep int) (rest []schemaElement, ok bool) {
	if len(path) > maxTableDepth {
		return nil, false
	}
	for range count {
		if len(elements) == 0 {
			return nil, false
		}
		e := elements[0]
		elements = elements[1:]
		below, d, r := append(slices.Clip(path), e.name), def, rep
		switch e.repetition {
		case 1:
			d++
		case 2:
			d, r = d+1, r+1
		}
		if e.children == 0 {
			t.leaves = append(t.leaves, TableLeaf{Path: below, physical: e.physical, maxDef: d, maxRep: r})
			continue
		}
		if elements, ok = t.tree(elements, int(e.children), below, d, r); !ok {
			return nil, false
		}
	}
	return elements, true
}

// Leaves are the leaf columns. They must not be changed.
func (t *Table) Leaves() []TableLeaf { return t.leaves }

// Groups is the number of row groups.
func (t *Table) Groups() int { return len(t.groups) }

// Rows is how many rows a row group claims.
func (t *Table) Rows(group int) int64 { return t.groups[group].rows }

// Levels are the values of a leaf in one row group and where they belong.
type Levels[T any] struct {
	Values []T
	// Slots has the index in Values of each slot, -1 for a null; a flat column has
	// one slot a row. It is nil when there is no value at all.
	Slots []int32
	// Starts has the first slot of each row of a repeated column, and one more at
	// the end. It is nil when there is no value at all.
	Starts []int32
}

func widthOf(level int) int { return mathbits.Len(uint(level)) }
