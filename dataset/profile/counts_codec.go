package profile

import (
	"encoding/binary"
	"fmt"
	"math"
)

// AppendCounts appends what b has counted, without its layout, in a compact
// form of some two bytes a bin. Equal counts give equal bytes.
func (b *Bins) AppendCounts(dst []byte) []byte {
	b.ready()
	for _, n := range b.Counts {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, n := range []uint64{b.Nulls, b.NonFinite} {
		dst = binary.AppendUvarint(dst, n)
	}
	if b.Kind == Categorical {
		return dst
	}
	dst = binary.AppendUvarint(dst, b.Below)
	dst = binary.AppendUvarint(dst, b.Above)
	if !b.seen {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	for _, v := range []float64{b.Sum, b.SumSq, b.Min, b.Max} {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return dst
}

// SetCounts replaces what b has counted with what AppendCounts wrote for a
// layout of the same size, and returns the bytes behind it. It returns
// ErrInvalid, with b unchanged, when they are damaged.
func (b *Bins) SetCounts(src []byte) ([]byte, error) {
	n := b.Empty()
	r := countReader{src: src}
	counted := uint64(0)
	for i := range n.Counts {
		n.Counts[i] = r.uvarint()
		counted += n.Counts[i]
		r.bad = r.bad || n.Counts[i] > maxRows || counted > maxRows
	}
	n.Nulls, n.NonFinite = r.uvarint(), r.uvarint()
	if b.Kind != Categorical {
		n.Below, n.Above = r.uvarint(), r.uvarint()
		switch r.byte() {
		case 0:
		case 1:
			n.Sum, n.SumSq = r.float(), r.float()
			low, high := r.float(), r.float()
			r.bad = r.bad || !(low <= high) || low-low != 0 || high-high != 0
			n.widen(low, high)
		default:
			r.bad = true
		}
		r.bad = r.bad || n.seen != (counted > 0) || n.Below > counted || n.Above > counted-n.Below
	}
	if _, ok := total(counted, n.Nulls, n.NonFinite); r.bad || !ok {
		return nil, fmt.Errorf("profile: read counts: damaged, or of other bins: %w", ErrInvalid)
	}
	*b = *n
	return r.src, nil
}

// countReader reads a byte string; bad says that it ended early.
type countReader struct {
	src []byte
	bad bool
}

func (r *countReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 || n > 1 && r.src[n-1] == 0 { // Only the shortest form.
		r.src, r.bad = nil, true
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *countReader) byte() byte {
	if len(r.src) == 0 {
		r.bad = true
		return 0
	}
	c := r.src[0]
	r.src = r.src[1:]
	return c
}

func (r *countReader) float() float64 {
	if len(r.src) < 8 {
		r.src, r.bad = nil, true
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.src))
	r.src = r.src[8:]
	return v
}

// AppendCounts appends what r has counted in its features and score, without
// layouts, outcomes, chunks and slices. A feature without bins is left out.
func (r *Reference) AppendCounts(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, r.Rows)
	for _, f := range r.Features {
		if f.Bins != nil {
			dst = f.Bins.AppendCounts(dst)
		}
	}
	if r.Score != nil {
		dst = r.Score.AppendCounts(dst)
	}
	return dst
}

// SetCounts replaces what r has counted in its features and score with what
// AppendCounts wrote for a reference of the same layout, and returns the bytes
// behind it. It returns ErrInvalid, with r unchanged, when they are damaged.
func (r *Reference) SetCounts(src []byte) ([]byte, error) {
	head := countReader{src: src}
	rows := head.uvarint()
	if head.bad || rows > maxRows {
		return nil, fmt.Errorf("profile: read counts: damaged, or of other bins: %w", ErrInvalid)
	}
	n, rest := r.Clone(), head.src
	all := make([]*Bins, 0, len(n.Features)+1)
	for _, f := range n.Features {
		all = append(all, f.Bins)
	}
	var err error
	for _, b := range append(all, n.Score) {
		if b == nil {
			continue
		}
		if rest, err = b.SetCounts(rest); err != nil {
			return nil, err
		}
		if b.Rows() != rows {
			return nil, fmt.Errorf("profile: read counts: %d rows of %d: %w", b.Rows(), rows, ErrInvalid)
		}
	}
	n.Rows = rows
	*r = *n
	return rest, nil
}
