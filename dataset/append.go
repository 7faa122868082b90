package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	arrow18 "github.com/apache/arrow-go/v18/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
	"github.com/millwright-ml/millwright/dataset/internal/scan"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	maxMessage = 8000
	maxTags    = 100
	maxKey     = 250
)

// layout is how rows are cut into files. It is part of the content's name: the
// same rows get the same digest only under the same layout.
type layout struct {
	groupRows  int64 // Rows of a row group, at most.
	groupBytes int64 // Arrow bytes of a row group, about.
	fileBytes  int64 // A file ends with the row group that reaches this size.
}

var standardLayout = layout{groupRows: 1 << 19, groupBytes: 32 << 20, fileBytes: 64 << 20}

// CommitOptions describe an Append.
type CommitOptions struct {
	// Message says for people what came in. At most 8000 bytes; the default is
	// none.
	Message string
	// App and AppVersion make a producer idempotent: of all appends with the
	// same App and AppVersion one commits, and the others return its version and
	// leave their records unread. AppVersion grows from append to append; it is
	// Delta's txn action. The default App "" means that every append commits.
	App        string
	AppVersion int64
	// Tags are kept with the version. At most 100, keys of up to 250 bytes and
	// values of up to 8000; the default is none.
	Tags map[string]string
	// Run is the id of the tracking run that produced the rows; the default is
	// none.
	Run string
	// Progress, when set, is called on the appending goroutine after every row
	// group and file.
	Progress func(Progress)
}

// Progress is how far an Append has come.
type Progress struct {
	Rows  int64 // Rows encoded.
	Files int   // Files stored.
	Bytes int64 // Bytes of those files.
}

func (o *CommitOptions) validate(subject string) error {
	var f errs.Faults
	text := func(what, s string, limit int) {
		f.Check(len(s) <= limit, "%s is %d bytes long, want at most %d", what, len(s), limit)
		f.Check(utf8.ValidString(s), "%s is not UTF-8", what)
	}
	text("message", o.Message, maxMessage)
	text("app", o.App, maxKey)
	text("run", o.Run, maxKey)
	f.Check(o.AppVersion >= 0, "app version is %d, want at least 0", o.AppVersion)
	f.Check(o.App != "" || o.AppVersion == 0, "app version %d without an app", o.AppVersion)
	f.Check(len(o.Tags) <= maxTags, "%d tags, want at most %d", len(o.Tags), maxTags)
	for k, v := range o.Tags {
		f.Check(k != "", "a tag has no key")
		text(fmt.Sprintf("tag key %q", k), k, maxKey)
		text(fmt.Sprintf("tag %q", k), v, maxMessage)
	}
	return f.Err(subject)
}

// Append adds the records of rr as one new version and returns it: version N is
// Delta version N. The commit is one write that either happens or does not;
// when Append returns, it is durable. Appends race safely with each other, in
// one process or many: each gets a version of its own.
//
// The columns of rr are matched by name and may come in any order. Records that
// do not fit give a *SchemaError that lists every violation. Rows are streamed:
// at most about 200 MB are held, however many there are. Zero rows make a
// version too. Append does not release rr.
//
// When the store fails while it commits, Append reads back what happened before
// it answers. If even that fails the error is ErrUnavailable and the commit may
// have landed: set App and AppVersion to make a repeat safe.
func (d *Dataset) Append(ctx context.Context, rr array.RecordReader, opts *CommitOptions) (*Version, error) {
	if opts == nil {
		opts = &CommitOptions{}
	}
	subject := fmt.Sprintf("dataset: append to %q", d.name)
	if err := opts.validate(subject); err != nil {
		return nil, err
	}
	if rr == nil {
		return nil, fmt.Errorf("%s: the record reader is nil: %w", subject, ErrInvalid)
	}
	v, err := d.append(ctx, rr, opts)
	if err != nil {
		if mismatch := (*SchemaError)(nil); errors.As(err, &mismatch) {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	return v, nil
}

func (d *Dataset) append(ctx context.Context, rr array.RecordReader, opts *CommitOptions) (*Version, error) {
	if err := d.refresh(ctx); err != nil {
		return nil, err
	}
	log := d.snapshot()
	head := log[len(log)-1]
	if err := errors.Join(head.bad, head.writable); err != nil {
		return nil, err
	}
	if v, err := d.repeated(log, opts); v != nil || err != nil {
		return v, err
	}
	columns, violations := match(head.schema, rr.Schema())
	if len(violations) > 0 {
		return nil, &SchemaError{d.name, violations}
	}
	w, err := newAppender(ctx, d, head.schema, opts.Progress)
	if err != nil {
		return nil, err
	}
	defer w.close()
	for rr.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := w.add(rr.Record(), columns); err != nil {
			return nil, err
		}
	}
	if err := rr.Err(); err != nil {
		return nil, fmt.Errorf("reading the records: %w", err)
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	return d.commit(ctx, w, opts)
}

// repeated answers an append that an idempotent producer made before.
func (d *Dataset) repeated(log []*commit, opts *CommitOptions) (*Version, error) {
	if opts.App == "" {
		return nil, nil
	}
	n, found, behind := committed(log, opts.App, opts.AppVersion)
	switch {
	case found:
		return d.version(log, n)
	case behind > opts.AppVersion:
		return nil, fmt.Errorf("app %q is at %d already and never committed %d: %w", opts.App, behind, opts.AppVersion, ErrConflict)
	}
	return nil, nil
}

// match finds the column of have for every field of want.
func match(want, have *arrow.Schema) (columns []int, violations []string) {
	if have == nil {
		return nil, []string{"the records have no schema"}
	}
	fail := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	at := make(map[string]int, len(have.Fields()))
	for i, f := range have.Fields() {
		if _, twice := at[f.Name]; twice {
			fail("column %q is there twice", f.Name)
		}
		at[f.Name] = i
	}
	for _, f := range want.Fields() {
		i, ok := at[f.Name]
		if !ok {
			fail("column %q (%s) is missing", f.Name, f.Type)
			continue
		}
		delete(at, f.Name)
		if got := have.Field(i).Type; !arrowcross.Same(f.Type, got) {
			fail("column %q is %s, want %s", f.Name, got, f.Type)
		}
		columns = append(columns, i)
	}
	for _, f := range have.Fields() {
		if _, left := at[f.Name]; left {
			fail("column %q (%s) is not in the table", f.Name, f.Type)
			delete(at, f.Name)
		}
	}
	return columns, violations
}

// appender turns records into stored files.
type appender struct {
	ctx      context.Context
	d        *Dataset
	schema   *arrow18.Schema
	layout   layout
	chunks   *pqfile.Chunker
	scan     *scan.Scanner
	file     *pqfile.Writer // nil between files.
	files    []draft
	progress func(Progress)
	done     Progress
}

// draft is a file that is stored and not yet in the table.
type draft struct {
	File
	stats string
}

func newAppender(ctx context.Context, d *Dataset, schema *arrow.Schema, progress func(Progress)) (*appender, error) {
	inner, err := arrowcross.Schema18(schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	l := d.catalog.layout
	return &appender{
		ctx: ctx, d: d, schema: inner, layout: l, progress: progress,
		chunks: pqfile.NewChunker(inner, l.groupRows, l.groupBytes, d.catalog.mem),
		scan:   scan.New(inner),
	}, nil
}

func (w *appender) add(rec arrow.Record, columns []int) error {
	crossed := arrowcross.Record18(rec, w.schema, columns)
	defer crossed.Release()
	return w.chunks.Add(crossed, w.group)
}

// group writes one row group. The values are scanned on a second core while
// the first encodes them.
func (w *appender) group(rec arrow18.RecordBatch) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	var faults []string
	var wg sync.WaitGroup
	wg.Go(func() { faults = w.scan.Add(rec) })
	err := w.encode(rec)
	wg.Wait()
	if len(faults) > 0 {
		return &SchemaError{w.d.name, faults}
	}
	if err != nil {
		return err
	}
	w.done.Rows = w.scan.Rows()
	if w.file.Size() >= w.layout.fileBytes {
		return w.endFile()
	}
	w.report()
	return nil
}

func (w *appender) encode(rec arrow18.RecordBatch) error {
	if w.file == nil {
		var err error
		if w.file, err = pqfile.NewWriter(w.schema, rec); err != nil {
			return err
		}
	}
	return w.file.Write(rec)
}

func (w *appender) endFile() error {
	rows := w.file.Rows()
	body, err := w.file.Close()
	w.file = nil
	if err != nil {
		return err
	}
	stats, err := w.scan.EndFile()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	f := File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body)), Rows: rows}
	f.Path = dataPath(f.SHA256, 1)
	if err := w.d.putFile(w.ctx, f, body); err != nil {
		return err
	}
	w.files = append(w.files, draft{f, stats})
	w.done.Files++
	w.done.Bytes += f.Size
	w.report()
	return nil
}

func (w *appender) finish() error {
	if err := w.chunks.Flush(w.group); err != nil {
		return err
	}
	if w.file != nil {
		return w.endFile()
	}
	return nil
}

func (w *appender) close() {
	w.chunks.Release()
	if w.file != nil {
		w.file.Abort()
	}
}

func (w *appender) report() {
	if w.progress != nil {
		w.progress(w.done)
	}
}

// dataPath is where the nth file with the digest lies. Delta knows a file by
// its path, so rows that are appended again need a second one.
func dataPath(sha string, nth int) string {
	var b strings.Builder
	b.WriteString(dataFolder)
	b.WriteString(sha)
	if nth > 1 {
		fmt.Fprintf(&b, "-%d", nth)
	}
	b.WriteString(".parquet")
	return b.String()
}
