package pqfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Parquet's numbers for the pages and encodings that our own files have.
const (
	dataPageV1     = 0
	dictionaryPage = 2

	encodingPlain       = 0
	encodingPlainDict   = 2
	encodingRLE         = 3
	encodingDelta       = 5
	encodingDeltaLength = 6
	encodingFronts      = 7
	encodingDict        = 8
)

// pageHeader is the part of a page header that a decoder needs.
type pageHeader struct {
	kind       int64
	raw, size  int64 // Bytes when decompressed, and as stored.
	values     int64
	encoding   int64
	defs, reps int64 // Encodings of the levels.
	hasPayload bool  // One of the headers by kind was there.
}

var errHeader = errors.New("a page header is cut off or malformed")

// thriftReader reads Thrift's compact protocol.
type thriftReader struct {
	b   []byte
	pos int
	bad bool
}

func (r *thriftReader) byte() byte {
	if r.pos >= len(r.b) {
		r.bad = true
		return 0
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

func (r *thriftReader) varint() uint64 {
	v, n := binary.Uvarint(r.b[min(r.pos, len(r.b)):])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.pos += n
	return v
}

func (r *thriftReader) int() int64 {
	v := r.varint()
	return int64(v>>1) ^ -int64(v&1)
}

// bytes is a binary, as a part of what is read.
func (r *thriftReader) bytes() []byte {
	n := r.varint()
	if r.bad || n > uint64(len(r.b)-r.pos) {
		r.bad = true
		return nil
	}
	out := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return out
}

// structs calls f for every item of a list of at most so many structs; f reads it.
func (r *thriftReader) structs(most uint64, f func()) {
	head := r.byte()
	n := uint64(head >> 4)
	if n == 15 {
		n = r.varint()
	}
	if n > 0 && head&15 != thriftStruct || n > most {
		r.bad = true
	}
	for ; n > 0 && !r.bad; n-- {
		f()
	}
}

// fields calls f for every field of a struct; f reads the value or says that it
// did not, and then it is skipped.
func (r *thriftReader) fields(depth int, f func(id int16, kind byte) bool) {
	id := int16(0)
	for !r.bad {
		head := r.byte()
		if head == 0 {
			return
		}
		if delta := int16(head >> 4); delta != 0 {
			id += delta
		} else {
			id = int16(r.int())
		}
		if !f(id, head&15) {
			r.skip(head&15, depth)
		}
	}
}

func (r *thriftReader) skip(kind byte, depth int) {
	if depth > 16 {
		r.bad = true
		return
	}
	switch kind {
	case 1, 2: // A boolean is in the type.
	case 3:
		r.byte()
	case 4, 5, 6:
		r.varint()
	case 7:
		r.pos += 8
	case 8:
		n := r.varint()
		if n > uint64(len(r.b)) {
			r.bad = true
			return
		}
		r.pos += int(n)
	case 9, 10:
		head := r.byte()
		n := uint64(head >> 4)
		if n == 15 {
			n = r.varint()
		}
		for i := uint64(0); i < n && !r.bad; i++ {
			r.skip(head&15, depth+1)
		}
	case 12:
		r.fields(depth+1, func(int16, byte) bool { return false })
	default:
		r.bad = true
	}
	if r.pos > len(r.b) {
		r.bad = true
	}
}

// parsePageHeader reads a page header and returns its length.
func parsePageHeader(b []byte) (h pageHeader, n int, err error) {
	r := &thriftReader{b: b}
	r.fields(0, func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == 5:
			h.kind = r.int()
		case id == 2 && kind == 5:
			h.raw = r.int()
		case id == 3 && kind == 5:
			h.size = r.int()
		case (id == 5 || id == 7) && kind == 12:
			h.hasPayload = true
			r.fields(1, func(id int16, kind byte) bool {
				switch {
				case id == 1 && kind == 5:
					h.values = r.int()
				case id == 2 && kind == 5:
					h.encoding = r.int()
				case id == 3 && kind == 5:
					h.defs = r.int()
				case id == 4 && kind == 5:
					h.reps = r.int()
				default:
					return false
				}
				return true
			})
		default:
			return false
		}
		return true
	})
	const limit = 1 << 31
	if r.bad || !h.hasPayload {
		return h, 0, errHeader
	}
	if h.raw < 0 || h.raw >= limit || h.size < 0 || h.size > int64(len(b)-r.pos) || h.values < 0 || h.values >= limit {
		return h, 0, fmt.Errorf("a page claims %d values in %d bytes (%d raw) of %d: %w", h.values, h.size, h.raw, len(b)-r.pos, errHeader)
	}
	return h, r.pos, nil
}
