package pqfile

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/millwright-ml/millwright/dataset/internal/blocksum"
)

// createdBy is part of every file's bytes: changing it changes every digest of
// content written from then on, so it names the format and not a release.
const createdBy = "Millwright dataset format 1"

// sampleRows is how many values, evenly spread over a column chunk, decide its
// encoding.
const sampleRows = 4096

// WriteOptions describe a file.
type WriteOptions struct {
	// Space is what the writer works with; nil makes a new one.
	Space *Space
	// Bloom are the top-level columns that get a Bloom filter in each row group,
	// unless they are dictionary encoded or sorted, where it would not pay.
	Bloom []string
}

// Writer writes one Parquet file into memory: the name of a file is its digest,
// so it is known whole before a byte of it is stored.
type Writer struct {
	schema *arrow.Schema
	sch    []byte             // As the footer has it.
	leaves [][]*schema.Column // Of each top-level column.
	bloom  []bool
	space  *Space
	groups []groupMeta
	rows   int64
	arrow  int64 // Bytes of the row groups in Arrow.
	hash   hash.Hash
	sums   []byte
	hashed int
	broken error
}

// Encoded is a file that was written.
type Encoded struct {
	Body   []byte
	Sum    [sha256.Size]byte
	Groups []int64 // Rows of each row group.
	// Tail is where the end of the file starts that Open wants to see: behind the
	// last value, so that the digest of that end, which lets all column chunks be
	// checked, speaks for every byte of the file.
	Tail int64
}

// NewWriter starts a file. The encodings of each column chunk suit its values.
func NewWriter(sch *arrow.Schema, opts WriteOptions) (w *Writer, err error) {
	w = &Writer{schema: sch, space: opts.Space, hash: sha256.New(), leaves: make([][]*schema.Column, sch.NumFields())}
	if w.space == nil {
		w.space = &Space{}
	}
	err = Guard("schema", func() error {
		tree, err := pqarrow.ToParquet(sch, nil, pqarrow.DefaultWriterProps())
		if err != nil {
			return err
		}
		for i := range tree.NumColumns() {
			at := tree.Root().FieldIndexByField(tree.ColumnRoot(i))
			if at < 0 || at >= len(w.leaves) {
				return fmt.Errorf("column %d has no place in the schema", i)
			}
			w.leaves[at] = append(w.leaves[at], tree.Column(i))
		}
		w.sch, err = schemaBytes(tree)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, f := range sch.Fields() {
		w.bloom = append(w.bloom, slices.Contains(opts.Bloom, f.Name))
	}
	w.space.file = append(w.space.file[:0], magic...)
	w.hashNew()
	return w, nil
}

// Look sees the columns of a row group on the goroutine that encodes each; by is
// the place of that goroutine's space.
type Look interface {
	// Check sees a column before it is encoded. An error ends the writing.
	Check(by, column int, a arrow.Array) error
	// Encoded sees it afterwards.
	Encoded(by, column int, a arrow.Array, facts Facts)
}

// Facts are what the encoder found out about the values of a flat column.
type Facts struct {
	// Bounded says that Min and Max are the bounds of the values that are no NaN,
	// in plain encoding; those of long texts are cut off and rounded outwards.
	Bounded  bool
	Min, Max []byte
	NaN      bool
	// Dict are the different values, nil when that is not known.
	Dict *Dict
}

// Dict is a dictionary with how often each value comes. It is valid until the
// next column.
type Dict struct {
	Counts []uint32
	Text   func(i int) string
	Int    func(i int) int64
	Float  func(i int) float64
}

// Write adds rec as one row group. Its columns are encoded side by side, on as
// many goroutines as there are spaces; none means the writer's alone. The bytes
// do not depend on that. look may be nil.
func (w *Writer) Write(rec arrow.RecordBatch, spaces []*Space, look Look) error {
	if w.broken != nil {
		return w.broken
	}
	w.broken = Guard("write", func() error {
		if rec.NumCols() != int64(len(w.leaves)) {
			return fmt.Errorf("%d columns for a schema of %d", rec.NumCols(), len(w.leaves))
		}
		g := groupMeta{rows: rec.NumRows()}
		// About what most rows take in a file: memory that is not written to costs
		// little, moving a file that grows costs more.
		size := ArrowBytes(rec)
		need := size + size/32 // Little of it is written to where values shrink.
		if w.arrow > 0 {
			need = int64(float64(len(w.space.file)) / float64(w.arrow) * float64(size) * 9 / 8) // As those before.
		}
		w.arrow += size
		w.space.file = slices.Grow(w.space.file, int(need))
		columns, err := w.columns(rec, spaces, look)
		if err != nil {
			return err
		}
		for i := range columns {
			g.chunks = append(g.chunks, columns[i].chunks...)
		}
		w.digest(g.chunks)
		w.rows += rec.NumRows()
		w.groups = append(w.groups, g)
		return nil
	})
	return w.broken
}

// column is an encoded column.
type column struct {
	chunks []*chunkMeta
	file   []byte // Holds them, as long as it was when they were encoded.
	err    error
	done   atomic.Bool // With columns side by side: it can be read.
}

// columns encodes the columns of a row group.
func (w *Writer) columns(rec arrow.RecordBatch, spaces []*Space, look Look) ([]column, error) {
	columns := make([]column, rec.NumCols())
	encode := func(by int, space *Space, i int) (err error) {
		name := w.schema.Field(i).Name
		if look != nil {
			if err := look.Check(by, i, rec.Column(i)); err != nil {
				return fmt.Errorf("column %q: %w", name, err)
			}
		}
		columns[i].chunks, err = space.column(w.schema.Field(i), rec.Column(i), w.leaves[i], w.bloom[i])
		if err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
		columns[i].file = space.file
		if look != nil {
			look.Encoded(by, i, rec.Column(i), space.facts(columns[i].chunks))
		}
		return nil
	}
	if len(spaces) < 2 {
		for i := range columns {
			if err := encode(0, w.space, i); err != nil {
				return nil, err
			}
			w.hashNew() // While it is in the cache.
		}
		return columns, nil
	}
	// The space of the writer holds the file, so its goroutine takes another.
	if w.space.aside == nil {
		w.space.aside = &Space{}
	}
	var next atomic.Int64
	var work sync.WaitGroup
	order := bySize(rec)
	run := func(by int, space *Space, between func()) {
		space.file = space.file[:0]
		for n := next.Add(1); n <= int64(len(order)); n = next.Add(1) {
			i := order[n-1]
			columns[i].err = Guard("write", func() error { return encode(by, space, i) })
			columns[i].done.Store(true)
			between()
		}
	}
	for by, space := range spaces[1:] {
		work.Go(func() { run(by+1, space, func() {}) })
	}
	// What is encoded is taken into the file, in the schema's order, while the
	// others are encoded.
	taken := 0
	take := func() {
		for ; taken < len(columns) && columns[taken].done.Load() && columns[taken].err == nil; taken++ {
			w.take(&columns[taken])
		}
	}
	run(0, w.space.aside, take)
	work.Wait()
	take()
	for i := range columns {
		if columns[i].err != nil {
			return nil, columns[i].err
		}
	}
	return columns, nil
}

// bySize is the order in which columns are encoded side by side: the largest
// first, so that at the end no core waits long for another.
func bySize(rec arrow.RecordBatch) []int {
	order := make([]int, rec.NumCols())
	sizes := make([]int64, rec.NumCols())
	for i, a := range rec.Columns() {
		order[i], sizes[i] = i, arrayBits(a, 0, rec.NumRows())
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	return order
}

// take appends a column that another space holds to the file.
func (w *Writer) take(c *column) {
	for _, chunk := range c.chunks {
		body := c.file[chunk.at : chunk.at+chunk.size]
		chunk.at = int64(len(w.space.file))
		w.space.file = append(w.space.file, body...)
		w.hashNew()
	}
}

// hashNew takes what is new of the file into its digest.
func (w *Writer) hashNew() {
	w.hash.Write(w.space.file[w.hashed:])
	w.hashed = len(w.space.file)
}

// digest takes the digests of the chunks of a row group.
func (w *Writer) digest(chunks []*chunkMeta) {
	parts := make([][]byte, len(chunks))
	for i, c := range chunks {
		parts[i] = w.space.file[c.at : c.at+c.size]
	}
	sums := make([]blocksum.Digest, len(chunks))
	blocksum.Sums(sums, parts)
	for i := range sums {
		w.sums = append(w.sums, sums[i][:]...)
	}
}

// Rows is the number of rows written.
func (w *Writer) Rows() int64 { return w.rows }

// Size is the number of bytes written so far, footer excluded.
func (w *Writer) Size() int64 { return int64(len(w.space.file)) }

// Close ends the file. Its bytes are valid until the space has its next writer.
func (w *Writer) Close() (enc Encoded, err error) {
	if w.broken != nil {
		return enc, w.broken
	}
	w.broken = errors.New("the file is closed")
	for _, g := range w.groups {
		enc.Groups = append(enc.Groups, g.rows)
	}
	out := w.space.file
	enc.Tail = int64(len(out))
	leaves := 0
	for _, l := range w.leaves {
		leaves += len(l)
	}
	out = appendBlooms(out, w.groups)
	out = appendIndexes(out, w.groups)
	out = appendFooter(out, w.sch, leaves, w.rows, w.groups, [][2]string{{sumsKey, base64.RawStdEncoding.EncodeToString(w.sums)}})
	w.space.file = out
	w.hashNew()
	w.hash.Sum(enc.Sum[:0])
	enc.Body = out
	return enc, nil
}

// Guard turns a panic of the Parquet or Arrow library into an error.
func Guard(op string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("parquet %s: %v", op, r)
		}
	}()
	return f()
}
