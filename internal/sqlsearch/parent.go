package sqlsearch

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
)

// Parent describes what entries are parts of: the models of versions. A
// condition on an attribute that entries have from their parents selects a few
// parents with many entries each, and the latest of all these are among the
// entries of the parents that have the latest ones.
type Parent struct {
	Table string // with the key id
	Owner string // column of the entries, the parent's id
	Attr  string // attribute of the entries, which is that of the parent
	Name  string // column of the parents that holds it
	Size  string // column of the parents: as many entries as this, or less
	// Newest is the column of entries, a whole number, by which they come, the
	// highest first, when there is no order. An index begins with Owner and it.
	Newest string
}

// Limits of the search by parents.
const (
	// worthParents is how long a walk must look for the parents to be read
	// instead: each takes as long as an entry of the walk.
	worthParents = 2000
	maxParents   = 5000
	// rareEntries is a list so short that it is better looked up as it is.
	rareEntries   = 2000
	firstEntries  = 1000 // looked up at first, and twice as many each time
	maxOfEntries  = 20_000
	parentColumns = 3
)

// parent is one of those that a condition selects.
type parent struct {
	id, size, newest int64
}

// byParents finds entries behind from in the natural order as the latest of
// some parents. ok is false when that is not the way.
func (l *Lookup) byParents(ctx context.Context, n int, st stage, from []any, limit int) (found []Entry, ok bool, err error) {
	if l.schema.Parent == nil || !l.natural() || len(l.Groups) > 0 {
		return nil, false, nil
	}
	cond := slices.IndexFunc(l.conds, func(c Condition) bool { return c.Parents.Text != "" })
	if cond < 0 {
		return nil, false, nil
	}
	for _, c := range l.lists() {
		if c.Parents.Text != "" {
			continue
		}
		if entries, err := l.count(ctx, c, rareEntries); err != nil || entries < rareEntries {
			return nil, false, err
		}
	}
	parents, err := l.parents(ctx, l.conds[cond].Parents)
	if err != nil || len(parents) > maxParents {
		return nil, false, err
	}
	cols := l.columns(st)
	looked, batch := int64(0), int64(firstEntries)
	for len(parents) > 0 {
		// What is behind a full page is behind the parents that come later, too.
		// An equal place is told apart by what the parents' row does not have.
		if len(found) == limit && found[limit-1].At.Values[0].(int64) > parents[0].newest {
			break
		}
		var ids []int64
		size := int64(0)
		for len(parents) > 0 && size < batch {
			ids, size = append(ids, parents[0].id), size+parents[0].size
			parents = parents[1:]
		}
		if looked += size; looked > maxOfEntries {
			return nil, false, nil
		}
		batch *= 2
		source := Frag("SELECT d.id AS id FROM "+l.dialect.Each("x")+" JOIN "+l.table()+" d ON d."+l.schema.Parent.Owner+" = x.value", l.dialect.Ints(ids))
		more, err := l.query(ctx, n, st, from, limit, l.conds, &source)
		if err != nil {
			return nil, false, err
		}
		found = append(found, more...)
		slices.SortFunc(found, func(a, b Entry) int { return comparePlaces(cols, a.At.Values, b.At.Values) })
		found = found[:min(limit, len(found))]
	}
	return found, true, nil
}

// parents reads those of a list that have entries, those with the latest first,
// and at most one more than maxParents of them.
func (l *Lookup) parents(ctx context.Context, list Fragment) (out []parent, err error) {
	s := l.parentsOf(list)
	err = l.Tx.Grid(ctx, true, parentColumns, s.Text, s.Args, func(row *sqldb.Cells) error {
		var p parent
		p.id, _ = row.Int()
		p.size, _ = row.Int()
		any := false
		if p.newest, any = row.Int(); any {
			out = append(out, p)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b parent) int { return cmp.Compare(b.newest, a.newest) })
	return out, err
}

func (l *Lookup) parentsOf(list Fragment) Fragment {
	p := l.schema.Parent
	var s Statement
	s.Write("SELECT c.id, c.size, (SELECT d." + p.Newest + " FROM " + l.table() + " d WHERE d." + p.Owner + " = c.id ORDER BY d." + p.Newest + " DESC LIMIT 1) FROM (")
	return s.Add(list).Write(" LIMIT ?) c", maxParents+1).Fragment()
}

// Parents are what reads the parents of conditions on them, for tests that look
// at its plan.
func (l *Lookup) Parents() []Fragment {
	var out []Fragment
	for _, c := range l.conds {
		if c.Parents.Text != "" {
			out = append(out, l.parentsOf(c.Parents))
		}
	}
	return out
}

// table is that of the entries.
func (l *Lookup) table() string { return strings.TrimSuffix(l.schema.From, " e") }

// comparePlaces orders places of one stage as SQLite does.
func comparePlaces(cols []OrderColumn, a, b []any) int {
	for i, c := range cols {
		var order int
		switch x := a[i].(type) {
		case int64:
			order = cmp.Compare(x, b[i].(int64))
		case string:
			order = strings.Compare(x, b[i].(string))
		}
		if c.Desc {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return 0
}
