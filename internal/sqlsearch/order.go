package sqlsearch

import (
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking/search"
)

// The kinds of values that entries are ordered by.
const (
	IntValue byte = iota
	FloatValue
	TextValue
)

// OrderColumn is one expression of ORDER BY. It is never NULL: what is missing
// has a column in front that says so.
type OrderColumn struct {
	Expr string
	Desc bool
	Kind byte
	// head is the expression that PostgreSQL's index on a text holds; empty
	// for most.
	Head string
}

// OrderKey is one key of an order.
type OrderKey struct {
	Join Fragment      // LEFT JOIN of the values, empty for an attribute
	Cols []OrderColumn // the first tells whether there is a value, if that can lack
	// drive reads the entries in the order of the key, from the index on the
	// values. nil for an attribute.
	drive *drive
}

// drive is an index to walk along. The entries come in stages: those with a
// number, those with NaN, those with nothing.
type drive struct {
	table  string // with its alias
	where  Fragment
	id     string // expression of the entry's row id
	stages []stage
}

// stage is one part of an ordered answer. Its columns stand for those of the
// key, which it knows in part.
type stage struct {
	where   string // on the values
	missing bool   // the entries without a value
	cols    []OrderColumn
}

// orderKeys compiles an order. With drive the first key gets its index.
func (c *compiler) orderKeys(orders []search.Order) []OrderKey {
	var keys []OrderKey
	for i, o := range orders {
		if o.Entity == search.Attribute {
			keys = append(keys, AttributeOrder(c.schema.Attrs[o.Key], o.Desc))
			continue
		}
		keys = append(keys, c.pairOrder(c.schema.Pairs[o.Entity], o, "o"+strconv.Itoa(i), i == 0))
	}
	return keys
}

// AttributeOrder is the key that orders by an attribute.
func AttributeOrder(col Column, desc bool) OrderKey {
	kind, zero := TextValue, "''"
	if col.Number {
		kind, zero = IntValue, "0"
	}
	if !col.Nullable {
		return OrderKey{Cols: []OrderColumn{{Expr: col.Expr, Desc: desc, Kind: kind}}}
	}
	return OrderKey{Cols: []OrderColumn{
		{Expr: "CASE WHEN " + col.Expr + " IS NULL THEN 1 ELSE 0 END"},
		{Expr: "COALESCE(" + col.Expr + ", " + zero + ")", Desc: desc, Kind: kind},
	}}
}

// pairOrder orders by a value in a table of its own. A key that was never used
// has the id 0, which no value has: the form of the order, on which the tokens
// rely, is the same when somebody begins to use it.
func (c *compiler) pairOrder(p Pairs, o search.Order, as string, first bool) OrderKey {
	var key any = o.Key
	if p.Interned {
		key = c.keys[o.Key]
	}
	owner := as + "." + p.Owner
	out := OrderKey{Join: Frag(" LEFT JOIN "+p.Table+" "+as+" ON "+owner+" = e.id AND "+as+".key = ?", key)}
	value := OrderColumn{Expr: as + ".value", Desc: o.Desc, Kind: TextValue}
	if p.Metric {
		value.Kind = FloatValue
		out.Cols = []OrderColumn{
			{Expr: "CASE WHEN " + owner + " IS NULL THEN 2 ELSE " + as + ".is_nan END"},
			{Expr: "COALESCE(" + value.Expr + ", 0)", Desc: o.Desc, Kind: FloatValue},
		}
	} else {
		out.Cols = []OrderColumn{
			{Expr: "CASE WHEN " + owner + " IS NULL THEN 1 ELSE 0 END"},
			{Expr: "COALESCE(" + value.Expr + ", '')", Desc: o.Desc, Kind: TextValue},
		}
	}
	if !first {
		return out
	}
	out.drive = &drive{table: p.Table + " " + as, where: Frag(as+".key = ?", key), id: owner}
	if p.Head && c.dialect == sqldb.Postgres {
		value.Head = "substr(" + value.Expr + ", 1, 64)"
	}
	if p.Metric {
		out.drive.stages = []stage{
			{where: as + ".is_nan = 0", cols: []OrderColumn{value}},
			{where: as + ".is_nan = 1"},
			{missing: true},
		}
	} else {
		out.drive.stages = []stage{{where: "1 = 1", cols: []OrderColumn{value}}, {missing: true}}
	}
	return out
}

// withTies appends what orders entries that the keys leave equal.
func withTies(cols, ties []OrderColumn) []OrderColumn {
	out := append([]OrderColumn(nil), cols...)
	for _, tie := range ties {
		seen := false
		for _, c := range cols {
			seen = seen || c.Expr == tie.Expr
		}
		if !seen {
			out = append(out, tie)
		}
	}
	return out
}

// orderBy is the list of an ORDER BY.
func orderBy(cols []OrderColumn) string {
	var list []string
	for _, c := range cols {
		dir := ""
		if c.Desc {
			dir = " DESC"
		}
		if c.Head != "" {
			list = append(list, c.Head+dir)
		}
		list = append(list, c.Expr+dir)
	}
	return strings.Join(list, ", ")
}

// after is the condition that an entry comes behind one with these values. It
// begins with a plain bound on the first column, for the index.
func after(cols []OrderColumn, values []any) Fragment {
	var s Statement
	first := cols[0]
	bound, exact := " >= ?", first.Expr
	if first.Desc {
		bound = " <= ?"
	}
	if first.Head != "" {
		s.Write(first.Head+bound+" AND ", headOf(values[0].(string)))
	}
	s.Write(exact+bound+" AND ", values[0])
	behind(&s, cols, values)
	return Fragment{s.text.String(), s.args}
}

func behind(s *Statement, cols []OrderColumn, values []any) {
	beyond := " > ?"
	if cols[0].Desc {
		beyond = " < ?"
	}
	if len(cols) == 1 {
		s.Write(cols[0].Expr+beyond, values[0])
		return
	}
	s.Write("("+cols[0].Expr+beyond+" OR ("+cols[0].Expr+" = ? AND ", values[0], values[0])
	behind(s, cols[1:], values[1:])
	s.Write("))")
}
