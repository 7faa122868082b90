package sqlstore

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// A block holds points of one metric in the order of its history, packed as
// Facebook's Gorilla packs time series: of times and steps the difference
// between neighbouring differences, which mostly is 0 and then takes one bit;
// of values the bits in which neighbours differ. Every number comes back
// exactly, also after an overflow, since differences wrap around.
//
// The layout is a version byte, the number of points, and a stream of bits,
// the highest of each byte first. The first point differs from zeros.
const (
	blockVersion = 1
	// maxBlock is the most points of one block.
	maxBlock = 512
	// maxBlockPoints bounds what a damaged blob makes the decoder allocate.
	maxBlockPoints = 1 << 16
)

var errDamagedBlock = errors.New("a row of mw_metric_block is damaged")

func encodeBlock(points []point) []byte {
	head := make([]byte, 0, 16+len(points)*10)
	head = append(head, blockVersion)
	head = binary.AppendUvarint(head, uint64(len(points)))
	w := bitWriter{out: head}
	var ts, step deltas
	var value xors
	for i := range points {
		p := &points[i]
		w.delta(ts.next(p.tsMS))
		w.delta(step.next(p.step))
		value.write(&w, p.bits())
	}
	return w.finish()
}

// decodeBlock appends the points of a blob to out.
func decodeBlock(out []point, data []byte) ([]point, error) {
	if len(data) == 0 || data[0] != blockVersion {
		return out, errDamagedBlock
	}
	size, used := binary.Uvarint(data[1:])
	// A point takes three bits at least.
	if used <= 0 || size > maxBlockPoints || size*3 > uint64(len(data))*8 {
		return out, errDamagedBlock
	}
	r := bitReader{in: data[1+used:]}
	first := len(out)
	out = slices.Grow(out, int(size))
	var ts, step deltas
	var value xors
	for range size {
		p := pointFromBits(ts.undo(r.delta()), step.undo(r.delta()), value.read(&r))
		out = append(out, p)
	}
	if r.short {
		return out[:first], errDamagedBlock
	}
	return out, nil
}

// deltas turns numbers into differences of differences, and back.
type deltas struct{ last, delta uint64 }

func (d *deltas) next(v int64) int64 {
	delta := uint64(v) - d.last
	change := delta - d.delta
	d.last, d.delta = uint64(v), delta
	return int64(change)
}

func (d *deltas) undo(change int64) int64 {
	d.delta += uint64(change)
	d.last += d.delta
	return int64(d.last)
}

// The classes of a difference: so many leading ones, then a number of so many
// bits. A difference of 0 is a single 0.
var deltaBits = [...]uint{0, 6, 9, 14, 32, 64}

func (w *bitWriter) delta(v int64) {
	if v == 0 {
		w.write(0, 1)
		return
	}
	u := uint64(v<<1) ^ uint64(v>>63) // small whatever its sign
	for class := uint(1); ; class++ {
		if n := deltaBits[class]; n == 64 || u>>n == 0 {
			if n == 64 {
				w.write(1<<class-1, class)
			} else {
				w.write(1<<(class+1)-2, class+1) // ones, then a zero
			}
			w.write(u, n)
			return
		}
	}
}

func (r *bitReader) delta() int64 {
	class := 0
	for class < len(deltaBits)-1 && r.read(1) == 1 {
		class++
	}
	u := r.read(deltaBits[class])
	return int64(u>>1) ^ -int64(u&1)
}

// xors turns values into the bits that changed, and back. A change that fits
// into the place of the one before is written without saying its place again.
type xors struct {
	last            uint64
	leading, length uint // of the last place; length 0: none yet
}

func (x *xors) write(w *bitWriter, v uint64) {
	change := v ^ x.last
	x.last = v
	if change == 0 {
		w.write(0, 1)
		return
	}
	leading, trailing := uint(bits.LeadingZeros64(change)), uint(bits.TrailingZeros64(change))
	if x.length > 0 && leading >= x.leading && trailing >= 64-x.leading-x.length {
		w.write(0b10, 2)
		w.write(change>>(64-x.leading-x.length), x.length)
		return
	}
	x.leading, x.length = leading, 64-leading-trailing
	w.write(0b11, 2)
	w.write(uint64(x.leading), 6)
	w.write(uint64(x.length-1), 6)
	w.write(change>>trailing, x.length)
}

func (x *xors) read(r *bitReader) uint64 {
	if r.read(1) == 0 {
		return x.last
	}
	if r.read(1) == 1 {
		x.leading, x.length = uint(r.read(6)), uint(r.read(6))+1
	}
	if x.length == 0 || x.leading+x.length > 64 {
		r.short = true
		x.leading, x.length = 0, 0
		return x.last
	}
	x.last ^= r.read(x.length) << (64 - x.leading - x.length)
	return x.last
}

// bitWriter appends bits to out, eight bytes at a time.
type bitWriter struct {
	out  []byte
	word uint64 // the next bits, at the high end
	used uint   // how many, less than 64
}

// write appends the low n bits of v, which has no others; n is at most 64.
func (w *bitWriter) write(v uint64, n uint) {
	room := 64 - w.used
	if n < room {
		w.word |= v << (room - n)
		w.used += n
		return
	}
	rest := n - room
	w.out = binary.BigEndian.AppendUint64(w.out, w.word|v>>rest)
	w.word, w.used = v<<(64-rest), rest
}

func (w *bitWriter) finish() []byte {
	for ; w.used > 0; w.used -= min(8, w.used) {
		w.out = append(w.out, byte(w.word>>56))
		w.word <<= 8
	}
	return w.out
}

// bitReader takes bits from in. Beyond the end there are zeros, and short is
// set.
type bitReader struct {
	in    []byte
	word  uint64 // the next bits, at the high end
	have  uint   // how many
	short bool
}

// read returns the next n bits, at most 64.
func (r *bitReader) read(n uint) uint64 {
	if n > r.have {
		return r.refill(n)
	}
	v := r.word >> (64 - n)
	r.word <<= n
	r.have -= n
	return v
}

func (r *bitReader) refill(n uint) uint64 {
	v := r.word >> (64 - r.have) // what is left; a shift by 64 gives 0
	n -= r.have
	if len(r.in) >= 8 {
		r.word, r.have, r.in = binary.BigEndian.Uint64(r.in), 64, r.in[8:]
	} else {
		var last [8]byte
		r.have = 8 * uint(copy(last[:], r.in))
		r.word, r.in = binary.BigEndian.Uint64(last[:]), nil
		if n > r.have {
			r.short, r.have = true, 64
		}
	}
	v = v<<n | r.word>>(64-n)
	r.word <<= n
	r.have -= n
	return v
}
