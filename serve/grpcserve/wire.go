package grpcserve

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is one protobuf message on its way. It is what gRPC's own codec takes
// for one: the interface of generated code before 2020, which marshals itself.
// There is no generated code because that would register the names of package
// inference for the whole program, which then could link no other stubs of
// Triton's; and because it would copy each tensor once more.
type message struct {
	// text is the message to send.
	text []byte
	// read takes a message that has arrived. The bytes are valid until it
	// returns.
	read func(b []byte) error
}

func (m *message) Reset() {}
func (m *message) String() string {
	return fmt.Sprintf("a message of package inference, %d bytes", len(m.text))
}
func (m *message) ProtoMessage() {}

// Marshal is called by gRPC.
func (m *message) Marshal() ([]byte, error) { return m.text, nil }

// Unmarshal is called by gRPC.
func (m *message) Unmarshal(b []byte) error {
	if m.read == nil {
		return nil
	}
	return m.read(b)
}

// errWire is a message that is not protobuf, or not the message it should be.
var errWire = errors.New("the message is not as its protocol says")

// field is one field of a message, as it is on the wire.
type field struct {
	num   protowire.Number
	kind  protowire.Type
	n     uint64 // Of a varint or of fixed bits.
	bytes []byte // Of what has a length; a view of the message.
}

// fields calls each with the fields of the message in their order. A group, which
// proto3 does not have, is skipped.
func fields(b []byte, each func(f *field) error) error {
	var f field
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errWire
		}
		b = b[n:]
		f = field{num: num, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.n = uint64(v)
		case protowire.Fixed64Type:
			f.n, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return errWire
		}
		b = b[n:]
		if kind == protowire.StartGroupType {
			continue
		}
		if err := each(&f); err != nil {
			return err
		}
	}
	return nil
}

// want refuses a field of another kind than its number has.
func (f *field) want(kind protowire.Type) error {
	if f.kind != kind {
		return fmt.Errorf("field %d has wire type %d, want %d: %w", f.num, f.kind, kind, errWire)
	}
	return nil
}

// text reads a string field.
func (f *field) text(to *string) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	if !utf8.Valid(f.bytes) {
		return fmt.Errorf("field %d is not valid UTF-8: %w", f.num, errWire)
	}
	*to = string(f.bytes)
	return nil
}

// flag reads a bool field.
func (f *field) flag(to *bool) error {
	*to = f.n != 0
	return f.want(protowire.VarintType)
}

// nested reads a field that is a message.
func (f *field) nested(each func(f *field) error) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	return fields(f.bytes, each)
}

// appendText appends a string field that is not empty.
func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// appendNumber appends an integer or a bool field that is not zero.
func appendNumber(b []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, n)
}

func appendFlag(b []byte, num protowire.Number, on bool) []byte {
	return appendNumber(b, num, protowire.EncodeBool(on))
}

// appendNested appends a field that is a message, which write appends. The
// length goes in front of it afterwards.
func appendNested(b []byte, num protowire.Number, write func(b []byte) []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	from := len(b)
	b = write(b)
	size := len(b) - from
	var length [10]byte
	head := protowire.AppendVarint(length[:0], uint64(size))
	b = append(b, head...)
	copy(b[from+len(head):], b[from:from+size])
	copy(b[from:], head)
	return b
}

// appendPacked appends a field of packed varints unless there are none.
func appendPacked(b []byte, num protowire.Number, n int, at func(i int) uint64) []byte {
	if n == 0 {
		return b
	}
	return appendNested(b, num, func(b []byte) []byte {
		for i := range n {
			b = protowire.AppendVarint(b, at(i))
		}
		return b
	})
}
