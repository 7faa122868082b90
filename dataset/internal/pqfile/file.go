package pqfile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/millwright-ml/millwright/dataset/internal/blocksum"
)

// sumsKey is the key-value entry of the footer that holds the digest of every
// column chunk (package blocksum), group by group and leaf by leaf, in base64.
// Whoever knows the digest of the footer can so check any chunk of the file by
// itself.
const sumsKey = "millwright.blake3"

const (
	magic         = "PAR1"
	footerTrailer = 8 // Length of the footer and the magic.
	maxFooter     = 256 << 20
)

// ErrDamaged is the kind of errors about bytes that are no Parquet file.
var ErrDamaged = errors.New("damaged")

// Chunk is where the values of one leaf column in one row group lie.
type Chunk struct {
	Leaf     int
	Off, Len int64
	Raw      int64            // Bytes when decompressed.
	Sum      *blocksum.Digest // nil when the file does not say.
}

// File is what the end of a Parquet file says about it: everything but the
// values. It is immutable and safe for concurrent use.
type File struct {
	size   int64
	tailAt int64
	tail   []byte
	meta   *metadata.FileMetaData
	schema *arrow.Schema
	groups [][]Chunk // Of each row group, by leaf.
	rows   []int64   // Of each row group.
	leaves [][]int   // Of each top-level column.
}

// TailNeeded tells how many bytes from the end of a file of size bytes hold its
// footer, given at least the last 8 of them.
func TailNeeded(tail []byte, size int64) (int64, error) {
	if len(tail) < footerTrailer || size < footerTrailer+4 || string(tail[len(tail)-4:]) != magic {
		return 0, fmt.Errorf("no Parquet file ends like this: %w", ErrDamaged)
	}
	n := int64(binary.LittleEndian.Uint32(tail[len(tail)-footerTrailer:])) + footerTrailer
	if n > size-4 || n > maxFooter {
		return 0, fmt.Errorf("the footer claims %d bytes of a file of %d: %w", n, size, ErrDamaged)
	}
	return n, nil
}

// Open reads the end of a file of size bytes: at least its footer. The page
// index and the Bloom filters lie before the footer, and are known as far as
// tail reaches.
func Open(tail []byte, size int64) (*File, error) {
	need, err := TailNeeded(tail, size)
	if err != nil {
		return nil, err
	}
	if need > int64(len(tail)) {
		return nil, fmt.Errorf("the footer is %d bytes long, %d were given: %w", need, len(tail), ErrDamaged)
	}
	f := &File{size: size, tailAt: size - int64(len(tail)), tail: tail}
	err = Guard("open", func() (err error) {
		footer := tail[int64(len(tail))-need : len(tail)-footerTrailer]
		if f.meta, err = metadata.NewFileMetaData(footer, nil); err != nil {
			return err
		}
		f.meta.SetSourceFileSize(size)
		if f.schema, err = pqarrow.FromParquet(f.meta.Schema, nil, f.meta.KeyValueMetadata()); err != nil {
			return err
		}
		return f.index()
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return f, nil
}

// index checks where the chunks are said to be: the library trusts the footer,
// and for nested columns on goroutines of its own, where its panic would end
// the process.
func (f *File) index() error {
	leaves := f.meta.Schema.NumColumns()
	f.leaves = make([][]int, f.schema.NumFields())
	for i := range leaves {
		at := f.meta.Schema.Root().FieldIndexByField(f.meta.Schema.ColumnRoot(i))
		if at < 0 || at >= len(f.leaves) {
			return fmt.Errorf("column %d has no place in the schema", i)
		}
		f.leaves[at] = append(f.leaves[at], i)
	}
	groups := f.meta.NumRowGroups()
	sums, err := f.sums(groups * leaves)
	if err != nil {
		return err
	}
	var rows int64
	for g := range groups {
		group := f.meta.RowGroup(g)
		n := group.NumRows()
		if n < 0 || n > f.meta.NumRows-rows || n > math.MaxInt32 {
			return fmt.Errorf("row group %d claims %d rows of %d", g, n, f.meta.NumRows)
		}
		rows += n
		chunks := make([]Chunk, leaves)
		for i := range chunks {
			if chunks[i], err = f.chunk(group, g, i); err != nil {
				return err
			}
			if sums != nil {
				chunks[i].Sum = &sums[g*leaves+i]
			}
		}
		f.groups = append(f.groups, chunks)
		f.rows = append(f.rows, n)
	}
	if rows != f.meta.NumRows {
		return fmt.Errorf("the row groups have %d rows, the footer promises %d", rows, f.meta.NumRows)
	}
	return nil
}

func (f *File) chunk(group *metadata.RowGroupMetaData, g, i int) (Chunk, error) {
	c, err := group.ColumnChunk(i)
	if err != nil {
		return Chunk{}, err
	}
	start := c.DataPageOffset()
	if c.HasDictionaryPage() && c.DictionaryPageOffset() > 0 {
		start = min(start, c.DictionaryPageOffset())
	}
	n := c.TotalCompressedSize()
	if start < 4 || n < 0 || start > f.size || n > f.size-start || c.NumValues() < 0 {
		return Chunk{}, fmt.Errorf("row group %d: column %q claims %d values in bytes %d to %d of %d", g, c.PathInSchema(), c.NumValues(), start, start+n, f.size)
	}
	return Chunk{Leaf: i, Off: start, Len: n, Raw: max(c.TotalUncompressedSize(), 0)}, nil
}

// sums reads the digests of n chunks, nil when the file has none.
func (f *File) sums(n int) ([]blocksum.Digest, error) {
	text := f.meta.KeyValueMetadata().FindValue(sumsKey)
	if text == nil {
		return nil, nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(*text)
	if err != nil || len(raw) != n*len(blocksum.Digest{}) {
		return nil, fmt.Errorf("%s does not hold the digests of %d chunks", sumsKey, n)
	}
	out := make([]blocksum.Digest, n)
	for i := range out {
		out[i] = blocksum.Digest(raw[i*len(out[i]):])
	}
	return out, nil
}

// Schema is the Arrow schema of the file, in its order.
func (f *File) Schema() *arrow.Schema { return f.schema }

// Groups is the number of row groups.
func (f *File) Groups() int { return len(f.groups) }

// Rows is the number of rows of a row group.
func (f *File) Rows(group int) int64 { return f.rows[group] }

// NumRows is the number of rows of the file.
func (f *File) NumRows() int64 { return f.meta.NumRows }

// Own tells whether this package wrote the file: only then is every byte of it
// covered by digests.
func (f *File) Own() bool { return len(f.groups) == 0 || f.groups[0][0].Sum != nil }

// Chunks are the chunks of the top-level columns in a row group, in the order of
// the file; nil means all columns.
func (f *File) Chunks(group int, columns []int) []Chunk {
	if columns == nil {
		return f.groups[group]
	}
	var out []Chunk
	for _, i := range f.selected(columns) {
		out = append(out, f.groups[group][i])
	}
	return out
}

// selected are the leaves of top-level columns, ascending.
func (f *File) selected(columns []int) []int {
	want := make([]bool, f.meta.Schema.NumColumns())
	for _, c := range columns {
		for _, leaf := range f.leaves[c] {
			want[leaf] = true
		}
	}
	var out []int
	for i, w := range want {
		if w {
			out = append(out, i)
		}
	}
	return out
}

// Proven tells whether every byte of the whole file before its end, of which the
// caller knows the digest, is covered by a digest in there, and is right.
func (f *File) Proven(body []byte) bool {
	if !f.Own() || int64(len(body)) != f.size || !bytes.HasPrefix(body, []byte(magic)) {
		return false
	}
	var parts [][]byte
	var want []*blocksum.Digest
	at := int64(len(magic))
	for _, group := range f.groups {
		for _, c := range group {
			if c.Off != at || c.Len > f.tailAt-at {
				return false
			}
			at += c.Len
			parts, want = append(parts, body[c.Off:at]), append(want, c.Sum)
		}
	}
	if at != f.tailAt {
		return false
	}
	sums := make([]blocksum.Digest, len(parts))
	blocksum.Sums(sums, parts)
	for i := range sums {
		if sums[i] != *want[i] {
			return false
		}
	}
	return true
}
