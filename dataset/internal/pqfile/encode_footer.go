package pqfile

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// groupMeta is what the footer says about a row group.
type groupMeta struct {
	rows   int64
	chunks []*chunkMeta
}

// schemaBytes is the schema of a footer, as a field of its struct has it. The
// library writes a footer without rows, of which it is a part.
func schemaBytes(sch *schema.Schema) ([]byte, error) {
	meta, err := metadata.NewFileMetadataBuilder(sch, parquet.NewWriterProperties(), nil).Finish()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := meta.WriteTo(&b, nil); err != nil {
		return nil, err
	}
	var out []byte
	r := &thriftReader{b: b.Bytes()}
	r.fields(0, func(id int16, kind byte) bool {
		from := r.pos
		if id != 2 || kind != thriftList {
			return false
		}
		r.skip(kind, 0)
		out = b.Bytes()[from:r.pos]
		return true
	})
	if r.bad || out == nil {
		return nil, errors.New("the schema has no footer")
	}
	return out, nil
}

// appendBlooms writes the Bloom filters.
func appendBlooms(out []byte, groups []groupMeta) []byte {
	for _, g := range groups {
		for _, c := range g.chunks {
			if c.bloom != nil {
				c.bloomAt, c.bloomLen = int64(len(out)), len(c.bloom)
				out = append(out, c.bloom...)
			}
		}
	}
	return out
}

// Orders of the bounds of pages.
const (
	unordered = 0
	ascends   = 1
)

// appendIndexes writes the page index: the bounds of all pages, then their
// places.
func appendIndexes(out []byte, groups []groupMeta) []byte {
	for _, g := range groups {
		for _, c := range g.chunks {
			if !c.indexed || c.element || len(c.pages) == 0 {
				continue
			}
			c.columnsAt = int64(len(out))
			w := thriftWriter{b: out}
			w.list(1, thriftTrue, len(c.pages))
			for _, p := range c.pages {
				if p.empty {
					w.b = append(w.b, thriftTrue)
				} else {
					w.b = append(w.b, thriftFalse)
				}
			}
			w.list(2, thriftBinary, len(c.pages))
			for _, p := range c.pages {
				w.item(p.min.value)
			}
			w.list(3, thriftBinary, len(c.pages))
			for _, p := range c.pages {
				w.item(p.max.value)
			}
			if c.ordered {
				w.i32(4, ascends)
			} else {
				w.i32(4, unordered)
			}
			w.list(5, thriftI64, len(c.pages))
			for _, p := range c.pages {
				w.b = binary.AppendVarint(w.b, p.nulls)
			}
			out = append(w.b, 0)
			c.columnsLen = len(out) - int(c.columnsAt)
		}
	}
	for _, g := range groups {
		for _, c := range g.chunks {
			if len(c.pages) == 0 {
				continue
			}
			c.offsetsAt = int64(len(out))
			w := thriftWriter{b: out}
			w.list(1, thriftStruct, len(c.pages))
			for _, p := range c.pages {
				w.begin()
				w.i64(1, c.at+p.at)
				w.i32(2, p.size)
				w.i64(3, p.row)
				w.end()
			}
			out = append(w.b, 0)
			c.offsetsLen = len(out) - int(c.offsetsAt)
		}
	}
	return out
}

// appendFooter writes the footer and what ends a file.
func appendFooter(out []byte, sch []byte, leaves int, rows int64, groups []groupMeta, entries [][2]string) []byte {
	at := len(out)
	w := thriftWriter{b: out}
	w.i32(1, 2)
	w.field(2, thriftList)
	w.b = append(w.b, sch...)
	w.i64(3, rows)
	w.list(4, thriftStruct, len(groups))
	for i, g := range groups {
		w.group(i, g)
	}
	w.list(5, thriftStruct, len(entries))
	for _, e := range entries {
		w.begin()
		w.bytes(1, []byte(e[0]))
		w.bytes(2, []byte(e[1]))
		w.end()
	}
	w.bytes(6, []byte(createdBy))
	w.list(7, thriftStruct, leaves)
	for range leaves {
		w.begin() // The order of the type.
		w.field(1, thriftStruct)
		w.b = append(w.b, 0)
		w.end()
	}
	out = append(w.b, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(out)-at))
	return append(out, "PAR1"...)
}

func (w *thriftWriter) group(i int, g groupMeta) {
	var raw, size int64
	for _, c := range g.chunks {
		raw, size = raw+c.raw, size+c.size
	}
	w.begin()
	w.list(1, thriftStruct, len(g.chunks))
	for _, c := range g.chunks {
		w.chunk(c)
	}
	w.i64(2, raw)
	w.i64(3, g.rows)
	if len(g.chunks) > 0 {
		w.i64(5, g.chunks[0].at)
	}
	w.i64(6, size)
	if i <= 1<<15-1 {
		w.number(7, thriftI16, int64(i))
	}
	w.end()
}

func (w *thriftWriter) chunk(c *chunkMeta) {
	w.begin()
	w.i64(2, c.at)
	w.field(3, thriftStruct)
	w.begin()
	w.i32(1, int64(c.leaf.PhysicalType()))
	w.list(2, thriftI32, len(c.encodings))
	for _, e := range c.encodings {
		w.b = binary.AppendVarint(w.b, e)
	}
	path := c.leaf.ColumnPath()
	w.list(3, thriftBinary, len(path))
	for _, p := range path {
		w.item([]byte(p))
	}
	w.i32(4, c.codec)
	w.i64(5, c.values)
	w.i64(6, c.raw)
	w.i64(7, c.size)
	w.i64(9, c.at+c.dataAt)
	if c.dictAt >= 0 {
		w.i64(11, c.at+c.dictAt)
	}
	w.field(12, thriftStruct)
	w.begin()
	if c.nulls >= 0 {
		w.i64(3, c.nulls)
	}
	if c.bounded {
		w.bytes(5, c.max.value)
		w.bytes(6, c.min.value)
		w.bool(7, c.max.exact)
		w.bool(8, c.min.exact)
	}
	w.end()
	if c.bloom != nil {
		w.i64(14, c.bloomAt)
		w.i32(15, int64(c.bloomLen))
	}
	w.end()
	if c.offsetsLen > 0 {
		w.i64(4, c.offsetsAt)
		w.i32(5, int64(c.offsetsLen))
	}
	if c.columnsLen > 0 {
		w.i64(6, c.columnsAt)
		w.i32(7, int64(c.columnsLen))
	}
	w.end()
}
