package pqfile

import (
	"encoding/binary"
	"math"
	mathbits "math/bits"
	"unsafe"
)

// physical are the types in which Parquet stores numbers.
type physical interface {
	int32 | int64 | float32 | float64
}

// asBytes is the memory of values.
func asBytes[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(v[0])))
}

// word is a number bit by bit, so that every NaN and both zeros stay what they
// are.
func word[T physical](v T) uint64 {
	switch v := any(v).(type) {
	case int32:
		return uint64(uint32(v))
	case int64:
		return uint64(v)
	case float32:
		return uint64(math.Float32bits(v))
	case float64:
		return math.Float64bits(v)
	}
	return 0
}

// numberColumn writes a chunk of numbers: dense are those that are not null.
type numberColumn[T physical] struct {
	*chunkEncoder
	rows  shape
	dense []T
	dict  []T
	codes []uint32
	lo    []T // Of the pages that have a number.
	hi    []T
}

func writeNumbers[T physical](c *chunkEncoder, rows shape, dense []T, bloom bool) error {
	w := &numberColumn[T]{chunkEncoder: c, rows: rows, dense: dense}
	if err := w.choose(bloom); err != nil {
		return err
	}
	size := int(unsafe.Sizeof(*new(T)))
	if w.chunkMeta.dict {
		if err := w.dictionary(asBytes(w.dict), len(w.dict)); err != nil {
			return err
		}
		size = 2
	}
	width := max(mathbits.Len(uint(max(len(w.dict)-1, 0))), 1)
	k := 0
	return rows.pages(c, size, nil, func(row, n, values, slots int, levels []byte) error {
		part := dense[k : k+values]
		m := pageMeta{row: int64(row), nulls: int64(slots - values), empty: values == 0}
		if !c.element {
			w.bounds(&m, part)
		}
		body := asBytes(part)
		switch c.encoding {
		case encodingDict:
			c.packed = appendIndices(c.packed[:0], w.codes[k:k+values], width)
			body = c.packed
		case encodingDelta:
			c.packed = appendNumbers(c.packed[:0], part)
			body = c.packed
		}
		k += values
		return c.page(levels, body, slots, m)
	}, w.finish)
}

// appendNumbers packs the differences of whole numbers.
func appendNumbers[T physical](out []byte, values []T) []byte {
	switch values := any(values).(type) {
	case []int32:
		return appendDelta(out, values)
	case []int64:
		return appendDelta(out, values)
	}
	return out
}

// choose decides the encoding and whether the chunk is compressed.
func (w *numberColumn[T]) choose(bloom bool) error {
	bits := 8 * float64(unsafe.Sizeof(*new(T)))
	plain := bits
	packs := false
	if k := packedBits(w.dense); k > 0 && k < 0.8*bits {
		packs, plain = true, k
	}
	w.encoding = encodingPlain
	if !w.element { // Elements of lists repeat seldom.
		s := w.sampled()
		step := max(len(w.dense)/sampleRows, 1)
		for i := 0; i < len(w.dense); i += step {
			s.add(mixWord(word(w.dense[i])))
		}
		n := len(w.dense)
		if distinct := s.distinct(n); dictPays(n, distinct, plain) && w.index(dictLimit(n, distinct)) {
			w.chunkMeta.dict, w.encoding = true, encodingDict
			dict := w.dict
			w.known = Dict{
				Counts: w.counted(w.codes, len(dict)),
				Int:    func(i int) int64 { return int64(dict[i]) },
				Float:  func(i int) float64 { return float64(dict[i]) },
			}
		}
	}
	if w.encoding == encodingPlain && packs {
		w.encoding = encodingDelta
	}
	if bloom && w.encoding != encodingDict && !ascending(w.dense) {
		w.bloomNumbers()
	}
	var sample []byte
	from, to := middle(len(w.dense), sampleBytes/int(unsafe.Sizeof(*new(T))))
	switch w.encoding {
	case encodingDict:
		width := max(mathbits.Len(uint(len(w.dict)-1)), 1)
		from, to = middle(len(w.codes), sampleBytes*8/width)
		w.packed = appendIndices(w.packed[:0], w.codes[from:to], width)
		sample = w.packed
	case encodingDelta:
		w.packed = appendNumbers(w.packed[:0], w.dense[from:to])
		sample = w.packed
	default:
		sample = asBytes(w.dense[from:to])
	}
	return w.pack(sample)
}

// pack decides whether the chunk is compressed.
func (c *chunkEncoder) pack(sample []byte) error {
	yes, err := c.shrinks(sample)
	if yes {
		c.codec = codecZstd
	}
	return err
}

// middle are at most size of n values, from the middle: the start is often
// unlike the rest.
func middle(n, size int) (from, to int) {
	from = max(n-size, 0) / 2 &^ 7
	return from, min(from+size, n)
}

// packedBits is about how many bits a whole number takes when differences are
// packed, 0 for floats.
func packedBits[T physical](values []T) float64 {
	switch values := any(values).(type) {
	case []int32:
		return deltaBits(values)
	case []int64:
		return deltaBits(values)
	}
	return 0
}

func deltaBits[T int32 | int64](values []T) float64 {
	const run, blocks = 32, 64
	if len(values) <= 1 {
		return 0
	}
	step := max(len(values)/blocks, run)
	total, n := 0, 0
	for at := 0; at+1 < len(values); at += step {
		part := values[at:min(at+run+1, len(values))]
		least, all := part[1]-part[0], uint64(0)
		for i := 1; i < len(part); i++ {
			least = min(least, part[i]-part[i-1])
		}
		for i := 1; i < len(part); i++ {
			all |= unsigned(part[i] - part[i-1] - least)
		}
		total += mathbits.Len64(all)
		n++
	}
	return float64(total)/float64(n) + 0.5 // Of the headers.
}

// index makes the dictionary, false when it would have more than limit values.
func (w *numberColumn[T]) index(limit int) bool {
	n := len(w.dense)
	if cap(w.Space.codes) < n {
		w.Space.codes = make([]uint32, n)
	}
	w.codes = w.Space.codes[:n]
	w.slots.reset(limit)
	table, shift := w.slots.table, w.slots.shift&63
	mask := uint64(len(table) - 1)
	w.dict = make([]T, 0, min(limit, 1<<12))
	dict := w.dict
	for i, v := range w.dense {
		bits := word(v)
		at := bits * hashSeed >> shift
		for {
			code := table[at&mask]
			if code == 0 {
				if len(dict) == limit {
					return false
				}
				dict = append(dict, v)
				code = uint32(len(dict))
				table[at&mask] = code
				w.codes[i] = code - 1
				break
			}
			if word(dict[code-1]) == bits {
				w.codes[i] = code - 1
				break
			}
			at++
		}
	}
	w.dict = dict
	return true
}

// bounds takes the minimum and maximum of a page, NaNs left out.
func (w *numberColumn[T]) bounds(m *pageMeta, values []T) {
	lo, hi, ok, nan := span(values)
	w.nan = w.nan || nan
	if !ok {
		// There are only nulls, or only NaNs, of which an index can say nothing.
		if len(values) > 0 {
			w.indexed = false
		}
		return
	}
	w.lo, w.hi = append(w.lo, lo), append(w.hi, hi)
	m.min, m.max = bound{lower(lo), true}, bound{upper(hi), true}
}

// finish makes the bounds of the chunk out of those of the pages.
func (w *numberColumn[T]) finish() {
	w.ordered = true
	for i := range w.lo {
		if i > 0 && (w.lo[i] < w.lo[i-1] || w.hi[i] < w.hi[i-1]) {
			w.ordered = false
		}
	}
	if lo, _, ok, _ := span(w.lo); ok {
		_, hi, _, _ := span(w.hi)
		w.bounded, w.min, w.max = true, bound{lower(lo), true}, bound{upper(hi), true}
	}
}

// span is the minimum and maximum of the values that are numbers.
func span[T physical](values []T) (lo, hi T, ok, nan bool) {
	for len(values) > 0 && values[0] != values[0] {
		values, nan = values[1:], true
	}
	if len(values) == 0 {
		return 0, 0, false, nan
	}
	lo, hi = values[0], values[0]
	lo2, hi2 := lo, hi
	for ; len(values) >= 2; values = values[2:] {
		a, b := values[0], values[1]
		if a < lo {
			lo = a
		}
		if a > hi {
			hi = a
		}
		if b < lo2 {
			lo2 = b
		}
		if b > hi2 {
			hi2 = b
		}
		if a != a || b != b {
			nan = true
		}
	}
	for _, v := range values {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
		if v != v {
			nan = true
		}
	}
	return min(lo, lo2), max(hi, hi2), true, nan
}

// lower and upper are bounds in plain encoding. Zero stands for both zeros, as
// the format demands: the one below as a minimum, the one above as a maximum.
func lower[T physical](v T) []byte {
	if v == 0 {
		v = negativeZero[T]()
	}
	return plainNumber(v)
}

func upper[T physical](v T) []byte {
	if v == 0 {
		v = 0
	}
	return plainNumber(v)
}

func negativeZero[T physical]() T {
	var zero T
	switch p := any(&zero).(type) {
	case *float32:
		*p = float32(math.Copysign(0, -1))
	case *float64:
		*p = math.Copysign(0, -1)
	}
	return zero
}

func plainNumber[T physical](v T) []byte {
	if unsafe.Sizeof(v) == 4 {
		return binary.LittleEndian.AppendUint32(nil, uint32(word(v)))
	}
	return binary.LittleEndian.AppendUint64(nil, word(v))
}

// ascending tells whether values do: their bounds then find one as well as a
// Bloom filter does.
func ascending[T physical](values []T) bool {
	step := max(len(values)/sampleRows, 1)
	for i := step; i < len(values); i += step {
		if values[i] < values[i-step] {
			return false
		}
	}
	return true
}
