package dataset

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	defaultBatchRows = 1 << 16
	defaultPrefetch  = 128 << 20
)

// ReadOptions say what to read of a version.
type ReadOptions struct {
	// Columns are the names to read, in the order that the records shall have.
	// The default is all columns. Only the bytes of these columns, and of those
	// that Where names, are fetched.
	Columns []string
	// BatchRows is how many rows a record has at most. The default is 65536.
	BatchRows int
	// Where delivers only the rows that match. Files, row groups, pages and, for
	// equality, Bloom filters whose statistics rule a match out are not decoded,
	// and those of whole files and row groups not fetched. The default is all
	// rows.
	Where filter.Expr
	// Prefetch is how many bytes of files are fetched ahead of the reader. The
	// default is 128 MiB; one file, or the wanted part of it, is always allowed.
	Prefetch int64

	// except delivers the rows that do not match Where: for which it is false or
	// null. Nothing is skipped then.
	except bool
}

// Read returns the rows of the version in the order in which they were
// appended. What is fetched is checked against the SHA-256 that was committed
// before a row of it is delivered: of the file when it is read whole, else of
// each column chunk. A file that is damaged, replaced or missing ends the reader
// with a *CorruptError.
//
// A column that came into the table after a file was written is null in the rows
// of that file.
//
// Files are fetched ahead up to Prefetch bytes, and row groups are decoded ahead
// on all cores: about 32 MB for each of GOMAXPROCS+1 row groups is held besides.
// The reader works until ctx ends. Release it, which waits for what it has
// begun; its records are valid until the next call of Next unless they are
// retained.
func (v *Version) Read(ctx context.Context, opts *ReadOptions) (array.RecordReader, error) {
	full, err := v.Load(ctx)
	if err != nil {
		return nil, err
	}
	plan, f := newPlan(full, opts)
	runs := make([]run, len(full.live))
	for i, file := range full.live {
		runs[i] = run{file: file}
	}
	return plan.reader(ctx, runs, f)
}

// readPlan is what a read wants of every file.
type readPlan struct {
	v        *Version
	schema   *arrow.Schema // Of the records.
	fields   []arrow.Field // The columns to decode: those of Where first.
	tested   int           // How many of fields Where needs.
	order    []int         // Place in fields of each column of schema.
	all      bool          // Every column of the table is decoded.
	bound    *filter.Bound // nil without Where.
	except   bool
	batch    int64
	prefetch int64
}

// run is a part of one file: row groups in a row.
type run struct {
	file   *dataFile
	groups []int // nil: all of them.
}

func newPlan(v *Version, opts *ReadOptions) (*readPlan, errs.Faults) {
	var f errs.Faults
	if opts == nil {
		opts = &ReadOptions{}
	}
	p := &readPlan{v: v, schema: v.schema, batch: defaultBatchRows, prefetch: defaultPrefetch, except: opts.except}
	f.Check(opts.BatchRows >= 0, "batch rows are %d, want at least 0", opts.BatchRows)
	if opts.BatchRows > 0 {
		p.batch = int64(opts.BatchRows)
	}
	f.Check(opts.Prefetch >= 0, "prefetch is %d bytes, want at least 0", opts.Prefetch)
	if opts.Prefetch > 0 {
		p.prefetch = opts.Prefetch
	}
	if len(opts.Columns) > 0 {
		fields := make([]arrow.Field, 0, len(opts.Columns))
		seen := map[string]bool{}
		for _, name := range opts.Columns {
			at := v.schema.FieldIndices(name)
			f.Check(len(at) == 1, "there is no column %q", name)
			f.Check(!seen[name], "column %q is asked for twice", name)
			seen[name] = true
			if len(at) == 1 {
				fields = append(fields, v.schema.Field(at[0]))
			}
		}
		p.schema = arrow.NewSchema(fields, nil)
	}
	at := map[string]int{}
	need := func(field arrow.Field) int {
		if _, ok := at[field.Name]; !ok {
			at[field.Name] = len(p.fields)
			p.fields = append(p.fields, field)
		}
		return at[field.Name]
	}
	if !opts.Where.IsZero() || opts.except {
		bound, err := opts.Where.Bind(v.schema)
		if err != nil {
			f.Addf("%v", err)
		} else {
			p.bound = bound
			for _, name := range bound.Columns() {
				need(v.schema.Field(v.schema.FieldIndices(name)[0]))
			}
		}
	}
	p.tested = len(p.fields)
	for _, field := range p.schema.Fields() {
		p.order = append(p.order, need(field))
	}
	p.all = len(p.fields) == len(v.schema.Fields())
	return p, f
}

func (p *readPlan) reader(ctx context.Context, runs []run, f errs.Faults) (array.RecordReader, error) {
	if err := f.Err(fmt.Sprintf("dataset: read %q version %d", p.v.Dataset, p.v.Number)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &versionReader{plan: p, ctx: ctx, cancel: cancel, runs: runs}
	r.refs.Store(1)
	return r, nil
}

// readError puts the version in front of what went wrong.
func (v *Version) readError(err error) error {
	if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
		corrupt.Version = v.Number
		return corrupt
	}
	return fmt.Errorf("dataset: read %q version %d: %w", v.Dataset, v.Number, err)
}

// versionReader is an array.RecordReader over parts of the files of a version.
type versionReader struct {
	refs   atomic.Int64
	plan   *readPlan
	ctx    context.Context // Of the Read that made it, as for sql.Rows.
	cancel context.CancelFunc
	runs   []run

	pipe    *pipeline // nil until the first Next.
	piece   *piece    // The row group that records come from.
	records []arrow.Record
	current arrow.Record
	err     error
	done    bool
}

// Retain adds a reference.
func (r *versionReader) Retain() { r.refs.Add(1) }

// Release drops a reference; the last one frees the reader.
func (r *versionReader) Release() {
	if r.refs.Add(-1) == 0 {
		r.stop()
		r.drop()
	}
}

// stop ends the goroutines and frees what they made.
func (r *versionReader) stop() {
	r.cancel()
	r.done = true
	for _, rec := range r.records {
		rec.Release()
	}
	r.records = nil
	if r.pipe != nil {
		r.pipe.drain()
		r.pipe = nil
	}
}

// Schema is the schema of the records.
func (r *versionReader) Schema() *arrow.Schema { return r.plan.schema }

// Record is the current record.
func (r *versionReader) Record() arrow.Record { return r.current }

// Err is why Next returned false, nil at the end.
func (r *versionReader) Err() error { return r.err }

func (r *versionReader) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

// Next moves to the next record.
func (r *versionReader) Next() bool {
	r.drop()
	if r.done {
		return false
	}
	if r.pipe == nil {
		r.pipe = start(r.ctx, r.plan, r.runs)
	}
	for len(r.records) == 0 {
		if r.piece != nil {
			r.pipe.consumed()
			r.piece = nil
		}
		p, ok := r.pipe.next()
		if !ok {
			// The context may have ended before the last row group was begun.
			if err := r.ctx.Err(); err != nil {
				r.err = r.plan.v.readError(err)
			}
			r.stop()
			return false
		}
		if p.err != nil {
			r.err = r.plan.v.readError(p.err)
			r.pipe.consumed()
			r.stop()
			return false
		}
		r.piece, r.records = p, p.records
		p.records = nil
	}
	r.current, r.records = r.records[0], r.records[1:]
	return true
}
