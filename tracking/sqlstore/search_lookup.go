package sqlstore

import (
	"context"
	"database/sql"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
)

// place is where an entry stands in an ordered answer.
type place struct {
	stage  int
	values []any // of the stage's columns: int64, float64 or string
}

// entry is one that was found.
type entry struct {
	id int64
	at place
}

// lookup finds the ids of one page of entries, in order.
type lookup struct {
	tx      *sqldb.Tx
	dialect sqldb.Dialect
	kind    *searched
	// groups are conditions of which an entry satisfies one: the experiments.
	// All groups read along one index, in the order of the ties.
	groups []fragment
	base   []fragment // further conditions on e, cheap to test
	conds  []condition
	keys   []orderKey
}

// maxGroups is how many groups are read one by one and merged.
const maxGroups = 16

// stages are the parts of the answer.
func (l *lookup) stages() []stage {
	if d := l.drive(); d != nil {
		return d.stages
	}
	return []stage{{}}
}

func (l *lookup) drive() *drive {
	if len(l.keys) == 0 {
		return nil
	}
	return l.keys[0].drive
}

// columns are those that order a stage.
func (l *lookup) columns(st stage) []orderColumn {
	cols, rest := st.cols, l.keys
	if l.drive() != nil {
		rest = rest[1:]
	}
	cols = append([]orderColumn(nil), cols...)
	for _, key := range rest {
		cols = append(cols, key.cols...)
	}
	return withTies(cols, l.kind.ties)
}

// natural reports whether the order is that of the index of each group.
func (l *lookup) natural() bool { return len(l.keys) == 0 }

// walkable reports whether a stage is read along an index, so that its first
// entries cost no more than themselves.
func (l *lookup) walkable(st stage) bool {
	if l.drive() != nil && !st.missing {
		return true
	}
	return l.natural() && len(l.groups) <= maxGroups
}

// page returns at most limit entries behind from; nil is the beginning.
func (l *lookup) page(ctx context.Context, from *place, limit int) ([]entry, error) {
	var out []entry
	for i, st := range l.stages() {
		if from != nil && i < from.stage || len(out) == limit {
			continue
		}
		var values []any
		if from != nil && i == from.stage {
			values = from.values
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
func (l *lookup) read(ctx context.Context, n int, st stage, from []any, limit int) ([]entry, error) {
	if l.dialect == sqldb.SQLite && len(l.lists()) > 0 {
		return l.plan(ctx, n, st, from, limit)
	}
	return l.query(ctx, n, st, from, limit, l.conds, nil)
}

// lists are the conditions whose entries can be listed.
func (l *lookup) lists() []condition {
	var out []condition
	for _, c := range l.conds {
		if c.rows.text != "" {
			out = append(out, c)
		}
	}
	return out
}

// query reads entries of a stage that satisfy conds. With source it looks at
// those of the list only, else it walks the stage.
func (l *lookup) query(ctx context.Context, n int, st stage, from []any, limit int, conds []condition, source *fragment) ([]entry, error) {
	cols := l.columns(st)
	return l.entries(ctx, l.statement(st, cols, from, limit, conds, source), n, cols)
}

func (l *lookup) statement(st stage, cols []orderColumn, from []any, limit int, conds []condition, source *fragment) *statement {
	s := new(statement)
	if source == nil && l.natural() && len(l.groups) > 1 && len(l.groups) <= maxGroups {
		// Each group comes sorted from the index; a list of groups would be
		// read whole and sorted.
		s.write("SELECT ").add(selectList(cols)).write(" FROM (")
		for i, g := range l.groups {
			if i > 0 {
				s.write(" UNION ALL ")
			}
			s.write("SELECT * FROM (SELECT e.* FROM ").write(l.kind.from)
			l.where(s, "e.id", st, cols, from, conds, []fragment{g})
			s.write(" ORDER BY "+orderBy(cols)+" LIMIT ?) g", limit)
		}
		return s.write(") e ORDER BY "+orderBy(cols)+" LIMIT ?", limit)
	}
	id := l.from(s, st, cols, source)
	l.where(s, id, st, cols, from, conds, l.groups)
	return s.write(" ORDER BY "+orderBy(cols)+" LIMIT ?", limit)
}

func selectList(cols []orderColumn) fragment {
	list := make([]string, 0, len(cols)+1)
	list = append(list, "e.id")
	for _, c := range cols {
		list = append(list, c.expr)
	}
	return frag(strings.Join(list, ", "))
}

// from writes SELECT and FROM. CROSS JOIN keeps SQLite from another order of
// the tables; PostgreSQL takes none from it. It returns the expression of the
// row id that is known first.
func (l *lookup) from(s *statement, st stage, cols []orderColumn, source *fragment) string {
	s.write("SELECT ").add(selectList(cols)).write(" FROM ")
	id := "e.id"
	if source != nil {
		s.write("(").add(*source).write(") s CROSS JOIN ")
		id = "s.id"
	}
	rest := l.keys
	if d := l.drive(); d != nil {
		rest = rest[1:]
		if !st.missing {
			s.write(d.table + " CROSS JOIN ")
			if source == nil {
				id = d.id
			}
		}
	}
	s.write(l.kind.from)
	for _, key := range rest {
		s.add(key.join)
	}
	return id
}

func (l *lookup) where(s *statement, id string, st stage, cols []orderColumn, from []any, conds []condition, groups []fragment) {
	s.write(" WHERE 1 = 1")
	if d := l.drive(); d != nil {
		if st.missing {
			s.write(" AND NOT EXISTS (SELECT 1 FROM " + d.table + " WHERE " + d.id + " = " + id + " AND ").add(d.where).write(")")
		} else {
			s.write(" AND ").add(d.where).write(" AND " + st.where)
			if id != d.id {
				s.write(" AND " + d.id + " = " + id)
			}
		}
	}
	if id != "e.id" {
		s.write(" AND e.id = " + id)
	}
	switch len(groups) {
	case 0:
	case 1:
		s.write(" AND ").add(groups[0])
	default:
		s.write(" AND (")
		for i, g := range groups {
			if i > 0 {
				s.write(" OR ")
			}
			s.add(g)
		}
		s.write(")")
	}
	for _, b := range l.base {
		s.write(" AND ").add(b)
	}
	if from != nil {
		s.write(" AND ").add(after(cols, from))
	}
	for _, c := range conds {
		s.write(" AND ").add(c.on(id))
	}
}

// entries runs a statement made by query.
func (l *lookup) entries(ctx context.Context, s *statement, n int, cols []orderColumn) ([]entry, error) {
	rows, err := l.tx.QueryBuilt(ctx, s.text.String(), s.args...)
	if err != nil {
		return nil, err
	}
	var out []entry
	err = drainRows(rows, func(rows *sql.Rows) error {
		e := entry{at: place{stage: n, values: make([]any, len(cols))}}
		into := make([]any, len(cols)+1)
		into[0] = &e.id
		for i, c := range cols {
			switch c.kind {
			case intValue:
				into[i+1] = new(int64)
			case floatValue:
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
				e.at.values[i] = *v
			case *float64:
				e.at.values[i] = *v
			case *string:
				e.at.values[i] = *v
			}
		}
		out = append(out, e)
		return nil
	})
	return out, err
}
