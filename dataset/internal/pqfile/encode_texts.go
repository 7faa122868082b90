package pqfile

import (
	"bytes"
	"encoding/binary"
	mathbits "math/bits"
	"unicode/utf8"
	"unsafe"
)

const (
	// maxBound is how many bytes of a text are a bound of a page, and maxChunkBound
	// of a chunk, where some engines take it for the value itself.
	maxBound      = 64
	maxChunkBound = 4096
)

// textColumn writes a chunk of texts or binaries: value k lies in data from
// starts[k] to ends[k]. Nulls have no value.
type textColumn struct {
	*chunkEncoder
	rows         shape
	data         []byte
	starts, ends []int32
	utf8         bool

	from, to []int32 // Of the values of the dictionary.
	codes    []uint32
	lo, hi   [][]byte // Of the pages.
}

func writeTexts(c *chunkEncoder, w *textColumn, bloom bool) error {
	w.chunkEncoder = c
	if err := w.choose(bloom); err != nil {
		return err
	}
	size := 2
	var ends func(k int) int
	if w.chunkMeta.dict {
		w.packed = w.appendPlain(w.packed[:0], w.from, w.to)
		if err := w.dictionary(w.packed, len(w.from)); err != nil {
			return err
		}
		w.mark()
	} else {
		base := 0
		if len(w.starts) > 0 {
			base = int(w.starts[0])
		}
		ends = func(k int) int {
			if k < 0 {
				return 0
			}
			return int(w.ends[k]) - base + 4*(k+1)
		}
	}
	width := max(mathbits.Len(uint(max(len(w.from)-1, 0))), 1)
	k := 0
	return w.rows.pages(c, size, ends, func(row, n, values, slots int, levels []byte) error {
		m := pageMeta{row: int64(row), nulls: int64(slots - values), empty: values == 0}
		if c.encoding == encodingDict {
			codes := w.codes[k : k+values]
			c.packed = appendIndices(c.packed[:0], codes, width)
			if !c.element && values > 0 {
				w.codeBounds(&m, codes)
			}
			k += values
			return c.page(levels, c.packed, slots, m)
		}
		starts, ends := w.starts[k:k+values], w.ends[k:k+values]
		if c.packed = append(c.packed[:0], levels...); c.encoding == encodingFronts {
			c.packed = w.appendFronts(c.packed, k, k+values)
		} else {
			c.packed = w.appendLengths(c.packed, starts, ends)
		}
		k += values
		if !c.element && values > 0 {
			lo, hi := w.span(starts, ends)
			w.bounds(&m, lo, hi)
		}
		return c.page(nil, c.packed, slots, m)
	}, w.finish)
}

// appendPlain writes texts with their lengths.
func (w *textColumn) appendPlain(out []byte, starts, ends []int32) []byte {
	n := 0
	ends = ends[:len(starts)]
	for k, from := range starts {
		n += int(ends[k] - from)
	}
	at := len(out)
	out = grown(out, n+4*len(starts)+brief)
	data := w.data
	for k, from := range starts {
		size := int(ends[k] - from)
		binary.LittleEndian.PutUint32(out[at:], uint32(size))
		at += 4
		if int(from)+brief <= len(data) && size <= brief {
			copyShort(out[at:at+brief], data[from:from+brief])
		} else {
			copy(out[at:], data[from:ends[k]])
		}
		at += size
	}
	return out[:at]
}

func (w *textColumn) choose(bloom bool) error {
	n := len(w.starts)
	s := w.sampled()
	step := max(n/sampleRows, 1)
	total := 0
	for k := 0; k < n; k += step {
		s.add(hashBytes(w.data[w.starts[k]:w.ends[k]]))
		total += int(w.ends[k] - w.starts[k])
	}
	bits := 32 + 8*float64(total)/float64(max(s.values, 1))
	w.encoding = encodingDeltaLength
	var sample []byte
	if distinct := s.distinct(n); dictPays(n, distinct, bits) && w.index(dictLimit(n, distinct)) {
		w.chunkMeta.dict, w.encoding = true, encodingDict
		data, from, to := w.data, w.from, w.to
		w.known = Dict{
			Counts: w.counted(w.codes, len(from)),
			Text:   func(i int) string { return unsafeText(data[from[i]:to[i]]) },
		}
		width := max(mathbits.Len(uint(len(w.from)-1)), 1)
		first, last := middle(n, sampleBytes*8/width)
		w.packed = appendIndices(w.packed[:0], w.codes[first:last], width)
		sample = w.packed
	} else if n > 0 {
		from, to := middle(n, max(int(sampleBytes*8/bits), 1))
		if w.sharesFronts() {
			w.encoding = encodingFronts
			w.packed = w.appendFronts(w.packed[:0], from, to)
			sample = w.packed
		} else {
			first, last := int(w.starts[from]), int(w.ends[to-1])
			sample = w.data[first:min(last, first+2*sampleBytes)]
		}
	}
	if bloom && !w.chunkMeta.dict && !w.ascending() {
		w.bloomTexts()
	}
	return w.pack(sample)
}

func (w *textColumn) ascending() bool {
	step := max(len(w.starts)/sampleRows, 1)
	for k := step; k < len(w.starts); k += step {
		if bytes.Compare(w.data[w.starts[k]:w.ends[k]], w.data[w.starts[k-step]:w.ends[k-step]]) < 0 {
			return false
		}
	}
	return true
}

// unsafeText is a text that is valid as long as its bytes are.
func unsafeText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// hashBytes is hashText of bytes.
func hashBytes(b []byte) uint64 {
	h := uint64(len(b)) * hashSeed
	for len(b) >= 8 {
		h = fold(h^binary.LittleEndian.Uint64(b), hashNull)
		b = b[8:]
	}
	var rest uint64
	for i, v := range b {
		rest |= uint64(v) << (8 * i)
	}
	return fold(h^rest, hashNull|1)
}

// index makes the dictionary, false when it would have more than limit values or
// be too large.
func (w *textColumn) index(limit int) bool {
	n := len(w.starts)
	if cap(w.Space.codes) < n {
		w.Space.codes = make([]uint32, n)
	}
	w.codes = w.Space.codes[:n]
	w.slots.reset(limit)
	table, shift := w.slots.table, w.slots.shift&63
	mask := uint64(len(table) - 1)
	from, to, hashes := w.texts.from[:0], w.texts.to[:0], w.texts.hashes[:0]
	room := 2 * maxDictBytes
	defer func() { w.texts.from, w.texts.to, w.texts.hashes = from, to, hashes }()
	for k, start := range w.starts {
		text := w.data[start:w.ends[k]]
		h := hashBytes(text)
		at := h >> shift
		for {
			code := table[at&mask]
			if code == 0 {
				if room -= len(text) + 4; len(from) == limit || room < 0 {
					return false
				}
				from, to, hashes = append(from, start), append(to, w.ends[k]), append(hashes, uint32(h))
				code = uint32(len(from))
				table[at&mask] = code
				w.codes[k] = code - 1
				break
			}
			if hashes[code-1] == uint32(h) && string(w.data[from[code-1]:to[code-1]]) == string(text) {
				w.codes[k] = code - 1
				break
			}
			at++
		}
	}
	w.from, w.to = from, to
	return true
}

// mark prepares codeBounds.
func (w *textColumn) mark() {
	if cap(w.seen) < len(w.from) {
		w.seen = make([]uint32, len(w.from))
	}
	w.seen = w.seen[:len(w.from)]
	clear(w.seen)
}

// codeBounds compares each value of the dictionary once that the page has.
func (w *textColumn) codeBounds(m *pageMeta, codes []uint32) {
	page := uint32(len(w.pages) + 1)
	var lo, hi []byte
	for i, code := range codes {
		if w.seen[code] == page {
			continue
		}
		w.seen[code] = page
		v := w.data[w.from[code]:w.to[code]]
		if i == 0 {
			lo, hi = v, v
			continue
		}
		if bytes.Compare(v, lo) < 0 {
			lo = v
		} else if bytes.Compare(v, hi) > 0 {
			hi = v
		}
	}
	w.bounds(m, lo, hi)
}

// span is the minimum and maximum of texts. Most are told apart by their first
// eight bytes.
func (w *textColumn) span(starts, ends []int32) (lo, hi []byte) {
	lo = w.data[starts[0]:ends[0]]
	hi = lo
	low, high := prefix(lo), prefix(hi)
	data := w.data
	for k, from := range starts {
		to := ends[k]
		var p uint64
		if int(from)+8 <= len(data) {
			p = mathbits.ReverseBytes64(binary.LittleEndian.Uint64(data[from:]))
			if size := to - from; size < 8 {
				p &= ^uint64(0) << (64 - 8*uint(size))
			}
		} else {
			p = prefix(data[from:to])
		}
		if p <= low {
			if v := data[from:to]; p < low || bytes.Compare(v, lo) < 0 {
				lo, low = v, p
			}
		}
		if p >= high {
			if v := data[from:to]; p > high || bytes.Compare(v, hi) > 0 {
				hi, high = v, p
			}
		}
	}
	return lo, hi
}

// prefix is the start of a text as a number that sorts like it.
func prefix(b []byte) uint64 {
	var p [8]byte
	copy(p[:], b)
	return binary.BigEndian.Uint64(p[:])
}

// bounds keeps the bounds of a page.
func (w *textColumn) bounds(m *pageMeta, lo, hi []byte) {
	w.lo, w.hi = append(w.lo, lo), append(w.hi, hi)
	m.min, m.max = shortMin(lo, maxBound, w.utf8), shortMax(hi, maxBound, w.utf8)
}

func (w *textColumn) finish() {
	if len(w.lo) == 0 {
		return
	}
	w.ordered = true
	lo, hi := w.lo[0], w.hi[0]
	for i := range w.lo[1:] {
		if bytes.Compare(w.lo[i+1], w.lo[i]) < 0 || bytes.Compare(w.hi[i+1], w.hi[i]) < 0 {
			w.ordered = false
		}
		if bytes.Compare(w.lo[i+1], lo) < 0 {
			lo = w.lo[i+1]
		}
		if bytes.Compare(w.hi[i+1], hi) > 0 {
			hi = w.hi[i+1]
		}
	}
	w.bounded, w.min, w.max = true, shortMin(lo, maxChunkBound, w.utf8), shortMax(hi, maxChunkBound, w.utf8)
}

// shortMin is a start of v, which is not above it.
func shortMin(v []byte, most int, text bool) bound {
	if len(v) <= most {
		return bound{copied(v), true}
	}
	return bound{copied(cutText(v, text)), false}
}

// shortMax is a short value that is not below v, or v when there is none.
func shortMax(v []byte, most int, text bool) bound {
	if len(v) <= most {
		return bound{copied(v), true}
	}
	text = text && utf8.Valid(v)
	s := copied(cutText(v, text))
	for len(s) > 0 {
		if !text {
			if last := len(s) - 1; s[last] < 0xff {
				s[last]++
				return bound{s, false}
			}
			s = s[:len(s)-1]
			continue
		}
		r, n := utf8.DecodeLastRune(s)
		s = s[:len(s)-n]
		if r++; r == 0xd800 {
			r = 0xe000 // What lies between are no characters.
		}
		if n > 0 && r <= utf8.MaxRune {
			return bound{utf8.AppendRune(s, r), false}
		}
	}
	return bound{copied(v), true}
}

// copied is a copy that is not nil: an empty text is a bound, too.
func copied(v []byte) []byte { return append(make([]byte, 0, len(v)), v...) }

// cutText is the start of v, of whole characters.
func cutText(v []byte, text bool) []byte {
	s := v[:maxBound]
	if !text || !utf8.Valid(v) {
		return s
	}
	for len(s) > 0 && !utf8.RuneStart(v[len(s)]) {
		s = s[:len(s)-1]
	}
	return s
}

// brief is how many bytes are copied at once: most texts are no longer.
const brief = 16

// copyShort copies brief bytes, without the call of a copy.
func copyShort(dst, src []byte) {
	_, _ = dst[brief-1], src[brief-1]
	binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
	binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:]))
}
