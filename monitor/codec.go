package monitor

import (
	"encoding/binary"
	"math"
	"time"
)

// writer appends values to a byte string.
type writer struct{ b []byte }

func (w *writer) uint(v uint64)   { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int)       { w.uint(uint64(max(v, 0))) }
func (w *writer) float(v float64) { w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(v)) }
func (w *writer) text(s string)   { w.int(len(s)); w.b = append(w.b, s...) }
func (w *writer) bool(v bool) {
	c := byte(0)
	if v {
		c = 1
	}
	w.b = append(w.b, c)
}

// time writes the zero time as itself: its nanoseconds have no number.
func (w *writer) time(t time.Time) {
	if w.bool(!t.IsZero()); !t.IsZero() {
		w.b = binary.LittleEndian.AppendUint64(w.b, uint64(t.UnixNano()))
	}
}

func (w *writer) floats(vs []float64) {
	w.int(len(vs))
	for _, v := range vs {
		w.float(v)
	}
}

// reader reads what a writer wrote. From the first fault on, bad is true and
// all values are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int reads a number up to a limit.
func (r *reader) int(limit int) int {
	v := r.uint()
	if v > uint64(limit) {
		r.fail()
		return 0
	}
	return int(v)
}

// count reads how many things of at least a size follow, so that a damaged
// number allocates no more than there are bytes.
func (r *reader) count(size int) int { return r.int(len(r.b) / size) }

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) word() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (r *reader) float() float64 { return math.Float64frombits(r.word()) }
func (r *reader) text() string   { return string(r.take(r.count(1))) }

func (r *reader) bool() bool {
	b := r.take(1)
	if b == nil || b[0] > 1 {
		r.fail()
		return false
	}
	return b[0] == 1
}

func (r *reader) time() time.Time {
	if !r.bool() {
		return time.Time{}
	}
	return time.Unix(0, int64(r.word()))
}

func (r *reader) floats() []float64 {
	n := r.count(8)
	if n == 0 {
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = r.float()
	}
	return out
}
