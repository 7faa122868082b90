package modeldoc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

var (
	errEnd    = errors.New("the document ends early")
	errDeep   = fmt.Errorf("values are nested more than %d deep", maxDepth)
	errValues = errors.New("there are more values than a file of this size can mean")
)

// parser is at a place in a document.
type parser struct {
	data  []byte
	at    int
	depth int
	left  int // how many values may follow
}

func (p *parser) document() (*Value, error) {
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.space(); p.at != len(p.data) {
		return nil, errors.New("something follows the document")
	}
	return &v, nil
}

// count takes one value off what is left.
func (p *parser) count() error {
	if p.left--; p.left < 0 {
		return errValues
	}
	return nil
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next returns the next byte that is not space, without taking it.
func (p *parser) next() (byte, error) {
	if p.space(); p.at >= len(p.data) {
		return 0, errEnd
	}
	return p.data[p.at], nil
}

// take takes one of two bytes and returns it.
func (p *parser) take(a, b byte) (byte, error) {
	c, err := p.next()
	if err != nil {
		return 0, err
	}
	if c != a && c != b {
		return 0, fmt.Errorf("%q in the place of %q", c, a)
	}
	p.at++
	return c, nil
}

func (p *parser) value() (Value, error) {
	c, err := p.next()
	if err != nil {
		return Value{}, err
	}
	if err := p.count(); err != nil {
		return Value{}, err
	}
	switch c {
	case '{':
		return p.nested(p.object)
	case '[':
		return p.nested(p.array)
	case '"':
		text, err := p.text()
		return Value{kind: String, raw: text}, err
	}
	return p.scalar()
}

// nested reads an object or an array one level down.
func (p *parser) nested(read func() (Value, error)) (Value, error) {
	if p.depth++; p.depth > maxDepth {
		return Value{}, errDeep
	}
	p.at++
	v, err := read()
	p.depth--
	return v, err
}

func (p *parser) object() (Value, error) {
	v := Value{kind: Object}
	if c, err := p.next(); err != nil {
		return v, err
	} else if c == '}' {
		p.at++
		return v, nil
	}
	for {
		if c, err := p.next(); err != nil {
			return v, err
		} else if c != '"' {
			return v, fmt.Errorf("%q in the place of a key", c)
		}
		key, err := p.text()
		if err != nil {
			return v, err
		}
		if _, err := p.take(':', ':'); err != nil {
			return v, err
		}
		member, err := p.value()
		if err != nil {
			return v, err
		}
		v.keys, v.list = append(v.keys, string(key)), append(v.list, member)
		if c, err := p.take(',', '}'); err != nil || c == '}' {
			return v, err
		}
	}
}

func (p *parser) array() (Value, error) {
	c, err := p.next()
	if err != nil {
		return Value{}, err
	}
	switch c {
	case ']':
		p.at++
		return Value{kind: Numbers}, nil
	case '{', '[', '"':
	default:
		// Nothing but scalars can follow; they are read when asked for.
		end := bytes.IndexAny(p.data[p.at:], "]{[\"")
		if end < 0 {
			return Value{}, errEnd
		}
		if p.data[p.at+end] == ']' {
			raw := p.data[p.at : p.at+end]
			p.at += end + 1
			return Value{kind: Numbers, raw: raw}, nil
		}
	}
	v := Value{kind: Array}
	for {
		element, err := p.value()
		if err != nil {
			return v, err
		}
		v.list = append(v.list, element)
		if c, err := p.take(',', ']'); err != nil || c == ']' {
			return v, err
		}
	}
}

func (p *parser) scalar() (Value, error) {
	from := p.at
	for p.at < len(p.data) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(p.data[p.at])) {
		p.at++
	}
	switch word := p.data[from:p.at]; string(word) {
	case "null":
		return Value{kind: Null}, nil
	case "true", "false":
		return Value{kind: Bool, raw: word}, nil
	default:
		if _, err := strconv.ParseFloat(string(word), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return Value{}, fmt.Errorf("%.20q is no value", word)
		}
		return Value{kind: Number, raw: word}, nil
	}
}

// text reads a string. It stands in the file as it is unless it has escapes.
func (p *parser) text() ([]byte, error) {
	p.at++
	from := p.at
	escaped := false
	for ; p.at < len(p.data); p.at++ {
		switch c := p.data[p.at]; {
		case c == '"':
			raw := p.data[from:p.at]
			p.at++
			if !escaped {
				return raw, nil
			}
			return unescape(raw)
		case c == '\\':
			escaped = true
			p.at++
		case c < ' ':
			return nil, errors.New("a control character in a string")
		}
	}
	return nil, errEnd
}

// unescape resolves the escapes of a string. Names are all that it is for, so
// that halves of surrogate pairs become the replacement character.
func unescape(raw []byte) ([]byte, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		if i++; i >= len(raw) {
			return nil, errEnd
		}
		if at := bytes.IndexByte([]byte(`"\/bfnrt`), raw[i]); at >= 0 {
			out = append(out, "\"\\/\b\f\n\r\t"[at])
			continue
		}
		if raw[i] != 'u' || i+4 >= len(raw) {
			return nil, errors.New("an unknown escape in a string")
		}
		code, err := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
		if err != nil {
			return nil, errors.New("an unknown escape in a string")
		}
		out = utf8.AppendRune(out, rune(code))
		i += 4
	}
	return out, nil
}
