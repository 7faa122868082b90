package sqlstore

import (
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking/search"
)

// The kinds of values that entries are ordered by.
const (
	intValue byte = iota
	floatValue
	textValue
)

// orderColumn is one expression of ORDER BY. It is never NULL: what is missing
// has a column in front that says so.
type orderColumn struct {
	expr string
	desc bool
	kind byte
	// head is the expression that PostgreSQL's index on a text holds; empty
	// for most.
	head string
}

// orderKey is one key of an order.
type orderKey struct {
	join fragment      // LEFT JOIN of the values, empty for an attribute
	cols []orderColumn // the first tells whether there is a value, if that can lack
	// drive reads the entries in the order of the key, from the index on the
	// values. nil for an attribute.
	drive *drive
}

// drive is an index to walk along. The entries come in stages: those with a
// number, those with NaN, those with nothing.
type drive struct {
	table  string // with its alias
	where  fragment
	id     string // expression of the entry's row id
	stages []stage
}

// stage is one part of an ordered answer. Its columns stand for those of the
// key, which it knows in part.
type stage struct {
	where   string // on the values
	missing bool   // the entries without a value
	cols    []orderColumn
}

// orderKeys compiles an order. With drive the first key gets its index.
func (c *compiler) orderKeys(orders []search.Order) []orderKey {
	var keys []orderKey
	for i, o := range orders {
		if o.Entity == search.Attribute {
			keys = append(keys, attributeOrder(c.kind.attrs[o.Key], o.Desc))
			continue
		}
		keys = append(keys, c.pairOrder(c.kind.pairs[o.Entity], o, "o"+strconv.Itoa(i), i == 0))
	}
	return keys
}

func attributeOrder(col column, desc bool) orderKey {
	kind, zero := textValue, "''"
	if col.number {
		kind, zero = intValue, "0"
	}
	if !col.nullable {
		return orderKey{cols: []orderColumn{{expr: col.expr, desc: desc, kind: kind}}}
	}
	return orderKey{cols: []orderColumn{
		{expr: "CASE WHEN " + col.expr + " IS NULL THEN 1 ELSE 0 END"},
		{expr: "COALESCE(" + col.expr + ", " + zero + ")", desc: desc, kind: kind},
	}}
}

// pairOrder orders by a value in a table of its own. A key that was never used
// has the id 0, which no value has: the form of the order, on which the tokens
// rely, is the same when somebody begins to use it.
func (c *compiler) pairOrder(p pairs, o search.Order, as string, first bool) orderKey {
	var key any = o.Key
	if p.interned {
		key = c.keys[o.Key]
	}
	owner := as + "." + p.owner
	out := orderKey{join: frag(" LEFT JOIN "+p.table+" "+as+" ON "+owner+" = e.id AND "+as+".key = ?", key)}
	value := orderColumn{expr: as + ".value", desc: o.Desc, kind: textValue}
	if p.metric {
		value.kind = floatValue
		out.cols = []orderColumn{
			{expr: "CASE WHEN " + owner + " IS NULL THEN 2 ELSE " + as + ".is_nan END"},
			{expr: "COALESCE(" + value.expr + ", 0)", desc: o.Desc, kind: floatValue},
		}
	} else {
		out.cols = []orderColumn{
			{expr: "CASE WHEN " + owner + " IS NULL THEN 1 ELSE 0 END"},
			{expr: "COALESCE(" + value.expr + ", '')", desc: o.Desc, kind: textValue},
		}
	}
	if !first {
		return out
	}
	out.drive = &drive{table: p.table + " " + as, where: frag(as+".key = ?", key), id: owner}
	if p.head && c.dialect == sqldb.Postgres {
		value.head = "substr(" + value.expr + ", 1, 64)"
	}
	if p.metric {
		out.drive.stages = []stage{
			{where: as + ".is_nan = 0", cols: []orderColumn{value}},
			{where: as + ".is_nan = 1"},
			{missing: true},
		}
	} else {
		out.drive.stages = []stage{{where: "1 = 1", cols: []orderColumn{value}}, {missing: true}}
	}
	return out
}

// withTies appends what orders entries that the keys leave equal.
func withTies(cols, ties []orderColumn) []orderColumn {
	out := append([]orderColumn(nil), cols...)
	for _, tie := range ties {
		seen := false
		for _, c := range cols {
			seen = seen || c.expr == tie.expr
		}
		if !seen {
			out = append(out, tie)
		}
	}
	return out
}

// orderBy is the list of an ORDER BY.
func orderBy(cols []orderColumn) string {
	var list []string
	for _, c := range cols {
		dir := ""
		if c.desc {
			dir = " DESC"
		}
		if c.head != "" {
			list = append(list, c.head+dir)
		}
		list = append(list, c.expr+dir)
	}
	return strings.Join(list, ", ")
}

// after is the condition that an entry comes behind one with these values. It
// begins with a plain bound on the first column, for the index.
func after(cols []orderColumn, values []any) fragment {
	var s statement
	first := cols[0]
	bound, exact := " >= ?", first.expr
	if first.desc {
		bound = " <= ?"
	}
	if first.head != "" {
		s.write(first.head+bound+" AND ", headOf(values[0].(string)))
	}
	s.write(exact+bound+" AND ", values[0])
	behind(&s, cols, values)
	return fragment{s.text.String(), s.args}
}

func behind(s *statement, cols []orderColumn, values []any) {
	beyond := " > ?"
	if cols[0].desc {
		beyond = " < ?"
	}
	if len(cols) == 1 {
		s.write(cols[0].expr+beyond, values[0])
		return
	}
	s.write("("+cols[0].expr+beyond+" OR ("+cols[0].expr+" = ? AND ", values[0], values[0])
	behind(s, cols[1:], values[1:])
	s.write("))")
}
