// Package scan looks once at every value that is appended: it checks what a
// table may not hold, counts the statistics that Delta keeps for each file, and
// feeds the profile of the commit.
package scan

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// indexedColumns is how many columns have minimum and maximum in add.stats:
// the default of the protocol (delta.dataSkippingNumIndexedCols), so that the
// log of a wide table stays small.
const indexedColumns = 32

// Scanner sees the record batches of one file, in order. Different columns may
// be looked at by different goroutines.
type Scanner struct {
	columns []column
	base    int64 // Rows before the file.
	rows    int64 // Of the file so far.
}

type column struct {
	name    string
	field   arrow.Field
	summary *profile.Column // nil when the type has no profile.
	bounds  bounds          // nil when the type has no statistics.
	nulls   int64           // Of the file so far.
}

// bounds is the minimum and maximum of a column in one file.
type bounds interface {
	// json gives the two, nil where one cannot be said safely, and starts anew.
	json() (lo, hi json.RawMessage)
}

// New scans a file of the schema that starts with row base of an append.
func New(schema *arrow.Schema, base int64) *Scanner { return start(schema, base, profiled) }

// Bare is New without a profile: it checks and counts the statistics of files.
func Bare(schema *arrow.Schema, base int64) *Scanner {
	return start(schema, base, func(arrow.DataType) bool { return false })
}

func start(schema *arrow.Schema, base int64, profiled func(arrow.DataType) bool) *Scanner {
	s := &Scanner{base: base}
	indexed := 0
	for _, f := range schema.Fields() {
		c := column{name: f.Name, field: f}
		if profiled(f.Type) {
			c.summary = &profile.Column{}
		}
		if indexed < indexedColumns {
			if c.bounds = newBounds(f.Type); c.bounds != nil {
				indexed++
			}
		}
		s.columns = append(s.columns, c)
	}
	return s
}

// Add scans one batch and returns what is wrong with its values, every column
// once. A batch with faults must not be stored.
func (s *Scanner) Add(rec arrow.RecordBatch, texts *profile.TextCounter) (faults []string) {
	for i := range s.columns {
		if f := s.Check(i, rec.Column(i)); len(f) > 0 {
			faults = append(faults, f...)
			continue
		}
		s.Count(i, rec.Column(i), pqfile.Facts{}, texts)
	}
	s.End(rec.NumRows())
	return faults
}

// Check returns what is wrong with the values of a column in the next batch.
func (s *Scanner) Check(column int, a arrow.Array) []string {
	c := &s.columns[column]
	return check(c.name, c.field, a, s.base+s.rows)
}

// Count takes the values of a column in the next batch into its summary. What is
// known of them need not be found out again. texts is a work space.
func (s *Scanner) Count(column int, a arrow.Array, facts pqfile.Facts, texts *profile.TextCounter) {
	c := &s.columns[column]
	c.nulls += int64(a.NullN())
	if c.summary != nil && c.summary.Rows() == 0 {
		c.summary.Expect(a.Len())
	}
	c.add(a, facts, texts)
}

// End ends a batch of so many rows.
func (s *Scanner) End(rows int64) { s.rows += rows }

// Rows is the number of rows scanned.
func (s *Scanner) Rows() int64 { return s.rows }

// Profile is the summary of all rows scanned.
func (s *Scanner) Profile() *profile.Table {
	t := &profile.Table{Rows: uint64(s.rows)}
	for _, c := range s.columns {
		if c.summary != nil {
			t.Columns = append(t.Columns, profile.NamedColumn{Name: c.name, Column: c.summary})
		}
	}
	return t
}

// EndFile returns add.stats.
func (s *Scanner) EndFile() (string, error) {
	stats := struct {
		NumRecords int64                      `json:"numRecords"`
		Min        map[string]json.RawMessage `json:"minValues"`
		Max        map[string]json.RawMessage `json:"maxValues"`
		Nulls      map[string]int64           `json:"nullCount"`
	}{s.rows, map[string]json.RawMessage{}, map[string]json.RawMessage{}, map[string]int64{}}
	for i := range s.columns {
		c := &s.columns[i]
		if c.bounds != nil {
			stats.Nulls[c.name] = c.nulls
			lo, hi := c.bounds.json()
			if lo != nil {
				stats.Min[c.name] = lo
			}
			if hi != nil {
				stats.Max[c.name] = hi
			}
		}
	}
	out, err := json.Marshal(stats)
	return string(out), err
}

// check returns the faults of a column's values: nulls where the schema has
// none, and text that is not UTF-8, which no Delta reader accepts.
func check(path string, f arrow.Field, a arrow.Array, base int64) (faults []string) {
	if !f.Nullable && a.NullN() > 0 {
		for i := range a.Len() {
			if a.IsNull(i) {
				return []string{fmt.Sprintf("column %q takes no nulls, row %d is null", path, base+int64(i))}
			}
		}
	}
	switch a := a.(type) {
	case *array.String:
		if i := invalidUTF8(a); i >= 0 {
			return []string{fmt.Sprintf("column %q: row %d is not UTF-8 text", path, base+int64(i))}
		}
	case *array.Struct:
		for k, child := range a.DataType().(*arrow.StructType).Fields() {
			values := a.Field(k)
			if !child.Nullable && values.NullN() > 0 {
				for i := range a.Len() {
					if a.IsValid(i) && values.IsNull(i) {
						return []string{fmt.Sprintf("column %q takes no nulls, row %d is null", path+"."+child.Name, base+int64(i))}
					}
				}
			}
			child.Nullable = true
			faults = append(faults, check(path+"."+child.Name, child, values, base)...)
		}
	case *array.Map:
		entries := a.DataType().(*arrow.MapType)
		faults = append(faults, inside(path+".key", entries.KeyField(), a.List, a.Keys())...)
		faults = append(faults, inside(path+".value", entries.ItemField(), a.List, a.Items())...)
	case *array.List:
		faults = append(faults, inside(path+".element", a.DataType().(*arrow.ListType).ElemField(), a, a.ListValues())...)
	}
	return faults
}

// inside checks the values that the rows of a list can reach.
func inside(path string, f arrow.Field, list *array.List, values arrow.Array) []string {
	if list.Len() == 0 {
		return nil
	}
	from, _ := list.ValueOffsets(0)
	_, to := list.ValueOffsets(list.Len() - 1)
	part := array.NewSlice(values, from, to)
	defer part.Release()
	return check(path, f, part, 0)
}

// invalidUTF8 is the first row that is not UTF-8, -1 when there is none.
func invalidUTF8(a *array.String) int {
	if a.Len() == 0 {
		return -1
	}
	if utf8.Valid(a.ValueBytes()) {
		// Valid as a whole, what nulls hide included: only a border inside a character
		// can still be wrong.
		data, base := a.ValueBytes(), a.ValueOffset(0)
		cut := false
		for i := 1; i < a.Len() && !cut; i++ {
			off := a.ValueOffset(i) - base
			cut = off < len(data) && !utf8.RuneStart(data[off])
		}
		if !cut {
			return -1
		}
	}
	for i := range a.Len() {
		if a.IsValid(i) && !utf8.ValidString(a.Value(i)) {
			return i
		}
	}
	return -1
}
