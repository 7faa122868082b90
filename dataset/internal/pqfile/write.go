package pqfile

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/millwright-ml/millwright/dataset/internal/blocksum"
)

// createdBy is part of every file's bytes: changing it changes every digest of
// content written from then on, so it names the format and not a release.
const createdBy = "Millwright dataset format 1"

// sampleRows is how many rows, evenly spread over the first row group, decide
// the encodings of a file.
const sampleRows = 4096

// pageBytes is the size of a page before compression: small enough for the page
// index to rule rows out, large enough for compression.
const pageBytes = 256 << 10

// WriteOptions describe a file.
type WriteOptions struct {
	// Buffer takes the bytes of the file, and is overwritten; nil makes a new one.
	Buffer *bytes.Buffer
	// Bloom are the top-level columns that get a Bloom filter in each row group,
	// unless they are dictionary encoded or sorted, where it would not pay.
	Bloom []string
}

// Writer writes one Parquet file into memory: the name of a file is its digest,
// so it is known whole before a byte of it is stored.
type Writer struct {
	buf    *bytes.Buffer
	fw     *pqarrow.FileWriter
	rows   int64
	groups []int64
	sums   []byte
}

// Encoded is a file that was written.
type Encoded struct {
	Body   []byte
	Groups []int64 // Rows of each row group.
	// Tail is where the end of the file starts that Open wants to see: behind the
	// last value, so that the digest of that end, which holds the digests of all
	// column chunks, speaks for every byte of the file.
	Tail int64
}

// NewWriter starts a file whose encodings suit the first row group.
func NewWriter(schema *arrow.Schema, first arrow.RecordBatch, opts WriteOptions) (*Writer, error) {
	props, err := properties(schema, first, opts)
	if err != nil {
		return nil, err
	}
	w := &Writer{buf: opts.Buffer}
	if w.buf == nil {
		w.buf = &bytes.Buffer{}
	}
	w.buf.Reset()
	w.fw, err = pqarrow.NewFileWriter(schema, w.buf, props, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Write adds rec as one row group.
func (w *Writer) Write(rec arrow.RecordBatch) error {
	return Guard("write", func() error {
		w.rows += rec.NumRows()
		w.groups = append(w.groups, rec.NumRows())
		if err := w.fw.Write(rec); err != nil {
			return err
		}
		return w.digest()
	})
}

// digest takes the digests of the chunks of the row group just written.
func (w *Writer) digest() error {
	meta, err := w.fw.FileMetadata()
	if err != nil {
		return err
	}
	group := meta.RowGroup(meta.NumRowGroups() - 1)
	chunks := make([][]byte, group.NumColumns())
	for i := range chunks {
		c, err := group.ColumnChunk(i)
		if err != nil {
			return err
		}
		start := c.DataPageOffset()
		if c.HasDictionaryPage() {
			start = min(start, c.DictionaryPageOffset())
		}
		chunks[i] = w.buf.Bytes()[start : start+c.TotalCompressedSize()]
	}
	sums := make([]blocksum.Digest, len(chunks))
	blocksum.Sums(sums, chunks)
	for i := range sums {
		w.sums = append(w.sums, sums[i][:]...)
	}
	return nil
}

// Rows is the number of rows written.
func (w *Writer) Rows() int64 { return w.rows }

// Size is the number of bytes written so far, footer excluded.
func (w *Writer) Size() int64 { return int64(w.buf.Len()) }

// Close ends the file.
func (w *Writer) Close() (Encoded, error) {
	tail := int64(w.buf.Len())
	err := Guard("close", func() error {
		if err := w.fw.AppendKeyValueMetadata(sumsKey, base64.RawStdEncoding.EncodeToString(w.sums)); err != nil {
			return err
		}
		return w.fw.Close()
	})
	return Encoded{w.buf.Bytes(), w.groups, tail}, err
}

// Abort frees what a file that nobody wants holds.
func (w *Writer) Abort() { _ = Guard("close", w.fw.Close) }

// Guard turns a panic of the Parquet or Arrow library into an error.
func Guard(op string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("parquet %s: %v", op, r)
		}
	}()
	return f()
}

func properties(schema *arrow.Schema, first arrow.RecordBatch, o WriteOptions) (*parquet.WriterProperties, error) {
	opts := []parquet.WriterProperty{
		parquet.WithCreatedBy(createdBy),
		parquet.WithVersion(parquet.V2_6),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
		parquet.WithStats(true),
		parquet.WithPageIndexEnabled(true),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithBatchSize(batchRows(first)),
	}
	leaves, err := pqarrow.ToParquet(schema, nil, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	for i := range leaves.NumColumns() {
		leaf := leaves.Column(i)
		path := leaf.ColumnPath()
		if len(path) > 1 {
			// Inside a list, map or struct only text repeats often enough to try.
			opts = append(opts, parquet.WithDictionaryPath(path, leaf.PhysicalType() == parquet.Types.ByteArray))
			continue
		}
		values := first.Column(schema.FieldIndices(path[0])[0])
		dict, packed := encoding(values)
		if slices.Contains(o.Bloom, path[0]) && !dict && !sorted(values) {
			opts = append(opts, parquet.WithBloomFilterEnabledPath(path, true), parquet.WithBloomFilterNDVPath(path, int64(max(values.Len(), 1))))
		}
		if dict {
			opts = append(opts, parquet.WithDictionaryPath(path, true))
		} else if packed {
			opts = append(opts, parquet.WithEncodingPath(path, parquet.Encodings.DeltaBinaryPacked))
		}
		if !dict && !packed && !shrinks(values) {
			opts = append(opts, parquet.WithCompressionPath(path, compress.Codecs.Uncompressed))
		}
	}
	return parquet.NewWriterProperties(opts...), nil
}

// encoding chooses for one column: a dictionary when a value comes back often
// enough to be worth one, else delta packing for what is stored as an integer.
// Floats stay plain: the library's dictionary makes one NaN of all NaNs, and
// what is appended must come back bit by bit.
func encoding(a arrow.Array) (dict, packed bool) {
	switch a := a.(type) {
	case *array.Int8:
		return repeats(a, a.Value, 16), true
	case *array.Int16:
		return repeats(a, a.Value, 16), true
	case *array.Int32:
		return repeats(a, a.Value, 16), true
	case *array.Int64:
		return repeats(a, a.Value, 16), true
	case *array.Date32:
		return repeats(a, a.Value, 16), true
	case *array.Timestamp:
		return repeats(a, a.Value, 16), true
	case *array.String:
		return repeats(a, a.Value, 4), false
	case *array.Binary:
		return repeats(a, a.ValueString, 4), false
	}
	return false, false
}

// repeats tells whether the sampled values come at least often times each.
func repeats[T comparable](a arrow.Array, value func(int) T, often int) bool {
	n := a.Len()
	step := max(n/sampleRows, 1)
	seen := make(map[T]struct{}, 64)
	valid := 0
	limit := min(n, sampleRows)/often + 1
	for i := 0; i < n; i += step {
		if a.IsNull(i) {
			continue
		}
		valid++
		seen[value(i)] = struct{}{}
		if len(seen) > limit {
			return false
		}
	}
	return len(seen)*often <= valid
}

// sorted tells whether the sampled values ascend: their statistics then find a
// value as well as a Bloom filter does.
func sorted(a arrow.Array) bool {
	switch a := a.(type) {
	case *array.Int8:
		return ascends(a, a.Value)
	case *array.Int16:
		return ascends(a, a.Value)
	case *array.Int32:
		return ascends(a, a.Value)
	case *array.Int64:
		return ascends(a, a.Value)
	case *array.Date32:
		return ascends(a, a.Value)
	case *array.Timestamp:
		return ascends(a, a.Value)
	case *array.String:
		return ascends(a, a.Value)
	case *array.Binary:
		return ascends(a, a.ValueString)
	}
	return true // Other types have no Bloom filter.
}

func ascends[T cmp.Ordered](a arrow.Array, value func(int) T) bool {
	n := a.Len()
	step := max(n/sampleRows, 1)
	var last T
	first := true
	for i := 0; i < n; i += step {
		if a.IsNull(i) {
			continue
		}
		v := value(i)
		if !first && v < last {
			return false
		}
		last, first = v, false
	}
	return true
}

// batchRows is how many rows are encoded between two looks at the size of the
// page: about a quarter of a page of the widest column.
func batchRows(first arrow.RecordBatch) int64 {
	widest := int64(1)
	for _, c := range first.Columns() {
		if n := int64(c.Len()); n > 0 {
			widest = max(widest, arrayBits(c, 0, n)/8/n)
		}
	}
	return min(max(pageBytes/4/widest, 16), 8192)
}

const (
	// sampleBytes of a column decide whether it is compressed, and worthwhile is
	// what is left of 10 at most: less gain costs more time than it saves room.
	sampleBytes = 32 << 10
	worthwhile  = 9
)

// shrinks tells whether compression is worth its time for plain values.
func shrinks(a arrow.Array) bool {
	var raw []byte
	switch a := a.(type) {
	case *array.Float32:
		raw = arrow.Float32Traits.CastToBytes(a.Float32Values())
	case *array.Float64:
		raw = arrow.Float64Traits.CastToBytes(a.Float64Values())
	case *array.String:
		raw = a.ValueBytes()
	case *array.Binary:
		raw = a.ValueBytes()
	default:
		return true
	}
	if len(raw) < sampleBytes/8 || a.NullN()*2 > a.Len() {
		return true // Too little to tell.
	}
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		return true
	}
	// From the middle: the start of a file is often unlike the rest.
	from := (len(raw) - min(len(raw), sampleBytes)) / 2 &^ 7
	raw = raw[from:min(from+sampleBytes, len(raw))]
	packed := codec.EncodeLevel(make([]byte, codec.CompressBound(int64(len(raw)))), raw, 1)
	return len(packed)*10 <= len(raw)*worthwhile
}
