package filter

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Bounds of a text that Parse takes.
const (
	maxText  = 1 << 20
	maxDepth = 100
	maxNodes = 10_000
	maxIn    = 1 << 16
)

// Parse reads a predicate in the words of a SQL WHERE clause:
//
//	delay > 15 AND origin IN ('SFO', 'LAX') AND NOT (carrier IS NULL)
//
// Known are = == <> != < <= > >=, IN, BETWEEN, LIKE (see Like), IS NULL, each also
// with NOT, and AND, OR, NOT, parentheses, TRUE and FALSE. The left side is always a column,
// "in quotes" when its name is not a plain word; a column alone stands for
// column = TRUE. The right side is a number, a 'text', TRUE, FALSE, X'hex'
// bytes, or DATE '2006-01-02' and TIMESTAMP '2006-01-02T15:04:05Z' (a plain text
// does as well); a time without a zone is UTC.
//
// A text of more than 1 MiB, 10,000 terms or 100 levels is refused, as is a
// list of more than 65,536 values. Errors are *SyntaxError.
func Parse(s string) (Expr, error) {
	p := &parser{lex: lexer{src: s}}
	if len(s) > maxText {
		return Expr{}, p.lex.fail(0, "the text is %d bytes long, want at most %d", len(s), maxText)
	}
	if !utf8.ValidString(s) {
		return Expr{}, p.lex.fail(0, "the text is not UTF-8")
	}
	if err := p.advance(); err != nil {
		return Expr{}, err
	}
	if p.tok.kind == end {
		return Expr{}, p.lex.fail(p.tok.at, "want a predicate such as delay > 15")
	}
	e, err := p.or(0)
	if err != nil {
		return Expr{}, err
	}
	if p.tok.kind != end {
		return Expr{}, p.lex.fail(p.tok.at, "want AND, OR or the end")
	}
	return e, nil
}

type parser struct {
	lex   lexer
	tok   token // The next one.
	nodes int
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) fail(format string, args ...any) error {
	return p.lex.fail(p.tok.at, format, args...)
}

// accept takes the next token if it is the keyword.
func (p *parser) accept(keyword string) (bool, error) {
	if !p.tok.is(keyword) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) or(depth int) (Expr, error)  { return p.chain(depth, "OR", p.and, Or) }
func (p *parser) and(depth int) (Expr, error) { return p.chain(depth, "AND", p.not, And) }

// chain reads terms with a keyword between them.
func (p *parser) chain(depth int, keyword string, term func(int) (Expr, error), join func(...Expr) Expr) (Expr, error) {
	first, err := term(depth)
	if err != nil {
		return Expr{}, err
	}
	all := []Expr{first}
	for {
		more, err := p.accept(keyword)
		if err != nil {
			return Expr{}, err
		}
		if !more {
			return join(all...), nil
		}
		e, err := term(depth)
		if err != nil {
			return Expr{}, err
		}
		all = append(all, e)
	}
}

func (p *parser) not(depth int) (Expr, error) {
	if depth > maxDepth {
		return Expr{}, p.fail("more than %d levels", maxDepth)
	}
	if p.nodes++; p.nodes > maxNodes {
		return Expr{}, p.fail("more than %d terms", maxNodes)
	}
	negated, err := p.accept("NOT")
	if err != nil {
		return Expr{}, err
	}
	if negated {
		e, err := p.not(depth + 1)
		return Not(e), err
	}
	if p.tok.kind != symbol || p.tok.text != "(" {
		return p.predicate()
	}
	if err := p.advance(); err != nil {
		return Expr{}, err
	}
	e, err := p.or(depth + 1)
	if err != nil {
		return Expr{}, err
	}
	return e, p.expect(")")
}

func (p *parser) expect(s string) error {
	if p.tok.kind != symbol || p.tok.text != s {
		return p.fail("want %q", s)
	}
	return p.advance()
}

func (p *parser) predicate() (Expr, error) {
	switch {
	case p.tok.is("TRUE"):
		return Expr{}, p.advance()
	case p.tok.is("FALSE"):
		return Or(), p.advance()
	case p.tok.kind == word && !reserved[strings.ToUpper(p.tok.text)]:
	case p.tok.kind == name && p.tok.text != "":
	default:
		return Expr{}, p.fail("want a column name")
	}
	column := p.tok.text
	if err := p.advance(); err != nil {
		return Expr{}, err
	}
	if p.tok.kind == symbol {
		if o, ok := operator(p.tok.text); ok {
			if err := p.advance(); err != nil {
				return Expr{}, err
			}
			v, err := p.literal()
			return Expr{&node{kind: compare, op: o, column: column, values: []literal{v}}}, err
		}
	}
	if is, err := p.accept("IS"); is || err != nil {
		if err != nil {
			return Expr{}, err
		}
		return p.null(column)
	}
	negated, err := p.accept("NOT")
	if err != nil {
		return Expr{}, err
	}
	e, err := p.list(column, negated)
	if negated {
		e = Not(e)
	}
	return e, err
}

func operator(s string) (op, bool) {
	switch s {
	case "!=":
		return ne, true
	case "==":
		return eq, true
	}
	for o, t := range opText {
		if t == s {
			return op(o), true
		}
	}
	return 0, false
}

// null reads what follows IS.
func (p *parser) null(column string) (Expr, error) {
	negated, err := p.accept("NOT")
	if err != nil {
		return Expr{}, err
	}
	if !p.tok.is("NULL") {
		return Expr{}, p.fail("want NULL")
	}
	e := IsNull(column)
	if negated {
		e = Not(e)
	}
	return e, p.advance()
}

// list reads IN, BETWEEN and LIKE, or nothing for a column that is a boolean.
func (p *parser) list(column string, negated bool) (Expr, error) {
	switch {
	case p.tok.is("IN"):
		if err := p.advance(); err != nil {
			return Expr{}, err
		}
		if err := p.expect("("); err != nil {
			return Expr{}, err
		}
		n := &node{kind: in, column: column}
		for {
			v, err := p.literal()
			if err != nil {
				return Expr{}, err
			}
			if n.values = append(n.values, v); len(n.values) > maxIn {
				return Expr{}, p.fail("more than %d values", maxIn)
			}
			if p.tok.kind == symbol && p.tok.text == "," {
				if err := p.advance(); err != nil {
					return Expr{}, err
				}
				continue
			}
			return Expr{n}, p.expect(")")
		}
	case p.tok.is("BETWEEN"):
		if err := p.advance(); err != nil {
			return Expr{}, err
		}
		low, err := p.literal()
		if err != nil {
			return Expr{}, err
		}
		if !p.tok.is("AND") {
			return Expr{}, p.fail("want AND and the upper end")
		}
		if err := p.advance(); err != nil {
			return Expr{}, err
		}
		high, err := p.literal()
		return And(
			Expr{&node{kind: compare, op: ge, column: column, values: []literal{low}}},
			Expr{&node{kind: compare, op: le, column: column, values: []literal{high}}},
		), err
	case p.tok.is("LIKE"):
		if err := p.advance(); err != nil {
			return Expr{}, err
		}
		if p.tok.kind != str {
			return Expr{}, p.fail("want the pattern in quotes")
		}
		v, err := p.literal()
		return Expr{&node{kind: compare, op: like, column: column, values: []literal{v}}}, err
	case negated:
		return Expr{}, p.fail("want IN, BETWEEN or LIKE")
	}
	return Eq(column, true), nil
}

func (p *parser) literal() (literal, error) {
	t := p.tok
	switch {
	case t.kind == digits:
		return literal{kind: number, text: t.text}, p.advance()
	case t.kind == str:
		return literal{kind: text, text: t.text}, p.advance()
	case t.kind == hexes:
		raw, err := hex.DecodeString(t.text)
		if err != nil {
			return literal{}, p.fail("X'…' wants pairs of hex digits")
		}
		return literal{kind: rawBytes, text: string(raw)}, p.advance()
	case t.is("TRUE"), t.is("FALSE"):
		return literal{kind: boolean, text: strings.ToUpper(t.text)}, p.advance()
	case t.is("DATE"), t.is("TIMESTAMP"):
		if err := p.advance(); err != nil {
			return literal{}, err
		}
		if p.tok.kind != str {
			return literal{}, p.fail("want the %s in quotes", strings.ToLower(t.text))
		}
		at, err := parseTime(p.tok.text)
		if err != nil {
			return literal{}, p.fail("%v", err)
		}
		return literal{kind: instant, at: at}, p.advance()
	case t.is("NULL"):
		return literal{}, p.fail("a comparison with NULL is never true; use IS NULL")
	}
	return literal{}, p.fail("want a number, a 'text', TRUE, FALSE, DATE, TIMESTAMP or X'…'")
}
