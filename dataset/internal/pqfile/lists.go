package pqfile

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// lists decodes a column of lists of flat values. Its pages have a repetition
// level for each element, 0 where a list starts, and a definition level: below
// list for a list that is null, list for one that is empty, above it for an
// element, which is there when it is most.
type lists struct {
	rows, room int // Lists, and elements at most.
	list, most uint32
	offsets    *memory.Buffer
	off        []int32
	valid      *memory.Buffer // Of the lists; nil when none can be null.
	nulls      int
	elements   *memory.Buffer // Validity of the elements; nil when none can be null.
	elemNulls  int
	values     values

	row, elem int // Lists and elements so far.
	starts    []byte
	defs      []byte
}

// listOf is the type of the elements when a column is a list of flat values as
// this package writes it.
func listOf(f arrow.Field, leaf *schema.Column) (elem arrow.Field, ok bool) {
	t, ok := f.Type.(*arrow.ListType)
	if !ok || f.Type.ID() != arrow.LIST || leaf.MaxRepetitionLevel() != 1 {
		return elem, false
	}
	elem = t.ElemField()
	return elem, int(leaf.MaxDefinitionLevel()) == 1+level(f)+level(elem)
}

// level is 1 for a field that may be null.
func level(f arrow.Field) int {
	if f.Nullable {
		return 1
	}
	return 0
}

func newLists(f, elem arrow.Field, rows, room int, of values, mem memory.Allocator) *lists {
	l := &lists{rows: rows, room: room, list: uint32(level(f)), values: of}
	l.most = l.list + 1 + uint32(level(elem))
	l.offsets = memory.NewResizableBuffer(mem)
	l.offsets.Resize((rows + 1) * 4)
	l.off = arrow.Int32Traits.CastFromBytes(l.offsets.Bytes())
	if f.Nullable {
		l.valid = clearBits(rows, mem)
	}
	if elem.Nullable {
		l.elements = clearBits(room, mem)
	}
	return l
}

func clearBits(n int, mem memory.Allocator) *memory.Buffer {
	b := memory.NewResizableBuffer(mem)
	b.Resize((n + 7) / 8)
	clear(b.Bytes())
	return b
}

func (l *lists) release() {
	for _, b := range []*memory.Buffer{l.offsets, l.valid, l.elements} {
		if b != nil {
			b.Release()
		}
	}
	l.offsets, l.valid, l.elements = nil, nil, nil
}

// section cuts the levels in front of a page off.
func section(raw []byte) (levels, rest []byte, err error) {
	if len(raw) < 4 {
		return nil, nil, errValues
	}
	n := int64(binary.LittleEndian.Uint32(raw))
	if n > int64(len(raw)-4) {
		return nil, nil, errValues
	}
	return raw[4 : 4+n], raw[4+n:], nil
}

// page takes n levels and the values behind them.
func (l *lists) page(raw []byte, encoding int64, n int) error {
	if n > l.room-l.elem+(l.rows-l.row) {
		return errValues
	}
	reps, raw, err := section(raw)
	if err != nil {
		return err
	}
	defs, raw, err := section(raw)
	if err != nil {
		return err
	}
	if cap(l.starts) < (n+7)/8 {
		l.starts = make([]byte, (n+7)/8)
	}
	l.starts = l.starts[:(n+7)/8]
	clear(l.starts)
	if err := levels(reps, l.starts, 0, n); err != nil {
		return err
	}
	from, k := l.elem, 0
	if h := (hybrid{defs, bits.Len32(l.most)}); l.full(h, n) {
		k, err = n, l.allThere(n)
	} else {
		k, err = l.some(h, n)
	}
	if err != nil {
		return err
	}
	var valid []byte
	if k < l.elem-from {
		valid = l.elements.Bytes()
	}
	return l.values.page(raw, encoding, from, l.elem-from, k, valid)
}

// full tells whether n levels say that an element is there.
func (l *lists) full(h hybrid, n int) bool {
	for n > 0 {
		v, packed, count, err := h.run(n)
		if err != nil || packed != nil || v != l.most {
			return false
		}
		n -= count
	}
	return true
}

// allThere takes n elements that are there.
func (l *lists) allThere(n int) error {
	if n > l.room-l.elem || l.row == 0 && l.starts[0]&1 == 1 {
		return errValues
	}
	first := l.row
	for i := 0; i < n; i += 56 {
		some := min(56, n-i)
		for word := ^bitsAt(l.starts, i, some) & (1<<some - 1); word != 0; word &= word - 1 {
			if l.row == l.rows {
				return errValues
			}
			l.off[l.row] = int32(l.elem + i + bits.TrailingZeros64(word))
			l.row++
		}
	}
	if l.valid != nil {
		setBits(l.valid.Bytes(), first, l.row-first)
	}
	if l.elements != nil {
		setBits(l.elements.Bytes(), l.elem, n)
	}
	l.elem += n
	return nil
}

// some takes n levels of any kind, and counts the elements that are there.
func (l *lists) some(h hybrid, n int) (k int, err error) {
	if cap(l.defs) < n {
		l.defs = make([]byte, n)
	}
	defs := l.defs[:0]
	var scratch [blockOf]uint32
	err = h.blocks(n, &scratch, func(part []uint32) error {
		for _, v := range part {
			defs = append(defs, byte(min(v, l.most+1)))
		}
		return nil
	}, func(v uint32, count int) error {
		for range count {
			defs = append(defs, byte(min(v, l.most+1)))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, def := range defs {
		def := uint32(def)
		if l.starts[i>>3]>>(i&7)&1 == 0 {
			if l.row == l.rows {
				return 0, errValues
			}
			l.off[l.row] = int32(l.elem)
			if def < l.list {
				l.nulls++
			} else if l.valid != nil {
				l.valid.Bytes()[l.row>>3] |= 1 << (l.row & 7)
			}
			l.row++
		} else if l.row == 0 || def <= l.list {
			return 0, errValues
		}
		if def <= l.list {
			continue
		}
		if l.elem == l.room || def > l.most {
			return 0, errValues
		}
		if def == l.most {
			k++
			if l.elements != nil {
				l.elements.Bytes()[l.elem>>3] |= 1 << (l.elem & 7)
			}
		} else {
			l.elemNulls++
		}
		l.elem++
	}
	return k, nil
}

// array gives what was decoded; the buffers pass to it.
func (l *lists) array(t arrow.DataType) (arrow.Array, error) {
	if l.row != l.rows {
		return nil, fmt.Errorf("%d lists, want %d", l.row, l.rows)
	}
	l.off[l.rows] = int32(l.elem)
	elements, valid := l.elements, l.valid
	if l.elemNulls == 0 {
		elements = nil
	}
	if l.nulls == 0 {
		valid = nil
	}
	child := l.values.array(t.(*arrow.ListType).Elem(), l.elem, elements, l.elemNulls)
	defer child.Release()
	data := array.NewData(t, l.rows, []*memory.Buffer{valid, l.offsets}, []arrow.ArrayData{child.Data()}, l.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

// lists decodes a chunk of lists with n levels.
func (d *chunkDecoder) lists(l *lists, t arrow.DataType, n int64) (arrow.Array, error) {
	defer l.release()
	for left := n; left > 0; {
		h, body, err := d.nextPage()
		if err != nil {
			return nil, err
		}
		if err := d.inflate(body, h); err != nil {
			return nil, err
		}
		if h.kind == dictionaryPage {
			if err := l.values.dictionary(d.raw, int(h.values)); err != nil {
				return nil, err
			}
			continue
		}
		if h.kind != dataPageV1 || h.values == 0 || h.values > left {
			return nil, fmt.Errorf("a page of kind %d claims %d levels of %d", h.kind, h.values, left)
		}
		if err := l.page(d.raw, h.encoding, int(h.values)); err != nil {
			return nil, err
		}
		left -= h.values
	}
	return l.array(t)
}
