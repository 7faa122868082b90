package pqfile

import "encoding/binary"

// Types of Thrift's compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftBinary = 8
	thriftList   = 9
	thriftStruct = 12
)

// thriftWriter writes Thrift's compact protocol, the fields of each struct in
// the order of their numbers.
type thriftWriter struct {
	b    []byte
	last int16
	open []int16
}

func (w *thriftWriter) field(id int16, kind byte) {
	if d := id - w.last; d > 0 && d < 16 {
		w.b = append(w.b, byte(d)<<4|kind)
	} else {
		w.b = binary.AppendVarint(append(w.b, kind), int64(id))
	}
	w.last = id
}

func (w *thriftWriter) number(id int16, kind byte, v int64) {
	w.field(id, kind)
	w.b = binary.AppendVarint(w.b, v)
}

func (w *thriftWriter) i32(id int16, v int64) { w.number(id, thriftI32, v) }
func (w *thriftWriter) i64(id int16, v int64) { w.number(id, thriftI64, v) }

func (w *thriftWriter) bool(id int16, v bool) {
	if v {
		w.field(id, thriftTrue)
	} else {
		w.field(id, thriftFalse)
	}
}

func (w *thriftWriter) bytes(id int16, v []byte) {
	w.field(id, thriftBinary)
	w.item(v)
}

// item is a binary in a list.
func (w *thriftWriter) item(v []byte) {
	w.b = append(binary.AppendUvarint(w.b, uint64(len(v))), v...)
}

func (w *thriftWriter) list(id int16, kind byte, n int) {
	w.field(id, thriftList)
	if n < 15 {
		w.b = append(w.b, byte(n)<<4|kind)
		return
	}
	w.b = binary.AppendUvarint(append(w.b, 0xf0|kind), uint64(n))
}

// begin starts a struct that is an item of a list; a struct that is a field
// has its field before.
func (w *thriftWriter) begin() {
	w.open = append(w.open, w.last)
	w.last = 0
}

func (w *thriftWriter) end() {
	w.b = append(w.b, 0)
	w.last = w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
}
