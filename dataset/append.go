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

// appender turns records into stored files. Three things happen side by side:
// the caller's goroutine cuts row groups, one goroutine scans their values, and
// each file is encoded and stored on a goroutine of its own, as many at once as
// there are cores. So about 2*GOMAXPROCS+3 row groups and GOMAXPROCS encoded
// files are in memory.
type appender struct {
	ctx      context.Context
	cancel   context.CancelFunc
	d        *Dataset
	schema   *arrow18.Schema
	layout   layout
	chunks   *pqfile.Chunker
	cutter   *pqfile.Cutter // nil for rows without a key.
	bloom    []string
	scan     *scan.Scanner
	files    []draft // When finish has returned.
	progress func(Progress)

	jobs    []*fileJob
	open    *fileJob // Takes row groups; nil between files.
	cores   chan struct{}
	scans   chan scanStep
	spare   chan *pqfile.Space // Of files that are stored.
	work    sync.WaitGroup
	started bool

	mu   sync.Mutex
	err  error
	done Progress
}

// fileJob is a file on its way.
type fileJob struct {
	groups  chan arrow18.RecordBatch
	bytes   int64 // Arrow bytes of its row groups.
	scanned chan struct{}
	stats   string // When scanned is closed.
	draft   draft
}

// scanStep is a row group to scan, or the end of a file.
type scanStep struct {
	rec arrow18.RecordBatch
	end *fileJob
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
		scan:   scan.New(inner),
		cores:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		scans:  make(chan scanStep, 1),
		spare:  make(chan *pqfile.Space, runtime.GOMAXPROCS(0)),
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
	if !w.started {
		w.started = true
		scans := w.scans // wait forgets it, perhaps before the goroutine runs.
		w.work.Go(func() { w.scanAll(scans) })
	}
	if w.open == nil {
		if err := w.startFile(rec); err != nil {
			return err
		}
	}
	for range 2 {
		rec.Retain() // For the scanner and for the encoder.
	}
	select {
	case w.scans <- scanStep{rec: rec}:
	case <-w.ctx.Done():
		rec.Release()
		rec.Release()
		return w.failure()
	}
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
func (w *appender) startFile(arrow18.RecordBatch) error {
	select {
	case w.cores <- struct{}{}:
	case <-w.ctx.Done():
		return w.failure()
	}
	j := &fileJob{groups: make(chan arrow18.RecordBatch, 1), scanned: make(chan struct{})}
	w.open = j
	w.jobs = append(w.jobs, j)
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
	select {
	case w.scans <- scanStep{end: j}:
	case <-w.ctx.Done():
	}
}

// scanAll scans the row groups in their order.
func (w *appender) scanAll(scans <-chan scanStep) {
	for s := range scans {
		if s.end != nil {
			var err error
			if s.end.stats, err = w.scan.EndFile(); err != nil {
				w.fail(err)
				continue
			}
			close(s.end.scanned)
			continue
		}
		if w.ctx.Err() == nil {
			if faults := w.scan.Add(s.rec); len(faults) > 0 {
				w.fail(&SchemaError{w.d.name, faults})
			}
			w.mu.Lock()
			w.done.Rows = w.scan.Rows()
			w.mu.Unlock()
		}
		s.rec.Release()
	}
}

// store encodes a file, and stores it when its values are found to be good.
func (w *appender) store(j *fileJob) error {
	space := &pqfile.Space{}
	select {
	case space = <-w.spare:
	default:
	}
	file, err := pqfile.NewWriter(w.schema, pqfile.WriteOptions{Bloom: w.bloom, Space: space})
	if err != nil {
		return err
	}
	for rec := range j.groups {
		err := w.ctx.Err()
		if err == nil {
			err = file.Write(rec)
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
	sum, tail := enc.Sum, sha256.Sum256(enc.Body[enc.Tail:])
	f := File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(enc.Body))}
	for _, n := range enc.Groups {
		f.Rows += n
	}
	if f.Path, err = w.d.freshPath(w.ctx, f.SHA256); err != nil {
		return err
	}
	select {
	case <-j.scanned:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	stored := time.Now()
	fresh, err := w.d.putFile(w.ctx, f, enc.Body)
	if err != nil {
		return err
	}
	if fresh {
		select {
		case w.spare <- space:
		default:
		}
	}
	j.draft = draft{File: f, stats: j.stats, written: stored, tags: map[string]string{
		tagGroups: formatGroups(enc.Groups),
		tagTail:   fmt.Sprintf("%d:%x", enc.Tail, tail),
	}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done.Files++
	w.done.Bytes += f.Size
	return nil
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
	if w.scans != nil {
		close(w.scans)
		if !w.started {
			for range w.scans {
			}
		}
		w.scans = nil
	}
	w.work.Wait()
}

func (w *appender) close() {
	w.cancel()
	w.wait()
	w.chunks.Release()
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
