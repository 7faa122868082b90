package mlflowapi

import (
	"bytes"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// DecodeRequest parses body, one JSON object, into msg, a pointer to a
// message. An empty body and null are empty objects; a string that holds the
// object is accepted too, as some old clients send. The error is an *Error.
func DecodeRequest(body []byte, msg any) error {
	s := scanner{data: body, strict: true}
	switch s.space() {
	case '"':
		inner, f := s.text()
		if f == nil {
			f = s.end()
		}
		if f != nil {
			return f.err()
		}
		s = scanner{data: bytes.Clone(inner), strict: true}
	case 0:
		if s.pos >= len(body) {
			s = scanner{data: []byte("{}")}
		}
	case 'n':
		if s.literal("null") == nil && s.end() == nil {
			s = scanner{data: []byte("{}")}
		}
	}
	if err := decode(&s, msg); err != nil {
		return err
	}
	return finish(msg)
}

// Decode parses body, one JSON object, into msg, a pointer to a message. What
// is required of a request is not required here. The error is an *Error.
func Decode(body []byte, msg any) error {
	return decode(&scanner{data: body}, msg)
}

func decode(s *scanner, msg any) error {
	v := reflect.ValueOf(msg).Elem()
	f := s.value(planOf(v.Type()), v)
	if f == nil {
		f = s.end()
	}
	return f.err()
}

// DecodeQuery fills msg, a pointer to a message, from the arguments of a URL:
// a repeated field takes all values of its name, any other the first. The
// error is an *Error.
func DecodeQuery(query url.Values, msg any) error {
	v := reflect.ValueOf(msg).Elem()
	p := planOf(v.Type())
	for i := range p.fields {
		fld := &p.fields[i]
		texts := query[fld.name]
		if len(texts) == 0 {
			if texts = query[camelCase(fld.name)]; len(texts) == 0 {
				continue
			}
		} else if alias := camelCase(fld.name); alias != fld.name && query.Has(alias) {
			return (&fault{kind: faultTwice, path: fld.name}).err()
		}
		for _, text := range texts {
			if strings.ContainsRune(text, 0) {
				return InvalidValue(fld.name, quote(text), "NUL is not allowed.")
			}
		}
		if f := setTexts(fld.plan, v.Field(fld.index), texts); f != nil {
			return f.in(fld.name).err()
		}
	}
	return finish(msg)
}

// finish checks what is required of a request.
func finish(msg any) error {
	if n, ok := msg.(normalizer); ok {
		n.normalize()
	}
	v := reflect.ValueOf(msg).Elem()
	for _, fld := range planOf(v.Type()).fields {
		if fld.required && v.Field(fld.index).IsZero() {
			return Missing(fld.name)
		}
	}
	return nil
}

// bad is the fault of a value of the wrong type.
func bad(raw []byte, hint string) *fault {
	return &fault{kind: faultValue, raw: string(raw), want: hint}
}

// wrong consumes a value and returns the fault that it is none of what want
// says.
func (s *scanner) wrong(want string) *fault {
	raw, f := s.skip()
	if f != nil {
		return f
	}
	return bad(raw, "want "+want+".")
}

// value consumes a value into v.
func (s *scanner) value(p *plan, v reflect.Value) *fault {
	if p.decodes {
		return v.Addr().Interface().(decoder).decode(s)
	}
	c := s.space()
	switch p.shape {
	case shapeText:
		if c != '"' {
			return s.wrong("a string")
		}
		text, f := s.text()
		if f == nil {
			v.SetString(string(text))
		}
		return f
	case shapeEnum:
		return s.enumValue(p, v)
	case shapeInt:
		n, f := s.integer()
		if f == nil && v.OverflowInt(n) {
			return bad(strconv.AppendInt(nil, n, 10), "it is out of range.")
		}
		v.SetInt(n)
		return f
	case shapeFloat:
		n, f := s.float()
		v.SetFloat(n)
		return f
	case shapeBool:
		if c != 't' && c != 'f' {
			return s.wrong("true or false")
		}
		v.SetBool(c == 't')
		_, f := s.skip()
		return f
	case shapeRaw:
		raw, f := s.skip()
		v.SetBytes(bytes.Clone(raw))
		return f
	case shapePointer:
		v.Set(reflect.New(p.elem.typ))
		return s.value(p.elem, v.Elem())
	case shapeSlice:
		if c != '[' {
			return s.wrong("an array")
		}
		return s.sliceValue(p, v)
	case shapeMap:
		if c != '{' {
			return s.wrong("an object")
		}
		return s.mapValue(p, v)
	}
	if c != '{' {
		return s.wrong("an object")
	}
	return s.structValue(p, v)
}

func (s *scanner) structValue(p *plan, v reflect.Value) *fault {
	var seen uint64 // messages have fewer fields than 64
	return s.object(func(name []byte) *fault {
		i, known := p.byName[string(name)]
		if !known {
			_, f := s.skip()
			return f
		}
		fld := &p.fields[i]
		if seen&(1<<i) != 0 {
			return &fault{kind: faultTwice, path: fld.name}
		}
		seen |= 1 << i
		if fld.plan.shape != shapeRaw && s.null() {
			return nil
		}
		return s.value(fld.plan, v.Field(fld.index)).in(fld.name)
	})
}

func (s *scanner) sliceValue(p *plan, v reflect.Value) *fault {
	v.Set(reflect.MakeSlice(p.typ, 0, 4))
	return s.array(func(i int) *fault {
		if i == v.Cap() {
			v.Grow(i)
		}
		v.SetLen(i + 1)
		v.Index(i).SetZero()
		if f := s.value(p.elem, v.Index(i)); f != nil {
			return f.in("[" + strconv.Itoa(i) + "]")
		}
		return nil
	})
}

func (s *scanner) mapValue(p *plan, v reflect.Value) *fault {
	v.Set(reflect.MakeMap(p.typ))
	return s.object(func(name []byte) *fault {
		key := reflect.ValueOf(string(name)).Convert(p.typ.Key())
		path := "[" + quote(string(name)) + "]"
		if v.MapIndex(key).IsValid() {
			return (&fault{kind: faultTwice}).in(path)
		}
		elem := reflect.New(p.elem.typ).Elem()
		if f := s.value(p.elem, elem); f != nil {
			return f.in(path)
		}
		v.SetMapIndex(key, elem)
		return nil
	})
}

// integer consumes an integer, which may come as a string.
func (s *scanner) integer() (int64, *fault) {
	switch c := s.space(); {
	case c == '"':
		start := s.pos
		text, f := s.text()
		if f != nil {
			return 0, f
		}
		n, ok := parseIntText(string(text))
		if !ok {
			return 0, bad(s.data[start:s.pos], "want an integer.")
		}
		return n, nil
	case c == '-' || isDigit(c):
		raw, integer, f := s.number()
		if f != nil {
			return 0, f
		}
		n, ok := parseInt(raw, integer)
		if !ok {
			return 0, bad(raw, "want an integer of 64 bits.")
		}
		return n, nil
	}
	return 0, s.wrong("an integer")
}

// float consumes a number, which may come as a string.
func (s *scanner) float() (float64, *fault) {
	switch c := s.space(); {
	case c == '"':
		start := s.pos
		text, f := s.text()
		if f != nil {
			return 0, f
		}
		n, ok := parseFloatText(string(text))
		if !ok {
			return 0, bad(s.data[start:s.pos], "want a number.")
		}
		return n, nil
	case c == '-' || isDigit(c):
		raw, _, f := s.number()
		if f != nil {
			return 0, f
		}
		n, ok := parseFloat(raw)
		if !ok || math.IsInf(n, 0) {
			return 0, bad(raw, `it is out of range; infinity is "Infinity".`)
		}
		return n, nil
	case c == 'N' || c == 'I':
		return 0, s.syntax(`a number; write NaN and Infinity as strings`)
	}
	return 0, s.wrong("a number")
}

func (s *scanner) enumValue(p *plan, v reflect.Value) *fault {
	c := s.space()
	if c != '"' && c != '-' && !isDigit(c) {
		return s.wrong("one of " + p.choices())
	}
	start := s.pos
	raw, f := s.skip()
	if f != nil {
		return f
	}
	text := string(raw)
	if c == '"' {
		s.pos = start
		name, _ := s.text()
		text = string(name)
	}
	return setEnum(p, v, text, raw)
}

// setEnum sets v by name or number.
func setEnum(p *plan, v reflect.Value, text string, raw []byte) *fault {
	if _, ok := p.names[text]; ok {
		v.SetString(text)
		return nil
	}
	if n, ok := parseIntText(text); ok {
		if name, ok := p.labels[n]; ok {
			v.SetString(name)
			return nil
		}
	}
	return bad(raw, "want one of "+p.choices()+".")
}

// setTexts sets v to the values of a URL's argument.
func setTexts(p *plan, v reflect.Value, texts []string) *fault {
	text := texts[0]
	switch p.shape {
	case shapeText:
		v.SetString(text)
		return nil
	case shapeEnum:
		return setEnum(p, v, text, []byte(quote(text)))
	case shapeInt:
		n, ok := parseIntText(text)
		if !ok || v.OverflowInt(n) {
			return bad([]byte(quote(text)), "want an integer.")
		}
		v.SetInt(n)
		return nil
	case shapeFloat:
		n, ok := parseFloatText(text)
		if !ok {
			return bad([]byte(quote(text)), "want a number.")
		}
		v.SetFloat(n)
		return nil
	case shapeBool:
		lower := strings.ToLower(text)
		if lower != "true" && lower != "false" {
			return bad([]byte(quote(text)), "want 'true' or 'false'.")
		}
		v.SetBool(lower == "true")
		return nil
	case shapePointer:
		v.Set(reflect.New(p.elem.typ))
		return setTexts(p.elem, v.Elem(), texts)
	case shapeSlice:
		v.Set(reflect.MakeSlice(p.typ, len(texts), len(texts)))
		for i := range texts {
			if f := setTexts(p.elem, v.Index(i), texts[i:i+1]); f != nil {
				return f.in("[" + strconv.Itoa(i) + "]")
			}
		}
		return nil
	}
	return bad([]byte(quote(text)), "it cannot be given in the URL.")
}

// quote returns s as JSON.
func quote(s string) string { return string(appendText(nil, s)) }
