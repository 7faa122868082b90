package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

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
	fileBytes  int64 // A file ends with the row group that reaches this size.
}

var standardLayout = layout{groupRows: 1 << 19, groupBytes: 32 << 20, fileBytes: 64 << 20}

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
		if w.file, err = pqfile.NewWriter(w.schema, rec, pqfile.WriteOptions{}); err != nil {
			return err
		}
	}
	return w.file.Write(rec)
}

func (w *appender) endFile() error {
	rows := w.file.Rows()
	enc, err := w.file.Close()
	w.file = nil
	if err != nil {
		return err
	}
	stats, err := w.scan.EndFile()
	if err != nil {
		return err
	}
	sum, tail := sha256.Sum256(enc.Body), sha256.Sum256(enc.Body[enc.Tail:])
	f := File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(enc.Body)), Rows: rows}
	f.Path = dataPath(f.SHA256, 1)
	if err := w.d.putFile(w.ctx, f, enc.Body); err != nil {
		return err
	}
	w.files = append(w.files, draft{File: f, stats: stats, tags: map[string]string{
		tagGroups: formatGroups(enc.Groups),
		tagTail:   fmt.Sprintf("%d:%x", enc.Tail, tail),
	}})
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
