package sqlsearch

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking/search"
)

// Fragment is a piece of a statement with its arguments.
type Fragment struct {
	Text string
	Args []any
}

// Frag makes a Fragment.
func Frag(text string, args ...any) Fragment { return Fragment{text, args} }

// with is f and then g.
func (f Fragment) with(g Fragment) Fragment {
	return Fragment{f.Text + g.Text, append(slices.Clip(f.Args), g.Args...)}
}

// Statement puts fragments together. The zero value is empty.
type Statement struct {
	text strings.Builder
	args []any
}

// Add appends f.
func (s *Statement) Add(f Fragment) *Statement {
	s.text.WriteString(f.Text)
	s.args = append(s.args, f.Args...)
	return s
}

// Write appends a text with its arguments.
func (s *Statement) Write(text string, args ...any) *Statement { return s.Add(Fragment{text, args}) }

// Fragment is what was put together.
func (s *Statement) Fragment() Fragment { return Fragment{s.text.String(), s.args} }

// Column is an attribute: an SQL expression over the alias e, NULL where an
// entry has no value.
type Column struct {
	Expr     string
	Number   bool
	Nullable bool
	Indexed  bool // a text that an index begins with
}

// Pairs is a table that holds one value for an entry and key: its columns are
// the owner, key and value.
type Pairs struct {
	Table, Owner string
	Interned     bool // the key is an id, see New
	Metric       bool // the value is a number with is_nan
	Head         bool // PostgreSQL: the index is on the head of the value
	Many         bool // an entry may have several values of a key
}

// Schema describes what is searched: entries e of a table with the integer key
// id.
type Schema struct {
	From string // table with the alias e
	// Narrow is an index that begins with the id and has most columns of the
	// attributes, for SQLite to read instead of the rows when entries are looked
	// up one by one. Empty: none.
	Narrow string
	Parent *Parent // of the entries; nil: none
	Attrs  map[string]Column
	Pairs  map[search.Entity]Pairs
	// Special compiles clauses that are neither of attributes nor of pairs; id
	// is the expression of the entry's row id. ok is false for the others.
	Special func(d sqldb.Dialect, c *search.Clause, id string) (cond Fragment, ok bool)
	// Ties order entries that the keys of an order leave equal. They tell all
	// entries apart, and are the order of a query without one.
	Ties []OrderColumn
}

// headLength is how much of a text value PostgreSQL's indexes hold, because
// their entries are limited.
const headLength = 64

// compiler turns clauses into conditions.
type compiler struct {
	dialect sqldb.Dialect
	schema  *Schema
	keys    map[string]int64 // of mw_key; what is missing was never used
}

// Condition is one clause. It can be tested on an entry, and, when it is of an
// indexed table, the rows of its entries can be listed.
type Condition struct {
	On     func(id string) Fragment
	Rows   Fragment // SELECT … AS id; empty: none
	Sorted bool     // in the order of the ids
	// Parents selects the id and size of the parents of the entries; empty:
	// none.
	Parents Fragment
	pos     int // of the clause in the filter
}

// never holds for no entry.
func never() Condition {
	return Condition{On: func(string) Fragment { return Frag("1 = 0") }}
}

func always() Condition {
	return Condition{On: func(string) Fragment { return Frag("1 = 1") }}
}

// isNever recognises a filter that no entry satisfies.
func isNever(c Condition) bool { return c.On("").Text == "1 = 0" }

// clause compiles one clause.
func (c *compiler) clause(cl *search.Clause) Condition {
	if c.schema.Special != nil {
		if _, ok := c.schema.Special(c.dialect, cl, "e.id"); ok {
			return Condition{On: func(id string) Fragment {
				f, _ := c.schema.Special(c.dialect, cl, id)
				return f
			}}
		}
	}
	if cl.Entity == search.Attribute {
		col := c.schema.Attrs[cl.Key]
		var f Fragment
		if col.Number {
			f = intCondition(col.Expr, cl)
		} else {
			f = TextCondition(c.dialect, col.Expr, cl, false)
		}
		out := Condition{On: func(string) Fragment { return f }}
		if col.Indexed && listed(cl) {
			// Listed from the table again, under another alias.
			table, column := strings.TrimSuffix(c.schema.From, " e"), "d"+strings.TrimPrefix(col.Expr, "e")
			out.Rows = Frag("SELECT d.id AS id FROM " + table + " d WHERE ").with(indexed(c.dialect, column, cl))
			if p := c.schema.Parent; p != nil && p.Attr == cl.Key {
				out.Parents = Frag("SELECT d.id AS id, d." + p.Size + " AS size FROM " + p.Table + " d WHERE ").with(indexed(c.dialect, "d."+p.Name, cl))
			}
		}
		return out
	}
	return c.pair(c.schema.Pairs[cl.Entity], cl)
}

// indexed compares a text with an index. The range of a pattern is spelled out:
// SQLite finds it in the pattern, too, but then compiles the statement for each
// pattern again.
func indexed(d sqldb.Dialect, column string, cl *search.Clause) Fragment {
	if cl.Op != search.Like {
		return TextCondition(d, column, cl, false)
	}
	begin := sqldb.Literals(cl.Text)[0]
	out := Frag(column+" >= ?", begin)
	if end, ok := textAfter(begin); ok {
		out = out.with(Frag(" AND "+column+" < ?", end))
	}
	if cl.Text == begin+"%" {
		return out
	}
	return out.with(Frag(" AND ")).with(TextCondition(d, unindexed(d)+column, cl, false))
}

// unindexed is what keeps SQLite from looking for an index for an expression
// that follows.
func unindexed(d sqldb.Dialect) string {
	if d == sqldb.SQLite {
		return "+"
	}
	return ""
}

// textAfter is the least text above all that begin with s.
func textAfter(s string) (string, bool) {
	runes := []rune(s)
	for i := len(runes) - 1; i >= 0; i-- {
		switch next := runes[i] + 1; {
		case next == 0xD800: // what follows is no character
			runes[i] = 0xE000
		case next > utf8.MaxRune:
			continue
		default:
			runes[i] = next
		}
		return string(runes[:i+1]), true
	}
	return "", false
}

// listed reports whether an index on a text narrows the clause down.
func listed(cl *search.Clause) bool {
	switch cl.Op {
	case search.Equal, search.In:
		return true
	case search.Like:
		return cl.Text != "" && cl.Text[0] != '%' && cl.Text[0] != '_'
	}
	return false
}

// pair compiles a clause about a value in a table of its own.
func (c *compiler) pair(p Pairs, cl *search.Clause) Condition {
	var key any = cl.Key
	if p.Interned {
		id, known := c.keys[cl.Key]
		if !known {
			if cl.Op == search.IsNull {
				return always()
			}
			return never()
		}
		key = id
	}
	compare := func(value, isNaN string) Fragment {
		if p.Metric {
			return NumberCondition(value, isNaN, cl)
		}
		return TextCondition(c.dialect, value, cl, p.Head)
	}
	// Looked up by its entry a value is found by the primary key: the sign
	// keeps SQLite from reading the index on values instead, whose range it
	// takes for narrow.
	sign := unindexed(c.dialect)
	exists := "EXISTS "
	inner := compare(sign+"p.value", sign+"p.is_nan")
	if cl.Op == search.IsNull {
		exists, inner = "NOT EXISTS ", Frag("1 = 1")
	}
	out := Condition{On: func(id string) Fragment {
		text := exists + "(SELECT 1 FROM " + p.Table + " p WHERE p." + p.Owner + " = " + id + " AND p.key = ? AND " + inner.Text + ")"
		return Fragment{text, append([]any{key}, inner.Args...)}
	}}
	if cl.Op != search.IsNull {
		by, distinct := compare("d.value", "d.is_nan"), ""
		if p.Many {
			distinct = "DISTINCT "
		}
		out.Rows = Fragment{
			"SELECT " + distinct + "d." + p.Owner + " AS id FROM " + p.Table + " d WHERE d.key = ? AND " + by.Text,
			append([]any{key}, by.Args...),
		}
		out.Sorted = cl.Op == search.Equal && !p.Many
	}
	return out
}

// TextCondition compares a text expression, which may be NULL. With head the
// first characters are compared too, which is what an index has.
func TextCondition(d sqldb.Dialect, expr string, cl *search.Clause, head bool) Fragment {
	head = head && d == sqldb.Postgres
	switch cl.Op {
	case search.Equal:
		if head {
			return Frag("substr("+expr+", 1, 64) = ? AND "+expr+" = ?", headOf(cl.Text), cl.Text)
		}
		return Frag(expr+" = ?", cl.Text)
	case search.NotEqual:
		return Frag(expr+" <> ?", cl.Text)
	case search.Like:
		cond, arg := d.Like(expr, cl.Text)
		return Frag(cond, arg)
	case search.ILike:
		cond, arg := d.ILike(expr, cl.Text)
		return Frag(cond, arg)
	case search.In:
		if head {
			heads := make([]string, len(cl.List))
			for i, s := range cl.List {
				heads[i] = headOf(s)
			}
			return Frag(d.In("substr("+expr+", 1, 64)")+" AND "+d.In(expr), d.Texts(heads), d.Texts(cl.List))
		}
		return Frag(d.In(expr), d.Texts(cl.List))
	case search.NotIn:
		return Frag("NOT ("+d.In(expr)+")", d.Texts(cl.List))
	case search.IsNull:
		return Frag(expr + " IS NULL")
	case search.IsNotNull:
		return Frag(expr + " IS NOT NULL")
	}
	return Frag("1 = 0") // RLIKE is not for the database
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
func intCondition(expr string, cl *search.Clause) Fragment {
	const most = 1 << 62
	clamp := func(f float64) int64 { return int64(max(-most, min(most, f))) }
	floor, ceil := clamp(math.Floor(cl.Number)), clamp(math.Ceil(cl.Number))
	whole := float64(floor) == cl.Number
	switch cl.Op {
	case search.Equal:
		if whole {
			return Frag(expr+" = ?", floor)
		}
	case search.NotEqual:
		if whole {
			return Frag(expr+" <> ?", floor)
		}
		return Frag(expr + " IS NOT NULL")
	case search.Greater:
		return Frag(expr+" > ?", floor)
	case search.GreaterEqual:
		return Frag(expr+" >= ?", ceil)
	case search.Less:
		return Frag(expr+" < ?", ceil)
	case search.LessEqual:
		return Frag(expr+" <= ?", floor)
	}
	return Frag("1 = 0")
}

// NumberCondition compares a stored float64, whose NaN is 0 with is_nan 1.
func NumberCondition(expr, isNaN string, cl *search.Clause) Fragment {
	switch cl.Op {
	case search.NotEqual:
		return Frag("("+isNaN+" = 1 OR "+expr+" <> ?)", cl.Number)
	case search.Equal, search.Greater, search.GreaterEqual, search.Less, search.LessEqual:
		return Frag(isNaN+" = 0 AND "+expr+" "+string(cl.Op)+" ?", cl.Number)
	}
	return Frag("1 = 0")
}

// UsedKeys are those that the clauses and orders name in interned tables.
func (k *Schema) UsedKeys(clauses []search.Clause, orders []search.Order) []string {
	var keys []string
	for i := range clauses {
		if k.Pairs[clauses[i].Entity].Interned {
			keys = append(keys, clauses[i].Key)
		}
	}
	for _, o := range orders {
		if k.Pairs[o.Entity].Interned {
			keys = append(keys, o.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
