package checkpoint

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// table is one row group of a checkpoint. It reads leaf by leaf with the plain
// column readers: the reader for Arrow decodes nested columns on goroutines of
// its own, where a panic over damaged bytes could not be caught.
type table struct {
	group  *file.RowGroupReader
	number int
	leaves map[string]int
	rows   int
	size   int64 // Of the file.
	err    error // The first fault.
}

// leaf is a column with one slot a value, or a null.
type leaf[T any] struct {
	values []T
	slot   []int32 // Of each row of a flat column: the index in values, -1 for null.
	starts []int32 // Of each row of a repeated column: its first slot; one more at the end.
}

func (l *leaf[T]) has(row int) bool { return l != nil && l.slot[row] >= 0 }

func (l *leaf[T]) at(row int) (v T) {
	if l.has(row) {
		return l.values[l.slot[row]]
	}
	return v
}

func (l *leaf[T]) any() bool { return l != nil && len(l.values) > 0 }

func (t *table) texts(name string) *leaf[string] {
	raw := readLeaf(t, name, func(c file.ColumnChunkReader) (batchReader[parquet.ByteArray], bool) {
		r, ok := c.(*file.ByteArrayColumnChunkReader)
		return r, ok
	})
	if raw == nil {
		return nil
	}
	out := &leaf[string]{values: make([]string, len(raw.values)), slot: raw.slot, starts: raw.starts}
	for i, v := range raw.values {
		out.values[i] = string(v)
	}
	return out
}

// ints reads a leaf of 32 or 64 bits.
func (t *table) ints(name string) *leaf[int64] {
	i, ok := t.leaves[name]
	if t.err != nil || !ok {
		return nil
	}
	if t.column(i).PhysicalType() == parquet.Types.Int32 {
		raw := readLeaf(t, name, func(c file.ColumnChunkReader) (batchReader[int32], bool) {
			r, ok := c.(*file.Int32ColumnChunkReader)
			return r, ok
		})
		if raw == nil {
			return nil
		}
		out := &leaf[int64]{values: make([]int64, len(raw.values)), slot: raw.slot}
		for i, v := range raw.values {
			out.values[i] = int64(v)
		}
		return out
	}
	return readLeaf(t, name, func(c file.ColumnChunkReader) (batchReader[int64], bool) {
		r, ok := c.(*file.Int64ColumnChunkReader)
		return r, ok
	})
}

// textLists is a column of lists of text.
type textLists struct{ elements *leaf[string] }

func (t *table) lists(name string) textLists { return textLists{t.texts(name + ".element")} }

// at is nil for a null list and for an empty one.
func (l textLists) at(row int) []string {
	if l.elements == nil || l.elements.starts == nil {
		return nil
	}
	var out []string
	for s := l.elements.starts[row]; s < l.elements.starts[row+1]; s++ {
		if l.elements.slot[s] >= 0 {
			out = append(out, l.elements.values[l.elements.slot[s]])
		}
	}
	return out
}

// textMaps is a column of maps from text to text.
type textMaps struct{ keys, values *leaf[string] }

func (t *table) maps(name string) textMaps {
	m := textMaps{t.texts(name + ".key"), t.texts(name + ".value")}
	if t.err != nil {
		return m
	}
	if (m.keys == nil) != (m.values == nil) || m.keys != nil && (m.keys.starts == nil || len(m.keys.slot) != len(m.values.slot)) {
		t.err = fmt.Errorf("row group %d: column %s is not a map of text", t.number, name)
	}
	return m
}

// at is nil for a null map and for an empty one.
func (m textMaps) at(row int) map[string]string {
	if m.keys == nil {
		return nil
	}
	var out map[string]string
	for s := m.keys.starts[row]; s < m.keys.starts[row+1]; s++ {
		if m.keys.slot[s] < 0 || m.values.slot[s] < 0 {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[m.keys.values[m.keys.slot[s]]] = m.values.values[m.values.slot[s]]
	}
	return out
}

type batchReader[T any] interface {
	ReadBatch(n int64, values []T, def, rep []int16) (total int64, read int, err error)
}

func (t *table) column(i int) columnInfo {
	return t.group.MetaData().Schema.Column(i)
}

type columnInfo interface {
	PhysicalType() parquet.Type
	MaxDefinitionLevel() int16
	MaxRepetitionLevel() int16
}

// readLeaf reads a whole column chunk; nil when the file has no such leaf or
// something is wrong, which t.err then says.
func readLeaf[T any](t *table, name string, cast func(file.ColumnChunkReader) (batchReader[T], bool)) *leaf[T] {
	i, ok := t.leaves[name]
	if t.err != nil || !ok {
		return nil
	}
	l, err := chunk(t, i, cast)
	if err != nil {
		t.err = fmt.Errorf("row group %d: column %s: %w", t.number, name, err)
		return nil
	}
	return l
}

func chunk[T any](t *table, i int, cast func(file.ColumnChunkReader) (batchReader[T], bool)) (*leaf[T], error) {
	meta, err := t.group.MetaData().ColumnChunk(i)
	if err != nil {
		return nil, err
	}
	start, n := meta.DataPageOffset(), meta.TotalCompressedSize()
	if meta.HasDictionaryPage() && meta.DictionaryPageOffset() > 0 {
		start = min(start, meta.DictionaryPageOffset())
	}
	slots := meta.NumValues()
	if start < 0 || n < 0 || start > t.size || n > t.size-start || slots < 0 || slots > maxActions*4 {
		return nil, fmt.Errorf("it claims %d values in bytes %d to %d of %d", slots, start, start+n, t.size)
	}
	col, err := t.group.Column(i)
	if err != nil {
		return nil, err
	}
	defer func() { _ = col.Close() }()
	r, ok := cast(col)
	if !ok {
		return nil, fmt.Errorf("it is stored as %s", col.Type())
	}
	return levels(t, t.column(i), r, col, slots)
}

// levels turns definition and repetition levels into slots.
func levels[T any](t *table, info columnInfo, r batchReader[T], col file.ColumnChunkReader, slots int64) (*leaf[T], error) {
	l := &leaf[T]{}
	repeated := info.MaxRepetitionLevel() > 0
	batch := min(4096, max(slots, 1))
	values, def, rep := make([]T, batch), make([]int16, batch), make([]int16, batch)
	for int64(len(l.slot)) < slots && col.HasNext() {
		total, read, err := r.ReadBatch(min(batch, slots-int64(len(l.slot))), values, def, rep)
		if err != nil {
			return nil, err
		}
		if total <= 0 || total > batch || read < 0 || int64(read) > batch {
			break
		}
		at := len(l.values)
		l.values = append(l.values, values[:read]...)
		for k := range int(total) {
			if repeated && rep[k] == 0 {
				l.starts = append(l.starts, int32(len(l.slot)))
			}
			if info.MaxDefinitionLevel() > 0 && def[k] < info.MaxDefinitionLevel() {
				l.slot = append(l.slot, -1)
				continue
			}
			if at >= len(l.values) {
				return nil, errors.New("it has fewer values than its levels say")
			}
			l.slot = append(l.slot, int32(at))
			at++
		}
	}
	if err := col.Err(); err != nil {
		return nil, err
	}
	rows := len(l.slot)
	if repeated {
		rows = len(l.starts)
		l.starts = append(l.starts, int32(len(l.slot)))
	}
	if rows != t.rows {
		return nil, fmt.Errorf("it has %d rows of %d", rows, t.rows)
	}
	return l, nil
}
