package pqfile

import (
	"encoding/binary"
	"errors"
	mathbits "math/bits"
)

var errValues = errors.New("a page holds fewer values than its header says, or others")

// copyBits copies n bits of src, from its first on, to bit off of dst, whose
// bits from there on are 0.
func copyBits(dst []byte, off int, src []byte, n int) {
	shift := off & 7
	out := dst[off>>3:]
	whole := n >> 3
	if shift == 0 {
		copy(out, src[:whole])
	} else {
		i := 0
		for ; i+8 <= whole; i += 8 {
			v, to := binary.LittleEndian.Uint64(src[i:]), out[i:i+9]
			binary.LittleEndian.PutUint64(to, binary.LittleEndian.Uint64(to)|v<<shift)
			to[8] |= byte(v >> (64 - shift))
		}
		for ; i < whole; i++ {
			out[i] |= src[i] << shift
			out[i+1] |= src[i] >> (8 - shift)
		}
	}
	if rest := n & 7; rest > 0 {
		b := uint16(src[whole]&(1<<rest-1)) << shift
		out[whole] |= byte(b)
		if b > 0xff {
			out[whole+1] |= byte(b >> 8)
		}
	}
}

// setBits sets n bits from off on.
func setBits(dst []byte, off, n int) {
	for n > 0 && off&7 != 0 {
		dst[off>>3] |= 1 << (off & 7)
		off++
		n--
	}
	for ; n >= 8; n -= 8 {
		dst[off>>3] = 0xff
		off += 8
	}
	if n > 0 {
		dst[off>>3] |= 1<<n - 1
	}
}

// countBits counts the set bits among n from off on.
func countBits(b []byte, off, n int) (set int) {
	for n > 0 && off&7 != 0 {
		set += int(b[off>>3] >> (off & 7) & 1)
		off++
		n--
	}
	b = b[off>>3:]
	for ; n >= 64; n -= 64 {
		set += mathbits.OnesCount64(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	for ; n >= 8; n -= 8 {
		set += mathbits.OnesCount8(b[0])
		b = b[1:]
	}
	if n > 0 {
		set += mathbits.OnesCount8(b[0] & (1<<n - 1))
	}
	return set
}

// levels decodes n definition levels of 0 or 1 into a bitmap from bit off on.
func levels(data, bitmap []byte, off, n int) error {
	for n > 0 {
		head, k := binary.Uvarint(data)
		if k <= 0 {
			return errValues
		}
		data = data[k:]
		if head&1 == 0 {
			run := int(min(head>>1, uint64(n)))
			if len(data) == 0 || run == 0 {
				return errValues
			}
			if data[0]&1 == 1 {
				setBits(bitmap, off, run)
			}
			data = data[1:]
			off += run
			n -= run
			continue
		}
		groups := int(min(head>>1, uint64(len(data))))
		run := min(groups*8, n)
		if run == 0 {
			return errValues
		}
		copyBits(bitmap, off, data, run)
		data = data[groups:]
		off += run
		n -= run
	}
	return nil
}

// bitsAt are n bits, of at most 56, from off on. There may be no byte behind them.
func bitsAt(b []byte, off, n int) uint64 {
	if n <= 0 {
		return 0
	}
	shift := off & 7
	b = b[off>>3:]
	var v uint64
	if len(b) >= 8 {
		v = binary.LittleEndian.Uint64(b)
	} else {
		for i, c := range b {
			v |= uint64(c) << (8 * i)
		}
	}
	return v >> shift & (1<<n - 1)
}

// orBits sets the bits of v among n, of at most 56, from off on.
func orBits(b []byte, off int, v uint64, n int) {
	v <<= off & 7
	b = b[off>>3 : (off+n+7)>>3]
	for i := range b {
		b[i] |= byte(v >> (8 * i))
	}
}
