package pqfile

import (
	"encoding/binary"
	mathbits "math/bits"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// textValues writes texts, or binaries.
func (c *chunkEncoder) textValues(offsets []int32, data *memory.Buffer, text bool, rows shape, valid []byte, off int, bloom bool) error {
	w := &textColumn{rows: rows, utf8: text}
	if data != nil {
		w.data = data.Bytes()
	}
	if n := len(offsets) - 1; n > 0 {
		w.starts = dense(&c.texts.starts, offsets[:n], valid, off)
		w.ends = dense(&c.texts.ends, offsets[1:], valid, off)
	}
	return writeTexts(c, w, bloom)
}

// bools writes truth values, which are bits.
func (c *chunkEncoder) bools(a *array.Boolean, rows shape, valid []byte, off int) error {
	n := a.Len()
	at := a.Data().Offset()
	var bits []byte
	if buf := a.Data().Buffers()[1]; buf != nil && n > 0 {
		bits = buf.Bytes()
	} else {
		at = 0
	}
	if valid != nil || at&7 != 0 {
		bits, n = c.denseBits(bits, at, n, valid, off)
		at = 0
	}
	from, to := middle(n, sampleBytes*8)
	if err := c.pack(bits[(at+from)>>3 : (at+to+7)>>3]); err != nil {
		return err
	}
	c.encoding, c.ordered = encodingPlain, true
	k := 0
	var seen [2]bool
	var last [2]bool
	// Pages start at whole bytes where no value is null; elsewhere they are copied.
	return rows.pages(c, 1, nil, func(row, n, values, slots int, levels []byte) error {
		m := pageMeta{row: int64(row), nulls: int64(slots - values), empty: values == 0}
		c.packed = grown(c.packed[:0], (values+7)/8)
		for i := 0; i < values; i += 64 {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], loadBits(bits, at+k+i, values-i))
			copy(c.packed[i>>3:], b[:])
		}
		set := countBits(bits, at+k, values)
		k += values
		if !c.element && values > 0 {
			here := [2]bool{set == values, set > 0} // Minimum and maximum.
			m.min, m.max = bound{plainBool(here[0]), true}, bound{plainBool(here[1]), true}
			if c.bounded {
				c.ordered = c.ordered && (here[0] || !last[0]) && (here[1] || !last[1])
				seen = [2]bool{seen[0] && here[0], seen[1] || here[1]}
			} else {
				seen = here
			}
			last, c.bounded = here, true
		}
		return c.page(levels, c.packed, slots, m)
	}, func() {
		if c.bounded {
			c.min, c.max = bound{plainBool(seen[0]), true}, bound{plainBool(seen[1]), true}
		}
	})
}

func plainBool(v bool) []byte {
	if v {
		return []byte{1}
	}
	return []byte{0}
}

// denseBits are the bits of the values that are not null, from the first on.
func (c *chunkEncoder) denseBits(bits []byte, at, n int, valid []byte, off int) (out []byte, k int) {
	if need := n/8 + 16; cap(c.bits) < need {
		c.bits = make([]byte, need)
	}
	out = c.bits[:n/8+16]
	clear(out)
	for i := 0; i < n; i += 64 {
		word, keep := loadBits(bits, at+i, n-i), ^uint64(0)
		rows := min(64, n-i)
		if valid != nil {
			keep = loadBits(valid, off+i, n-i)
		} else if rows < 64 {
			keep = 1<<rows - 1
		}
		if count := mathbits.OnesCount64(keep); count < rows {
			word = gather(word, keep)
			rows = count
		}
		binary.LittleEndian.PutUint64(out[k>>3:], binary.LittleEndian.Uint64(out[k>>3:])|word<<(k&7))
		out[k>>3+8] = byte(word >> 1 >> (63 - k&7))
		k += rows
	}
	return out, k
}

// gather moves the bits of v that keep has to the low end.
func gather(v, keep uint64) (out uint64) {
	for i := 0; keep != 0; i++ {
		out |= v >> mathbits.TrailingZeros64(keep) & 1 << i
		keep &= keep - 1
	}
	return out
}

// decimals writes numbers of a fixed number of bytes, the highest first.
func (c *chunkEncoder) decimals(values []decimal128.Num, rows shape, valid []byte, off int) error {
	var all []decimal128.Num
	values = dense(&all, values, valid, off)
	size := c.leaf.TypeLength()
	plain := func(out []byte, values []decimal128.Num) []byte {
		for _, v := range values {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], uint64(v.HighBits()))
			binary.BigEndian.PutUint64(b[8:], v.LowBits())
			out = append(out, b[16-size:]...)
		}
		return out
	}
	c.encoding, c.ordered = encodingPlain, true
	from, to := middle(len(values), sampleBytes/size)
	c.packed = plain(c.packed[:0], values[from:to])
	if err := c.pack(c.packed); err != nil {
		return err
	}
	k := 0
	var lo, hi, lastLo, lastHi decimal128.Num
	return rows.pages(c, size, nil, func(row, n, count, slots int, levels []byte) error {
		part := values[k : k+count]
		k += count
		m := pageMeta{row: int64(row), nulls: int64(slots - count), empty: count == 0}
		if !c.element && count > 0 {
			least, most := part[0], part[0]
			for _, v := range part {
				if v.Less(least) {
					least = v
				} else if most.Less(v) {
					most = v
				}
			}
			m.min, m.max = bound{plain(nil, []decimal128.Num{least}), true}, bound{plain(nil, []decimal128.Num{most}), true}
			if !c.bounded {
				lo, hi, c.bounded = least, most, true
			} else {
				c.ordered = c.ordered && !least.Less(lastLo) && !most.Less(lastHi)
				if least.Less(lo) {
					lo = least
				}
				if hi.Less(most) {
					hi = most
				}
			}
			lastLo, lastHi = least, most
		}
		c.packed = plain(c.packed[:0], part)
		return c.page(levels, c.packed, slots, m)
	}, func() {
		if c.bounded {
			c.min, c.max = bound{plain(nil, []decimal128.Num{lo}), true}, bound{plain(nil, []decimal128.Num{hi}), true}
		}
	})
}
