package loader

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// place is a single row of a chunk: the chunk above, the row in the low half. A
// shuffle is a list of places. The loops over it have no branch that a processor
// could guess wrongly: then it waits for many values at once, and not for one
// after the other.
type place uint64

func placeOf(chunk, row int) place { return place(chunk)<<32 | place(row) }

func (p place) chunk() uint32 { return uint32(p >> 32) }
func (p place) row() uint32   { return uint32(p) }

// runsOf are the places for what takes runs only.
func runsOf(rows []place) []run {
	out := make([]run, len(rows))
	for i, p := range rows {
		out[i] = run{int(p.row()), 1, int32(p.chunk())}
	}
	return out
}

// gatherRows is gather for single rows.
func gatherRows(mem memory.Allocator, t arrow.DataType, chunks []arrow.ArrayData, rows []place) (arrow.ArrayData, error) {
	width := 0
	if fixed, ok := t.(arrow.FixedWidthDataType); ok && t.ID() != arrow.BOOL && t.ID() != arrow.FIXED_SIZE_LIST {
		width = fixed.BitWidth()
	}
	var values func(g *gatherer) error
	switch {
	case t.ID() == arrow.BOOL:
		values = func(g *gatherer) error { g.rowBits(chunks, rows, 1); return nil }
	case t.ID() == arrow.STRING || t.ID() == arrow.BINARY:
		values = func(g *gatherer) error { return g.rowTexts(t, chunks, rows) }
	case width == 8:
		values = func(g *gatherer) error { takeRows[uint8](g, chunks, rows); return nil }
	case width == 16:
		values = func(g *gatherer) error { takeRows[uint16](g, chunks, rows); return nil }
	case width == 32:
		values = func(g *gatherer) error { takeRows[uint32](g, chunks, rows); return nil }
	case width == 64:
		values = func(g *gatherer) error { takeRows[uint64](g, chunks, rows); return nil }
	case width == 128:
		values = func(g *gatherer) error { takeRows[[2]uint64](g, chunks, rows); return nil }
	default:
		return gather(mem, t, chunks, runsOf(rows), len(rows))
	}
	g := gatherer{mem: mem, total: len(rows)}
	defer g.drop()
	if nulls(chunks) {
		out := g.rowBits(chunks, rows, 0)
		g.nulls = g.total - bitutil.CountSetBits(out, 0, g.total)
	} else {
		g.buffers = append(g.buffers, nil)
	}
	if err := values(&g); err != nil {
		return nil, err
	}
	return array.NewData(t, g.total, g.buffers, nil, g.nulls, 0), nil
}

func nulls(chunks []arrow.ArrayData) bool {
	for _, d := range chunks {
		if d.NullN() != 0 && bitmap(d, 0) != nil {
			return true
		}
	}
	return false
}

// rowBits gathers the bits of buffer i of the chunks. A chunk without validity
// has no nulls, one without values only nulls.
func (g *gatherer) rowBits(chunks []arrow.ArrayData, rows []place, i int) []byte {
	sources := make([][]byte, len(chunks))
	offsets := make([]uint32, len(chunks))
	for c, d := range chunks {
		sources[c], offsets[c] = bitmap(d, i), uint32(d.Offset())
		if sources[c] == nil {
			sources[c], offsets[c] = make([]byte, bitutil.BytesForBits(int64(d.Len()))), 0
			if i == 0 {
				bitutil.SetBitsTo(sources[c], 0, int64(d.Len()), true)
			}
		}
	}
	out := g.buffer(int(bitutil.BytesForBits(int64(g.total))))
	for i := range out {
		var b byte
		for k, p := range rows[i*8 : min(i*8+8, len(rows))] {
			c := p.chunk()
			at := p.row() + offsets[c]
			b |= sources[c][at>>3] >> (at & 7) & 1 << k
		}
		out[i] = b
	}
	return out
}

func takeRows[T any](g *gatherer, chunks []arrow.ArrayData, rows []place) {
	width := int(unsafe.Sizeof(*new(T)))
	sources := make([][]T, len(chunks))
	for i, d := range chunks {
		if b := bitmap(d, 1); b != nil {
			sources[i] = words[T](b[d.Offset()*width:])
		} else {
			sources[i] = make([]T, d.Len()) // A chunk of nulls only may have no values.
		}
	}
	out := words[T](g.buffer(g.total * width))[:len(rows)]
	if len(sources) == 1 {
		source := sources[0]
		for i, p := range rows {
			out[i] = source[p.row()]
		}
		return
	}
	for i, p := range rows {
		out[i] = sources[p.chunk()][p.row()]
	}
}

// wide is how many bytes of a text are copied at once. Most texts are no longer.
const wide = 32

func (g *gatherer) rowTexts(t arrow.DataType, chunks []arrow.ArrayData, rows []place) error {
	ends, bytes := make([][]int32, len(chunks)), make([][]byte, len(chunks))
	for i, d := range chunks {
		bytes[i] = bitmap(d, 2)
		if b := bitmap(d, 1); len(b) > 0 {
			ends[i] = arrow.Int32Traits.CastFromBytes(b)[d.Offset():]
		} else {
			ends[i] = make([]int32, d.Len()+1) // A chunk without a value needs no offsets.
		}
	}
	offsets := words[int32](g.buffer((g.total + 1) * arrow.Int32SizeBytes))
	starts := make([]int32, len(rows))
	offsets[0] = 0
	end := int64(0)
	to := offsets[1:][:len(rows)]
	for i, p := range rows {
		source, row := ends[p.chunk()], p.row()
		from := source[row]
		end += int64(source[row+1]) - int64(from)
		to[i], starts[i] = int32(end), from
	}
	if end > math.MaxInt32 {
		return tooLarge(g.total, t)
	}
	out := g.buffer(int(end))
	at := 0
	for i, p := range rows {
		source, from, n := bytes[p.chunk()], int(starts[i]), int(to[i])-at
		if n <= wide && from+wide <= len(source) && at+wide <= len(out) {
			// What it writes too much is written over.
			copyWide(out[at:at+wide], source[from:from+wide])
		} else {
			copy(out[at:at+n], source[from:])
		}
		at += n
	}
	return nil
}

// copyWide copies wide bytes without a call: the assignment of an array would be
// one, as its sides might overlap.
func copyWide(dst, src []byte) {
	_, _ = dst[wide-1], src[wide-1]
	a, b := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
	c, d := binary.LittleEndian.Uint64(src[16:]), binary.LittleEndian.Uint64(src[24:])
	binary.LittleEndian.PutUint64(dst, a)
	binary.LittleEndian.PutUint64(dst[8:], b)
	binary.LittleEndian.PutUint64(dst[16:], c)
	binary.LittleEndian.PutUint64(dst[24:], d)
}
