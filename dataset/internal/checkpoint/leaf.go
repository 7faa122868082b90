package checkpoint

import "fmt"

// table is one row group of a checkpoint.
type table struct {
	from   columns
	number int
	leaves map[string]int
	rows   int
	err    error // The first fault.
}

// columns reads whole leaf columns of the row group, by their numbers.
type columns interface {
	texts(i int) (*leaf[string], error)
	ints(i int) (*leaf[int64], error)
}

// leaf is a column with one slot a value, or a null.
type leaf[T any] struct {
	values []T
	slot   []int32 // Of each row of a flat column: the index in values, -1 for null; nil without values.
	starts []int32 // Of each row of a repeated column: its first slot; one more at the end.
}

func (l *leaf[T]) has(row int) bool { return l.any() && l.slot[row] >= 0 }

func (l *leaf[T]) at(row int) (v T) {
	if l.has(row) {
		return l.values[l.slot[row]]
	}
	return v
}

func (l *leaf[T]) any() bool { return l != nil && len(l.values) > 0 }

func (t *table) texts(name string) *leaf[string] { return readLeaf(t, name, t.from.texts) }

// ints reads a leaf of 32 or 64 bits.
func (t *table) ints(name string) *leaf[int64] { return readLeaf(t, name, t.from.ints) }

// readLeaf reads a whole column; nil when the file has no such leaf or something
// is wrong, which t.err then says.
func readLeaf[T any](t *table, name string, read func(int) (*leaf[T], error)) *leaf[T] {
	i, ok := t.leaves[name]
	if t.err != nil || !ok {
		return nil
	}
	l, err := read(i)
	if err != nil {
		t.err = fmt.Errorf("row group %d: column %s: %w", t.number, name, err)
		return nil
	}
	return l
}

// textLists is a column of lists of text.
type textLists struct{ elements *leaf[string] }

func (t *table) lists(name string) textLists { return textLists{t.texts(name + ".element")} }

// at is nil for a null list and for an empty one.
func (l textLists) at(row int) []string {
	if !l.elements.any() || l.elements.starts == nil {
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
	if (m.keys == nil) != (m.values == nil) || m.keys.any() && m.values.any() && (m.keys.starts == nil || len(m.keys.slot) != len(m.values.slot)) {
		t.err = fmt.Errorf("row group %d: column %s is not a map of text", t.number, name)
	}
	return m
}

// at is nil for a null map and for an empty one.
func (m textMaps) at(row int) map[string]string {
	if !m.keys.any() || !m.values.any() {
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
