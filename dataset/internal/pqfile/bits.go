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
		for i, b := range src[:whole] {
			out[i] |= b << shift
			out[i+1] |= b >> (8 - shift)
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

// unpack reads len(out) numbers of width bits each. data reaches 8 bytes beyond
// the last of them, or unpackEnd is called.
func unpack[T int32 | int64 | uint32](out []T, data []byte, width int) {
	if width == 0 {
		clear(out)
		return
	}
	mask := uint64(1)<<width - 1
	bit := 0
	for i := range out {
		out[i] = T(binary.LittleEndian.Uint64(data[bit>>3:]) >> (bit & 7) & mask)
		bit += width
	}
}

// unpackSafe is unpack for data that ends where the numbers end, and for every
// width up to 64.
func unpackSafe[T int32 | int64 | uint32](out []T, data []byte, width int) error {
	need := (len(out)*width + 7) / 8
	if width > 64 || need > len(data) {
		return errValues
	}
	if width > 56 {
		for i := range out {
			var v uint64
			for b := range width {
				at := i*width + b
				v |= uint64(data[at>>3]>>(at&7)&1) << b
			}
			out[i] = T(v)
		}
		return nil
	}
	// The last numbers are read from a copy with room behind it.
	safe := len(out)
	if need+8 > len(data) && width > 0 {
		safe = max(0, (len(data)-8)*8/width-8) &^ 7
		safe = min(safe, len(out))
	}
	unpack(out[:safe], data, width)
	if safe < len(out) {
		at := safe * width / 8 // safe is a multiple of 8.
		rest := make([]byte, need-at+8)
		copy(rest, data[at:need])
		unpack(out[safe:], rest, width)
	}
	return nil
}

// indices decodes the run-length and bit-packed hybrid of a dictionary page.
func indices(out []uint32, data []byte, width int) error {
	if width > 32 {
		return errValues
	}
	size := (width + 7) / 8
	for len(out) > 0 {
		head, k := binary.Uvarint(data)
		if k <= 0 {
			return errValues
		}
		data = data[k:]
		if head&1 == 0 {
			run := int(min(head>>1, uint64(len(out))))
			if len(data) < size || run == 0 {
				return errValues
			}
			var v uint32
			for i := range size {
				v |= uint32(data[i]) << (8 * i)
			}
			for i := range out[:run] {
				out[i] = v
			}
			data = data[size:]
			out = out[run:]
			continue
		}
		groups := head >> 1
		if groups == 0 || groups > 1<<28 {
			return errValues
		}
		run := min(int(groups)*8, len(out))
		if err := unpackSafe(out[:run], data, width); err != nil {
			return err
		}
		data = data[min(int(groups)*width, len(data)):]
		out = out[run:]
	}
	return nil
}

// delta decodes DELTA_BINARY_PACKED numbers. All sums wrap around, so numbers of
// 32 bits come out right from sums of 64.
func delta[T int8 | int16 | int32 | int64](out []T, data []byte) error {
	var head [3]uint64
	for i := range head {
		v, k := binary.Uvarint(data)
		if k <= 0 {
			return errValues
		}
		head[i], data = v, data[k:]
	}
	block, minis, total := head[0], head[1], head[2]
	first, k := binary.Varint(data)
	if k <= 0 || block == 0 || block > 1<<16 || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 || total != uint64(len(out)) {
		return errValues
	}
	data = data[k:]
	if len(out) == 0 {
		return nil
	}
	last := first
	out[0] = T(last)
	out = out[1:]
	per := int(block / minis)
	buf := make([]int64, per)
	for len(out) > 0 {
		least, k := binary.Varint(data)
		if k <= 0 || len(data) < k+int(minis) {
			return errValues
		}
		widths := data[k : k+int(minis)]
		data = data[k+int(minis):]
		for _, w := range widths {
			if len(out) == 0 {
				break
			}
			width := int(w)
			n := min(per, len(out))
			size := per * width / 8
			if width > 64 {
				return errValues
			}
			if width <= 56 && len(data) >= size+8 {
				unpack(buf[:n], data, width)
			} else if err := unpackSafe(buf[:n], data, width); err != nil {
				return err
			}
			for i, d := range buf[:n] {
				last += least + d
				out[i] = T(last)
			}
			data = data[min(size, len(data)):]
			out = out[n:]
		}
	}
	return nil
}
