package pqfile

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// foreign lets the library write a column, in a file of its own, and moves the
// chunks into ours.
func (s *Space) foreign(f arrow.Field, a arrow.Array, leaves []*schema.Column) ([]*chunkMeta, error) {
	opts := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_6),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
		parquet.WithStats(true),
		parquet.WithPageIndexEnabled(true),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithBatchSize(batchRows(a)),
	}
	for _, leaf := range leaves {
		// Inside a list, map or struct only text repeats often enough to try.
		opts = append(opts, parquet.WithDictionaryPath(leaf.ColumnPath(), leaf.PhysicalType() == parquet.Types.ByteArray))
	}
	var buf bytes.Buffer
	sch := arrow.NewSchema([]arrow.Field{f}, nil)
	w, err := pqarrow.NewFileWriter(sch, &buf, parquet.NewWriterProperties(opts...), pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	rec := array.NewRecordBatch(sch, []arrow.Array{a}, int64(a.Len()))
	defer rec.Release()
	if err := w.Write(rec); err != nil {
		_ = w.Close()
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return s.move(buf.Bytes(), leaves)
}

// batchRows is how many rows the library encodes between two looks at the size
// of the page: about a quarter of a page.
func batchRows(a arrow.Array) int64 {
	n := int64(a.Len())
	if n == 0 {
		return 16
	}
	return min(max(pageBytes/4/max(arrayBits(a, 0, n)/8/n, 1), 16), 8192)
}

// move appends the chunks of a file of one row group.
func (s *Space) move(body []byte, leaves []*schema.Column) ([]*chunkMeta, error) {
	f, err := Open(body, int64(len(body)))
	if err != nil {
		return nil, err
	}
	if len(f.groups) != 1 || len(f.groups[0]) != len(leaves) {
		return nil, fmt.Errorf("%d row groups were written as one", len(f.groups))
	}
	r := metadata.PageIndexReader{
		Input: bytes.NewReader(body), Props: parquet.NewReaderProperties(memory.DefaultAllocator), FileMetadata: f.meta,
	}
	pages, err := r.RowGroup(0)
	if err != nil {
		return nil, err
	}
	var out []*chunkMeta
	for i, at := range f.groups[0] {
		meta, err := f.meta.RowGroup(0).ColumnChunk(i)
		if err != nil {
			return nil, err
		}
		c := &chunkMeta{leaf: leaves[i], element: true, codec: codecNone, values: meta.NumValues(), raw: at.Raw, size: at.Len, at: int64(len(s.file)), dictAt: -1, dataAt: meta.DataPageOffset() - at.Off, nulls: -1}
		if meta.Compression() == compress.Codecs.Zstd {
			c.codec = codecZstd
		}
		for _, e := range meta.Encodings() {
			c.encodings = append(c.encodings, int64(e))
		}
		if meta.HasDictionaryPage() && meta.DictionaryPageOffset() > 0 {
			c.dictAt = meta.DictionaryPageOffset() - at.Off
		}
		if stats, err := meta.Statistics(); err == nil && stats != nil && stats.HasNullCount() {
			c.nulls = stats.NullCount()
		}
		offsets, err := pages.GetOffsetIndex(i)
		if err != nil {
			return nil, err
		}
		if offsets != nil {
			for _, p := range offsets.GetPageLocations() {
				c.pages = append(c.pages, pageMeta{at: p.Offset - at.Off, size: int64(p.CompressedPageSize), row: p.FirstRowIndex})
			}
		}
		s.file = append(s.file, body[at.Off:at.Off+at.Len]...)
		out = append(out, c)
	}
	return out, nil
}
