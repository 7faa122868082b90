package pqfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// ReadOptions says what to read of a file.
type ReadOptions struct {
	Columns   []string // Top-level columns; nil reads all.
	BatchRows int64    // Rows of a batch.
	Mem       memory.Allocator

	// Trusted bytes are ours: their digest was checked. Columns are decoded side
	// by side, where a panic could not be caught, and the arrays are taken as
	// they come. The arrays of other bytes are checked value by value.
	Trusted bool
}

// Reader yields the rows of one file as batches.
type Reader struct {
	file *file.Reader
	rows pqarrow.RecordReader
	sch  *arrow.Schema
	done bool

	trusted bool
}

// NewReader opens a file. Damage is an error, not a panic.
func NewReader(ctx context.Context, r parquet.ReaderAtSeeker, opts ReadOptions) (*Reader, error) {
	out := &Reader{trusted: opts.Trusted}
	err := Guard("open", func() error {
		// The decoders leave their scratch memory to the garbage collector, so
		// it comes from the Go heap; only the arrays come from Mem.
		pf, err := file.NewParquetReader(r, file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
		if err != nil {
			return err
		}
		out.file = pf
		if !opts.Trusted {
			if err := checkChunks(pf, r); err != nil {
				return err
			}
			if err := checkOrigin(pf); err != nil {
				return err
			}
		}
		fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{Parallel: opts.Trusted, BatchSize: opts.BatchRows}, scratch{opts.Mem})
		if err != nil {
			return err
		}
		leaves, err := selectLeaves(pf, opts.Columns)
		if err != nil {
			return err
		}
		if out.sch, err = fr.Schema(); err != nil {
			return err
		}
		if pf.NumRows() == 0 {
			out.done = true
			return nil
		}
		if out.rows, err = fr.GetRecordReader(ctx, leaves, nil); err != nil {
			return err
		}
		out.sch = out.rows.Schema()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkChunks finds column chunks that cannot be where the footer says. The
// library trusts the footer, and for nested columns on goroutines of its own,
// where its panic would end the process.
func checkChunks(pf *file.Reader, r io.Seeker) error {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	meta := pf.MetaData()
	var rows int64
	for g := range pf.NumRowGroups() {
		group := meta.RowGroup(g)
		if n := group.NumRows(); n < 0 || n > meta.NumRows-rows {
			return fmt.Errorf("row group %d claims %d rows of %d", g, n, meta.NumRows)
		}
		rows += group.NumRows()
		for i := range meta.Schema.NumColumns() {
			c, err := group.ColumnChunk(i)
			if err != nil {
				return err
			}
			start := c.DataPageOffset()
			if c.HasDictionaryPage() && c.DictionaryPageOffset() > 0 {
				start = min(start, c.DictionaryPageOffset())
			}
			if n := c.TotalCompressedSize(); start < 0 || n < 0 || start > size || n > size-start || c.NumValues() < 0 {
				return fmt.Errorf("row group %d: column %q claims %d values in bytes %d to %d of %d", g, c.PathInSchema(), c.NumValues(), start, start+n, size)
			}
		}
	}
	return nil
}

func selectLeaves(pf *file.Reader, columns []string) ([]int, error) {
	if columns == nil {
		return nil, nil
	}
	want := make(map[string]bool, len(columns))
	for _, c := range columns {
		want[c] = false
	}
	var leaves []int
	schema := pf.MetaData().Schema
	for i := range schema.NumColumns() {
		root := schema.Column(i).ColumnPath()[0]
		if _, ok := want[root]; ok {
			want[root] = true
			leaves = append(leaves, i)
		}
	}
	for _, c := range columns {
		if !want[c] {
			return nil, fmt.Errorf("the file has no column %q", c)
		}
	}
	return leaves, nil
}

// Schema is the Arrow schema of the batches, in the order of the file.
func (r *Reader) Schema() *arrow.Schema { return r.sch }

// NumRows is what the footer claims.
func (r *Reader) NumRows() int64 { return r.file.NumRows() }

// Next returns the next batch, which is valid until the call after; io.EOF at
// the end.
func (r *Reader) Next() (rec arrow.RecordBatch, err error) {
	if r.done {
		return nil, io.EOF
	}
	err = Guard("read", func() error {
		if r.rows.Next() {
			rec = r.rows.RecordBatch()
			return r.check(rec)
		}
		r.done = true
		if err := r.rows.Err(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return io.EOF
	})
	if err != nil {
		r.done = true
		return nil, err
	}
	return rec, nil
}

// check finds what is inconsistent in arrays that were decoded from bytes that
// anybody may have written, before somebody follows an offset out of them.
func (r *Reader) check(rec arrow.RecordBatch) error {
	if r.trusted {
		return nil
	}
	for i, col := range rec.Columns() {
		if int64(col.Len()) != rec.NumRows() {
			return fmt.Errorf("column %q has %d rows of %d", rec.ColumnName(i), col.Len(), rec.NumRows())
		}
		if err := array.ValidateFull(col); err != nil {
			return fmt.Errorf("column %q: %w", rec.ColumnName(i), err)
		}
	}
	return nil
}

// Close frees what the reader holds; the bytes below stay the caller's.
func (r *Reader) Close() {
	if r.rows != nil {
		_ = Guard("close", func() error { r.rows.Release(); return nil })
		r.rows = nil
	}
	r.done = true
}

// Group reads one row group out of the parts of the file that hold its chunks.
// Columns are positions in the schema of the file, ascending; nil means all.
func (f *File) Group(ctx context.Context, parts []Segment, group int, columns []int, opts ReadOptions) (*Reader, error) {
	out := &Reader{trusted: opts.Trusted}
	err := Guard("open", func() error {
		pf, err := file.NewParquetReader(f.source(parts), file.WithMetadata(f.meta), file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
		if err != nil {
			return err
		}
		out.file = pf
		fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: opts.BatchRows}, scratch{opts.Mem})
		if err != nil {
			return err
		}
		var leaves []int
		if columns != nil {
			leaves = f.selected(columns)
		}
		if out.rows, err = fr.GetRecordReader(ctx, leaves, []int{group}); err != nil {
			return err
		}
		out.sch = out.rows.Schema()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
