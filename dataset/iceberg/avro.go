package iceberg

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// This is the part of the Avro format that manifests need: a container file of
// records, written in one go. Equal input gives equal bytes.

// avroBlock is how many records share a compressed block.
const avroBlock = 1000

// avroValue builds the binary form of one value after the other.
type avroValue struct{ buf []byte }

// long is Avro's int and long: a zig-zag varint.
func (w *avroValue) long(n int64) { w.buf = binary.AppendVarint(w.buf, n) }

// text is Avro's string and bytes.
func (w *avroValue) text(s string) {
	w.long(int64(len(s)))
	w.buf = append(w.buf, s...)
}

// null is the first branch of an optional field, and some the second: the value
// follows.
func (w *avroValue) null() { w.long(0) }
func (w *avroValue) some() { w.long(1) }

// avroFile is a container file of n records. Every record is written by encode.
func avroFile(schema string, header map[string]string, n int, record func(w *avroValue, i int)) ([]byte, error) {
	header["avro.schema"], header["avro.codec"] = schema, "deflate"
	keys := make([]string, 0, len(header))
	for k := range header {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := &avroValue{buf: []byte("Obj\x01")}
	out.long(int64(len(keys)))
	for _, k := range keys {
		out.text(k)
		out.text(header[k])
	}
	out.long(0)
	// Readers find the blocks by their lengths; the marker only checks them, so
	// it need not be random.
	sum := sha256.Sum256(out.buf)
	marker := sum[:16]
	out.buf = append(out.buf, marker...)

	for from := 0; from < n; from += avroBlock {
		to := min(n, from+avroBlock)
		var plain avroValue
		for i := from; i < to; i++ {
			record(&plain, i)
		}
		packed, err := deflate(plain.buf)
		if err != nil {
			return nil, err
		}
		out.long(int64(to - from))
		out.text(string(packed))
		out.buf = append(out.buf, marker...)
	}
	return out.buf, nil
}

func deflate(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
