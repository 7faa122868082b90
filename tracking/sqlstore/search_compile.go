package sqlstore

import (
	"math"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking/search"
)

// fragment is a piece of a statement with its arguments.
type fragment struct {
	text string
	args []any
}

func frag(text string, args ...any) fragment { return fragment{text, args} }

// statement puts fragments together.
type statement struct {
	text strings.Builder
	args []any
}

func (s *statement) add(f fragment) *statement {
	s.text.WriteString(f.text)
	s.args = append(s.args, f.args...)
	return s
}

func (s *statement) write(text string, args ...any) *statement { return s.add(fragment{text, args}) }

// column is an attribute: an SQL expression over the alias e, NULL where an
// entry has no value.
type column struct {
	expr     string
	number   bool
	nullable bool
}

// pairs is a table that holds one value for an entry and key.
type pairs struct {
	table, owner string
	interned     bool // the key is an id of mw_key
	metric       bool // the value is a number with is_nan
	head         bool // PostgreSQL: the index is on the head of the value
	many         bool // an entry may have several values of a key
}

// searched describes what is searched: entries e of a table.
type searched struct {
	from  string // table with the alias e
	attrs map[string]column
	pairs map[search.Entity]pairs
	// special compiles clauses that are neither of attributes nor of pairs; id
	// is the expression of the entry's row id. ok is false for the others.
	special func(d sqldb.Dialect, c *search.Clause, id string) (cond fragment, ok bool)
	ties    []orderColumn
}

// headLength is how much of a text value PostgreSQL's indexes hold, because
// their entries are limited.
const headLength = 64

// compiler turns clauses into conditions.
type compiler struct {
	dialect sqldb.Dialect
	kind    *searched
	keys    map[string]int64 // of mw_key; what is missing was never used
}

// condition is one clause. It can be tested on an entry, and, when it is of an
// indexed table, the rows of its entries can be listed.
type condition struct {
	on     func(id string) fragment
	rows   fragment // SELECT … AS id; empty: none
	sorted bool     // in the order of the ids
	pos    int      // of the clause in the filter
}

// never holds for no entry.
func never() condition {
	return condition{on: func(string) fragment { return frag("1 = 0") }}
}

func always() condition {
	return condition{on: func(string) fragment { return frag("1 = 1") }}
}

// isNever recognises a filter that no entry satisfies.
func isNever(c condition) bool { return c.on("").text == "1 = 0" }

// clause compiles one clause.
func (c *compiler) clause(cl *search.Clause) condition {
	if c.kind.special != nil {
		if _, ok := c.kind.special(c.dialect, cl, "e.id"); ok {
			return condition{on: func(id string) fragment {
				f, _ := c.kind.special(c.dialect, cl, id)
				return f
			}}
		}
	}
	if cl.Entity == search.Attribute {
		col := c.kind.attrs[cl.Key]
		var f fragment
		if col.number {
			f = intCondition(col.expr, cl)
		} else {
			f = textCondition(c.dialect, col.expr, cl, false)
		}
		return condition{on: func(string) fragment { return f }}
	}
	return c.pair(c.kind.pairs[cl.Entity], cl)
}

// pair compiles a clause about a value in a table of its own.
func (c *compiler) pair(p pairs, cl *search.Clause) condition {
	var key any = cl.Key
	if p.interned {
		id, known := c.keys[cl.Key]
		if !known {
			if cl.Op == search.IsNull {
				return always()
			}
			return never()
		}
		key = id
	}
	compare := func(value, isNaN string) fragment {
		if p.metric {
			return numberCondition(value, isNaN, cl)
		}
		return textCondition(c.dialect, value, cl, p.head)
	}
	// Looked up by its entry a value is found by the primary key: the sign
	// keeps SQLite from reading the index on values instead, whose range it
	// takes for narrow.
	sign := ""
	if c.dialect == sqldb.SQLite {
		sign = "+"
	}
	exists := "EXISTS "
	inner := compare(sign+"p.value", sign+"p.is_nan")
	if cl.Op == search.IsNull {
		exists, inner = "NOT EXISTS ", frag("1 = 1")
	}
	out := condition{on: func(id string) fragment {
		text := exists + "(SELECT 1 FROM " + p.table + " p WHERE p." + p.owner + " = " + id + " AND p.key = ? AND " + inner.text + ")"
		return fragment{text, append([]any{key}, inner.args...)}
	}}
	if cl.Op != search.IsNull {
		by, distinct := compare("d.value", "d.is_nan"), ""
		if p.many {
			distinct = "DISTINCT "
		}
		out.rows = fragment{
			"SELECT " + distinct + "d." + p.owner + " AS id FROM " + p.table + " d WHERE d.key = ? AND " + by.text,
			append([]any{key}, by.args...),
		}
		out.sorted = cl.Op == search.Equal && !p.many
	}
	return out
}

// textCondition compares a text expression, which may be NULL. With head the
// first characters are compared too, which is what an index has.
func textCondition(d sqldb.Dialect, expr string, cl *search.Clause, head bool) fragment {
	head = head && d == sqldb.Postgres
	switch cl.Op {
	case search.Equal:
		if head {
			return frag("substr("+expr+", 1, 64) = ? AND "+expr+" = ?", headOf(cl.Text), cl.Text)
		}
		return frag(expr+" = ?", cl.Text)
	case search.NotEqual:
		return frag(expr+" <> ?", cl.Text)
	case search.Like:
		cond, arg := d.Like(expr, cl.Text)
		return frag(cond, arg)
	case search.ILike:
		cond, arg := d.ILike(expr, cl.Text)
		return frag(cond, arg)
	case search.In:
		if head {
			heads := make([]string, len(cl.List))
			for i, s := range cl.List {
				heads[i] = headOf(s)
			}
			return frag(d.In("substr("+expr+", 1, 64)")+" AND "+d.In(expr), d.Texts(heads), d.Texts(cl.List))
		}
		return frag(d.In(expr), d.Texts(cl.List))
	case search.NotIn:
		return frag("NOT ("+d.In(expr)+")", d.Texts(cl.List))
	case search.IsNull:
		return frag(expr + " IS NULL")
	case search.IsNotNull:
		return frag(expr + " IS NOT NULL")
	}
	return frag("1 = 0") // RLIKE is not for the database
}

// headOf is substr(s, 1, 64).
func headOf(s string) string {
	n := 0
	for i := range s {
		if n == headLength {
			return s[:i]
		}
		n++
	}
	return s
}

// intCondition compares a whole number, which may be NULL, so that the
// database compares integers: x > 5.5 is x > 5.
func intCondition(expr string, cl *search.Clause) fragment {
	const most = 1 << 62
	clamp := func(f float64) int64 { return int64(max(-most, min(most, f))) }
	floor, ceil := clamp(math.Floor(cl.Number)), clamp(math.Ceil(cl.Number))
	whole := float64(floor) == cl.Number
	switch cl.Op {
	case search.Equal:
		if whole {
			return frag(expr+" = ?", floor)
		}
	case search.NotEqual:
		if whole {
			return frag(expr+" <> ?", floor)
		}
		return frag(expr + " IS NOT NULL")
	case search.Greater:
		return frag(expr+" > ?", floor)
	case search.GreaterEqual:
		return frag(expr+" >= ?", ceil)
	case search.Less:
		return frag(expr+" < ?", ceil)
	case search.LessEqual:
		return frag(expr+" <= ?", floor)
	}
	return frag("1 = 0")
}

// numberCondition compares a stored float64, whose NaN is 0 with is_nan 1.
func numberCondition(expr, isNaN string, cl *search.Clause) fragment {
	switch cl.Op {
	case search.NotEqual:
		return frag("("+isNaN+" = 1 OR "+expr+" <> ?)", cl.Number)
	case search.Equal, search.Greater, search.GreaterEqual, search.Less, search.LessEqual:
		return frag(isNaN+" = 0 AND "+expr+" "+string(cl.Op)+" ?", cl.Number)
	}
	return frag("1 = 0")
}

// usedKeys are those that the clauses and orders name in interned tables.
func (k *searched) usedKeys(clauses []search.Clause, orders []search.Order) []string {
	var keys []string
	for i := range clauses {
		if k.pairs[clauses[i].Entity].interned {
			keys = append(keys, clauses[i].Key)
		}
	}
	for _, o := range orders {
		if k.pairs[o.Entity].interned {
			keys = append(keys, o.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
