package tensorboard

import (
	"encoding/binary"
	"errors"
	"math"
)

// The wire types of protocol buffers.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// errProto: a message that is no protocol buffer.
var errProto = errors.New("it is no protocol buffer message")

// field is one field of a message: number holds a varint or the bits of a
// fixed one, data a string, message or packed list.
type field struct {
	id     int
	wire   int
	number uint64
	data   []byte
}

// fields calls do with each field of a message, which may come in any order
// and more than once.
func fields(msg []byte, do func(field) error) error {
	for len(msg) > 0 {
		tag, n := binary.Uvarint(msg)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errProto
		}
		msg = msg[n:]
		f := field{id: int(tag >> 3), wire: int(tag & 7)}
		switch f.wire {
		case wireVarint:
			if f.number, n = binary.Uvarint(msg); n <= 0 {
				return errProto
			}
			msg = msg[n:]
		case wire64:
			if len(msg) < 8 {
				return errProto
			}
			f.number, msg = binary.LittleEndian.Uint64(msg), msg[8:]
		case wire32:
			if len(msg) < 4 {
				return errProto
			}
			f.number, msg = uint64(binary.LittleEndian.Uint32(msg)), msg[4:]
		case wireBytes:
			size, n := binary.Uvarint(msg)
			if n <= 0 || size > uint64(len(msg)-n) {
				return errProto
			}
			f.data, msg = msg[n:n+int(size)], msg[n+int(size):]
		default: // groups, which nobody writes
			return errProto
		}
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// is reports whether the field has the number and the wire type; a known
// field of another type is not read, as every protocol buffer reader does.
func (f field) is(id, wire int) bool { return f.id == id && f.wire == wire }

func appendTag(b []byte, id, wire int) []byte {
	return binary.AppendUvarint(b, uint64(id)<<3|uint64(wire))
}

func appendVarint(b []byte, id int, v uint64) []byte {
	return binary.AppendUvarint(appendTag(b, id, wireVarint), v)
}

func appendDouble(b []byte, id int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(b, id, wire64), math.Float64bits(v))
}

func appendFloat(b []byte, id int, v float32) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(b, id, wire32), math.Float32bits(v))
}

func appendBytes[T ~string | ~[]byte](b []byte, id int, v T) []byte {
	b = binary.AppendUvarint(appendTag(b, id, wireBytes), uint64(len(v)))
	return append(b, v...)
}
