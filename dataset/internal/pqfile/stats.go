package pqfile

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// Bounds are statistics of the values of one column in a set of rows.
type Bounds struct {
	Min, Max []byte // In Parquet's plain encoding, without a length; nil when unknown.
	Nulls    int64  // -1 when unknown.
}

// Flat tells whether a top-level column is one leaf, the only kind that has
// statistics.
func (f *File) Flat(column int) bool {
	if len(f.leaves[column]) != 1 {
		return false
	}
	_, nested := f.schema.Field(column).Type.(arrow.NestedType)
	return !nested
}

// Bounds are the statistics of a flat column in a row group.
func (f *File) Bounds(group, column int) Bounds {
	out := Bounds{Nulls: -1}
	if !f.Flat(column) {
		return out
	}
	_ = Guard("statistics", func() error {
		c, err := f.meta.RowGroup(group).ColumnChunk(f.leaves[column][0])
		if err != nil {
			return err
		}
		if set, err := c.StatsSet(); err != nil || !set {
			return err
		}
		s, err := c.Statistics()
		if err != nil || s == nil {
			return err
		}
		if s.HasNullCount() {
			out.Nulls = s.NullCount()
		}
		if s.HasMinMax() {
			out.Min, out.Max = s.EncodeMin(), s.EncodeMax()
		}
		return nil
	})
	return out
}

// Page is a run of rows of a column chunk with statistics of its own.
type Page struct {
	From, To int64 // Rows of the group.
	Bounds
}

// Pages is the page index of a flat column in a row group, nil when there is
// none.
func (f *File) Pages(group, column int) []Page {
	var out []Page
	if !f.Flat(column) {
		return nil
	}
	err := Guard("page index", func() error {
		r := metadata.PageIndexReader{
			Input: f.source(nil), Props: parquet.NewReaderProperties(memory.DefaultAllocator), FileMetadata: f.meta,
		}
		g, err := r.RowGroup(group)
		if err != nil || g == nil {
			return err
		}
		leaf := f.leaves[column][0]
		columns, err := g.GetColumnIndex(leaf)
		if err != nil || columns == nil {
			return err
		}
		offsets, err := g.GetOffsetIndex(leaf)
		if err != nil || offsets == nil {
			return err
		}
		places := offsets.GetPageLocations()
		lo, hi, empty := columns.GetMinValues(), columns.GetMaxValues(), columns.GetNullPages()
		if len(lo) != len(places) || len(hi) != len(places) || len(empty) != len(places) {
			return ErrDamaged
		}
		var nulls []int64
		if columns.IsSetNullCounts() && len(columns.GetNullCounts()) == len(places) {
			nulls = columns.GetNullCounts()
		}
		pages := make([]Page, len(places))
		for i, place := range places {
			p := Page{From: place.FirstRowIndex, To: f.rows[group], Bounds: Bounds{Nulls: -1}}
			if i+1 < len(places) {
				p.To = places[i+1].FirstRowIndex
			}
			if p.From > p.To || p.From < 0 || p.To > f.rows[group] || i == 0 && p.From != 0 {
				return ErrDamaged
			}
			if nulls != nil {
				p.Nulls = nulls[i]
			}
			if !empty[i] {
				p.Min, p.Max = lo[i], hi[i]
			} else {
				p.Nulls = p.To - p.From
			}
			pages[i] = p
		}
		out = pages
		return nil
	})
	if err != nil {
		return nil // An index that cannot be read is one that is not there.
	}
	return out
}

// MayHold asks the Bloom filter of a flat column in a row group for a value in
// plain encoding, without a length. known is false when there is no filter.
func (f *File) MayHold(group, column int, value []byte) (may, known bool) {
	if !f.Flat(column) {
		return true, false
	}
	may = true
	err := Guard("bloom filter", func() error {
		leaf := f.leaves[column][0]
		c, err := f.meta.RowGroup(group).ColumnChunk(leaf)
		if err != nil || c.BloomFilterOffset() < f.tailAt {
			return err
		}
		r := metadata.BloomFilterReader{
			Input: f.source(nil), Props: parquet.NewReaderProperties(memory.DefaultAllocator), FileMetadata: f.meta,
			BufferPool: bufferPool(),
		}
		g, err := r.RowGroup(group)
		if err != nil || g == nil {
			return err
		}
		b, err := g.GetColumnBloomFilter(leaf)
		if err != nil || b == nil {
			return err
		}
		known = true
		may = b.CheckHash(b.Hasher().Sum64(bytes.Clone(value)))
		return nil
	})
	if err != nil {
		return true, false
	}
	return may, known
}
