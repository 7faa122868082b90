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
const short = 32

// copyTwice copies short bytes without a call. The assignment of an array would
// be a call, because its sides might overlap.
func copyTwice(dst, src []byte) {
	copyShort(dst, src)
	copyShort(dst[brief:], src[brief:])
}

// texts decodes strings and binaries.
type texts struct {
	offsets *memory.Buffer
	off     []int32
	data    *memory.Buffer
	n       int // Bytes of data that are in use.
	rows    int

	dict     []byte  // The values of the dictionary, one after the other, and room.
	dictEnds []int32 // Where each starts; the last is the end.
	dense    []int32 // The ends of the values of a page with nulls.
	shared   []int32 // How much the values of a page share with the ones before.
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
		return v.plain(raw, row, n, k, valid)
	case encodingDict, encodingPlainDict:
		return v.lookUp(raw, row, n, k, valid)
	case encodingDeltaLength:
		return v.lengths(raw, row, n, k, valid)
	case encodingFronts:
		return v.fronts(raw, row, n, k, valid)
	}
	return fmt.Errorf("a page has the encoding %d", encoding)
}

// ends is where the ends of k values in n rows go: to their rows, or to a place
// to be spread from.
func (v *texts) ends(row, n, k int) []int32 {
	if k == n {
		return v.off[row+1 : row+1+n]
	}
	if cap(v.dense) < k+1 {
		v.dense = make([]int32, n+1)
	}
	// The nulls before the first value end where the page starts.
	v.dense[0] = int32(v.n)
	return v.dense[1 : k+1]
}

// settle gives every row its end, a null that of the value before.
func (v *texts) settle(row, n, k int, valid []byte) {
	if k == n {
		return
	}
	dense, j := v.dense[:k+1], 0
	off := v.off[row+1 : row+1+n]
	for i := 0; i < n; {
		some := min(56, n-i)
		word := bitsAt(valid, row+i, some)
		for part := off[i : i+some]; len(part) > 0; part = part[1:] {
			j += int(word & 1)
			word >>= 1
			part[0] = dense[j]
		}
		i += some
	}
}

func (v *texts) plain(raw []byte, row, n, k int, valid []byte) error {
	// A length of 4 bytes goes with each value.
	out, err := v.grow(max(len(raw)-4*k, 0))
	if err != nil {
		return err
	}
	at, pos := 0, v.n
	ends := v.ends(row, n, k)
	for i := range ends {
		if len(raw)-at < 4 {
			return errValues
		}
		size := int(binary.LittleEndian.Uint32(raw[at:]))
		at += 4
		if size <= short && at+short <= len(raw) && pos+short <= len(out) {
			copyTwice(out[pos:pos+short], raw[at:at+short])
		} else {
			if size > len(raw)-at {
				return errValues
			}
			copy(out[pos:], raw[at:at+size])
		}
		at += size
		pos += size
		ends[i] = int32(pos)
	}
	v.settle(row, n, k, valid)
	v.n = pos
	return nil
}

// lengths reads a page that has the lengths of the values first.
func (v *texts) lengths(raw []byte, row, n, k int, valid []byte) error {
	ends := v.ends(row, n, k)
	rest, err := delta(ends, raw)
	if err != nil {
		return err
	}
	pos, most := int64(v.n), int64(v.n)+int64(len(rest))
	for i, size := range ends {
		if pos += int64(size); size < 0 || pos > most {
			return errValues
		}
		ends[i] = int32(pos)
	}
	size := int(pos) - v.n
	out, err := v.grow(size)
	if err != nil {
		return err
	}
	copy(out[v.n:], rest[:size])
	v.settle(row, n, k, valid)
	v.n += size
	return nil
}

// fronts reads a page whose values start with a part of the value before.
func (v *texts) fronts(raw []byte, row, n, k int, valid []byte) error {
	ends := v.ends(row, n, k)
	if cap(v.shared) < k {
		v.shared = make([]int32, max(k, n))
	}
	shared := v.shared[:k]
	rest, err := delta(shared, raw)
	if err != nil {
		return err
	}
	if rest, err = delta(ends, rest); err != nil {
		return err
	}
	total, own, last := int64(0), int64(0), int64(0)
	for i, size := range ends {
		front := int64(shared[i])
		if size < 0 || front < 0 || front > last {
			return errValues
		}
		last = front + int64(size)
		total, own = total+last, own+int64(size)
	}
	if own > int64(len(rest)) || total > math.MaxInt32 {
		return errValues
	}
	out, err := v.grow(int(total))
	if err != nil {
		return err
	}
	before, pos, at := v.n, v.n, 0
	for i, size := range ends {
		front, size := int(shared[i]), int(size)
		if front <= short && size <= short && at+short <= len(rest) && pos+front+short <= len(out) {
			// What is read behind the value before is written over, or cut off.
			copyTwice(out[pos:pos+short], out[before:before+short])
			copyTwice(out[pos+front:pos+front+short], rest[at:at+short])
		} else {
			copy(out[pos:pos+front], out[before:before+front])
			copy(out[pos+front:pos+front+size], rest[at:at+size])
		}
		before = pos
		pos, at = pos+front+size, at+size
		ends[i] = int32(pos)
	}
	v.settle(row, n, k, valid)
	size := pos - v.n
	v.n = pos
	v.expect(row, n, size)
	return nil
}

// expect makes room for the other pages after the first, which took size bytes:
// they will be much like it.
func (v *texts) expect(row, n, size int) {
	if row == 0 && n < v.rows {
		v.data.Reserve(v.n + int(float64(size)*float64(v.rows-n)/float64(n)*1.02) + short)
	}
}

func (v *texts) lookUp(raw []byte, row, n, k int, valid []byte) error {
	if k == 0 {
		v.skip(row, n)
		return nil
	}
	if len(raw) == 0 {
		return errValues
	}
	var scratch [blockOf]uint32
	ends, before := v.ends(row, n, k), v.n
	h := hybrid{raw[1:], int(raw[0])}
	err := h.blocks(k, &scratch, func(some []uint32) error {
		err := v.pick(ends[:len(some)], some)
		ends = ends[len(some):]
		return err
	}, func(x uint32, count int) error {
		for i := range scratch {
			scratch[i] = x
		}
		for count > 0 {
			some := min(count, blockOf)
			if err := v.pick(ends[:some], scratch[:some]); err != nil {
				return err
			}
			ends, count = ends[some:], count-some
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.settle(row, n, k, valid)
	v.expect(row, n, v.n-before)
	return nil
}

// pick appends values of the dictionary.
func (v *texts) pick(ends []int32, places []uint32) error {
	total, starts := 0, v.dictEnds
	for _, x := range places {
		if int(x) >= len(starts)-1 {
			return errValues
		}
		total += int(starts[x+1] - starts[x])
	}
	out, err := v.grow(total)
	if err != nil {
		return err
	}
	dict, pos := v.dict[:cap(v.dict)], v.n
	ends = ends[:len(places)]
	for i, x := range places {
		from, to := int(starts[x]), int(starts[x+1])
		if to-from <= short {
			copyTwice(out[pos:pos+short], dict[from:from+short])
		} else {
			copy(out[pos:], dict[from:to])
		}
		pos += to - from
		ends[i] = int32(pos)
	}
	v.n = pos
	return nil
}

func (v *texts) array(t arrow.DataType, rows int, valid *memory.Buffer, nulls int) arrow.Array {
	if v.data.Cap() > v.n+v.n/4 {
		v.data.Resize(v.n) // Give back what is much too large.
	}
	v.data.ResizeNoShrink(v.n)
	v.offsets.ResizeNoShrink((rows + 1) * 4) // As for numbers.
	data := array.NewData(t, rows, []*memory.Buffer{valid, v.offsets, v.data}, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
