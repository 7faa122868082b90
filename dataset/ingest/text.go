package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// grammar is what CSV and JSON Lines differ in. Its values are not changed once
// made: several blocks are parsed at once.
type grammar interface {
	// cut returns the length of the whole rows at the start of data, 0 when there
	// is none; last says that no more data follows.
	cut(data []byte, last bool) int
	// parse appends the rows of a block, which were cut whole. Every column gets
	// one value a row, also where the row is at fault.
	parse(data []byte, b *array.RecordBuilder) (faults []rowFault)
}

// rowFault is a row of a block that cannot be read.
type rowFault struct {
	row    int // In the block, from 0.
	at     int // Offset of its start in the block.
	column string
	value  string
	reason string
}

// block is a run of whole rows of a file.
type block struct {
	data []byte
	line int64 // Line on which it starts, from 1.
	out  chan parsed
}

// parsed is what became of a block.
type parsed struct {
	rec    arrow.Record // Nil when err is not; the rows at fault are in it.
	faults []rowFault
	data   []byte
	line   int64
	err    error
}

// textStream parses the blocks of one file on several goroutines and delivers
// the records in the order of the file.
type textStream struct {
	in      *input
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	ordered chan *block
	rows    int64 // Rows of the blocks delivered, those at fault included.
}

// newText starts to read a text file behind the first skip bytes, which end on
// line-1.
func newText(ctx context.Context, o *Options, in *input, schema *arrow.Schema, g grammar, skip int, line int64) *textStream {
	ctx, cancel := context.WithCancel(ctx)
	s := &textStream{in: in, cancel: cancel, ordered: make(chan *block, o.Workers)}
	work := make(chan *block)
	s.wg.Go(func() {
		defer close(work)
		defer close(s.ordered)
		s.read(ctx, o, g, in.text(skip), line, work)
	})
	for range o.Workers {
		s.wg.Go(func() {
			for b := range work {
				b.out <- parseBlock(b, schema, g, o.Allocator)
			}
		})
	}
	return s
}

// read cuts the file into blocks. Each is put in order before it is parsed; a
// failure to read is a block, too.
func (s *textStream) read(ctx context.Context, o *Options, g grammar, r io.Reader, line int64, work chan<- *block) {
	hand := func(b *block) bool {
		select {
		case s.ordered <- b:
		case <-ctx.Done():
			return false
		}
		select {
		case work <- b:
			return true
		case <-ctx.Done():
			// It is in order already, and nobody will parse it.
			b.out <- parsed{err: ctx.Err()}
			return false
		}
	}
	fail := func(err error) {
		b := &block{out: make(chan parsed, 1)}
		b.out <- parsed{err: err}
		select {
		case s.ordered <- b:
		case <-ctx.Done():
		}
	}
	buf := make([]byte, 0, o.BlockBytes)
	for {
		n, err := fill(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			fail(s.in.damaged(err))
			return
		}
		if ctx.Err() != nil {
			fail(fmt.Errorf("ingest: read %q: %w", s.in.name, context.Cause(ctx)))
			return
		}
		end := g.cut(buf, last)
		if end == 0 && !last {
			if int64(cap(buf)) >= o.MaxBytes {
				fail(fmt.Errorf("ingest: read %q: line %d starts a row of more than %d bytes: a quote that never closes, or not a text file: %w", s.in.name, line, o.MaxBytes, ErrInvalid))
				return
			}
			buf = slices.Grow(buf, int(min(int64(cap(buf)), o.MaxBytes-int64(len(buf)))))
			continue
		}
		if end > 0 {
			rest := make([]byte, 0, max(o.BlockBytes, len(buf)-end))
			rest = append(rest, buf[end:]...)
			b := &block{data: buf[:end], line: line, out: make(chan parsed, 1)}
			line += int64(bytes.Count(b.data, newline))
			if !hand(b) {
				return
			}
			buf = rest
		}
		if last {
			return
		}
	}
}

var newline = []byte{'\n'}

// fill reads until p is full. Unlike io.ReadFull it keeps the end of the file
// apart from a decompressor that says its input ended too early.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

func parseBlock(b *block, schema *arrow.Schema, g grammar, mem memory.Allocator) parsed {
	builder := array.NewRecordBuilder(mem, schema)
	defer builder.Release()
	faults := g.parse(b.data, builder)
	return parsed{rec: builder.NewRecord(), faults: faults, data: b.data, line: b.line}
}

// next delivers the record of the next block; io.EOF at the end. The faults
// name the rows of the record that are no good.
func (s *textStream) next() (arrow.Record, []*RowError, []int, error) {
	b, ok := <-s.ordered
	if !ok {
		return nil, nil, nil, io.EOF
	}
	p := <-b.out
	if p.err != nil {
		return nil, nil, nil, p.err
	}
	var bad []*RowError
	var rows []int
	for _, f := range p.faults {
		bad = append(bad, &RowError{
			File: s.in.name, Row: s.rows + int64(f.row) + 1, Line: p.line + int64(bytes.Count(p.data[:f.at], newline)),
			Column: f.column, Value: f.value, Reason: f.reason,
		})
		rows = append(rows, f.row)
	}
	s.rows += p.rec.NumRows()
	return p.rec, bad, rows, nil
}

// close ends the goroutines, then closes the file that they read.
func (s *textStream) close() {
	s.cancel()
	for b := range s.ordered {
		if p := <-b.out; p.rec != nil {
			p.rec.Release()
		}
	}
	s.wg.Wait()
	s.in.close()
}
