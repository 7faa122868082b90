package ingest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// jsonGrammar reads JSON Lines: one object a line, empty lines are no rows. A
// column that an object lacks is null.
type jsonGrammar struct {
	schema  *arrow.Schema
	clock   clock
	lenient bool // Names that the records do not have are skipped.
}

func (g *jsonGrammar) cut(data []byte, last bool) int {
	if last {
		return len(data)
	}
	return bytes.LastIndexByte(data, '\n') + 1
}

func (g *jsonGrammar) parse(data []byte, b *array.RecordBuilder) (faults []rowFault) {
	p := newJSONParser(nil, g.clock)
	p.lenient = g.lenient
	root := newObject(g.schema.Fields())
	builders := b.Fields()
	rows := 0
	for pos := 0; pos < len(data); {
		line, next := data[pos:], len(data)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], pos+i+1
		}
		start := pos
		pos = next
		if line = bytes.TrimRight(line, " \t\r"); len(bytes.TrimLeft(line, " \t")) == 0 {
			continue
		}
		p.data, p.pos = line, 0
		f := p.row(root, builders)
		rows++
		for _, column := range builders {
			settle(column, rows)
		}
		if f != nil {
			faults = append(faults, rowFault{row: rows - 1, at: start, column: strings.Join(f.path, "."), value: excerpt(f.value), reason: f.reason})
		}
	}
	return faults
}

// jsonFault is why a value cannot be read.
type jsonFault struct {
	path   []string // Names from the outside in.
	value  []byte
	reason string
}

func (f *jsonFault) in(name string) *jsonFault {
	f.path = append([]string{name}, f.path...)
	return f
}

// jsonParser appends JSON values to builders.
type jsonParser struct {
	jsonText
	clock   clock
	lenient bool
	objects map[*arrow.StructType]*object
	cells   map[arrow.DataType]cellParser
}

func newJSONParser(data []byte, c clock) *jsonParser {
	return &jsonParser{jsonText: jsonText{data: data}, clock: c}
}

// object finds the fields of an object by their names.
type object struct {
	fields []arrow.Field
	at     map[string]int
	seen   []int // seen[i] is the round in which field i was met last.
	round  int
	next   int // The field that follows the one found last, which is tried first.
}

func newObject(fields []arrow.Field) *object {
	o := &object{fields: fields, at: make(map[string]int, len(fields)), seen: make([]int, len(fields))}
	for i, f := range fields {
		o.at[f.Name] = i
	}
	return o
}

func (o *object) find(name []byte) (int, bool) {
	if o.next < len(o.fields) && string(name) == o.fields[o.next].Name {
		o.next++
		return o.next - 1, true
	}
	i, ok := o.at[string(name)]
	if ok {
		o.next = i + 1
	}
	return i, ok
}

func (p *jsonParser) fail(from int, format string, args ...any) *jsonFault {
	from = min(from, len(p.data))
	return &jsonFault{value: p.data[from:max(from, min(p.pos, len(p.data)))], reason: fmt.Sprintf(format, args...)}
}

// row reads one line.
func (p *jsonParser) row(root *object, builders []array.Builder) *jsonFault {
	if p.peek() != '{' {
		if p.peek() == '[' {
			return &jsonFault{reason: "is a JSON array, want one object a line: jq -c '.[]' makes them"}
		}
		return &jsonFault{value: p.data, reason: "is not a JSON object"}
	}
	if f := p.object(root, builders, 0); f != nil {
		return f
	}
	if p.space(); p.pos < len(p.data) {
		return &jsonFault{value: p.data[p.pos:], reason: "follows the object on its line"}
	}
	return nil
}

// object reads an object into the builders of its fields. The names that it
// lacks are left to settle.
func (p *jsonParser) object(o *object, builders []array.Builder, depth int) *jsonFault {
	start := p.pos
	p.pos++
	o.round++
	o.next = 0
	round := o.round
	for first := true; !p.take('}'); first = false {
		if !first && !p.take(',') || p.peek() != '"' {
			return p.fail(start, "is not JSON")
		}
		name, reason := p.text()
		if reason != "" {
			return p.fail(start, "%s", reason)
		}
		i, known := o.find(name)
		if !known {
			// The text is in the scratch memory, which the value will overwrite.
			unknown := string(name)
			if !p.take(':') {
				return p.fail(start, "is not JSON")
			}
			if reason := p.skip(depth + 1); reason != "" {
				return p.fail(start, "%s", reason).in(unknown)
			}
			if !p.lenient {
				return (&jsonFault{reason: "is not a column of the records: it was not in the sample; Options.IgnoreUnknown skips it"}).in(unknown)
			}
			continue
		}
		if !p.take(':') {
			return p.fail(start, "is not JSON")
		}
		if o.seen[i] == round {
			return (&jsonFault{reason: "is there twice"}).in(o.fields[i].Name)
		}
		o.seen[i] = round
		if f := p.value(builders[i], o.fields[i].Type, depth+1); f != nil {
			return f.in(o.fields[i].Name)
		}
	}
	return nil
}

// value reads one value of a type into its builder.
func (p *jsonParser) value(b array.Builder, t arrow.DataType, depth int) *jsonFault {
	if depth > maxDepth {
		return p.fail(p.pos, "is nested too deep")
	}
	c := p.peek()
	start := p.pos
	if c == 'n' && p.word("null") {
		b.AppendNull()
		return nil
	}
	switch t := t.(type) {
	case *arrow.StructType:
		if c != '{' {
			return p.mismatch(start, "an object")
		}
		s := b.(*array.StructBuilder)
		s.Append(true)
		fields := make([]array.Builder, s.NumField())
		for i := range fields {
			fields[i] = s.FieldBuilder(i)
		}
		f := p.object(p.objectOf(t), fields, depth)
		settle(s, s.Len())
		return f
	case *arrow.MapType:
		if c != '{' {
			return p.mismatch(start, "an object")
		}
		return p.mapping(b.(*array.MapBuilder), t, depth)
	case *arrow.ListType:
		if c != '[' {
			return p.mismatch(start, "an array")
		}
		l := b.(*array.ListBuilder)
		l.Append(true)
		p.pos++
		for first := true; !p.take(']'); first = false {
			if !first && !p.take(',') {
				return p.fail(start, "is not JSON")
			}
			if f := p.value(l.ValueBuilder(), t.Elem(), depth+1); f != nil {
				return f
			}
		}
		return nil
	}
	return p.scalar(b, t, c)
}

// objectOf keeps the names of a struct type, which cannot lie in itself.
func (p *jsonParser) objectOf(t *arrow.StructType) *object {
	if o := p.objects[t]; o != nil {
		return o
	}
	if p.objects == nil {
		p.objects = map[*arrow.StructType]*object{}
	}
	o := newObject(t.Fields())
	p.objects[t] = o
	return o
}

func (p *jsonParser) mapping(m *array.MapBuilder, t *arrow.MapType, depth int) *jsonFault {
	start := p.pos
	if t.KeyType().ID() != arrow.STRING {
		return p.fail(start, "is a map of %s: in JSON the keys are text", t.KeyType())
	}
	m.Append(true)
	p.pos++
	for first := true; !p.take('}'); first = false {
		if !first && !p.take(',') || p.peek() != '"' {
			return p.fail(start, "is not JSON")
		}
		key, reason := p.text()
		if reason != "" {
			return p.fail(start, "%s", reason)
		}
		m.KeyBuilder().(*array.StringBuilder).BinaryBuilder.Append(key)
		if !p.take(':') {
			return p.fail(start, "is not JSON")
		}
		if f := p.value(m.ItemBuilder(), t.ItemType(), depth+1); f != nil {
			return f
		}
	}
	return nil
}

// scalar reads a text, a number or a truth value. A column of text takes all of
// them, the last two as they stand.
func (p *jsonParser) scalar(b array.Builder, t arrow.DataType, first byte) *jsonFault {
	start := p.pos
	var text []byte
	var reason string
	quoted := first == '"'
	switch {
	case quoted:
		if text, reason = p.text(); reason != "" {
			return p.fail(start, "%s", reason)
		}
	case first == '{' || first == '[':
		return p.mismatch(start, name(t))
	case p.word("true"), p.word("false"):
		text = p.data[start:p.pos]
	default:
		var ok bool
		if text, _, ok = p.number(); !ok {
			p.pos = min(start+maxValueText, len(p.data))
			return p.fail(start, "is not JSON")
		}
	}
	switch t.ID() {
	case arrow.BINARY:
		if !quoted {
			return p.mismatch(start, "binary, which JSON has as base64")
		}
		raw, err := base64.StdEncoding.AppendDecode(nil, text)
		if err != nil {
			return p.fail(start, "is not base64")
		}
		b.(*array.BinaryBuilder).Append(raw)
		return nil
	case arrow.BOOL:
		if quoted || text[0] != 't' && text[0] != 'f' {
			return p.mismatch(start, name(t))
		}
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		if quoted || text[0] == 't' || text[0] == 'f' {
			return p.mismatch(start, name(t))
		}
	case arrow.FLOAT32, arrow.FLOAT64, arrow.DECIMAL128:
		// Numbers that JSON has no way to say (NaN) come as text, and so do
		// decimals that a double would round.
		if text[0] == 't' || text[0] == 'f' {
			return p.mismatch(start, name(t))
		}
	case arrow.DATE32, arrow.TIMESTAMP:
		if !quoted {
			return p.mismatch(start, name(t))
		}
	}
	if reason := p.cell(t)(b, text); reason != "" {
		return p.fail(start, "%s", reason)
	}
	return nil
}

func (p *jsonParser) cell(t arrow.DataType) cellParser {
	if c := p.cells[t]; c != nil {
		return c
	}
	if p.cells == nil {
		p.cells = map[arrow.DataType]cellParser{}
	}
	c := cellFor(t, p.clock)
	p.cells[t] = c
	return c
}

// mismatch is the fault of a value of another type.
func (p *jsonParser) mismatch(start int, want string) *jsonFault {
	p.pos = start
	if reason := p.skip(0); reason != "" {
		return p.fail(start, "%s", reason)
	}
	return p.fail(start, "is not %s", want)
}

// name says a type in an error.
func name(t arrow.DataType) string {
	switch t.ID() {
	case arrow.STRING:
		return "text"
	case arrow.BOOL:
		return "true or false"
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		return "an " + t.String()
	}
	return "a " + t.String()
}

// settle gives a builder n values, and makes what is inside it agree: a row may
// lack values, or end in the middle of one.
func settle(b array.Builder, n int) {
	for b.Len() < n {
		b.AppendNull()
	}
	switch b := b.(type) {
	case *array.StructBuilder:
		for i := range b.NumField() {
			settle(b.FieldBuilder(i), b.Len())
		}
	case *array.MapBuilder:
		settle(b.ItemBuilder(), b.KeyBuilder().Len())
	case *array.ListBuilder:
		v := b.ValueBuilder()
		settle(v, v.Len())
	}
}
