package pqfile

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// bools decodes bits.
type bools struct{ buf *memory.Buffer }

func newBools(rows int, mem memory.Allocator) values {
	v := &bools{memory.NewResizableBuffer(mem)}
	v.buf.Resize((rows + 7) / 8)
	clear(v.buf.Bytes())
	return v
}

func (v *bools) dictionary([]byte, int) error { return errValues }

func (v *bools) page(raw []byte, encoding int64, row, n, k int, valid []byte) error {
	if encoding != encodingPlain {
		return fmt.Errorf("a page has the encoding %d", encoding)
	}
	if len(raw) < (k+7)/8 {
		return errValues
	}
	out := v.buf.Bytes()
	if valid == nil {
		copyBits(out, row, raw, n)
		return nil
	}
	j := 0
	for i := row; i < row+n; {
		// At a border of bytes after the first step.
		some := min(56-i&7, row+n-i)
		marks, from := bitsAt(valid, i, some), bitsAt(raw, j, min(some, k-j))
		var word uint64
		for b := range some {
			word |= from & marks & 1 << b
			from >>= marks & 1
			marks >>= 1
		}
		j += countBits(valid, i, some)
		orBits(out, i, word, some)
		i += some
	}
	return nil
}

func (v *bools) skip(int, int) {}

func (v *bools) array(t arrow.DataType, rows int, valid *memory.Buffer, nulls int) arrow.Array {
	data := array.NewData(t, rows, []*memory.Buffer{valid, v.buf}, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func (v *bools) release() {
	if v.buf != nil {
		v.buf.Release()
		v.buf = nil
	}
}
