package search

import (
	"regexp"
	"slices"
	"strings"
)

// Filter parses a filter: comparisons joined by AND. The empty filter, also of
// blanks only, has no clauses. An error is ErrInvalid and names the 1-based
// position in characters, what was found and what was expected.
func (g *Grammar) Filter(text string) ([]Clause, error) {
	if err := checkText("filter", text, MaxFilterBytes); err != nil {
		return nil, err
	}
	p := &parser{scanner: scanner{text: text, in: "filter of " + g.what}, g: g}
	p.skipSpace()
	if p.next() == 0 {
		return nil, nil
	}
	var clauses []Clause
	for {
		if len(clauses) == MaxClauses {
			return nil, p.errorf(p.at, "found a further comparison, at most %d are allowed", MaxClauses)
		}
		c, err := p.clause()
		if err != nil {
			return nil, err
		}
		clauses = append(clauses, c)
		p.skipSpace()
		start := p.at
		if p.next() == 0 {
			return clauses, nil
		}
		if p.next() == ';' {
			return nil, p.errorf(start, "Search filter contained multiple expression: Invalid clause(s) in filter string: found ';', expected AND or the end")
		}
		if word := p.take(isLetter); !strings.EqualFold(word, "AND") {
			return nil, p.errorf(start, "Invalid clause(s) in filter string: found %s, expected AND or the end", p.found(start))
		}
	}
}

type parser struct {
	scanner
	g *Grammar
}

// clause reads one comparison.
func (p *parser) clause() (Clause, error) {
	p.skipSpace()
	start := p.at
	entity, key, f, err := p.identifier(false)
	if err != nil {
		return Clause{}, err
	}
	c := Clause{Entity: entity, Key: key, Pos: p.pos(start)}
	p.skipSpace()
	at := p.at
	if c.Op, err = p.op(); err != nil {
		return Clause{}, err
	}
	if !slices.Contains(f.ops, c.Op) {
		if c.Op == IsNull || c.Op == IsNotNull {
			return Clause{}, p.errorf(at, "Invalid comparator '%s': IS NULL / IS NOT NULL is not supported for %s '%s', expected one of %s", c.Op, entity, key, f.ops)
		}
		if c.Op == In || c.Op == NotIn {
			return Clause{}, p.errorf(at, "Invalid comparator '%s': %s '%s' takes no list, Expected a quoted string value for %s or a number after one of %s", c.Op, entity, key, entity, f.ops)
		}
		return Clause{}, p.errorf(at, "Invalid comparator '%s' for %s '%s', expected one of %s", c.Op, entity, key, f.ops)
	}
	return c, p.value(&c, f)
}

// identifier reads [entity.]key and finds what it names.
func (p *parser) identifier(forOrder bool) (Entity, string, field, error) {
	start := p.at
	fail := func(at int, format string, args ...any) (Entity, string, field, error) {
		return "", "", field{}, p.errorf(at, format, args...)
	}
	entity, key := Attribute, ""
	dotted := false
	var err error
	switch c := p.next(); {
	case c == '`' || c == '"':
		if key, err = p.quoted(); err != nil {
			return "", "", field{}, err
		}
		if dotted = p.next() == '.'; dotted {
			p.at++
		}
	case c == '\'' || isDigit(rune(c)):
		return fail(start, "Invalid comparison clause: Expected 'Identifier' found %s", p.found(start))
	default:
		word := p.take(isKeyRune)
		if word == "" {
			return fail(start, "%s: found %s, expected [entity.]key", p.invalid(), p.found(start))
		}
		if key, _, dotted = strings.Cut(word, "."); dotted {
			p.at = start + len(key) + 1
		}
	}
	if dotted {
		var known bool
		if entity, known = p.g.entities[key]; !known {
			return fail(start, "Invalid entity type '%s', expected one of %s", key, p.g.entityNames())
		}
		if entity, key, err = p.key(entity); err != nil {
			return "", "", field{}, err
		}
	}
	to, canonical, f, ok, expected := p.g.lookup(entity, key, forOrder)
	if !ok {
		if expected == "" {
			return fail(start, "Invalid identifier type '%s', %s cannot be ordered by it", entity, p.g.what)
		}
		return fail(start, "Invalid %s key '%s' specified, expected one of %s", entity, key, expected)
	}
	return to, canonical, f, nil
}

// key reads what follows the dot after an entity.
func (p *parser) key(entity Entity) (Entity, string, error) {
	start := p.at
	if entity == Span && strings.HasPrefix(p.text[p.at:], "attributes.") {
		entity = SpanAttribute
		p.at += len("attributes.")
	}
	var key string
	if c := p.next(); c == '`' || c == '"' || c == '\'' {
		var err error
		if key, err = p.quoted(); err != nil {
			return "", "", err
		}
	} else {
		key = p.take(isKeyRune)
	}
	if key == "" {
		return "", "", p.errorf(start, "%s: found %s, expected the key of the %s", p.invalid(), p.found(p.at), entity)
	}
	return entity, key, nil
}

// invalid is how errors about the form begin.
func (p *parser) invalid() string {
	if p.in == orderClause {
		return "Invalid order_by clause"
	}
	return "Invalid clause(s) in filter string"
}

// op reads a comparison. Words are read in any case.
func (p *parser) op() (Op, error) {
	start := p.at
	if sign := p.take(isOpRune); sign != "" {
		switch op := Op(sign); op {
		case Equal, NotEqual, Greater, GreaterEqual, Less, LessEqual:
			return op, nil
		}
		return "", p.errorf(start, "Invalid comparator '%s', expected one of %s", sign, numberOps)
	}
	word := func() string {
		p.skipSpace()
		return strings.ToUpper(p.take(isLetter))
	}
	first := word()
	switch op := Op(first); op {
	case Like, ILike, RLike, In:
		return op, nil
	}
	switch first {
	case "NOT":
		at := p.at
		switch second := word(); second {
		case "IN":
			return NotIn, nil
		case "":
			p.at = at
		default:
			return "", p.errorf(start, "Invalid comparator 'NOT %s', expected NOT IN", second)
		}
	case "IS":
		second := word()
		if second == "NULL" {
			return IsNull, nil
		}
		if second == "NOT" && word() == "NULL" {
			return IsNotNull, nil
		}
		return "", p.errorf(start, "Invalid comparator after IS, expected IS NULL or IS NOT NULL")
	}
	return "", p.errorf(start, "Invalid clause(s) in filter string: found %s, expected a comparison like =, != or LIKE", p.found(start))
}

// value reads what a comparison compares with.
func (p *parser) value(c *Clause, f field) error {
	p.skipSpace()
	start := p.at
	var err error
	switch c.Op {
	case IsNull, IsNotNull:
		c.Numeric = f.numeric
		return nil
	case In, NotIn:
		c.List, err = p.list()
		return err
	}
	ordering := c.Op == Greater || c.Op == GreaterEqual || c.Op == Less || c.Op == LessEqual
	if f.numeric || f.mixed && ordering {
		return p.numeric(c, f.quoted)
	}
	switch p.next() {
	case '\'', '"':
		c.Text, err = p.quoted()
	default:
		quotes := ""
		if r := p.next(); r == '`' || isLetter(rune(r)) {
			quotes = " (value is either not quoted or unidentified quote types used)"
		}
		what := string(c.Entity)
		if c.Entity == Attribute {
			what = "attributes:"
		}
		return p.errorf(start, "Expected a quoted string value for %s '%s', in ' or \". Found %s%s", what, c.Key, p.found(start), quotes)
	}
	if err != nil {
		return err
	}
	return p.pattern(c, start)
}

// numeric reads a number, in quotes only where that is allowed.
func (p *parser) numeric(c *Clause, quoted bool) error {
	start := p.at
	inner := &p.scanner
	if n := p.next(); quoted && (n == '\'' || n == '"') {
		s, err := p.quoted()
		if err != nil {
			return err
		}
		inner = &scanner{text: s}
	}
	f, ok := inner.number()
	if !ok || inner != &p.scanner && inner.at != len(inner.text) {
		what := "numeric attribute:"
		if c.Entity != Attribute {
			what = string(c.Entity)
		}
		return p.errorf(start, "Expected numeric value type for %s '%s'. Found %s", what, c.Key, p.found(start))
	}
	c.Numeric, c.Number = true, f
	return nil
}

// list reads the quoted texts of IN.
func (p *parser) list() ([]string, error) {
	start := p.at
	if p.next() != '(' {
		return nil, p.errorf(start, "found %s, expected a list of quoted string values like ('a', 'b')", p.found(start))
	}
	p.at++
	var list []string
	for {
		p.skipSpace()
		switch p.next() {
		case ')':
			if list == nil {
				return nil, p.errorf(p.at, "expected a non-empty list of string values, but got empty list")
			}
			p.at++
			return list, nil
		case '\'', '"':
			s, err := p.quoted()
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		default:
			return nil, p.errorf(p.at, "found %s in a list, expected a quoted string value or ')'", p.found(p.at))
		}
		p.skipSpace()
		if p.next() == ',' {
			p.at++
		} else if p.next() != ')' {
			return nil, p.errorf(p.at, "found %s in a list, expected ',' or ')'", p.found(p.at))
		}
	}
}

// pattern checks the text of the operators that take a pattern.
func (p *parser) pattern(c *Clause, start int) error {
	if c.Op != Like && c.Op != ILike && c.Op != RLike {
		return nil
	}
	if len(c.Text) > MaxPatternBytes {
		return p.errorf(start, "found a pattern of %d bytes, at most %d are allowed", len(c.Text), MaxPatternBytes)
	}
	if c.Op == RLike {
		re, err := regexp.Compile(c.Text)
		if err != nil {
			return p.errorf(start, "found %v, expected a regular expression as package regexp takes it", err)
		}
		c.regexp = re
	}
	return nil
}
