package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// ParquetOptions say how to read a plain Parquet file.
type ParquetOptions struct {
	// Columns are the names to read, in the order that the records shall have.
	// The default is all columns.
	Columns []string
	// BatchRows is how many rows a record has at most. The default is 65536.
	BatchRows int
	// Allocator gives the memory of the records. The default is the Go heap.
	Allocator memory.Allocator
}

// ParquetReader is an array.RecordReader over a plain Parquet file: what an
// import hands to Append. Call Close when done.
type ParquetReader struct {
	refs    atomic.Int64
	name    string
	file    io.Closer // nil when the bytes are the caller's.
	inner   *pqfile.Reader
	schema  *arrow.Schema
	order   []int
	left    int64
	current arrow.Record
	err     error
}

// OpenParquet opens a Parquet file of the local disk. A file that is damaged, or
// not Parquet, is an ErrInvalid, here or from Err after Next.
func OpenParquet(path string, opts *ParquetOptions) (*ParquetReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: open parquet file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("dataset: open parquet file %q: not a regular file: %w", path, ErrInvalid)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r, err := newParquet(path, f, info.Size(), opts)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.file = f
	return r, nil
}

// NewParquetReader reads a Parquet file of size bytes through r, which stays the
// caller's.
func NewParquetReader(r io.ReaderAt, size int64, opts *ParquetOptions) (*ParquetReader, error) {
	if r == nil || size < 0 {
		return nil, fmt.Errorf("dataset: open parquet file: the reader is nil or its size %d is negative: %w", size, ErrInvalid)
	}
	return newParquet("", r, size, opts)
}

func newParquet(name string, at io.ReaderAt, size int64, opts *ParquetOptions) (*ParquetReader, error) {
	if opts == nil {
		opts = &ParquetOptions{}
	}
	subject := fmt.Sprintf("dataset: open parquet file %q", name)
	mem := opts.Allocator
	if mem == nil {
		mem = memory.DefaultAllocator
	}
	batch := int64(defaultBatchRows)
	if opts.BatchRows < 0 {
		return nil, fmt.Errorf("%s: batch rows are %d, want at least 0: %w", subject, opts.BatchRows, ErrInvalid)
	}
	if opts.BatchRows > 0 {
		batch = int64(opts.BatchRows)
	}
	var columns []string
	if len(opts.Columns) > 0 {
		columns = opts.Columns
	}
	// The records outlive this call and have no context of their own: reading a
	// local file cannot be interrupted anyway.
	inner, err := pqfile.NewReader(context.Background(), io.NewSectionReader(at, 0, size), pqfile.ReadOptions{Columns: columns, BatchRows: batch, Mem: mem})
	if err != nil {
		return nil, fmt.Errorf("%s: damaged, or not a Parquet file with these columns: %w: %w", subject, err, ErrInvalid)
	}
	r := &ParquetReader{name: name, inner: inner, left: inner.NumRows()}
	r.refs.Store(1)
	if r.schema, err = arrowcross.Schema15(inner.Schema()); err != nil {
		inner.Close()
		return nil, fmt.Errorf("%s: %w: %w", subject, err, ErrUnsupported)
	}
	for i := range r.schema.Fields() {
		r.order = append(r.order, i)
	}
	if columns != nil {
		if err := r.reorder(columns); err != nil {
			inner.Close()
			return nil, fmt.Errorf("%s: %w", subject, err)
		}
	}
	return r, nil
}

// reorder puts the columns into the order asked for.
func (r *ParquetReader) reorder(columns []string) error {
	fields := make([]arrow.Field, len(columns))
	r.order = r.order[:0]
	for i, name := range columns {
		at := r.schema.FieldIndices(name)
		if len(at) != 1 {
			return fmt.Errorf("the file has %d columns %q: %w", len(at), name, ErrInvalid)
		}
		fields[i] = r.schema.Field(at[0])
		r.order = append(r.order, at[0])
	}
	r.schema = arrow.NewSchema(fields, nil)
	return nil
}

// Schema is the schema of the records, without metadata.
func (r *ParquetReader) Schema() *arrow.Schema { return r.schema }

// NumRows is the number of rows that the file says it has.
func (r *ParquetReader) NumRows() int64 { return r.inner.NumRows() }

// Next moves to the next record, which is valid until the call after unless it
// is retained.
func (r *ParquetReader) Next() bool {
	r.drop()
	if r.err != nil || r.refs.Load() <= 0 {
		return false
	}
	rec, err := r.inner.Next()
	if err == nil {
		err = pqfile.Guard("read", func() error {
			r.current = arrowcross.Record15(rec, r.schema, r.order)
			return nil
		})
	}
	switch {
	case err == nil:
		r.left -= rec.NumRows()
		return true
	case errors.Is(err, io.EOF) && r.left == 0:
	case errors.Is(err, io.EOF):
		r.err = fmt.Errorf("dataset: read parquet file %q: damaged: its footer promises %d rows more than it has: %w", r.name, r.left, ErrInvalid)
	default:
		r.err = fmt.Errorf("dataset: read parquet file %q: damaged: %w: %w", r.name, err, ErrInvalid)
	}
	return false
}

// Record is the current record.
func (r *ParquetReader) Record() arrow.Record { return r.current }

// Err is why Next returned false, nil at the end.
func (r *ParquetReader) Err() error { return r.err }

// Retain adds a reference.
func (r *ParquetReader) Retain() { r.refs.Add(1) }

// Release drops a reference; the last one frees the records. It does not close
// the file.
func (r *ParquetReader) Release() {
	if r.refs.Add(-1) == 0 {
		r.drop()
		r.inner.Close()
	}
}

// Close frees the reader and closes the file, whatever references are left.
func (r *ParquetReader) Close() error {
	r.refs.Store(0)
	r.drop()
	r.inner.Close()
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return f.Close()
}

func (r *ParquetReader) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}
