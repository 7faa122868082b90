package profile

import "fmt"

// NamedColumn is a column of a table.
type NamedColumn struct {
	Name   string
	Column *Column
}

// Table is the profile of a dataset version: a summary of each column, in the
// order of the schema. The zero value is an empty profile that takes the
// columns of the first table merged into it.
type Table struct {
	Rows    uint64
	Columns []NamedColumn
}

// Column returns the summary of the named column, nil when there is none.
func (t *Table) Column(name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c.Column
		}
	}
	return nil
}

// Merge adds what o has seen to t; o is left as it is. A column that only one
// of the two has is null in the rows of the other, as it is in a dataset that
// gained a column. It returns ErrInvalid, with t unchanged, when a column has
// different kinds in the two.
func (t *Table) Merge(o *Table) error {
	if t.Rows > maxRows || o.Rows > maxRows-t.Rows {
		return fmt.Errorf("profile: merge table: %d and %d rows are more than 2^53 together: %w", t.Rows, o.Rows, ErrInvalid)
	}
	// Merged aside first, so that a failure on the last column changes nothing.
	merged := make([]NamedColumn, 0, len(t.Columns))
	others := make(map[string]*Column, len(o.Columns))
	for _, c := range o.Columns {
		others[c.Name] = c.Column
	}
	seen := make(map[string]bool, len(t.Columns))
	for _, c := range t.Columns {
		seen[c.Name] = true
		sum := &Column{}
		other := others[c.Name]
		if other == nil {
			other = nulls(o.Rows)
		}
		for _, part := range []*Column{c.Column, other} {
			if part == nil {
				continue
			}
			if err := sum.Merge(part); err != nil {
				return fmt.Errorf("profile: merge column %q: kinds %q and %q: %w", c.Name, sum.kind, part.kind, ErrInvalid)
			}
		}
		merged = append(merged, NamedColumn{c.Name, sum})
	}
	for _, c := range o.Columns {
		if seen[c.Name] {
			continue
		}
		sum := nulls(t.Rows)
		if c.Column != nil {
			if err := sum.Merge(c.Column); err != nil {
				return err
			}
		}
		merged = append(merged, NamedColumn{c.Name, sum})
	}
	t.Rows += o.Rows
	t.Columns = merged
	return nil
}

// nulls returns a column that was null n times.
func nulls(n uint64) *Column { return &Column{rows: n, nulls: n} }
