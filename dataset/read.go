package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	arrow18 "github.com/apache/arrow-go/v18/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
	"github.com/millwright-ml/millwright/internal/errs"
)

const defaultBatchRows = 1 << 16

// ReadOptions say what to read of a version.
type ReadOptions struct {
	// Columns are the names to read, in the order that the records shall have.
	// The default is all columns.
	Columns []string
	// BatchRows is how many rows a record has at most. The default is 65536.
	BatchRows int
}

func (o *ReadOptions) resolve(schema *arrow.Schema) (out *arrow.Schema, columns []string, batch int64, f errs.Faults) {
	batch, out = defaultBatchRows, schema
	if o == nil {
		return out, nil, batch, f
	}
	f.Check(o.BatchRows >= 0, "batch rows are %d, want at least 0", o.BatchRows)
	if o.BatchRows > 0 {
		batch = int64(o.BatchRows)
	}
	if len(o.Columns) == 0 {
		return out, nil, batch, f
	}
	fields := make([]arrow.Field, 0, len(o.Columns))
	seen := map[string]bool{}
	for _, name := range o.Columns {
		at := schema.FieldIndices(name)
		f.Check(len(at) == 1, "there is no column %q", name)
		f.Check(!seen[name], "column %q is asked for twice", name)
		seen[name] = true
		if len(at) == 1 {
			fields = append(fields, schema.Field(at[0]))
		}
	}
	return arrow.NewSchema(fields, nil), o.Columns, batch, f
}

// Read returns the rows of the version in the order in which they were
// appended. The SHA-256 of each file is checked before its first row is
// delivered; a file that is damaged, replaced or missing ends the reader with a
// *CorruptError. The next file is fetched while one is decoded, so about two
// files are in memory.
//
// The reader works until ctx ends. Release it; its records are valid until the
// next call of Next unless they are retained.
func (v *Version) Read(ctx context.Context, opts *ReadOptions) (array.RecordReader, error) {
	schema, columns, batch, f := opts.resolve(v.schema)
	if err := f.Err(fmt.Sprintf("dataset: read %q version %d", v.Dataset, v.Number)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &versionReader{v: v, ctx: ctx, cancel: cancel, schema: schema, columns: columns, batch: batch, files: v.Files}
	r.refs.Store(1)
	return r, nil
}

// versionReader is an array.RecordReader over the files of a version.
type versionReader struct {
	refs    atomic.Int64
	v       *Version
	ctx     context.Context // Of the Read that made it, as for sql.Rows.
	cancel  context.CancelFunc
	schema  *arrow.Schema
	columns []string
	batch   int64

	files   []File // Left to open.
	ahead   chan fetched
	file    File
	open    *pqfile.Reader
	order   []int // Position in the file's batches of each of our columns.
	left    int64 // Rows that the open file still owes.
	current arrow.Record
	err     error
}

type fetched struct {
	body []byte
	err  error
}

// Retain adds a reference.
func (r *versionReader) Retain() { r.refs.Add(1) }

// Release drops a reference; the last one frees the reader.
func (r *versionReader) Release() {
	if r.refs.Add(-1) == 0 {
		r.cancel()
		r.closeFile()
		r.drop()
		r.files, r.ahead = nil, nil
	}
}

// Schema is the schema of the records.
func (r *versionReader) Schema() *arrow.Schema { return r.schema }

// Record is the current record.
func (r *versionReader) Record() arrow.Record { return r.current }

// Err is why Next returned false, nil at the end.
func (r *versionReader) Err() error { return r.err }

// Next moves to the next record.
func (r *versionReader) Next() bool {
	r.drop()
	for r.err == nil {
		if r.open == nil {
			if len(r.files) == 0 {
				return false
			}
			r.err = r.nextFile()
			continue
		}
		rec, err := r.open.Next()
		switch {
		case err == nil:
			r.left -= rec.NumRows()
			r.current = arrowcross.Record15(rec, r.schema, r.order)
			return true
		case errors.Is(err, io.EOF) && r.left == 0:
			r.closeFile()
		case errors.Is(err, io.EOF):
			r.err = r.fail(fmt.Errorf("the log promises %d rows more than the file has: %w", r.left, ErrInvalid))
		default:
			r.err = r.fail(err)
		}
	}
	r.closeFile()
	return false
}

func (r *versionReader) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

func (r *versionReader) closeFile() {
	if r.open != nil {
		r.open.Close()
		r.open = nil
	}
}

func (r *versionReader) fail(err error) error {
	if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
		corrupt.Version = r.v.Number
		return corrupt
	}
	return fmt.Errorf("dataset: read %q version %d: file %s: %w", r.v.Dataset, r.v.Number, r.file.Path, err)
}

func (r *versionReader) nextFile() error {
	if err := r.ctx.Err(); err != nil {
		return fmt.Errorf("dataset: read %q version %d: %w", r.v.Dataset, r.v.Number, err)
	}
	r.file, r.files = r.files[0], r.files[1:]
	var got fetched
	if r.ahead != nil {
		got = <-r.ahead
		r.ahead = nil
	} else {
		got.body, got.err = r.v.dataset.readFile(r.ctx, r.file)
	}
	if got.err != nil {
		return r.fail(got.err)
	}
	if len(r.files) > 0 {
		// One slot, so that the goroutine ends even when nobody takes the file.
		ahead := make(chan fetched, 1)
		r.ahead = ahead
		go func(f File) {
			body, err := r.v.dataset.readFile(r.ctx, f)
			ahead <- fetched{body, err}
		}(r.files[0])
	}
	open, err := pqfile.NewReader(r.ctx, bytes.NewReader(got.body), pqfile.ReadOptions{
		Columns: r.columns, BatchRows: r.batch, Mem: r.v.dataset.catalog.mem, Trusted: true,
	})
	if err != nil {
		return r.fail(err)
	}
	r.open, r.left = open, r.file.Rows
	if r.order, err = columnOrder(open.Schema(), r.schema); err != nil {
		return r.fail(err)
	}
	return nil
}

// columnOrder finds the columns of want in a file, and checks that they are what
// the table says they are before their buffers are reinterpreted.
func columnOrder(file *arrow18.Schema, want *arrow.Schema) ([]int, error) {
	order := make([]int, len(want.Fields()))
	for i, f := range want.Fields() {
		at := file.FieldIndices(f.Name)
		if len(at) != 1 {
			return nil, fmt.Errorf("the file has %d columns %q: %w", len(at), f.Name, ErrInvalid)
		}
		have, err := arrowcross.Type15(file.Field(at[0]).Type)
		if err != nil || !arrowcross.Same(have, f.Type) {
			return nil, fmt.Errorf("column %q is %s in the file and %s in the table: %w", f.Name, file.Field(at[0]).Type, f.Type, ErrInvalid)
		}
		order[i] = at[0]
	}
	return order, nil
}

// readFile reads a whole data file and checks it.
func (d *Dataset) readFile(ctx context.Context, f File) ([]byte, error) {
	damage := &CorruptError{Dataset: d.name, Path: f.Path, Want: f.SHA256}
	r, err := d.store.Get(ctx, f.Path, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		damage.Err = fs.ErrNotExist
		return nil, damage
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	h := sha256.New()
	// What is there may be longer than it should be: it is hashed whole, and
	// kept no further than it can be right.
	var body bytes.Buffer
	body.Grow(int(min(f.Size, 80<<20)) + bytes.MinRead)
	if _, err = body.ReadFrom(io.TeeReader(io.LimitReader(r, f.Size), h)); err == nil {
		_, err = io.Copy(h, r)
	}
	if err != nil {
		return nil, err
	}
	if damage.Have = hex.EncodeToString(h.Sum(nil)); damage.Have != f.SHA256 {
		return nil, damage
	}
	return body.Bytes(), nil
}
