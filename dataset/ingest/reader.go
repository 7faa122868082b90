package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Reader is an array.RecordReader over the rows of one or more files, in the
// order of the files. It is for one goroutine. Release it: that ends what it
// runs beside and closes the files.
type Reader struct {
	refs   atomic.Int64
	ctx    context.Context // Of the Open that made it, as for sql.Rows.
	o      *Options
	files  []source
	schema *arrow.Schema

	first   *input // Opened to find the schema, until its turn comes.
	at      int    // Index in files of the one being read.
	stream  stream // nil between files.
	current arrow.Record
	err     error
	read    atomic.Int64
	done    Progress
}

// stream yields the rows of one file.
type stream interface {
	// next returns a record, io.EOF at the end. bad are the rows at fault, in
	// order, and drop their places in the record, where they are still in it.
	next() (rec arrow.Record, bad []*RowError, drop []int, err error)
	close()
}

// Open reads files of the local disk. Each path is a file, or a pattern of
// filepath.Glob whose matches are read in the order of their names; ErrNotFound
// when nothing matches. The files are opened one after the other.
//
// The schema is known when Open returns. The reader works until ctx ends.
func Open(ctx context.Context, paths []string, opts *Options) (*Reader, error) {
	files, err := diskFiles(paths)
	if err != nil {
		return nil, err
	}
	return start(ctx, files, opts)
}

// OpenFS is Open for the files of a file system, such as an os.Root, an archive
// or embedded data.
func OpenFS(ctx context.Context, fsys fs.FS, paths []string, opts *Options) (*Reader, error) {
	files, err := fsFiles(fsys, paths)
	if err != nil {
		return nil, err
	}
	return start(ctx, files, opts)
}

// NewReader reads one file through r, which stays the caller's: the body of a
// request, or an object of a store. The name is for the format and for errors.
// Parquet is read at offsets, so r must be an io.ReaderAt and an io.Seeker for
// it: an *os.File, a *bytes.Reader or an *io.SectionReader.
func NewReader(ctx context.Context, name string, r io.Reader, opts *Options) (*Reader, error) {
	if r == nil {
		return nil, fmt.Errorf("ingest: open %q: the reader is nil: %w", name, ErrInvalid)
	}
	return start(ctx, []source{{name, -1, func() (io.ReadCloser, error) { return borrow(r), nil }}}, opts)
}

// borrow gives a reader a Close that leaves it open, and keeps what else it can.
func borrow(r io.Reader) io.ReadCloser {
	at, ok := r.(io.ReaderAt)
	seeker, also := r.(io.Seeker)
	if ok && also {
		return struct {
			io.Reader
			io.ReaderAt
			io.Seeker
			io.Closer
		}{r, at, seeker, io.NopCloser(nil)}
	}
	return io.NopCloser(r)
}

func start(ctx context.Context, files []source, opts *Options) (*Reader, error) {
	o, err := opts.resolve("ingest: open")
	if err != nil {
		return nil, err
	}
	r := &Reader{ctx: ctx, o: o, files: files}
	r.refs.Store(1)
	r.done.Of = len(files)
	for _, f := range files {
		if f.size < 0 {
			r.done.Size = -1
			break
		}
		r.done.Size += f.size
	}
	if r.first, err = o.openInput(files[0], &r.read); err != nil {
		return nil, err
	}
	if r.schema, err = r.infer(); err != nil {
		r.Release()
		return nil, err
	}
	return r, nil
}

func (r *Reader) infer() (*arrow.Schema, error) {
	if r.o.Schema != nil {
		return arrow.NewSchema(r.o.Schema.Fields(), nil), nil
	}
	switch r.first.format {
	case CSV, JSONLines:
		return r.o.inferText(r.first, r.files)
	}
	names, types, err := r.o.binarySchema(r.first)
	if err != nil {
		return nil, err
	}
	return r.o.chosen(r.first.name, names, func(name string) (arrow.DataType, bool, string) {
		t := types[slices.Index(names, name)]
		return t.kept, false, t.why
	})
}

// Schema is the schema of the records, without metadata.
func (r *Reader) Schema() *arrow.Schema { return r.schema }

// Record is the current record, which is valid until Next unless it is retained.
func (r *Reader) Record() arrow.Record { return r.current }

// Err is why Next returned false, nil at the end of the last file.
func (r *Reader) Err() error { return r.err }

// Progress is how far the reader has come.
func (r *Reader) Progress() Progress {
	p := r.done
	p.File = r.files[min(r.at, len(r.files)-1)].name
	p.Bytes = r.read.Load()
	return p
}

// Retain adds a reference.
func (r *Reader) Retain() { r.refs.Add(1) }

// Release drops a reference; the last one waits for the read in progress, frees
// the records and closes the files.
func (r *Reader) Release() {
	if r.refs.Add(-1) != 0 {
		return
	}
	r.drop()
	if r.stream != nil {
		r.stream.close()
		r.stream = nil
	}
	if r.first != nil {
		r.first.close()
		r.first = nil
	}
}

func (r *Reader) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

// Next moves to the next record, which has at least one row.
func (r *Reader) Next() bool {
	r.drop()
	if r.refs.Load() <= 0 {
		return false
	}
	for r.err == nil && r.current == nil {
		if err := r.ctx.Err(); err != nil {
			r.err = fmt.Errorf("ingest: read %q: %w", r.Progress().File, context.Cause(r.ctx))
			break
		}
		if r.stream == nil {
			if r.at == len(r.files) {
				return false
			}
			r.stream, r.err = r.open()
			continue
		}
		r.step()
	}
	if r.err != nil {
		r.drop()
		if r.stream != nil {
			r.stream.close()
			r.stream = nil
		}
		return false
	}
	return true
}

// step takes the next record off the stream.
func (r *Reader) step() {
	rec, bad, drop, err := r.stream.next()
	if errors.Is(err, io.EOF) {
		r.stream.close()
		r.stream = nil
		r.at++
		r.done.Files++
		return
	}
	if err != nil {
		r.err = err
		return
	}
	defer rec.Release()
	for _, row := range bad {
		if r.err = row; r.o.BadRows != nil {
			r.err = r.o.BadRows(row)
		}
		if r.err != nil {
			return
		}
		r.done.Bad++
	}
	if rec, r.err = without(rec, drop, r.o); r.err != nil {
		return
	}
	defer rec.Release()
	r.done.Rows += rec.NumRows()
	if rec.NumRows() > 0 {
		rec.Retain()
		r.current = rec
	}
	if r.o.Progress != nil {
		r.o.Progress(r.Progress())
	}
}

// open starts to read the file whose turn it is.
func (r *Reader) open() (stream, error) {
	in := r.first
	r.first = nil
	if in == nil {
		var err error
		if in, err = r.o.openInput(r.files[r.at], &r.read); err != nil {
			return nil, err
		}
	}
	s, err := r.streamOf(in)
	if err != nil {
		in.close()
		return nil, err
	}
	return s, nil
}

func (r *Reader) streamOf(in *input) (stream, error) {
	c := clock{r.o.Location, r.o.Round}
	switch in.format {
	case CSV:
		p, empty, err := planCSV(r.o, in)
		if err != nil {
			return nil, err
		}
		if empty {
			return &endedStream{in}, nil
		}
		at, err := r.o.place(in.name, r.schema, p.names)
		if err != nil {
			return nil, err
		}
		return newText(r.ctx, r.o, in, r.schema, p.bind(r.schema, at, c), p.skip, p.line), nil
	case JSONLines:
		skip := 0
		if len(in.sample) >= len(bom) && string(in.sample[:len(bom)]) == string(bom) {
			skip = len(bom)
		}
		g := &jsonGrammar{schema: r.schema, clock: c, lenient: r.o.IgnoreUnknown || len(r.o.Columns) > 0}
		return newText(r.ctx, r.o, in, r.schema, g, skip, 1), nil
	}
	return newBinary(r.ctx, r.o, in, r.schema)
}

// endedStream is a file without a row.
type endedStream struct{ in *input }

func (s *endedStream) next() (arrow.Record, []*RowError, []int, error) { return nil, nil, nil, io.EOF }
func (s *endedStream) close()                                          { s.in.close() }

// without leaves rows out of a record, given in ascending order. The caller
// releases both.
func without(rec arrow.Record, drop []int, o *Options) (arrow.Record, error) {
	if len(drop) == 0 {
		rec.Retain()
		return rec, nil
	}
	var parts []arrow.Record
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	from := int64(0)
	for _, row := range append(drop, int(rec.NumRows())) {
		if int64(row) > from {
			parts = append(parts, rec.NewSlice(from, int64(row)))
		}
		from = int64(row) + 1
	}
	columns := make([]arrow.Array, 0, rec.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	rows := rec.NumRows() - int64(len(drop))
	if len(parts) == 0 {
		return rec.NewSlice(0, 0), nil
	}
	for i := range rec.Columns() {
		pieces := make([]arrow.Array, len(parts))
		for j, p := range parts {
			pieces[j] = p.Column(i)
		}
		joined, err := array.Concatenate(pieces, o.Allocator)
		if err != nil {
			return nil, fmt.Errorf("ingest: leave rows out: %w", err)
		}
		columns = append(columns, joined)
	}
	return array.NewRecord(rec.Schema(), columns, rows), nil
}
