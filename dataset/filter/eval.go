package filter

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
)

// Eval marks the rows of a record for which the expression is true. The record
// has the columns of Columns, in any place, and may have others.
func (b *Bound) Eval(rec arrow.Record) (*Mask, error) {
	n := int(rec.NumRows())
	if b.root == nil {
		m := newMask(n)
		fill(m.bits, n)
		return m.count(), nil
	}
	cols := make([]arrow.Array, len(b.columns))
	for i, f := range b.columns {
		at := rec.Schema().FieldIndices(f.Name)
		if len(at) != 1 {
			return nil, fmt.Errorf("filter: the record has %d columns %q: %w", len(at), f.Name, ErrInvalid)
		}
		cols[i] = rec.Column(at[0])
		if have := cols[i].DataType(); have.ID() != f.Type.ID() || !alike(have, f.Type) {
			return nil, fmt.Errorf("filter: column %q is %s in the record and %s in the schema: %w", f.Name, have, f.Type, ErrInvalid)
		}
	}
	yes, _ := b.root.eval(cols, n)
	return (&Mask{bits: yes, n: n}).count(), nil
}

// alike tells whether two types of one id have values of one meaning.
func alike(a, b arrow.DataType) bool {
	switch a := a.(type) {
	case *arrow.Decimal128Type:
		return a.Scale == b.(*arrow.Decimal128Type).Scale
	case *arrow.TimestampType:
		return a.Unit == b.(*arrow.TimestampType).Unit
	}
	return true
}

// eval gives the rows for which the node is true and those for which it is
// false; it is null for the others.
func (n *bound) eval(cols []arrow.Array, rows int) (yes, no []uint64) {
	words := (rows + 63) / 64
	switch n.kind {
	case and, or:
		yes, no = make([]uint64, words), make([]uint64, words)
		if n.kind == and {
			fill(yes, rows)
		} else {
			fill(no, rows)
		}
		for _, a := range n.args {
			y, f := a.eval(cols, rows)
			if n.kind == or {
				y, f = f, y
			}
			all, some := yes, no
			if n.kind == or {
				all, some = no, yes
			}
			for i := range all {
				all[i] &= y[i]
				some[i] |= f[i]
			}
		}
		return yes, no
	case not:
		yes, no = n.args[0].eval(cols, rows)
		return no, yes
	}
	a := cols[n.column]
	valid := make([]uint64, words)
	validity(a, valid, rows)
	if n.kind == isNull {
		yes = make([]uint64, words)
		fill(yes, rows)
		for i := range yes {
			yes[i] &^= valid[i]
		}
		return yes, valid
	}
	yes = make([]uint64, words)
	n.test.eval(a, yes)
	for i := range yes {
		valid[i], yes[i] = valid[i]&^yes[i], valid[i]&yes[i]
	}
	return yes, valid
}

// fill sets the first n bits.
func fill(out []uint64, n int) {
	for i := range out {
		out[i] = ^uint64(0)
	}
	if n&63 != 0 {
		out[len(out)-1] = 1<<(n&63) - 1
	}
}

// validity copies the validity of an array. It asks the bitmap and not NullN,
// which counts when it is first asked and keeps the count without a lock.
func validity(a arrow.Array, out []uint64, n int) {
	fill(out, n)
	bits := a.NullBitmapBytes()
	if a.DataType().ID() == arrow.NULL {
		clear(out)
	} else if len(bits) > 0 {
		for i, w := range words(bits, a.Data().Offset(), n) {
			out[i] &= w
		}
	}
}

// words yields n bits of a bitmap from bit off on, 64 at a time. Bits past the
// end may be anything.
func words(bits []byte, off, n int) func(func(int, uint64) bool) {
	return func(yield func(int, uint64) bool) {
		bits, shift := bits[off/8:], off%8
		for i := 0; i*64 < n; i++ {
			var buf [16]byte
			var lo, hi uint64
			if at := i * 8; at+9 <= len(bits) {
				lo, hi = binary.LittleEndian.Uint64(bits[at:]), uint64(bits[at+8])
			} else {
				copy(buf[:9], bits[at:])
				lo, hi = binary.LittleEndian.Uint64(buf[:]), uint64(buf[8])
			}
			if shift > 0 {
				lo = lo>>shift | hi<<(64-shift)
			}
			if !yield(i, lo) {
				return
			}
		}
	}
}

// fixed is the same for every value.
type fixed struct{ yes bool }

func (t fixed) eval(a arrow.Array, out []uint64) {
	if t.yes {
		fill(out, a.Len())
	}
}

type boolTest struct {
	op op
	c  bool
}

func (t boolTest) holds(v bool) bool {
	order := 0
	switch {
	case v && !t.c:
		order = 1
	case !v && t.c:
		order = -1
	}
	return holds(t.op, order)
}

func (t boolTest) eval(a arrow.Array, out []uint64) {
	whenTrue, whenFalse := t.holds(true), t.holds(false)
	b := a.(*array.Boolean)
	if b.Len() == 0 {
		return
	}
	for i, w := range words(b.Data().Buffers()[1].Bytes(), b.Data().Offset(), b.Len()) {
		if whenTrue {
			out[i] |= w
		}
		if whenFalse {
			out[i] |= ^w
		}
	}
}

// holds tells whether the comparison is true of an order: negative when the
// value is less than the constant.
func holds(o op, order int) bool {
	switch o {
	case eq:
		return order == 0
	case ne:
		return order != 0
	case lt:
		return order < 0
	case le:
		return order <= 0
	case gt:
		return order > 0
	}
	return order >= 0
}

type decimalTest struct {
	op op
	c  decimal128.Num
}

func (t decimalTest) eval(a arrow.Array, out []uint64) {
	for i, v := range a.(*array.Decimal128).Values() {
		if holds(t.op, v.Cmp(t.c)) {
			out[i>>6] |= 1 << (i & 63)
		}
	}
}

// textTest compares the bytes of texts and binaries.
type textTest struct {
	op op
	c  string
}

// valuesOf are the bytes and the offsets of a text or binary column.
func valuesOf(a arrow.Array) (data []byte, offsets []int32) {
	buffers := a.Data().Buffers()
	if buffers[2] != nil {
		data = buffers[2].Bytes()
	}
	switch a := a.(type) {
	case *array.String:
		return data, a.ValueOffsets()
	case *array.Binary:
		return data, a.ValueOffsets()
	}
	return nil, nil
}

func (t textTest) eval(a arrow.Array, out []uint64) {
	n := a.Len()
	if n == 0 {
		return
	}
	data, offsets := valuesOf(a)
	c := []byte(t.c)
	if t.op != eq && t.op != ne {
		for i := range n {
			if holds(t.op, bytes.Compare(data[offsets[i]:offsets[i+1]], c)) {
				out[i>>6] |= 1 << (i & 63)
			}
		}
		return
	}
	for i := range n {
		if from, to := offsets[i], offsets[i+1]; int(to-from) == len(c) && string(data[from:to]) == t.c {
			out[i>>6] |= 1 << (i & 63)
		}
	}
	invert(t.op == ne, out)
}

func invert(yes bool, out []uint64) {
	if yes {
		for i := range out {
			out[i] = ^out[i]
		}
	}
}
