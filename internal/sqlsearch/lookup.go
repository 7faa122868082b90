package sqlsearch

import (
	"context"
	"database/sql"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking/search"
)

// Place is where an entry stands in an ordered answer.
type Place struct {
	Stage  int
	Values []any // of the stage's columns: int64, float64 or string
}

// Entry is one that was found.
type Entry struct {
	ID int64
	At Place
}

// IDs are those of the entries.
func IDs(entries []Entry) []int64 {
	ids := make([]int64, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	return ids
}

// Lookup finds the ids of one page of entries, in order. It is for one
// transaction.
type Lookup struct {
	Tx *sqldb.Tx
	// Groups are conditions of which an entry satisfies one: the experiments.
	// All groups read along one index, in the order of the ties.
	Groups []Fragment
	Base   []Fragment // further conditions on e, cheap to test
	Keys   []OrderKey

	dialect sqldb.Dialect
	schema  *Schema
	conds   []Condition
}

// New compiles a filter and an order. keys are the ids of those of
// Schema.UsedKeys that were ever used. none is true when the filter selects
// nothing, whatever there is.
func New(tx *sqldb.Tx, schema *Schema, keys map[string]int64, clauses []search.Clause, orders []search.Order) (l *Lookup, none bool) {
	c := &compiler{dialect: tx.Dialect(), schema: schema, keys: keys}
	l = &Lookup{Tx: tx, dialect: tx.Dialect(), schema: schema, Keys: c.orderKeys(orders)}
	for i := range clauses {
		cond := c.clause(&clauses[i])
		none = none || isNever(cond)
		l.And(cond)
	}
	return l, none
}

// And adds a condition to those of the filter.
func (l *Lookup) And(c Condition) {
	c.pos = len(l.conds)
	l.conds = append(l.conds, c)
}

// MaxGroups is how many groups are read one by one and merged.
const MaxGroups = 16

// stages are the parts of the answer.
func (l *Lookup) stages() []stage {
	if d := l.drive(); d != nil {
		return d.stages
	}
	return []stage{{}}
}

func (l *Lookup) drive() *drive {
	if len(l.Keys) == 0 {
		return nil
	}
	return l.Keys[0].drive
}

// columns are those that order a stage.
func (l *Lookup) columns(st stage) []OrderColumn {
	cols, rest := st.cols, l.Keys
	if l.drive() != nil {
		rest = rest[1:]
	}
	cols = append([]OrderColumn(nil), cols...)
	for _, key := range rest {
		cols = append(cols, key.Cols...)
	}
	return withTies(cols, l.schema.Ties)
}

// natural reports whether the order is that of the index of each group.
func (l *Lookup) natural() bool { return len(l.Keys) == 0 }

// walkable reports whether a stage is read along an index, so that its first
// entries cost no more than themselves.
func (l *Lookup) walkable(st stage) bool {
	if l.drive() != nil && !st.missing {
		return true
	}
	return l.natural() && len(l.Groups) <= MaxGroups
}

// Page returns at most limit entries behind from; nil is the beginning.
func (l *Lookup) Page(ctx context.Context, from *Place, limit int) ([]Entry, error) {
	var out []Entry
	for i, st := range l.stages() {
		if from != nil && i < from.Stage || len(out) == limit {
			continue
		}
		var values []any
		if from != nil && i == from.Stage {
			values = from.Values
		}
		found, err := l.read(ctx, i, st, values, limit-len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// read finds entries of one stage in the way that suits the database.
func (l *Lookup) read(ctx context.Context, n int, st stage, from []any, limit int) ([]Entry, error) {
	if l.dialect == sqldb.SQLite && len(l.lists()) > 0 {
		return l.plan(ctx, n, st, from, limit)
	}
	return l.query(ctx, n, st, from, limit, l.conds, nil)
}

// lists are the conditions whose entries can be listed.
func (l *Lookup) lists() []Condition {
	var out []Condition
	for _, c := range l.conds {
		if c.Rows.Text != "" {
			out = append(out, c)
		}
	}
	return out
}

// query reads entries of a stage that satisfy conds. With source it looks at
// those of the list only, else it walks the stage.
func (l *Lookup) query(ctx context.Context, n int, st stage, from []any, limit int, conds []Condition, source *Fragment) ([]Entry, error) {
	cols := l.columns(st)
	found, _, err := l.entries(ctx, l.statement(st, cols, from, limit, conds, source, nil), n, cols, false)
	return found, err
}

// walk reads entries of a stage, and tells which of them satisfy all conditions.
func (l *Lookup) walk(ctx context.Context, n int, st stage, from []any, limit int) (found []Entry, good []bool, err error) {
	cols := l.columns(st)
	flag := new(Statement).Write("CASE WHEN 1 = 1")
	for _, c := range l.conds {
		flag.Write(" AND ").Add(c.On("e.id"))
	}
	test := flag.Write(" THEN 1 ELSE 0 END").Fragment()
	return l.entries(ctx, l.statement(st, cols, from, limit, nil, nil, &test), n, cols, true)
}

// statement reads a stage. test, unless nil, is one more expression to read.
func (l *Lookup) statement(st stage, cols []OrderColumn, from []any, limit int, conds []Condition, source, test *Fragment) *Statement {
	s := new(Statement)
	if source == nil && l.natural() && len(l.Groups) > 1 && len(l.Groups) <= MaxGroups {
		// Each group comes sorted from the index; a list of groups would be
		// read whole and sorted.
		s.Write("SELECT ").Add(selectList(cols, test)).Write(" FROM (")
		for i, g := range l.Groups {
			if i > 0 {
				s.Write(" UNION ALL ")
			}
			s.Write("SELECT * FROM (SELECT e.* FROM ").Write(l.schema.From)
			l.where(s, "e.id", st, cols, from, conds, []Fragment{g})
			s.Write(" ORDER BY "+orderBy(cols)+" LIMIT ?) g", limit)
		}
		return s.Write(") e ORDER BY "+orderBy(cols)+" LIMIT ?", limit)
	}
	id := l.from(s, st, cols, source, test)
	l.where(s, id, st, cols, from, conds, l.Groups)
	return s.Write(" ORDER BY "+orderBy(cols)+" LIMIT ?", limit)
}

func selectList(cols []OrderColumn, test *Fragment) Fragment {
	list := make([]string, 0, len(cols)+1)
	list = append(list, "e.id")
	for _, c := range cols {
		list = append(list, c.Expr)
	}
	if test == nil {
		return Frag(strings.Join(list, ", "))
	}
	return Fragment{strings.Join(append(list, test.Text), ", "), test.Args}
}

// from writes SELECT and FROM. CROSS JOIN keeps SQLite from another order of
// the tables; PostgreSQL takes none from it. It returns the expression of the
// row id that is known first.
func (l *Lookup) from(s *Statement, st stage, cols []OrderColumn, source, test *Fragment) string {
	s.Write("SELECT ").Add(selectList(cols, test)).Write(" FROM ")
	id := "e.id"
	if source != nil {
		s.Write("(").Add(*source).Write(") s CROSS JOIN ")
		id = "s.id"
	}
	rest := l.Keys
	if d := l.drive(); d != nil {
		rest = rest[1:]
		if !st.missing {
			s.Write(d.table + " CROSS JOIN ")
			if source == nil {
				id = d.id
			}
		}
	}
	s.Write(l.schema.From)
	if source != nil && l.schema.Narrow != "" && l.dialect == sqldb.SQLite {
		s.Write(" INDEXED BY " + l.schema.Narrow)
	}
	for _, key := range rest {
		s.Add(key.Join)
	}
	return id
}

func (l *Lookup) where(s *Statement, id string, st stage, cols []OrderColumn, from []any, conds []Condition, groups []Fragment) {
	s.Write(" WHERE 1 = 1")
	if d := l.drive(); d != nil {
		if st.missing {
			s.Write(" AND NOT EXISTS (SELECT 1 FROM " + d.table + " WHERE " + d.id + " = " + id + " AND ").Add(d.where).Write(")")
		} else {
			s.Write(" AND ").Add(d.where).Write(" AND " + st.where)
			if id != d.id {
				s.Write(" AND " + d.id + " = " + id)
			}
		}
	}
	if id != "e.id" {
		s.Write(" AND e.id = " + id)
	}
	switch len(groups) {
	case 0:
	case 1:
		s.Write(" AND ").Add(groups[0])
	default:
		s.Write(" AND (")
		for i, g := range groups {
			if i > 0 {
				s.Write(" OR ")
			}
			s.Add(g)
		}
		s.Write(")")
	}
	for _, b := range l.Base {
		s.Write(" AND ").Add(b)
	}
	if from != nil {
		s.Write(" AND ").Add(after(cols, from))
	}
	for _, c := range conds {
		s.Write(" AND ").Add(c.On(id))
	}
}

// entries runs a statement of a stage; with tested it has a test, and good is
// how it ended for each entry.
func (l *Lookup) entries(ctx context.Context, s *Statement, n int, cols []OrderColumn, tested bool) (found []Entry, good []bool, err error) {
	width := len(cols) + 1
	if tested {
		width++
	}
	for _, c := range cols {
		if c.Kind == FloatValue {
			return l.scanned(ctx, s, n, cols, width)
		}
	}
	err = l.Tx.Grid(ctx, true, width, s.text.String(), s.args, func(row *sqldb.Cells) error {
		e := Entry{At: Place{Stage: n, Values: make([]any, len(cols))}}
		e.ID, _ = row.Int()
		for i, c := range cols {
			if c.Kind == IntValue {
				e.At.Values[i], _ = row.Int()
			} else {
				e.At.Values[i] = row.Text()
			}
		}
		found = append(found, e)
		if tested {
			yes, _ := row.Int()
			good = append(good, yes == 1)
		}
		return nil
	})
	return found, good, err
}

// scanned is entries for columns of floating numbers, value by value.
func (l *Lookup) scanned(ctx context.Context, s *Statement, n int, cols []OrderColumn, width int) (found []Entry, good []bool, err error) {
	rows, err := l.Tx.QueryBuilt(ctx, s.text.String(), s.args...)
	if err != nil {
		return nil, nil, err
	}
	into := make([]any, width)
	err = drain(rows, func(rows *sql.Rows) error {
		e := Entry{At: Place{Stage: n, Values: make([]any, len(cols))}}
		var yes int
		into[width-1] = &yes // which a column takes when there is no test
		into[0] = &e.ID
		for i, c := range cols {
			switch c.Kind {
			case IntValue:
				into[i+1] = new(int64)
			case FloatValue:
				into[i+1] = new(float64)
			default:
				into[i+1] = new(string)
			}
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i := range cols {
			switch v := into[i+1].(type) {
			case *int64:
				e.At.Values[i] = *v
			case *float64:
				e.At.Values[i] = *v
			case *string:
				e.At.Values[i] = *v
			}
		}
		found, good = append(found, e), append(good, yes == 1)
		return nil
	})
	return found, good, err
}

// Statement is what reads the first entries of a stage, for tests that look at
// its plan; listed, unless nil, are the entries it looks at.
func (l *Lookup) Statement(stage, limit int, listed []int64) Fragment {
	st := l.stages()[stage]
	var source *Fragment
	if listed != nil {
		list := Frag("SELECT value AS id FROM "+l.dialect.Each("x"), l.dialect.Ints(listed))
		source = &list
	}
	return l.statement(st, l.columns(st), nil, limit, l.conds, source, nil).Fragment()
}

// Lists are what lists the entries of the conditions that have an index, for
// the same tests.
func (l *Lookup) Lists() []Fragment {
	var out []Fragment
	for _, c := range l.lists() {
		out = append(out, c.Rows)
	}
	return out
}

func drain(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
