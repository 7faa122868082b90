package checkpoint

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// libraryFile is a checkpoint that arrow-go reads, because it has a form that we
// do not.
type libraryFile struct {
	file *file.Reader
	size int64
}

func openLibrary(data []byte) (*libraryFile, error) {
	pf, err := file.NewParquetReader(bytes.NewReader(data), file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	if err != nil {
		return nil, err
	}
	return &libraryFile{pf, int64(len(data))}, nil
}

func (f *libraryFile) paths() [][]string {
	schema := f.file.MetaData().Schema
	out := make([][]string, schema.NumColumns())
	for i := range out {
		out[i] = schema.Column(i).ColumnPath()
	}
	return out
}

func (f *libraryFile) groups() int { return f.file.NumRowGroups() }

func (f *libraryFile) rows(g int) int64 { return f.file.MetaData().RowGroup(g).NumRows() }

func (f *libraryFile) group(g int) columns {
	return &library{group: f.file.RowGroup(g), rows: int(f.rows(g)), size: f.size}
}

// library is one row group. It reads leaf by leaf with the plain column readers:
// the reader for Arrow decodes nested columns on goroutines of its own, where a
// panic over damaged bytes could not be caught.
type library struct {
	group *file.RowGroupReader
	rows  int
	size  int64 // Of the file.
}

func (t *library) texts(i int) (*leaf[string], error) {
	raw, err := chunk(t, i, func(c file.ColumnChunkReader) (batchReader[parquet.ByteArray], bool) {
		r, ok := c.(*file.ByteArrayColumnChunkReader)
		return r, ok
	})
	if err != nil {
		return nil, err
	}
	out := &leaf[string]{values: make([]string, len(raw.values)), slot: raw.slot, starts: raw.starts}
	for i, v := range raw.values {
		out.values[i] = string(v)
	}
	return out, nil
}

func (t *library) ints(i int) (*leaf[int64], error) {
	if t.column(i).PhysicalType() == parquet.Types.Int32 {
		raw, err := chunk(t, i, func(c file.ColumnChunkReader) (batchReader[int32], bool) {
			r, ok := c.(*file.Int32ColumnChunkReader)
			return r, ok
		})
		if err != nil {
			return nil, err
		}
		out := &leaf[int64]{values: make([]int64, len(raw.values)), slot: raw.slot}
		for i, v := range raw.values {
			out.values[i] = int64(v)
		}
		return out, nil
	}
	return chunk(t, i, func(c file.ColumnChunkReader) (batchReader[int64], bool) {
		r, ok := c.(*file.Int64ColumnChunkReader)
		return r, ok
	})
}

func (t *library) column(i int) columnInfo {
	return t.group.MetaData().Schema.Column(i)
}

type batchReader[T any] interface {
	ReadBatch(n int64, values []T, def, rep []int16) (total int64, read int, err error)
}

type columnInfo interface {
	PhysicalType() parquet.Type
	MaxDefinitionLevel() int16
	MaxRepetitionLevel() int16
}

func chunk[T any](t *library, i int, cast func(file.ColumnChunkReader) (batchReader[T], bool)) (*leaf[T], error) {
	meta, err := t.group.MetaData().ColumnChunk(i)
	if err != nil {
		return nil, err
	}
	start, n := meta.DataPageOffset(), meta.TotalCompressedSize()
	if meta.HasDictionaryPage() && meta.DictionaryPageOffset() > 0 {
		start = min(start, meta.DictionaryPageOffset())
	}
	slots := meta.NumValues()
	if start < 0 || n < 0 || start > t.size || n > t.size-start || slots < 0 || slots > maxActions*4 {
		return nil, fmt.Errorf("it claims %d values in bytes %d to %d of %d", slots, start, start+n, t.size)
	}
	col, err := t.group.Column(i)
	if err != nil {
		return nil, err
	}
	defer func() { _ = col.Close() }()
	r, ok := cast(col)
	if !ok {
		return nil, fmt.Errorf("it is stored as %s", col.Type())
	}
	return levels(t, t.column(i), r, col, slots)
}

// levels turns definition and repetition levels into slots.
func levels[T any](t *library, info columnInfo, r batchReader[T], col file.ColumnChunkReader, slots int64) (*leaf[T], error) {
	l := &leaf[T]{}
	repeated := info.MaxRepetitionLevel() > 0
	batch := min(4096, max(slots, 1))
	values, def, rep := make([]T, batch), make([]int16, batch), make([]int16, batch)
	for int64(len(l.slot)) < slots && col.HasNext() {
		total, read, err := r.ReadBatch(min(batch, slots-int64(len(l.slot))), values, def, rep)
		if err != nil {
			return nil, err
		}
		if total <= 0 || total > batch || read < 0 || int64(read) > batch {
			break
		}
		at := len(l.values)
		l.values = append(l.values, values[:read]...)
		for k := range int(total) {
			if repeated && rep[k] == 0 {
				l.starts = append(l.starts, int32(len(l.slot)))
			}
			if info.MaxDefinitionLevel() > 0 && def[k] < info.MaxDefinitionLevel() {
				l.slot = append(l.slot, -1)
				continue
			}
			if at >= len(l.values) {
				return nil, errors.New("it has fewer values than its levels say")
			}
			l.slot = append(l.slot, int32(at))
			at++
		}
	}
	if err := col.Err(); err != nil {
		return nil, err
	}
	rows := len(l.slot)
	if repeated {
		rows = len(l.starts)
		l.starts = append(l.starts, int32(len(l.slot)))
	}
	if rows != t.rows {
		return nil, fmt.Errorf("it has %d rows of %d", rows, t.rows)
	}
	return l, nil
}
