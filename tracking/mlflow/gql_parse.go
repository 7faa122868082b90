package mlflow

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

// The part of GraphQL's language that queries are written in. The bounds keep
// a small request from costing much: they are far above what the web UI sends
// and those that MLflow has.
const (
	maxQueryBytes  = 64 << 10
	maxSelections  = 1000 // in a document, and in an answer's shape
	maxDepth       = 10   // of selections, and of values
	maxAliases     = 10   // in one selection
	maxRootFields  = 10
	maxDefinitions = 50
)

// gqlDocument is a parsed request.
type gqlDocument struct {
	operations []*gqlOperation
	fragments  map[string]*gqlFragment
}

type gqlOperation struct {
	kind      string // query, mutation or subscription
	name      string
	defaults  map[string]gqlValue // of the declared variables; kind 0 where there is none
	selection []gqlSelection
}

type gqlFragment struct {
	on        string
	selection []gqlSelection
}

// gqlSelection is a field, a spread of a fragment, or an inline fragment.
type gqlSelection struct {
	alias, name string // of a field
	arguments   []gqlArgument
	spread      string // the fragment's name
	inline      bool
	on          string // the type of an inline fragment, empty for any
	directives  []gqlDirective
	selection   []gqlSelection
}

type gqlDirective struct {
	name      string
	arguments []gqlArgument
}

type gqlArgument struct {
	name  string
	value gqlValue
}

// gqlValue is a value in a document.
type gqlValue struct {
	kind   byte // '$' variable, 'n' number, 's' string, 'w' word, '[' list, '{' object; 0 none
	text   string
	list   []gqlValue
	fields []gqlArgument
}

// gqlError is a fault of a request; its text is for the sender.
type gqlError struct{ text string }

func (e *gqlError) Error() string { return e.text }

func gqlErrorf(format string, args ...any) error {
	return &gqlError{fmt.Sprintf(format, args...)}
}

// gqlParser is a recursive descent parser over one token of look-ahead.
type gqlParser struct {
	src        string
	pos        int
	kind       byte // of the token: 'w' word, 'n' number, 's' string, the punctuator, '.' spread, 0 end
	text       string
	err        error
	selections int
}

// parseGraphQL parses a document.
func parseGraphQL(src string) (*gqlDocument, error) {
	if len(src) > maxQueryBytes {
		return nil, gqlErrorf("The query has more than %d bytes", maxQueryBytes)
	}
	if !utf8.ValidString(src) {
		return nil, gqlErrorf("Syntax Error: the query is not valid UTF-8")
	}
	p := &gqlParser{src: src}
	p.next()
	doc := &gqlDocument{fragments: map[string]*gqlFragment{}}
	for n := 0; p.err == nil && p.kind != 0; n++ {
		if n == maxDefinitions {
			return nil, gqlErrorf("The query has more than %d definitions", maxDefinitions)
		}
		p.definition(doc)
	}
	if p.err == nil && len(doc.operations) == 0 {
		return nil, gqlErrorf("Must provide an operation.")
	}
	return doc, p.err
}

// fail records the first fault.
func (p *gqlParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = gqlErrorf("Syntax Error: %s at byte %d", fmt.Sprintf(format, args...), p.pos)
	}
	p.kind = 0
}

// next reads the next token.
func (p *gqlParser) next() {
	if p.err != nil {
		return
	}
	p.skipIgnored()
	p.text = ""
	if p.pos >= len(p.src) {
		p.kind = 0
		return
	}
	c := p.src[p.pos]
	switch {
	case c == '_' || isLetter(c):
		start := p.pos
		for p.pos < len(p.src) && (p.src[p.pos] == '_' || isLetter(p.src[p.pos]) || isDecimal(p.src[p.pos])) {
			p.pos++
		}
		p.kind, p.text = 'w', p.src[start:p.pos]
	case c == '-' || isDecimal(c):
		p.number()
	case c == '"':
		p.string()
	case strings.HasPrefix(p.src[p.pos:], "..."):
		p.kind, p.pos = '.', p.pos+3
	case strings.IndexByte("!$&()=:@[]{}|", c) >= 0:
		p.kind, p.pos = c, p.pos+1
	default:
		r, _ := utf8.DecodeRuneInString(p.src[p.pos:])
		p.fail("unexpected character %q", r)
	}
}

// skipIgnored skips what separates tokens: white space, commas and comments.
func (p *gqlParser) skipIgnored() {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',':
			p.pos++
		case strings.HasPrefix(p.src[p.pos:], "\ufeff"):
			p.pos += len("\ufeff")
		case c == '#':
			end := strings.IndexAny(p.src[p.pos:], "\r\n")
			if end < 0 {
				end = len(p.src) - p.pos
			}
			p.pos += end
		default:
			return
		}
	}
}

func isDecimal(c byte) bool { return c-'0' <= 9 }

func (p *gqlParser) number() {
	start := p.pos
	for p.pos < len(p.src) && (isDecimal(p.src[p.pos]) || strings.IndexByte("+-.eE", p.src[p.pos]) >= 0) {
		p.pos++
	}
	p.kind, p.text = 'n', p.src[start:p.pos]
	if !isNumber(p.text) {
		p.fail("malformed number %q", mlflowhttp.Printable(p.text))
	}
}

func (p *gqlParser) string() {
	if strings.HasPrefix(p.src[p.pos:], `"""`) {
		body, _, ok := strings.Cut(p.src[p.pos+3:], `"""`)
		if !ok || strings.HasSuffix(body, `\`) {
			p.fail("unterminated string")
			return
		}
		p.kind, p.text = 's', body
		p.pos += len(body) + 6
		return
	}
	end := p.pos + 1
	for end < len(p.src) && p.src[end] != '"' && p.src[end] >= ' ' {
		if p.src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.src) || p.src[end] != '"' {
		p.fail("unterminated string")
		return
	}
	// The escapes are JSON's, which Go's are a superset of in this form.
	text, err := strconv.Unquote(strings.ReplaceAll(p.src[p.pos:end+1], `\/`, `/`))
	if err != nil || !utf8.ValidString(text) {
		p.fail("malformed string")
		return
	}
	p.kind, p.text, p.pos = 's', text, end+1
}

// take consumes a token of the kind and returns its text.
func (p *gqlParser) take(kind byte, what string) string {
	text := p.text
	if p.kind != kind || p.err != nil {
		p.fail("expected %s", what)
		return ""
	}
	p.next()
	return text
}

// skip consumes a token of the kind if it comes next.
func (p *gqlParser) skip(kind byte) bool {
	if p.kind != kind || p.err != nil {
		return false
	}
	p.next()
	return true
}

func (p *gqlParser) definition(doc *gqlDocument) {
	if p.kind == '{' {
		doc.operations = append(doc.operations, &gqlOperation{kind: "query", selection: p.selectionSet(1)})
		return
	}
	switch word := p.take('w', "a definition"); word {
	case "query", "mutation", "subscription":
		op := &gqlOperation{kind: word, defaults: map[string]gqlValue{}}
		if p.kind == 'w' {
			op.name = p.take('w', "a name")
		}
		p.variables(op)
		p.directives()
		op.selection = p.selectionSet(1)
		doc.operations = append(doc.operations, op)
	case "fragment":
		name := p.take('w', "a fragment's name")
		if on := p.take('w', `"on"`); on != "on" {
			p.fail(`expected "on"`)
		}
		f := &gqlFragment{on: p.take('w', "a type's name")}
		p.directives()
		f.selection = p.selectionSet(1)
		if doc.fragments[name] != nil {
			p.fail("a second fragment %q", name)
		}
		doc.fragments[name] = f
	default:
		p.fail("unexpected %q", mlflowhttp.Printable(word))
	}
}

// variables reads the declarations of an operation's variables. Their types
// are left to the decoding of the input that they go into.
func (p *gqlParser) variables(op *gqlOperation) {
	if !p.skip('(') {
		return
	}
	for p.err == nil && p.kind != ')' {
		p.take('$', "a variable")
		name := p.take('w', "a variable's name")
		p.take(':', "':'")
		p.typeRef(1)
		var byDefault gqlValue
		if p.skip('=') {
			byDefault = p.value(1)
		}
		p.directives()
		op.defaults[name] = byDefault
	}
	p.take(')', "')'")
}

func (p *gqlParser) typeRef(depth int) {
	if depth > maxDepth {
		p.fail("a type is nested too deeply")
	}
	if p.skip('[') {
		p.typeRef(depth + 1)
		p.take(']', "']'")
	} else {
		p.take('w', "a type")
	}
	p.skip('!')
}

func (p *gqlParser) selectionSet(depth int) []gqlSelection {
	if depth > maxDepth {
		p.err = gqlErrorf("Query exceeds maximum depth of %d", maxDepth)
		return nil
	}
	p.take('{', "'{'")
	var list []gqlSelection
	for p.err == nil && p.kind != '}' {
		if p.selections++; p.selections > maxSelections {
			p.err = gqlErrorf("Query exceeds maximum total selections of %d", maxSelections)
			return nil
		}
		list = append(list, p.selectionOf(depth))
	}
	p.take('}', "'}'")
	if len(list) == 0 {
		p.fail("an empty selection")
	}
	return list
}

func (p *gqlParser) selectionOf(depth int) gqlSelection {
	var s gqlSelection
	if p.skip('.') {
		if p.kind == 'w' && p.text != "on" {
			s.spread = p.take('w', "a fragment's name")
			s.directives = p.directives()
			return s
		}
		s.inline = true
		if p.kind == 'w' {
			p.next()
			s.on = p.take('w', "a type's name")
		}
		s.directives = p.directives()
		s.selection = p.selectionSet(depth + 1)
		return s
	}
	s.name = p.take('w', "a field")
	if p.skip(':') {
		s.alias, s.name = s.name, p.take('w', "a field")
	}
	s.arguments = p.arguments()
	s.directives = p.directives()
	if p.kind == '{' {
		s.selection = p.selectionSet(depth + 1)
	}
	return s
}

func (p *gqlParser) arguments() []gqlArgument {
	if !p.skip('(') {
		return nil
	}
	var list []gqlArgument
	for p.err == nil && p.kind != ')' {
		list = p.argument(list, 1)
	}
	p.take(')', "')'")
	return list
}

func (p *gqlParser) argument(list []gqlArgument, depth int) []gqlArgument {
	name := p.take('w', "a name")
	for _, a := range list {
		if a.name == name {
			p.fail("%q twice", name)
		}
	}
	p.take(':', "':'")
	return append(list, gqlArgument{name, p.value(depth)})
}

func (p *gqlParser) directives() []gqlDirective {
	var list []gqlDirective
	for p.skip('@') {
		d := gqlDirective{name: p.take('w', "a directive's name")}
		d.arguments = p.arguments()
		if list = append(list, d); len(list) > maxDepth {
			p.fail("too many directives")
		}
	}
	return list
}

func (p *gqlParser) value(depth int) gqlValue {
	if depth > maxDepth {
		p.fail("a value is nested too deeply")
		return gqlValue{}
	}
	v := gqlValue{kind: p.kind, text: p.text}
	switch p.kind {
	case '$':
		p.next()
		v.text = p.take('w', "a variable's name")
	case 'w', 'n', 's':
		p.next()
	case '[':
		p.next()
		for p.err == nil && p.kind != ']' {
			v.list = append(v.list, p.value(depth+1))
		}
		p.take(']', "']'")
	case '{':
		p.next()
		for p.err == nil && p.kind != '}' {
			v.fields = p.argument(v.fields, depth+1)
		}
		p.take('}', "'}'")
	default:
		p.fail("expected a value")
	}
	return v
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
