package pqfile

import "encoding/binary"

// packed are the types that packed numbers come out as.
type packed interface {
	int32 | int64 | uint8 | uint32
}

// unpack reads len(out) numbers of width bits each. data reaches 8 bytes beyond
// the last of them, or unpackSafe is called. Eight numbers take as many bytes as
// they have bits, so that one to four loads are enough for eight of them.
func unpack[T packed](out []T, data []byte, width int) {
	if width == 0 {
		clear(out)
		return
	}
	done := 0
	switch {
	case width <= 8:
		done = unpackByOne(out, data, width)
	case width <= 16:
		done = unpackByTwo(out, data, width)
	case width <= 30:
		done = unpackByFour(out, data, width)
	}
	mask := uint64(1)<<width - 1
	bit := done * width
	for i := done; i < len(out); i++ {
		out[i] = T(binary.LittleEndian.Uint64(data[bit>>3:]) >> (bit & 7) & mask)
		bit += width
	}
}

func unpackByOne[T packed](out []T, data []byte, width int) int {
	w, mask, done := uint(width)&63, uint64(1)<<width-1, 0
	for ; len(out) >= 8 && len(data) >= 8; done += 8 {
		v, o := binary.LittleEndian.Uint64(data), (*[8]T)(out)
		o[0] = T(v & mask)
		v >>= w
		o[1] = T(v & mask)
		v >>= w
		o[2] = T(v & mask)
		v >>= w
		o[3] = T(v & mask)
		v >>= w
		o[4] = T(v & mask)
		v >>= w
		o[5] = T(v & mask)
		v >>= w
		o[6] = T(v & mask)
		v >>= w
		o[7] = T(v & mask)
		out, data = out[8:], data[width:]
	}
	return done
}

func unpackByTwo[T packed](out []T, data []byte, width int) int {
	w, mask, done := uint(width)&63, uint64(1)<<width-1, 0
	second, shift := width>>1, uint(width<<2)&7
	for ; len(out) >= 8 && len(data) >= second+8; done += 8 {
		v, o := binary.LittleEndian.Uint64(data), (*[8]T)(out)
		u := binary.LittleEndian.Uint64(data[second:]) >> shift
		o[0] = T(v & mask)
		v >>= w
		o[1] = T(v & mask)
		v >>= w
		o[2] = T(v & mask)
		v >>= w
		o[3] = T(v & mask)
		o[4] = T(u & mask)
		u >>= w
		o[5] = T(u & mask)
		u >>= w
		o[6] = T(u & mask)
		u >>= w
		o[7] = T(u & mask)
		out, data = out[8:], data[width:]
	}
	return done
}

func unpackByFour[T packed](out []T, data []byte, width int) int {
	w, mask, done := uint(width)&63, uint64(1)<<width-1, 0
	at := [3]int{width * 2 >> 3, width * 4 >> 3, width * 6 >> 3}
	shift := [3]uint{uint(width*2) & 7, uint(width*4) & 7, uint(width*6) & 7}
	for ; len(out) >= 8 && len(data) >= at[2]+8; done += 8 {
		o := (*[8]T)(out)
		a := binary.LittleEndian.Uint64(data)
		b := binary.LittleEndian.Uint64(data[at[0]:]) >> shift[0]
		c := binary.LittleEndian.Uint64(data[at[1]:]) >> shift[1]
		d := binary.LittleEndian.Uint64(data[at[2]:]) >> shift[2]
		o[0], o[1] = T(a&mask), T(a>>w&mask)
		o[2], o[3] = T(b&mask), T(b>>w&mask)
		o[4], o[5] = T(c&mask), T(c>>w&mask)
		o[6], o[7] = T(d&mask), T(d>>w&mask)
		out, data = out[8:], data[width:]
	}
	return done
}

// unpackSafe is unpack for data that ends where the numbers end, and for every
// width up to 64.
func unpackSafe[T packed](out []T, data []byte, width int) error {
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

// hybrid reads runs of the run-length and bit-packed hybrid.
type hybrid struct {
	data  []byte
	width int
}

// run is the next run, of at most n numbers: value repeated count times, or,
// with packed set, count numbers in there.
func (h *hybrid) run(n int) (value uint32, packed []byte, count int, err error) {
	head, k := binary.Uvarint(h.data)
	if k <= 0 || h.width > 32 {
		return 0, nil, 0, errValues
	}
	h.data = h.data[k:]
	if head&1 == 0 {
		size := (h.width + 7) / 8
		count = int(min(head>>1, uint64(n)))
		if len(h.data) < size || count == 0 {
			return 0, nil, 0, errValues
		}
		for i := range size {
			value |= uint32(h.data[i]) << (8 * i)
		}
		h.data = h.data[size:]
		return value, nil, count, nil
	}
	groups := head >> 1
	if groups == 0 || groups > 1<<28 {
		return 0, nil, 0, errValues
	}
	count = min(int(groups)*8, n)
	packed = h.data
	h.data = h.data[min(int(groups)*h.width, len(h.data)):]
	if packed == nil {
		packed = []byte{}
	}
	return 0, packed, count, nil
}

// blockOf is how many packed numbers are unpacked at once: few enough to stay in
// the nearest cache, and a multiple of 8.
const blockOf = 512

// blocks calls each with n numbers, some at a time; a run of one value comes as
// a value and its count.
func (h *hybrid) blocks(n int, scratch *[blockOf]uint32, many func([]uint32) error, same func(v uint32, count int) error) error {
	for n > 0 {
		v, packed, count, err := h.run(n)
		if err != nil {
			return err
		}
		n -= count
		if packed == nil {
			if err := same(v, count); err != nil {
				return err
			}
			continue
		}
		for count > 0 {
			some := scratch[:min(count, blockOf)]
			if size := len(some) * h.width / 8; h.width <= 32 && len(packed) >= size+8 {
				unpack(some, packed, h.width)
				packed = packed[size:]
			} else {
				if err := unpackSafe(some, packed, h.width); err != nil {
					return err
				}
				packed = packed[min(size, len(packed)):]
			}
			if err := many(some); err != nil {
				return err
			}
			count -= len(some)
		}
	}
	return nil
}

// delta decodes DELTA_BINARY_PACKED numbers. All sums wrap around, so numbers of
// 32 bits come out right from sums of 64.
// It returns what is behind them.
func delta[T int8 | int16 | int32 | int64](out []T, data []byte) (rest []byte, err error) {
	var head [3]uint64
	for i := range head {
		v, k := binary.Uvarint(data)
		if k <= 0 {
			return nil, errValues
		}
		head[i], data = v, data[k:]
	}
	block, minis, total := head[0], head[1], head[2]
	first, k := binary.Varint(data)
	if k <= 0 || block == 0 || block > 1<<16 || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 || total != uint64(len(out)) {
		return nil, errValues
	}
	data = data[k:]
	if len(out) == 0 {
		return data, nil
	}
	last := first
	out[0] = T(last)
	out = out[1:]
	per := int(block / minis)
	buf := make([]int64, per)
	for len(out) > 0 {
		least, k := binary.Varint(data)
		if k <= 0 || len(data) < k+int(minis) {
			return nil, errValues
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
				return nil, errValues
			}
			if width <= 56 && len(data) >= size+8 {
				unpack(buf[:n], data, width)
			} else if err := unpackSafe(buf[:n], data, width); err != nil {
				return nil, err
			}
			for i, d := range buf[:n] {
				last += least + d
				out[i] = T(last)
			}
			data = data[min(size, len(data)):]
			out = out[n:]
		}
	}
	return data, nil
}
