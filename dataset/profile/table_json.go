package profile

import (
	"encoding/json"

	"github.com/millwright-ml/millwright/internal/errs"
)

type namedColumnJSON struct {
	Name   string  `json:"name"`
	Column *Column `json:"column"`
}

type tableJSON struct {
	Format  int               `json:"format"`
	Rows    uint64            `json:"rows"`
	Columns []namedColumnJSON `json:"columns"`
}

// MarshalJSON writes the profile. Equal profiles give equal bytes.
func (t *Table) MarshalJSON() ([]byte, error) {
	w := tableJSON{Format: format, Rows: t.Rows, Columns: make([]namedColumnJSON, len(t.Columns))}
	for i, c := range t.Columns {
		w.Columns[i] = namedColumnJSON(c)
		if c.Column == nil {
			w.Columns[i].Column = nulls(t.Rows)
		}
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. It returns ErrInvalid, with t
// unchanged, when that is damaged, and ErrUnsupported when a newer version of
// the library wrote it.
func (t *Table) UnmarshalJSON(data []byte) error {
	var w tableJSON
	if err := decode("table", data, &w); err != nil {
		return err
	}
	var f errs.Faults
	f.Check(w.Rows <= maxRows, "more than 2^53 rows")
	names := make(map[string]bool, len(w.Columns))
	columns := make([]NamedColumn, len(w.Columns))
	for i, c := range w.Columns {
		f.Check(!names[c.Name], "column %q is there twice", c.Name)
		f.Check(c.Column != nil, "column %q has no summary", c.Name)
		f.Check(c.Column == nil || c.Column.rows == w.Rows, "column %q has other rows than the table", c.Name)
		names[c.Name] = true
		columns[i] = NamedColumn(c)
	}
	if err := f.Err("profile: read table"); err != nil {
		return err
	}
	*t = Table{Rows: w.Rows, Columns: columns}
	return nil
}
