package registry

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The part of YAML that MLmodel files are written in: what PyYAML's safe_dump
// gives, and what people write by hand beside it. Block and flow collections,
// all styles of scalars, comments, anchors and aliases are read. Tags (which
// name types to build), merge keys, tabs as indentation and further documents
// are refused, so nothing in a file makes this program do anything.

// Bounds of a document. Aliases count as often as they are used, which is what
// makes a small text large.
const (
	maxYAML      = 8 << 20
	maxYAMLDepth = 50
	maxYAMLNodes = 200_000
)

// yamlError is a fault with its line.
type yamlError struct {
	line int
	why  string
}

func (e *yamlError) Error() string {
	return fmt.Sprintf("line %d: %s: %v", e.line, e.why, errs.ErrInvalid)
}
func (e *yamlError) Unwrap() error { return errs.ErrInvalid }

// parseYAML returns nil, bool, int64, float64, string, []any or map[string]any.
// Keys that are no texts become them: 1 is "1".
func parseYAML(text []byte) (v any, err error) {
	switch {
	case len(text) > maxYAML:
		return nil, fmt.Errorf("more than %d bytes: %w", maxYAML, errs.ErrInvalid)
	case !utf8.Valid(text):
		return nil, fmt.Errorf("it is not UTF-8: %w", errs.ErrInvalid)
	case bytes.ContainsAny(text, "\u0085\u2028\u2029"): // ends of lines to YAML, and to nobody else
		return nil, fmt.Errorf("it holds a line separator of Unicode that is not escaped: %w", errs.ErrInvalid)
	}
	p := &yamlParser{lines: strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n"), anchors: map[string]yamlAnchor{}}
	defer func() {
		if fault := recover(); fault != nil {
			e, ok := fault.(*yamlError)
			if !ok {
				panic(fault)
			}
			v, err = nil, e
		}
	}()
	for i, line := range p.lines {
		p.lines[i] = strings.TrimSuffix(line, "\r")
	}
	return p.document(), nil
}

type yamlParser struct {
	lines   []string
	n, c    int // line and column of what comes next
	depth   int
	nodes   int
	anchors map[string]yamlAnchor
}

type yamlAnchor struct {
	value any
	nodes int // of the value
}

// fail ends the parsing; parseYAML catches it.
func (p *yamlParser) fail(format string, args ...any) {
	panic(&yamlError{line: min(p.n, len(p.lines)-1) + 1, why: fmt.Sprintf(format, args...)})
}

func (p *yamlParser) count(n int) {
	if p.nodes += n; p.nodes > maxYAMLNodes {
		p.fail("more than %d values", maxYAMLNodes)
	}
}

func (p *yamlParser) enter() {
	if p.depth++; p.depth > maxYAMLDepth {
		p.fail("nested more than %d deep", maxYAMLDepth)
	}
}

// document is the whole text.
func (p *yamlParser) document() any {
	for p.next() && strings.HasPrefix(p.lines[p.n], "%") {
		p.fail("a directive")
	}
	if p.next() && isMarker(p.lines[p.n], "---") {
		if !blank(p.lines[p.n][3:]) {
			p.fail("content behind ---")
		}
		p.n++
	}
	if !p.next() {
		return nil
	}
	v := p.block(p.indent(), -1)
	if p.next() && isMarker(p.lines[p.n], "...") {
		p.n++
	}
	if p.next() {
		p.fail("unexpected text %q, check its indentation", cut(p.lines[p.n]))
	}
	return v
}

func isMarker(line, marker string) bool {
	return strings.HasPrefix(line, marker) && (len(line) == 3 || line[3] == ' ')
}

// blank reports a text of spaces or a comment.
func blank(s string) bool {
	s = strings.TrimLeft(s, " ")
	return s == "" || s[0] == '#'
}

// next goes to the next line with content; false at the end.
func (p *yamlParser) next() bool {
	for p.n < len(p.lines) && blank(p.lines[p.n]) {
		p.n++
	}
	p.c = 0
	return p.n < len(p.lines)
}

// indent of the present line.
func (p *yamlParser) indent() int {
	line := p.lines[p.n]
	i := len(line) - len(strings.TrimLeft(line, " "))
	if line[i] == '\t' {
		p.fail("indented by a tab")
	}
	return i
}

// block reads the node whose first line is the present one, indented by
// indent; parent is the indentation of the collection around it.
func (p *yamlParser) block(indent, parent int) any {
	p.enter()
	defer func() { p.depth-- }()
	line := p.lines[p.n]
	switch {
	case isItem(line[indent:]):
		return p.sequence(indent)
	case p.isKey(line, indent):
		return p.mapping(indent)
	}
	p.c = indent
	return p.inline(parent)
}

// isItem reports whether a text begins an item of a block sequence.
func isItem(s string) bool { return s == "-" || strings.HasPrefix(s, "- ") }

// keyEnd returns where the colon of the key that begins at col is, -1 when
// there is none.
func (p *yamlParser) keyEnd(line string, col int) int {
	i := col
	if line[col] == '"' || line[col] == '\'' {
		quote := line[col]
		for i = col + 1; i < len(line); i++ {
			if line[i] == '\\' && quote == '"' {
				i++
			} else if line[i] == quote {
				if quote == '\'' && i+1 < len(line) && line[i+1] == quote {
					i++
					continue
				}
				break
			}
		}
		if i >= len(line) {
			return -1
		}
		for i++; i < len(line) && line[i] == ' '; i++ {
		}
		if i < len(line) && line[i] == ':' && (i+1 == len(line) || line[i+1] == ' ') {
			return i
		}
		return -1
	}
	if strings.IndexByte("[{&*!|>%@`#,]}", line[col]) >= 0 {
		return -1
	}
	for ; i < len(line); i++ {
		switch {
		case line[i] == ':' && (i+1 == len(line) || line[i+1] == ' '):
			return i
		case line[i] == '#' && i > 0 && line[i-1] == ' ':
			return -1
		}
	}
	return -1
}

func (p *yamlParser) isKey(line string, col int) bool {
	return isLongKey(line[col:]) || p.keyEnd(line, col) >= 0
}

func isLongKey(s string) bool { return s == "?" || strings.HasPrefix(s, "? ") }

// sequence reads the items at indent.
func (p *yamlParser) sequence(indent int) any {
	list := []any{}
	for p.next() && p.indent() == indent && isItem(p.lines[p.n][indent:]) {
		list = append(list, p.behind(indent, indent, indent+1))
	}
	return list
}

// behind reads the value behind an indicator of one byte at col, like "-", in
// a collection at indent. It may begin on the same line, as a collection too.
func (p *yamlParser) behind(col, indent, least int) any {
	line := p.lines[p.n]
	rest := line[col+1:]
	if blank(rest) {
		p.n++
		return p.below(indent, least)
	}
	// The indicator counts as indentation of what is behind it.
	p.lines[p.n] = line[:indent] + strings.Repeat(" ", col+1-indent) + rest
	at := len(p.lines[p.n]) - len(strings.TrimLeft(p.lines[p.n], " "))
	if p.lines[p.n][at] == '\t' {
		p.fail("a tab")
	}
	if c := p.lines[p.n][at]; c == '&' {
		p.c = at
		return p.anchored(indent, least)
	}
	return p.block(at, indent)
}

// below reads a value that begins on a later line, indented by least or more;
// nil when there is none.
func (p *yamlParser) below(indent, least int) any {
	if !p.next() || p.indent() < least {
		p.count(1)
		return nil
	}
	at := p.indent()
	if at == indent && !isItem(p.lines[p.n][at:]) { // of a sequence as deep as its key
		p.count(1)
		return nil
	}
	parent := indent
	if at == indent {
		parent = indent - 1
	}
	return p.block(at, parent)
}

// mapping reads the entries at indent.
func (p *yamlParser) mapping(indent int) any {
	m := map[string]any{}
	for p.next() && p.indent() == indent {
		line := p.lines[p.n]
		if isItem(line[indent:]) || indent == 0 && isMarker(line, "...") {
			break
		}
		var key string
		if isLongKey(line[indent:]) {
			key = p.key(p.behind(indent, indent, indent+1))
			if !p.next() || p.indent() != indent || !strings.HasPrefix(p.lines[p.n][indent:], ":") {
				p.put(m, key, nil)
				continue
			}
			if rest := p.lines[p.n][indent+1:]; rest != "" && rest[0] != ' ' {
				p.fail("a colon without a space behind it")
			}
			p.put(m, key, p.behind(indent, indent, indent))
			continue
		}
		end := p.keyEnd(line, indent)
		if end < 0 {
			p.fail("%q is no key with a value", cut(line[indent:]))
		}
		key = p.plainKey(line, indent, end)
		if blank(line[end+1:]) {
			p.n++
			p.put(m, key, p.below(indent, indent))
			continue
		}
		p.c = end + 1
		p.spaces()
		if p.lines[p.n][p.c] == '&' {
			p.put(m, key, p.anchored(indent, indent))
			continue
		}
		p.put(m, key, p.inline(indent))
	}
	p.count(1)
	return m
}

func (p *yamlParser) put(m map[string]any, key string, v any) {
	if _, twice := m[key]; twice {
		p.fail("the key %q appears twice", cut(key))
	}
	m[key] = v
}

// plainKey is the text of a key that ends before the colon at end.
func (p *yamlParser) plainKey(line string, col, end int) string {
	text := strings.TrimRight(line[col:end], " ")
	if text == "" {
		p.fail("a value without a key")
	}
	if text == "<<" {
		p.fail("a merge key")
	}
	if text[0] != '"' && text[0] != '\'' {
		return p.key(resolveYAML(text))
	}
	p.c = col
	return p.quoted(-1)
}

// key makes a text of a key.
func (p *yamlParser) key(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case nil:
		return "null"
	}
	p.fail("a key that is no scalar")
	return ""
}

// anchored reads "&name" and the value that it names.
func (p *yamlParser) anchored(indent, least int) any {
	name := p.name()
	before := p.nodes
	var v any
	if rest := p.lines[p.n][p.c:]; blank(rest) {
		p.n++
		v = p.below(indent, least)
	} else {
		p.spaces()
		if strings.IndexByte("&*", p.lines[p.n][p.c]) >= 0 {
			p.fail("an anchor before an alias or another anchor")
		}
		v = p.inline(indent)
	}
	p.anchors[name] = yamlAnchor{value: v, nodes: p.nodes - before}
	return v
}

// name reads the name of an anchor or alias behind its indicator.
func (p *yamlParser) name() string {
	line := p.lines[p.n]
	start := p.c + 1
	end := start
	for end < len(line) && strings.IndexByte(" ,[]{}", line[end]) < 0 {
		end++
	}
	if end == start {
		p.fail("an anchor or alias without a name")
	}
	p.c = end
	return line[start:end]
}

func (p *yamlParser) alias() any {
	name := p.name()
	a, ok := p.anchors[name]
	if !ok {
		p.fail("the alias %q names nothing before it", cut(name))
	}
	p.count(a.nodes)
	return a.value
}

func (p *yamlParser) spaces() {
	line := p.lines[p.n]
	for p.c < len(line) && line[p.c] == ' ' {
		p.c++
	}
}

// inline reads a value that begins at the present place and goes to the next
// line after it; the lines that it goes on with are indented by more than
// parent.
func (p *yamlParser) inline(parent int) any {
	p.count(1)
	line := p.lines[p.n]
	var v any
	switch line[p.c] {
	case '*':
		v = p.alias()
	case '"', '\'':
		v = p.quoted(parent)
	case '[', '{':
		v = p.flow()
	case '|', '>':
		return p.literal(parent)
	case '!':
		p.fail("the tag %q", cut(line[p.c:]))
	case '&':
		p.fail("an anchor here")
	default:
		return p.plain(parent)
	}
	if rest := p.lines[p.n][p.c:]; !blank(rest) || strings.HasPrefix(rest, "#") {
		p.fail("%q behind a value", cut(rest))
	}
	p.n++
	return v
}
