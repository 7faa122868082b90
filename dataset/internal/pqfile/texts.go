package pqfile

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// short is how many bytes are copied at once: most texts are no longer, and a
// copy of a fixed length needs no call.
const short = 16

// texts decodes strings and binaries.
type texts struct {
	offsets *memory.Buffer
	off     []int32
	data    *memory.Buffer
	n       int // Bytes of data that are in use.
	rows    int

	dict     []byte  // The values of the dictionary, one after the other, and room.
	dictEnds []int32 // Where each starts; the last is the end.
	idx      []uint32
}

func newTexts(rows int, raw int64, mem memory.Allocator) values {
	v := &texts{offsets: memory.NewResizableBuffer(mem), data: memory.NewResizableBuffer(mem), rows: rows}
	v.offsets.Resize((rows + 1) * 4)
	v.off = arrow.Int32Traits.CastFromBytes(v.offsets.Bytes())
	v.off[0] = 0
	// A length of 4 bytes goes with every value that is stored plainly.
	v.data.Reserve(int(max(raw-4*int64(rows), raw/8)) + short)
	return v
}

func (v *texts) release() {
	if v.offsets != nil {
		v.offsets.Release()
		v.data.Release()
		v.offsets, v.data = nil, nil
	}
}

func (v *texts) skip(row, n int) {
	for i := row; i < row+n; i++ {
		v.off[i+1] = int32(v.n)
	}
}

// grow makes room for n bytes more and a short copy past them.
func (v *texts) grow(n int) ([]byte, error) {
	if v.n+n > math.MaxInt32 {
		return nil, fmt.Errorf("the values are more than %d bytes: read fewer rows at once", math.MaxInt32)
	}
	if need := v.n + n + short; need > v.data.Cap() {
		v.data.ResizeNoShrink(v.n) // Copy no more than is in use.
		v.data.Reserve(max(need, v.data.Cap()*3/2))
	}
	v.data.ResizeNoShrink(v.n + n + short)
	return v.data.Bytes(), nil
}

func (v *texts) dictionary(raw []byte, n int) error {
	if n > len(raw)/4 {
		return errValues
	}
	v.dict = make([]byte, 0, len(raw)+short)
	v.dictEnds = make([]int32, 1, n+1)
	for range n {
		if len(raw) < 4 {
			return errValues
		}
		size := int64(binary.LittleEndian.Uint32(raw))
		if size > int64(len(raw)-4) {
			return errValues
		}
		v.dict = append(v.dict, raw[4:4+size]...)
		v.dictEnds = append(v.dictEnds, int32(len(v.dict)))
		raw = raw[4+size:]
	}
	return nil
}

func (v *texts) page(raw []byte, encoding int64, row, n, k int, valid []byte) error {
	switch encoding {
	case encodingPlain:
		return v.plain(raw, row, n, valid)
	case encodingDict, encodingPlainDict:
		var err error
		if v.idx, err = pageIndices(v.idx, raw, k, len(v.dictEnds)-1); err != nil {
			return err
		}
		return v.lookUp(row, n, valid)
	}
	return fmt.Errorf("a page has the encoding %d", encoding)
}

func (v *texts) plain(raw []byte, row, n int, valid []byte) error {
	out, err := v.grow(len(raw))
	if err != nil {
		return err
	}
	at, pos := 0, v.n
	off := v.off[row+1 : row+1+n]
	for i := range off {
		if valid != nil && valid[(row+i)>>3]>>((row+i)&7)&1 == 0 {
			off[i] = int32(pos)
			continue
		}
		if len(raw)-at < 4 {
			return errValues
		}
		size := int(binary.LittleEndian.Uint32(raw[at:]))
		at += 4
		if size <= short && at+short <= len(raw) && pos+short <= len(out) {
			copy16(out[pos:pos+short], raw[at:at+short])
		} else {
			if size > len(raw)-at {
				return errValues
			}
			copy(out[pos:], raw[at:at+size])
		}
		at += size
		pos += size
		off[i] = int32(pos)
	}
	v.n = pos
	return nil
}

func copy16(dst, src []byte) {
	_, _ = dst[15], src[15]
	binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
	binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:]))
}

func (v *texts) lookUp(row, n int, valid []byte) error {
	total := 0
	for _, x := range v.idx {
		total += int(v.dictEnds[x+1] - v.dictEnds[x])
	}
	if v.n == 0 && row == 0 && n < v.rows {
		// The other pages will be much like this one.
		v.data.Reserve(int(float64(total)*float64(v.rows)/float64(n)*1.02) + short)
	}
	out, err := v.grow(total)
	if err != nil {
		return err
	}
	dict := v.dict[:cap(v.dict)]
	pos, j := v.n, 0
	off := v.off[row+1 : row+1+n]
	for i := range off {
		if valid != nil && valid[(row+i)>>3]>>((row+i)&7)&1 == 0 {
			off[i] = int32(pos)
			continue
		}
		x := v.idx[j]
		j++
		from, to := int(v.dictEnds[x]), int(v.dictEnds[x+1])
		if to-from <= short && from+short <= len(dict) {
			copy16(out[pos:pos+short], dict[from:from+short])
		} else {
			copy(out[pos:], dict[from:to])
		}
		pos += to - from
		off[i] = int32(pos)
	}
	v.n = pos
	return nil
}

func (v *texts) array(t arrow.DataType, rows int, valid *memory.Buffer, nulls int) arrow.Array {
	if v.data.Cap() > v.n+v.n/4 {
		v.data.Resize(v.n) // Give back what is much too large.
	}
	v.data.ResizeNoShrink(v.n)
	data := array.NewData(t, rows, []*memory.Buffer{valid, v.offsets, v.data}, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
