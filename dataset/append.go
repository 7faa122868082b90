package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	arrow18 "github.com/apache/arrow-go/v18/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
	"github.com/millwright-ml/millwright/dataset/internal/scan"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// layout is how rows are cut into files. It is part of the content's name: the
// same rows get the same digest only under the same layout.
type layout struct {
	groupRows  int64 // Rows of a row group, at most.
	groupBytes int64 // Arrow bytes of a row group, about.
	fileBytes  int64 // A file ends with the row group that reaches this many Arrow bytes.

	// fragments are the files of rows that have a key.
	fragments pqfile.CutOptions
}

var standardLayout = layout{
	groupRows: 1 << 19, groupBytes: 32 << 20, fileBytes: 48 << 20,
	fragments: pqfile.CutOptions{Mean: 1 << 15, Min: 1 << 13, Max: 1 << 17},
}

// appender turns records into stored files. The caller's goroutine cuts row
// groups; each file is scanned, encoded and stored on a goroutine of its own, as
// many at once as there are cores, and cores that no file has help with the
// columns of one. So about 2*GOMAXPROCS+2 row groups and GOMAXPROCS encoded files
// are in memory, with as many work spaces, which hold about two more columns of
// a row group each.
type appender struct {
	ctx      context.Context
	cancel   context.CancelFunc
	d        *Dataset
	schema   *arrow18.Schema
	layout   layout
	chunks   *pqfile.Chunker
	cutter   *pqfile.Cutter // nil for rows without a key.
	bloom    []string
	files    []draft // When finish has returned.
	progress func(Progress)
	bare     bool // No profile is counted.

	jobs  []*fileJob
	open  *fileJob // Takes row groups; nil between files.
	cores chan struct{}
	spare chan *worker // Of files that are stored.
	work  sync.WaitGroup
	cut   int64 // Rows that were cut into row groups.

	mu      sync.Mutex
	err     error
	done    Progress
	merged  int // Jobs whose summary is in counted.
	counted *profile.Table
	rows    int64
}

// worker is what a core works with. Its memory is used again by the catalog's next
// append, unless the garbage collector runs twice before.
type worker struct {
	space pqfile.Space
	texts profile.TextCounter
}

// fileJob is a file on its way.
type fileJob struct {
	groups chan arrow18.RecordBatch
	base   int64 // Rows before it.
	bytes  int64 // Arrow bytes of its row groups.
	draft  draft
	scan   *scan.Scanner // When it is scanned to its end, until its summary is merged.
}

func newAppender(ctx context.Context, d *Dataset, schema *arrow.Schema, progress func(Progress)) (*appender, error) {
	inner, err := arrowcross.Schema18(schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	l := d.catalog.layout
	w := &appender{
		d: d, schema: inner, layout: l, progress: progress,
		chunks: pqfile.NewChunker(inner, l.groupRows, l.groupBytes, d.catalog.mem),
		cores:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		spare:  make(chan *worker, runtime.GOMAXPROCS(0)),
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, nil
}

// key cuts the files where the values of the columns say so, which makes files
// of rows that were stored before come out the same. It is called before the
// first add.
func (w *appender) key(columns []string) error {
	if len(columns) == 0 {
		return nil
	}
	var err error
	w.cutter, err = pqfile.NewCutter(w.schema, columns, w.layout.fragments)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	w.bloom = columns
	return nil
}

func (w *appender) add(rec arrow.Record, columns []int) error {
	crossed := arrowcross.Record18(rec, w.schema, columns)
	defer crossed.Release()
	if w.cutter == nil {
		return w.chunks.Add(crossed, w.group)
	}
	from := int64(0)
	for to := range w.cutter.Cuts(crossed) {
		if err := w.addRows(crossed, from, to); err != nil {
			return err
		}
		if err := w.endFragment(); err != nil {
			return err
		}
		from = to
	}
	return w.addRows(crossed, from, crossed.NumRows())
}

func (w *appender) addRows(rec arrow18.RecordBatch, from, to int64) error {
	if from == to {
		return nil
	}
	part := rec.NewSlice(from, to)
	defer part.Release()
	return w.chunks.Add(part, w.group)
}

func (w *appender) endFragment() error {
	if err := w.chunks.Flush(w.group); err != nil {
		return err
	}
	w.endFile()
	return w.failure()
}

// group hands one row group on.
func (w *appender) group(rec arrow18.RecordBatch) error {
	if err := w.ctx.Err(); err != nil {
		return w.failure()
	}
	if w.open == nil {
		if err := w.startFile(); err != nil {
			return err
		}
	}
	rec.Retain()
	w.cut += rec.NumRows()
	select {
	case w.open.groups <- rec:
	case <-w.ctx.Done():
		rec.Release()
		return w.failure()
	}
	if w.open.bytes += pqfile.ArrowBytes(rec); w.open.bytes >= w.layout.fileBytes {
		w.endFile()
	}
	w.report()
	return w.failure()
}

// startFile waits for a core.
func (w *appender) startFile() error {
	select {
	case w.cores <- struct{}{}:
	case <-w.ctx.Done():
		return w.failure()
	}
	j := &fileJob{groups: make(chan arrow18.RecordBatch, 1), base: w.cut}
	w.open = j
	w.mu.Lock()
	w.jobs = append(w.jobs, j)
	w.mu.Unlock()
	w.work.Go(func() {
		defer func() { <-w.cores }()
		if err := w.store(j); err != nil {
			w.fail(err)
		}
		for rec := range j.groups {
			rec.Release() // Left over by a failure.
		}
	})
	return nil
}

// endFile closes the open file.
func (w *appender) endFile() {
	j := w.open
	if j == nil {
		return
	}
	w.open = nil
	close(j.groups)
}

// store scans and encodes a file, and stores it when its values are found to be
// good.
func (w *appender) store(j *fileJob) error {
	own := w.worker()
	file, err := pqfile.NewWriter(w.schema, pqfile.WriteOptions{Bloom: w.bloom, Space: &own.space})
	if err != nil {
		return err
	}
	values := scan.New(w.schema, j.base)
	if w.bare {
		values = scan.Bare(w.schema, j.base)
	}
	for rec := range j.groups {
		err := w.ctx.Err()
		if err == nil {
			err = w.encode(file, values, own, rec)
		}
		rec.Release()
		if err != nil {
			return err
		}
	}
	enc, err := file.Close()
	if err != nil {
		return err
	}
	stats, err := values.EndFile()
	if err != nil {
		return err
	}
	if err := w.scanned(j, values); err != nil {
		return err
	}
	sum, tail := enc.Sum, sha256.Sum256(enc.Body[enc.Tail:])
	f := File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(enc.Body))}
	for _, n := range enc.Groups {
		f.Rows += n
	}
	if f.Path, err = w.d.freshPath(w.ctx, f.SHA256); err != nil {
		return err
	}
	stored := time.Now()
	fresh, err := w.d.putFile(w.ctx, f, enc.Body)
	if err != nil {
		return err
	}
	if fresh {
		w.giveBack(own)
	}
	j.draft = draft{File: f, stats: stats, written: stored, tags: map[string]string{
		tagGroups: formatGroups(enc.Groups),
		tagTail:   fmt.Sprintf("%d:%x", enc.Tail, tail),
	}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done.Files++
	w.done.Bytes += f.Size
	return nil
}

// encode scans and encodes a row group, on all cores that have nothing to do.
func (w *appender) encode(file *pqfile.Writer, values *scan.Scanner, own *worker, rec arrow18.RecordBatch) error {
	workers := []*worker{own}
	spaces := []*pqfile.Space{&own.space}
	for len(workers) < int(rec.NumCols()) && rec.NumRows() >= alone && w.helper() {
		h := w.worker()
		workers, spaces = append(workers, h), append(spaces, &h.space)
	}
	defer func() {
		for _, h := range workers[1:] {
			w.giveBack(h)
			<-w.cores
		}
	}()
	err := file.Write(rec, spaces, &looker{values, workers})
	if errors.Is(err, errFaults) {
		var all []string
		for i, a := range rec.Columns() {
			all = append(all, values.Check(i, a)...)
		}
		return &SchemaError{w.d.name, all}
	}
	values.End(rec.NumRows())
	return err
}

// looker scans the columns of a row group where they are encoded.
type looker struct {
	values  *scan.Scanner
	workers []*worker
}

func (l *looker) Check(_, column int, a arrow18.Array) error {
	if len(l.values.Check(column, a)) > 0 {
		return errFaults
	}
	return nil
}

func (l *looker) Encoded(by, column int, a arrow18.Array, facts pqfile.Facts) {
	l.values.Count(column, a, facts, &l.workers[by].texts)
}

// alone is how many rows of a row group one core encodes before another could
// be of help.
const alone = 4096

// errFaults stands for the faults of a column.
var errFaults = errors.New("the values do not fit")

// helper takes a core that no file has.
func (w *appender) helper() bool {
	select {
	case w.cores <- struct{}{}:
		return true
	default:
		return false
	}
}

func (w *appender) worker() *worker {
	select {
	case own := <-w.spare:
		return own
	default:
	}
	if own, ok := w.d.catalog.workers.Get().(*worker); ok {
		return own
	}
	return &worker{}
}

func (w *appender) giveBack(own *worker) {
	select {
	case w.spare <- own:
	default:
	}
}

// scanned merges the summaries of the files, in their order.
func (w *appender) scanned(j *fileJob, values *scan.Scanner) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.scan = values
	for ; w.merged < len(w.jobs) && w.jobs[w.merged].scan != nil; w.merged++ {
		next := w.jobs[w.merged]
		w.rows += next.scan.Rows()
		if w.counted == nil {
			w.counted = next.scan.Profile()
		} else if err := w.counted.Merge(next.scan.Profile()); err != nil {
			return err
		}
		next.scan = nil
	}
	w.done.Rows += values.Rows()
	return nil
}

// summary is the profile of all rows.
func (w *appender) summary() *profile.Table {
	if w.counted == nil {
		return scan.New(w.schema, 0).Profile()
	}
	return w.counted
}

// fail keeps the first error and stops everything. What is wrong with the rows
// is worth more than what follows from it.
func (w *appender) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if mismatch := (*SchemaError)(nil); w.err == nil || errors.As(err, &mismatch) {
		w.err = err
	}
	w.cancel()
}

func (w *appender) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	return w.ctx.Err()
}

func (w *appender) finish() error {
	if err := w.chunks.Flush(w.group); err != nil {
		w.wait()
		return w.failure()
	}
	w.endFile()
	w.wait()
	if err := w.failure(); err != nil {
		return err
	}
	for _, j := range w.jobs {
		w.files = append(w.files, j.draft)
	}
	w.report()
	return nil
}

// wait ends the goroutines.
func (w *appender) wait() {
	if w.open != nil {
		close(w.open.groups)
		w.open = nil
	}
	w.work.Wait()
}

func (w *appender) close() {
	w.cancel()
	w.wait()
	w.chunks.Release()
	for range len(w.spare) {
		w.d.catalog.workers.Put(<-w.spare)
	}
}

func (w *appender) report() {
	if w.progress != nil {
		w.mu.Lock()
		done := w.done
		w.mu.Unlock()
		w.progress(done)
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
