package pqfile

import (
	"encoding/binary"
	mathbits "math/bits"
)

// levelWriter writes the run-length and bit-packed hybrid of levels, of which there
// are few different ones and mostly long runs.
type levelWriter struct {
	out   []byte
	width int
	lit   []byte // What goes into the next bit-packed run.
	value byte
	run   int
}

// put adds n times v.
func (h *levelWriter) put(v byte, n int) {
	if v != h.value {
		h.flushRun()
		h.value = v
	}
	h.run += n
}

func (h *levelWriter) flushRun() {
	for ; h.run > 0 && len(h.lit)&7 != 0; h.run-- {
		h.lit = append(h.lit, h.value)
	}
	if h.run >= 8 {
		h.flushLit()
		h.out = binary.AppendUvarint(h.out, uint64(h.run)<<1)
		h.out = append(h.out, h.value)
	} else {
		for ; h.run > 0; h.run-- {
			h.lit = append(h.lit, h.value)
		}
	}
	h.run = 0
}

func (h *levelWriter) flushLit() {
	if len(h.lit) == 0 {
		return
	}
	for len(h.lit)&7 != 0 {
		h.lit = append(h.lit, 0)
	}
	h.out = binary.AppendUvarint(h.out, uint64(len(h.lit)>>3)<<1|1)
	for i := 0; i < len(h.lit); i += 8 {
		var bits uint64
		for k, v := range h.lit[i : i+8] {
			bits |= uint64(v) << (k * h.width)
		}
		for range h.width {
			h.out = append(h.out, byte(bits))
			bits >>= 8
		}
	}
	h.lit = h.lit[:0]
}

// finish returns what was written.
func (h *levelWriter) finish() []byte {
	h.flushRun()
	h.flushLit()
	return h.out
}

// appendValid writes n definition levels of 0 or 1 that are the bits of a bitmap
// from off on: long runs by their length, everything else as it is.
func appendValid(out, bitmap []byte, off, n int) []byte {
	const long = 64
	for n > 0 {
		if run := bitRun(bitmap, off, n); run >= long || run == n {
			out = binary.AppendUvarint(out, uint64(run)<<1)
			out = append(out, bitmap[off>>3]>>(off&7)&1)
			off, n = off+run, n-run
			continue
		}
		// Bytes until the next long run starts.
		groups := 0
		for at := 0; at < n; {
			word := loadBits(bitmap, off+at, n-at)
			if at > 0 && n-at >= long && (word == 0 || word == ^uint64(0)) {
				break
			}
			groups += min(8, (n-at+7)/8)
			at += 64
		}
		out = binary.AppendUvarint(out, uint64(groups)<<1|1)
		rows := min(groups*8, n)
		for at := 0; at < rows; at += 64 {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], loadBits(bitmap, off+at, rows-at))
			out = append(out, b[:min(8, (rows-at+7)/8)]...)
		}
		off, n = off+rows, n-rows
	}
	return out
}

// loadBits gives up to 64 bits of a bitmap from off on; those beyond n are 0.
func loadBits(b []byte, off, n int) uint64 {
	at, shift := off>>3, off&7
	var v uint64
	if at+9 <= len(b) {
		v = binary.LittleEndian.Uint64(b[at:])>>shift | uint64(b[at+8])<<1<<(63-shift)
	} else {
		var pad [16]byte
		copy(pad[:9], b[at:])
		v = binary.LittleEndian.Uint64(pad[:])>>shift | uint64(pad[8])<<1<<(63-shift)
	}
	if n < 64 {
		v &= 1<<n - 1
	}
	return v
}

// bitRun is how many of the n bits from off on are like the first.
func bitRun(b []byte, off, n int) int {
	first := b[off>>3] >> (off & 7) & 1
	for at := 0; at < n; at += 64 {
		v := loadBits(b, off+at, n-at)
		if first == 1 {
			v = ^v
		}
		if k := mathbits.TrailingZeros64(v); k < 64 {
			return min(at+k, n)
		}
	}
	return n
}

// compact gives the values whose bits are set, one after the other. dst has room
// for len(src) values.
func compact[T any](dst, src []T, bitmap []byte, off int) []T {
	k := 0
	for at := 0; at < len(src); at += 64 {
		n := min(64, len(src)-at)
		word := loadBits(bitmap, off+at, n)
		part := src[at : at+n]
		if mathbits.OnesCount64(word) == n {
			k += copy(dst[k:], part)
			continue
		}
		out := dst[k : k+n : k+n]
		j := 0
		for i := range part {
			out[j&63] = part[i]
			j += int(word & 1)
			word >>= 1
		}
		k += j
	}
	return dst[:k]
}

// appendPacked bit-packs values of width bits, width at most 56, and pads the
// last byte with zeros.
func appendPacked[T uint32 | uint64](out []byte, values []T, width int) []byte {
	if width == 0 {
		return out
	}
	need := (len(values)*width + 7) / 8
	at := len(out)
	out = grown(out, need+16)
	if width <= 16 {
		// Eight values at a time fill width bytes.
		w := uint(width)
		for len(values) >= 8 {
			v := values[:8:8]
			lo := uint64(v[0]) | uint64(v[1])<<(w&63) | uint64(v[2])<<(2*w&63) | uint64(v[3])<<(3*w&63)
			hi := uint64(v[4]) | uint64(v[5])<<(w&63) | uint64(v[6])<<(2*w&63) | uint64(v[7])<<(3*w&63)
			dst := out[at : at+16 : at+16]
			binary.LittleEndian.PutUint64(dst, lo|hi<<(4*w))
			binary.LittleEndian.PutUint64(dst[8:], hi>>(64-4*w))
			at += width
			values = values[8:]
		}
	}
	var acc uint64
	bits := 0
	for _, v := range values {
		acc |= uint64(v) << (bits & 63)
		bits += width
		binary.LittleEndian.PutUint64(out[at:], acc)
		at += bits >> 3
		acc >>= bits &^ 7 & 63
		bits &= 7
	}
	if bits > 0 {
		binary.LittleEndian.PutUint64(out[at:], acc)
		at++
	}
	return out[:at]
}

// grown makes a slice n bytes longer.
func grown(b []byte, n int) []byte {
	if have := len(b); cap(b)-have < n {
		bigger := make([]byte, have, max(2*cap(b), have+n))
		copy(bigger, b)
		b = bigger
	}
	return b[:len(b)+n]
}

// appendIndices writes the indices of one page of a dictionary: their width, and
// runs of equal ones by their length, everything else packed.
func appendIndices(out []byte, codes []uint32, width int) []byte {
	const long = 16 // Shorter runs do not pay for two more headers.
	out = append(out, byte(width))
	size := (width + 7) / 8
	for len(codes) > 0 {
		run := 1
		for run < len(codes) && codes[run] == codes[0] {
			run++
		}
		if run >= long || run == len(codes) {
			out = binary.AppendUvarint(out, uint64(run)<<1)
			for i := range size {
				out = append(out, byte(codes[0]>>(8*i)))
			}
			codes = codes[run:]
			continue
		}
		// Groups of 8 until a long run starts at one. Most are told from one by two
		// places.
		n := 8
		for n+long <= len(codes) {
			if c := codes[n : n+long : n+long]; c[0] == c[1] && c[1] == c[7] && c[7] == c[15] && allEqual(c) {
				break
			}
			n += 8
		}
		if n+long > len(codes) {
			n = len(codes)
		}
		out = binary.AppendUvarint(out, uint64((n+7)/8)<<1|1)
		start := len(out)
		out = appendPacked(out, codes[:n], width)
		if whole := start + (n+7)/8*width; len(out) < whole {
			pad := len(out)
			out = grown(out, whole-pad)
			clear(out[pad:])
		}
		codes = codes[n:]
	}
	return out
}

func allEqual(c []uint32) bool {
	for _, v := range c {
		if v != c[0] {
			return false
		}
	}
	return true
}

const (
	deltaBlock = 128
	deltaMinis = 4
)

// appendDelta writes DELTA_BINARY_PACKED numbers. Differences wrap around in the
// width of the type, as readers add them up in it.
func appendDelta[T int32 | int64](out []byte, values []T) []byte {
	out = binary.AppendUvarint(out, deltaBlock)
	out = binary.AppendUvarint(out, deltaMinis)
	out = binary.AppendUvarint(out, uint64(len(values)))
	if len(values) == 0 {
		return append(out, 0)
	}
	out = binary.AppendVarint(out, int64(values[0]))
	const per = deltaBlock / deltaMinis
	var deltas [deltaBlock]T
	var packed [deltaBlock]uint64
	for i := 1; i < len(values); i += deltaBlock {
		n := min(deltaBlock, len(values)-i)
		part, before := values[i:i+n], values[i-1:i-1+n]
		least := part[0] - before[0]
		for k := range part {
			d := part[k] - before[k]
			deltas[k] = d
			least = min(least, d)
		}
		out = binary.AppendVarint(out, int64(least))
		var widths [deltaMinis]byte
		minis := (n + per - 1) / per
		for m := range minis {
			var all uint64
			for k := m * per; k < min(n, m*per+per); k++ {
				d := unsigned(deltas[k] - least)
				packed[k] = d
				all |= d
			}
			widths[m] = byte(mathbits.Len64(all))
		}
		clear(packed[n : minis*per])
		out = append(out, widths[:]...)
		for m := range minis {
			out = appendWide(out, packed[m*per:m*per+per], int(widths[m]))
		}
	}
	return out
}

// unsigned is a difference without its sign, in the width of its type.
func unsigned[T int32 | int64](d T) uint64 {
	switch d := any(d).(type) {
	case int32:
		return uint64(uint32(d))
	case int64:
		return uint64(d)
	}
	return 0
}

// appendWide is appendPacked for every width up to 64.
func appendWide(out []byte, values []uint64, width int) []byte {
	if width <= 56 {
		return appendPacked(out, values, width)
	}
	at := len(out)
	out = grown(out, (len(values)*width+7)/8)
	clear(out[at:])
	for i, v := range values {
		for b := range width {
			p := i*width + b
			out[at+p>>3] |= byte(v>>b&1) << (p & 7)
		}
	}
	return out
}
