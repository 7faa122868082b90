package inferlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
)

// A segment is the rows of one chunk in a file: segmentMagic and then frames.
// A frame is the length of its body and the CRC-32C of that, 4 bytes each, and
// the body: its kind and what belongs to that. What is behind the last whole
// frame was being written when the process was killed.
const segmentMagic = "MWINFSG1"

// The kinds of frames.
const (
	rowsFrame = 1 // A batch.
	sealFrame = 2 // The name and number that the chunk is committed by.
)

const frameHead = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is what a segment needs of a file.
type file interface {
	io.WriteCloser
	Truncate(size int64) error
	Sync() error
}

// segment is an open file that grows with its chunk. Log.mu guards it.
type segment struct {
	path   string
	file   file
	size   int64
	sealed bool
	synced bool
}

func createSegment(path string, create func(path string) (file, error)) (*segment, error) {
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, file: f}
	if err := s.write([]byte(segmentMagic)); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func createFile(path string) (file, error) {
	// Appending: after a write that failed half way, the next one goes where
	// Truncate has cut.
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}

// write appends all of data or nothing.
func (s *segment) write(data []byte) error {
	n, err := s.file.Write(data)
	if err == nil && n == len(data) {
		s.size += int64(n)
		return nil
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	if n > 0 {
		err = errors.Join(err, s.file.Truncate(s.size))
	}
	return err
}

func (s *segment) sync() error {
	if s.synced || s.file == nil {
		return nil
	}
	err := s.file.Sync()
	s.synced = err == nil
	return err
}

// remove deletes the file.
func (s *segment) remove() error {
	err := os.Remove(s.path)
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
		s.file = nil
	}
	return err
}

// appendFrame appends a frame whose body is made by fill.
func appendFrame(dst []byte, kind byte, fill func([]byte) []byte) []byte {
	from := len(dst)
	dst = append(dst, make([]byte, frameHead)...)
	dst = fill(append(dst, kind))
	body := dst[from+frameHead:]
	binary.LittleEndian.PutUint32(dst[from:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[from+4:], crc32.Checksum(body, castagnoli))
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendBatch appends the body of a frame.
func appendBatch(dst []byte, b *batch, columns, inputs int) []byte {
	dst = binary.AppendVarint(dst, b.key.hour)
	dst = appendText(dst, b.key.model)
	dst = appendText(dst, b.key.version)
	dst = binary.AppendUvarint(dst, uint64(len(b.entries)))
	for i := range b.entries {
		e := &b.entries[i]
		dst = appendText(dst, e.id)
		dst = appendText(dst, e.fault)
		dst = binary.AppendVarint(dst, e.at)
		dst = binary.AppendVarint(dst, e.latency)
		dst = binary.AppendUvarint(dst, uint64(e.rows))
	}
	for i := range columns {
		dst = appendValues(dst, b.value(i, inputs))
	}
	return dst
}

// appendValues appends whether there are values (0 no, 1 yes, 2 texts of which
// some are missing), and them.
func appendValues(dst []byte, v any) []byte {
	if v == nil {
		return append(dst, 0)
	}
	if t, ok := v.(*nullableText); ok {
		dst = append(dst, 2)
		for i, s := range t.texts {
			if t.null[i] {
				dst = binary.AppendUvarint(dst, 0)
				continue
			}
			dst = append(binary.AppendUvarint(dst, uint64(len(s))+1), s...)
		}
		return dst
	}
	dst = append(dst, 1)
	switch v := v.(type) {
	case []float64:
		for _, x := range v {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
		}
	case []float32:
		for _, x := range v {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
		}
	case []int64:
		for _, x := range v {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(x))
		}
	case []int32:
		for _, x := range v {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(x))
		}
	case []bool:
		for _, x := range v {
			dst = append(dst, 0)
			if x {
				dst[len(dst)-1] = 1
			}
		}
	case []string:
		for _, x := range v {
			dst = appendText(dst, x)
		}
	case [][]byte:
		for _, x := range v {
			dst = append(binary.AppendUvarint(dst, uint64(len(x))), x...)
		}
	}
	return dst
}

// contents is what a segment holds.
type contents struct {
	batches []batch
	rows    int
	app     string // Of the seal, "" where there is none.
	number  int64
	torn    int // Bytes behind the last whole frame.
}

// readSegment decodes a segment up to the first frame that is not whole. What
// is whole and still makes no sense is an error.
func readSegment(data []byte, s Schema) (*contents, error) {
	rest, ok := cutMagic(data)
	if !ok {
		return nil, fmt.Errorf("it is no segment of this version: %w", ErrInvalid)
	}
	c := &contents{}
	for len(rest) > 0 {
		body, after, whole := nextFrame(rest)
		if !whole {
			c.torn = len(rest)
			break
		}
		rest = after
		r := &reader{b: body[1:]}
		switch body[0] {
		case rowsFrame:
			b := r.batch(s)
			c.batches = append(c.batches, b)
			c.rows += b.rows
		case sealFrame:
			c.app, c.number = r.text(), int64(r.uint())
			r.bad = r.bad || c.app == "" || c.number < 1
		default:
			r.bad = true
		}
		if r.bad || len(r.b) > 0 {
			return nil, fmt.Errorf("a frame of it is whole and makes no sense: %w", ErrInvalid)
		}
	}
	return c, nil
}

func cutMagic(data []byte) ([]byte, bool) {
	if len(data) < len(segmentMagic) {
		// Killed before the first frame.
		return nil, string(data) == segmentMagic[:len(data)]
	}
	return data[len(segmentMagic):], string(data[:len(segmentMagic)]) == segmentMagic
}

func nextFrame(data []byte) (body, rest []byte, whole bool) {
	if len(data) < frameHead+1 {
		return nil, nil, false
	}
	n := uint64(binary.LittleEndian.Uint32(data))
	if n == 0 || n > uint64(len(data)-frameHead) {
		return nil, nil, false
	}
	body = data[frameHead : frameHead+n]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return nil, nil, false
	}
	return body, data[frameHead+n:], true
}

// reader reads values; from the first fault on bad is true and all are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.take(r.uint())) }

func (r *reader) batch(s Schema) batch {
	b := batch{key: partition{r.int(), r.text(), r.text()}}
	const least = 5 // Bytes of an entry.
	n := r.uint()
	if n == 0 || n > uint64(len(r.b))/least {
		r.bad = true
		return batch{}
	}
	b.entries = make([]entry, n)
	for i := range b.entries {
		e := entry{id: r.text(), fault: r.text(), at: r.int(), latency: r.int()}
		rows := r.uint()
		if r.bad || rows == 0 || rows > chunkBytes {
			r.bad = true
			return batch{}
		}
		e.rows = int(rows)
		b.rows += e.rows
		b.size += len(e.id) + len(e.fault)
		b.entries[i] = e
	}
	fields := s.fields()
	values := make([]any, len(fields))
	none := 0
	for i, f := range fields {
		values[i] = r.values(f.Type, b.rows, &b.size)
		if values[i] == nil && i >= len(s.Inputs) {
			none++
		}
	}
	b.inputs = values[:len(s.Inputs)]
	if none < len(s.Outputs) {
		b.outputs = values[len(s.Inputs):]
	}
	if b.rows > chunkBytes {
		r.bad = true
	}
	return b
}

func (r *reader) values(t Type, rows int, size *int) any {
	has := r.take(1)
	if r.bad || has[0] > 2 || has[0] == 2 && t != String {
		r.bad = true
		return nil
	}
	if has[0] == 0 {
		return nil
	}
	before := len(r.b)
	var v any
	if has[0] == 2 {
		v = r.nullable(rows)
	} else {
		v = r.typed(t, rows)
	}
	*size += before - len(r.b)
	if r.bad {
		return nil
	}
	return v
}

func (r *reader) typed(t Type, rows int) any {
	switch t {
	case Float64:
		return decode(r, rows, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
	case Float32:
		return decode(r, rows, 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
	case Int64:
		return decode(r, rows, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	case Int32:
		return decode(r, rows, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	case Bool:
		return decode(r, rows, 1, func(b []byte) bool { return b[0] == 1 })
	}
	if rows > len(r.b) {
		r.bad = true
		return nil
	}
	out := make([]string, rows)
	for i := range out {
		out[i] = r.text()
	}
	return out
}

func (r *reader) nullable(rows int) *nullableText {
	if rows > len(r.b) {
		r.bad = true
		return nil
	}
	out := &nullableText{make([]string, rows), make([]bool, rows)}
	for i := range out.texts {
		if n := r.uint(); n == 0 {
			out.null[i] = true
		} else {
			out.texts[i] = string(r.take(n - 1))
		}
	}
	return out
}

func decode[T any](r *reader, rows, width int, one func([]byte) T) []T {
	data := r.take(uint64(rows) * uint64(width))
	out := make([]T, 0, len(data)/width)
	for part := range slices.Chunk(data, width) {
		out = append(out, one(part))
	}
	return out
}
