package pqfile

import (
	"encoding/binary"
	mathbits "math/bits"
)

// Texts that differ are written with their lengths apart from their bytes: both
// compress better than mixed, and whoever reads them copies a page at once. Where
// neighbours start alike, as ids, addresses and sorted keys do, each text is what
// it does not share with the one before, which leaves the compression less to do
// than it would take to find the same.

const (
	// sharedPart of the bytes at least must be shared with the text before, 1 of so
	// many, for the time that a reader takes to put them together.
	sharedPart = 4
	// sharedRun is how many neighbours are compared at a time in a sample.
	sharedRun = 16
)

// sharesFronts tells by a sample whether neighbours start alike.
func (w *textColumn) sharesFronts() bool {
	n := len(w.starts)
	if n < 2*sharedRun {
		return false
	}
	shared, total := 0, 0
	step := max(n/(sampleRows/sharedRun), sharedRun)
	for from := 0; from+sharedRun <= n; from += step {
		for k := from + 1; k < from+sharedRun; k++ {
			shared += w.shared(k)
			total += int(w.ends[k] - w.starts[k])
		}
	}
	return shared > 0 && shared*sharedPart >= total
}

// shared is how many bytes text k starts with that the text before starts with.
func (w *textColumn) shared(k int) int {
	a, b := w.data[w.starts[k-1]:w.ends[k-1]], w.data[w.starts[k]:w.ends[k]]
	most := min(len(a), len(b))
	n := 0
	for ; n+8 <= most; n += 8 {
		if d := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); d != 0 {
			return n + mathbits.TrailingZeros64(d)/8
		}
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

// appendLengths writes texts with their lengths first.
func (w *textColumn) appendLengths(out []byte, starts, ends []int32) []byte {
	lengths := w.texts.lengths[:0]
	adjacent := true
	for k, from := range starts {
		lengths = append(lengths, ends[k]-from)
		adjacent = adjacent && (k == 0 || from == ends[k-1])
	}
	w.texts.lengths = lengths
	out = appendDelta(out, lengths)
	if adjacent && len(starts) > 0 {
		return append(out, w.data[starts[0]:ends[len(ends)-1]]...)
	}
	return w.appendBytes(out, starts, ends)
}

// appendBytes writes texts one after the other.
func (w *textColumn) appendBytes(out []byte, starts, ends []int32) []byte {
	n := 0
	ends = ends[:len(starts)]
	for k, from := range starts {
		n += int(ends[k] - from)
	}
	at := len(out)
	out = grown(out, n+brief)
	data := w.data
	for k, from := range starts {
		size := int(ends[k] - from)
		if size <= brief && int(from)+brief <= len(data) {
			copyShort(out[at:at+brief], data[from:from+brief])
		} else {
			copy(out[at:], data[from:ends[k]])
		}
		at += size
	}
	return out[:at]
}

// appendFronts writes the texts [from, to) without what each shares with the one
// before it in the page.
func (w *textColumn) appendFronts(out []byte, from, to int) []byte {
	w.texts.fronts, w.texts.rests = w.texts.fronts[:0], w.texts.rests[:0]
	for k := from; k < to; k++ {
		n := int32(0)
		if k > from {
			n = int32(w.shared(k))
		}
		w.texts.fronts, w.texts.rests = append(w.texts.fronts, n), append(w.texts.rests, w.starts[k]+n)
	}
	out = appendDelta(out, w.texts.fronts)
	return w.appendLengths(out, w.texts.rests, w.ends[from:to])
}
