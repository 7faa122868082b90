package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// batches is a Parquet or Arrow file that is being read. A batch is valid until
// the next one.
type batches interface {
	schema() *arrow18.Schema
	next() (arrow18.RecordBatch, error)
	close()
}

// keptType is the type that a column of a file has in the records, or why it
// has none.
type keptType struct {
	kept arrow.DataType
	why  string
}

// binarySchema says what a Parquet or Arrow file holds.
func (o *Options) binarySchema(in *input) (names []string, types []keptType, err error) {
	b, err := o.openBatches(context.Background(), in, nil)
	if err != nil {
		return nil, nil, err
	}
	// The stream of an Arrow file goes on where the schema ended.
	if s, ok := b.(*arrowBatches); ok {
		in.started = s
	} else {
		defer b.close()
	}
	for _, f := range b.schema().Fields() {
		names = append(names, f.Name)
		var t keptType
		inner, err := tableType(f.Type, o.Location)
		if err == nil {
			t.kept, err = arrowcross.Type15(inner)
		}
		if err != nil {
			t.why = "cannot be kept: " + err.Error()
		}
		types = append(types, t)
	}
	return names, types, nil
}

// openBatches opens a file at its start; columns nil reads all.
func (o *Options) openBatches(ctx context.Context, in *input, columns []string) (batches, error) {
	if in.format == Parquet {
		return o.openParquet(ctx, in, columns)
	}
	if s := in.started; s != nil {
		in.started = nil
		return s, nil
	}
	return o.openArrow(in)
}

type parquetBatches struct {
	in   *input
	r    *pqfile.Reader
	left int64
}

func (o *Options) openParquet(ctx context.Context, in *input, columns []string) (batches, error) {
	if in.at == nil || in.size < 0 {
		return nil, fmt.Errorf("ingest: open %q: Parquet is read at offsets: it must not be compressed as a whole, and a reader must be an io.ReaderAt and an io.Seeker: %w", in.name, ErrUnsupported)
	}
	r, err := pqfile.NewReader(ctx, io.NewSectionReader(in.at, 0, in.size), pqfile.ReadOptions{Columns: columns, BatchRows: int64(o.BatchRows), Mem: o.Allocator})
	if err != nil {
		return nil, fmt.Errorf("ingest: open %q: damaged, or not a Parquet file: %w: %w", in.name, err, ErrInvalid)
	}
	return &parquetBatches{in, r, r.NumRows()}, nil
}

func (p *parquetBatches) schema() *arrow18.Schema { return p.r.Schema() }
func (p *parquetBatches) close()                  { p.r.Close() }

func (p *parquetBatches) next() (arrow18.RecordBatch, error) {
	rec, err := p.r.Next()
	switch {
	case err == nil:
		p.left -= rec.NumRows()
		return rec, nil
	case errors.Is(err, io.EOF) && p.left == 0:
		return nil, io.EOF
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("ingest: read %q: damaged: its footer promises %d rows more than it has: %w", p.in.name, p.left, ErrInvalid)
	}
	return nil, p.in.damaged(err)
}

// arrowBatches reads Arrow IPC, as a file or a stream.
type arrowBatches struct {
	in     *input
	r      *ipc.Reader
	budget *budget
}

// fileMark starts an Arrow file; two bytes fill it up to eight.
const fileMark = "ARROW1\x00\x00"

func (o *Options) openArrow(in *input) (batches, error) {
	b := &budget{limit: o.MaxBytes}
	b.left = b.limit
	out := &arrowBatches{in: in, budget: b}
	err := pqfile.Guard("open", func() (err error) {
		m, err := newArrowMessages(in, b)
		if err == nil {
			out.r, err = ipc.NewReaderFromMessageReader(m, ipc.WithAllocator(b))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ingest: open %q: damaged, or not an Arrow file: %w: %w", in.name, err, ErrInvalid)
	}
	return out, nil
}

func (a *arrowBatches) schema() *arrow18.Schema { return a.r.Schema() }

func (a *arrowBatches) close() {
	_ = pqfile.Guard("close", func() error { a.r.Release(); return nil })
}

func (a *arrowBatches) next() (rec arrow18.RecordBatch, err error) {
	a.budget.left = a.budget.limit
	err = pqfile.Guard("read", func() error {
		if !a.r.Next() {
			if err := a.r.Err(); err != nil {
				return err
			}
			return io.EOF
		}
		rec = a.r.RecordBatch()
		if rec.NumRows() > a.budget.limit/8 {
			// Nulls take no byte in the file, and some in memory.
			return fmt.Errorf("a batch claims %d rows: Options.MaxBytes allows %d", rec.NumRows(), a.budget.limit/8)
		}
		for i, col := range rec.Columns() {
			if int64(col.Len()) != rec.NumRows() {
				return fmt.Errorf("column %q has %d rows of %d", rec.ColumnName(i), col.Len(), rec.NumRows())
			}
			if err := array18.ValidateFull(col); err != nil {
				return fmt.Errorf("column %q: %w", rec.ColumnName(i), err)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, a.in.damaged(err)
	}
	return rec, err
}

// budget bounds what one batch allocates, whatever sizes the file claims. It
// panics, which the Arrow library and Guard turn into an error.
type budget struct{ limit, left int64 }

func (b *budget) spend(n int) {
	if b.left -= int64(n); n < 0 || b.left < 0 {
		panic(fmt.Sprintf("a batch of more than %d bytes: Options.MaxBytes allows larger ones", b.limit))
	}
}

// Allocate takes n bytes from the Go heap.
func (b *budget) Allocate(n int) []byte {
	b.spend(n)
	return memory.DefaultAllocator.Allocate(n)
}

// Reallocate counts only what is new.
func (b *budget) Reallocate(n int, old []byte) []byte {
	b.spend(max(n-len(old), 0))
	return memory.DefaultAllocator.Reallocate(n, old)
}

// Free leaves it to the garbage collector.
func (b *budget) Free(old []byte) { memory.DefaultAllocator.Free(old) }

// binaryStream reads a Parquet or Arrow file as records of the schema.
type binaryStream struct {
	in     *input
	o      *Options
	file   batches
	schema *arrow.Schema
	inner  *arrow18.Schema
	at     []int // The column in the file of each column of the records.
	order  []int
	to     converter
	rows   int64
}

func newBinary(ctx context.Context, o *Options, in *input, schema *arrow.Schema) (stream, error) {
	all, err := o.openBatches(ctx, in, nil)
	if err != nil {
		return nil, err
	}
	names := make([]string, all.schema().NumFields())
	for i, f := range all.schema().Fields() {
		names[i] = f.Name
	}
	s := &binaryStream{in: in, o: o, file: all, schema: schema, to: converter{ctx: ctx, o: o}}
	if s.at, err = o.place(in.name, schema, names); err != nil {
		all.close()
		return nil, err
	}
	if s.inner, err = arrowcross.Schema18(schema); err != nil {
		all.close()
		return nil, fmt.Errorf("ingest: read %q: %w: %w", in.name, err, ErrUnsupported)
	}
	if in.format == Parquet && len(s.at) < len(names) && len(s.at) > 0 {
		// Only what is needed is read and decoded.
		all.close()
		wanted := make([]string, len(s.at))
		for i, at := range s.at {
			wanted[i] = names[at]
		}
		if s.file, err = o.openBatches(ctx, in, wanted); err != nil {
			return nil, err
		}
		for i, name := range wanted {
			s.at[i] = s.file.schema().FieldIndices(name)[0]
		}
	}
	var faults []string
	for i, at := range s.at {
		s.order = append(s.order, i)
		have, want := s.file.schema().Field(at).Type, s.inner.Field(i).Type
		if why := s.to.possible(have, want); why != "" {
			faults = append(faults, fmt.Sprintf("column %q %s", schema.Field(i).Name, why))
		}
	}
	if len(faults) > 0 {
		s.file.close()
		return nil, fmt.Errorf("ingest: read %q: it has other types: %s: %w", in.name, faultList(faults), ErrInvalid)
	}
	return s, nil
}

func (s *binaryStream) close() {
	s.file.close()
	s.in.close()
}

func (s *binaryStream) next() (arrow.Record, []*RowError, []int, error) {
	rec, err := s.file.next()
	if err != nil {
		return nil, nil, nil, err
	}
	base := s.rows
	s.rows += rec.NumRows()
	var out arrow.Record
	var bad []*RowError
	var drop []int
	err = pqfile.Guard("convert", func() error {
		out, bad, drop, err = s.convert(rec, base)
		return err
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("ingest: read %q: rows %d to %d: %w", s.in.name, base+1, s.rows, err)
	}
	return out, bad, drop, nil
}

// convert gives the columns their types. A row with a value that does not fit
// is null, and named.
func (s *binaryStream) convert(rec arrow18.RecordBatch, base int64) (arrow.Record, []*RowError, []int, error) {
	columns := make([]arrow18.Array, 0, len(s.at))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	why := map[int]*RowError{}
	for i, at := range s.at {
		from := rec.Column(at)
		from.Retain()
		for {
			to, err := s.to.array(from, s.inner.Field(i).Type)
			misfit := (*misfit)(nil)
			if err == nil {
				from.Release()
				columns = append(columns, to)
				break
			}
			if !errors.As(err, &misfit) {
				from.Release()
				return nil, nil, nil, fmt.Errorf("column %q: %w", s.schema.Field(i).Name, err)
			}
			if why[misfit.row] == nil {
				why[misfit.row] = &RowError{File: s.in.name, Row: base + int64(misfit.row) + 1, Column: s.schema.Field(i).Name, Value: excerpt([]byte(from.ValueStr(misfit.row))), Reason: misfit.reason}
			}
			hollow, err := blank(from, misfit.row)
			from.Release()
			if err != nil {
				return nil, nil, nil, err
			}
			from = hollow
		}
	}
	rows := make([]int, 0, len(why))
	for row := range why {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	bad := make([]*RowError, len(rows))
	for i, row := range rows {
		bad[i] = why[row]
	}
	// The names inside lists and maps are the file's, so the schema is that of
	// the arrays.
	fields := make([]arrow18.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow18.Field{Name: s.inner.Field(i).Name, Type: c.DataType(), Nullable: true}
	}
	whole := array18.NewRecordBatch(arrow18.NewSchema(fields, nil), columns, rec.NumRows())
	defer whole.Release()
	return arrowcross.Record15(whole, s.schema, s.order), bad, rows, nil
}
