package filter

import (
	"slices"
	"strings"
)

// Expr is a predicate. It is an immutable value; the zero value matches every
// row. Constructors never fail: what is wrong with an argument is reported by
// Bind.
type Expr struct{ root *node }

type kind uint8

const (
	compare kind = iota
	in
	isNull
	and // Without arguments: true.
	or  // Without arguments: false.
	not
)

type op uint8

const (
	eq op = iota
	ne
	lt
	le
	gt
	ge
	like
)

var opText = [...]string{eq: "=", ne: "<>", lt: "<", le: "<=", gt: ">", ge: ">=", like: "LIKE"}

type node struct {
	kind   kind
	op     op
	column string
	values []literal
	args   []*node
}

// Eq matches rows where the column equals the value: a bool, an integer, a
// float, a string, a []byte, a time.Time, or a named type of one of these.
func Eq(column string, value any) Expr { return comparison(eq, column, value) }

// Ne matches rows where the column differs from the value and is not null.
func Ne(column string, value any) Expr { return comparison(ne, column, value) }

// Lt matches rows where the column is less than the value.
func Lt(column string, value any) Expr { return comparison(lt, column, value) }

// Le matches rows where the column is at most the value.
func Le(column string, value any) Expr { return comparison(le, column, value) }

// Gt matches rows where the column is greater than the value.
func Gt(column string, value any) Expr { return comparison(gt, column, value) }

// Ge matches rows where the column is at least the value.
func Ge(column string, value any) Expr { return comparison(ge, column, value) }

func comparison(o op, column string, value any) Expr {
	return Expr{&node{kind: compare, op: o, column: column, values: []literal{literalOf(value)}}}
}

// In matches rows where the column equals one of the values; none of them means
// no row.
func In(column string, values ...any) Expr {
	if len(values) == 0 {
		return Or()
	}
	n := &node{kind: in, column: column, values: make([]literal, len(values))}
	for i, v := range values {
		n.values[i] = literalOf(v)
	}
	return Expr{n}
}

// Between matches rows where the column is at least low and at most high.
func Between(column string, low, high any) Expr { return And(Ge(column, low), Le(column, high)) }

// IsNull matches rows where the column is null.
func IsNull(column string) Expr { return Expr{&node{kind: isNull, column: column}} }

// NotNull matches rows where the column is not null.
func NotNull(column string) Expr { return Not(IsNull(column)) }

// And matches rows that all of the expressions match; none of them means every
// row.
func And(exprs ...Expr) Expr {
	n := &node{kind: and}
	for _, e := range exprs {
		switch {
		case e.root == nil:
		case e.root.kind == and:
			n.args = append(n.args, e.root.args...)
		default:
			n.args = append(n.args, e.root)
		}
	}
	switch len(n.args) {
	case 0:
		return Expr{}
	case 1:
		return Expr{n.args[0]}
	}
	return Expr{n}
}

// Or matches rows that one of the expressions matches; none of them means no
// row.
func Or(exprs ...Expr) Expr {
	n := &node{kind: or}
	for _, e := range exprs {
		switch {
		case e.root == nil:
			return Expr{}
		case e.root.kind == or:
			n.args = append(n.args, e.root.args...)
		default:
			n.args = append(n.args, e.root)
		}
	}
	if len(n.args) == 1 {
		return Expr{n.args[0]}
	}
	return Expr{n}
}

// Not matches rows for which the expression is false. A row for which it is
// null matches neither.
func Not(e Expr) Expr {
	switch {
	case e.root == nil:
		return Or()
	case e.root.kind == or && len(e.root.args) == 0:
		return Expr{}
	case e.root.kind == not:
		return Expr{e.root.args[0]}
	}
	return Expr{&node{kind: not, args: []*node{e.root}}}
}

// IsZero tells whether the expression is the zero value, which matches every
// row.
func (e Expr) IsZero() bool { return e.root == nil }

// Columns are the columns that the expression names, sorted.
func (e Expr) Columns() []string {
	var names []string
	var walk func(*node)
	walk = func(n *node) {
		if n.kind == compare || n.kind == in || n.kind == isNull {
			names = append(names, n.column)
		}
		for _, a := range n.args {
			walk(a)
		}
	}
	if e.root != nil {
		walk(e.root)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// String is the expression in the language of Parse, which reads it back.
func (e Expr) String() string {
	if e.root == nil {
		return "TRUE"
	}
	var b strings.Builder
	e.root.write(&b)
	return b.String()
}

// MarshalText gives String.
func (e Expr) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText is Parse.
func (e *Expr) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

func (n *node) write(b *strings.Builder) {
	switch n.kind {
	case compare:
		b.WriteString(quoteName(n.column) + " " + opText[n.op] + " " + n.values[0].String())
	case in:
		b.WriteString(quoteName(n.column) + " IN (")
		for i, v := range n.values {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(v.String())
		}
		b.WriteString(")")
	case isNull:
		b.WriteString(quoteName(n.column) + " IS NULL")
	case and, or:
		word := " AND "
		if n.kind == or {
			word = " OR "
			if len(n.args) == 0 {
				b.WriteString("FALSE")
			}
		}
		for i, a := range n.args {
			if i > 0 {
				b.WriteString(word)
			}
			if n.kind == and && a.kind == or && len(a.args) > 0 {
				b.WriteString("(")
				a.write(b)
				b.WriteString(")")
			} else {
				a.write(b)
			}
		}
	case not:
		if a := n.args[0]; a.kind == isNull {
			b.WriteString(quoteName(a.column) + " IS NOT NULL")
			return
		}
		b.WriteString("NOT (")
		n.args[0].write(b)
		b.WriteString(")")
	}
}

// quoteName writes a column name as the parser wants it.
func quoteName(s string) string {
	plain := s != "" && !reserved[strings.ToUpper(s)]
	for i := range len(s) {
		plain = plain && (isLetter(s[i]) || i > 0 && isDigit(s[i]))
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
