// Package ipccheck checks what Arrow IPC messages claim to hold. The Arrow
// library (18.8) allocates a list of whatever length a message names before it
// looks whether the list is there, so that one damaged byte, in an Arrow file or
// in the Arrow schema that a Parquet file carries, can end the process.
package ipccheck

import (
	"encoding/binary"
	"fmt"
)

// flat walks a flatbuffer: tables of fields that are found by offsets. The
// first fault is kept, and everything reads as absent from then on.
type flat struct {
	b      []byte
	tables int // Visited so far: they may be shared, so that few bytes make many.
	err    error
}

const (
	maxFlatTables = 100_000
	maxFlatDepth  = 64
)

func (f *flat) failf(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("damaged description: "+format, args...)
	}
}

// at returns n bytes at pos, and zeros when they are not there.
func (f *flat) at(pos, n int) []byte {
	if pos < 0 || n > len(f.b) || pos > len(f.b)-n {
		f.failf("offset %d is outside of %d bytes", pos, len(f.b))
		return make([]byte, 8)
	}
	return f.b[pos : pos+n]
}

func (f *flat) u16(pos int) int { return int(binary.LittleEndian.Uint16(f.at(pos, 2))) }
func (f *flat) u32(pos int) int { return int(binary.LittleEndian.Uint32(f.at(pos, 4))) }

// follow is where the offset at pos leads.
func (f *flat) follow(pos int) int { return pos + f.u32(pos) }

// flatTable is a table whose fields lie inside the buffer.
type flatTable struct {
	f      *flat
	pos    int
	fields int // Position of the list of fields.
	count  int
}

func (f *flat) table(pos int) flatTable {
	if f.tables++; f.tables > maxFlatTables {
		f.failf("more than %d tables", maxFlatTables)
	}
	t := flatTable{f: f, pos: pos, fields: pos - int(int32(uint32(f.u32(pos))))}
	size := f.u16(t.fields)
	f.at(t.fields, max(size, 4))
	f.at(pos, f.u16(t.fields+2))
	t.count = max(size-4, 0) / 2
	return t
}

// field is the position of a field, 0 when it is absent.
func (t flatTable) field(i, size int) int {
	if t.f.err != nil || i >= t.count {
		return 0
	}
	offset := t.f.u16(t.fields + 4 + 2*i)
	if offset == 0 {
		return 0
	}
	t.f.at(t.pos+offset, size)
	return t.pos + offset
}

// sub is the table that a field refers to.
func (t flatTable) sub(i int) (flatTable, bool) {
	pos := t.field(i, 4)
	if pos == 0 {
		return flatTable{f: t.f}, false
	}
	return t.f.table(t.f.follow(pos)), t.f.err == nil
}

// list is the vector that a field refers to.
func (t flatTable) list(i, size int) (start, count int) {
	pos := t.field(i, 4)
	if pos == 0 {
		return 0, 0
	}
	start = t.f.follow(pos)
	count = t.f.u32(start)
	if t.f.err == nil && count > (len(t.f.b)-start-4)/size {
		t.f.failf("a list of %d elements is longer than its buffer", count)
	}
	if t.f.err != nil {
		return 0, 0
	}
	return start + 4, count
}

// tables visits the tables that a list refers to.
func (t flatTable) tables(i int, visit func(flatTable)) {
	start, count := t.list(i, 4)
	for k := 0; k < count && t.f.err == nil; k++ {
		visit(t.f.table(t.f.follow(start + 4*k)))
	}
}

// The fields of Arrow's Message.fbs and Schema.fbs that tell how much there is,
// by their number.
const (
	messageKind   = 1 // Of the header: a schema, a dictionary, a record batch.
	messageHeader = 2
	messageBody   = 3
	messageNotes  = 4

	kindSchema     = 1
	kindDictionary = 2
	kindBatch      = 3
	typeUnion      = 14
)

// Message checks all that the description of a message says about sizes, and
// returns how many bytes of values follow it.
func Message(meta []byte) (body int64, err error) {
	f := &flat{b: meta}
	m := f.table(f.follow(0))
	kind := byte(0)
	if pos := m.field(messageKind, 1); pos > 0 {
		kind = f.at(pos, 1)[0]
	}
	if pos := m.field(messageBody, 8); pos > 0 {
		body = int64(binary.LittleEndian.Uint64(f.at(pos, 8)))
	}
	m.notes(messageNotes)
	if header, ok := m.sub(messageHeader); ok {
		switch kind {
		case kindSchema:
			header.tables(1, func(t flatTable) { t.schemaField(0) })
			header.notes(2)
			header.list(3, 8)
		case kindDictionary:
			if batch, ok := header.sub(1); ok {
				batch.batch()
			}
		case kindBatch:
			header.batch()
		}
	} else {
		f.failf("a message without a header")
	}
	return body, f.err
}

// schemaField checks a field of a schema and those inside it.
func (t flatTable) schemaField(depth int) {
	if depth > maxFlatDepth {
		t.f.failf("more than %d levels of fields", maxFlatDepth)
		return
	}
	t.list(0, 1) // The name.
	if typ, ok := t.sub(3); ok {
		if pos := t.field(2, 1); pos > 0 && t.f.at(pos, 1)[0] == typeUnion {
			typ.list(1, 4)
		}
	}
	if dictionary, ok := t.sub(4); ok {
		dictionary.sub(1)
	}
	t.tables(5, func(child flatTable) { child.schemaField(depth + 1) })
	t.notes(6)
}

// notes checks a list of keys and values.
func (t flatTable) notes(i int) {
	t.tables(i, func(kv flatTable) {
		kv.list(0, 1)
		kv.list(1, 1)
	})
}

// batch checks what a record batch says about its buffers.
func (t flatTable) batch() {
	t.list(1, 16)
	_, buffers := t.list(2, 16)
	t.sub(3)
	start, views := t.list(4, 8)
	for k := range views {
		if n := binary.LittleEndian.Uint64(t.f.at(start+8*k, 8)); n > uint64(buffers) {
			t.f.failf("a column of %d buffers, and all have %d", n, buffers)
		}
	}
}

// Schema checks a schema as it is kept in the metadata of a Parquet file: a
// stream of one message.
func Schema(stream []byte) error {
	f := &flat{b: stream}
	size, at := f.u32(0), 4
	if size == 0xffffffff {
		size, at = f.u32(4), 8
	}
	meta := f.at(at, size)
	if f.err != nil {
		return f.err
	}
	_, err := Message(meta)
	return err
}

// Block is where a message of an Arrow file is.
type Block struct{ Offset, Length int64 }

// prefix is a Message whose header is a schema that lies behind it: the offset
// at byte 24 is to be set.
var prefix = [32]byte{
	0: 16,                            // The table is at 16.
	4: 10, 6: 12, 8: 4, 10: 6, 12: 8, // Its fields are at 4, 6 and 8 of 12 bytes.
	16: 12, 20: 4, 22: kindSchema, // Version 5, and what the header is.
}

// Footer reads the footer of an Arrow file of size bytes: a message with its
// schema, and where its dictionaries and then its record batches are.
func Footer(footer []byte, size int64) (schema []byte, blocks []Block, err error) {
	f := &flat{b: footer}
	root := f.table(f.follow(0))
	pos := root.field(1, 4)
	if pos == 0 {
		f.failf("a footer without a schema")
		return nil, nil, f.err
	}
	for _, list := range []int{2, 3} {
		start, count := root.list(list, 24)
		for k := range count {
			b := f.at(start+24*k, 24)
			at, meta, body := int64(binary.LittleEndian.Uint64(b)), int64(int32(binary.LittleEndian.Uint32(b[8:]))), int64(binary.LittleEndian.Uint64(b[16:]))
			if at < 0 || meta < 0 || body < 0 || at > size || meta > size-at || body > size-at-meta {
				f.failf("a message at %d of %d and %d bytes is outside of the file", at, meta, body)
				break
			}
			blocks = append(blocks, Block{at, meta + body})
		}
	}
	if f.err != nil {
		return nil, nil, f.err
	}
	schema = append(prefix[:len(prefix):len(prefix)], footer...)
	binary.LittleEndian.PutUint32(schema[24:], uint32(len(prefix)+f.follow(pos)-24))
	_, err = Message(schema)
	return schema, blocks, err
}
