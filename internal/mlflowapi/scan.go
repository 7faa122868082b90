package mlflowapi

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep values may nest.
const maxDepth = 64

// scanner reads one JSON text from its beginning to its end.
type scanner struct {
	data  []byte
	pos   int
	depth int
	// strict refuses NUL in texts, which PostgreSQL cannot store.
	strict bool
	seen   *internTable
}

// plain marks the bytes that stand for themselves inside a JSON string and
// need no further look.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// syntax is the fault of a text that is not JSON.
func (s *scanner) syntax(want string) *fault {
	return &fault{kind: faultSyntax, pos: s.pos, want: want}
}

// space skips white space and returns the next byte, 0 at the end.
func (s *scanner) space() byte {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		s.pos++
	}
	return 0
}

// byteIs consumes c after white space.
func (s *scanner) byteIs(c byte) bool {
	if s.space() != c || s.pos >= len(s.data) {
		return false
	}
	s.pos++
	return true
}

// text consumes a string and returns its content, a part of the input when it
// has no escapes.
func (s *scanner) text() ([]byte, *fault) {
	if !s.byteIs('"') {
		return nil, s.syntax("a string")
	}
	start := s.pos
	i, data := s.pos, s.data
	for i < len(data) && plain[data[i]] {
		i++
	}
	if i < len(data) && data[i] == '"' {
		s.pos = i + 1
		return data[start:i], nil
	}
	return s.slowText(start, i)
}

// slowText is text for strings with escapes or characters beyond ASCII; the
// bytes from start to i are plain.
func (s *scanner) slowText(start, i int) ([]byte, *fault) {
	data := s.data
	var out []byte // nil until the first escape
	flushed := start
	for i < len(data) {
		c := data[i]
		switch {
		case plain[c]:
			i++
		case c == '"':
			s.pos = i + 1
			if out == nil {
				return data[start:i], nil
			}
			return append(out, data[flushed:i]...), nil
		case c == '\\':
			out = append(out, data[flushed:i]...)
			if out == nil {
				out = []byte{}
			}
			r, n := unescape(data[i:])
			s.pos = i
			if n == 0 {
				return nil, s.syntax("a valid escape")
			}
			if r == 0 && s.strict {
				return nil, s.syntax("text without NUL")
			}
			out = utf8.AppendRune(out, r)
			i += n
			flushed = i
		case c < 0x20:
			s.pos = i
			return nil, s.syntax("an escape in place of the control character")
		default:
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				s.pos = i
				return nil, s.syntax("valid UTF-8")
			}
			i += n
		}
	}
	s.pos = len(data)
	return nil, s.syntax(`the closing '"'`)
}

// unescape reads the escape sequence at the start of b and returns the
// character and the sequence's length, 0 for an invalid one. A lone surrogate
// is invalid: there is no way to store it.
func unescape(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(b[2:])
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0, 0
		}
		low, ok := hex4(b[8:])
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return 0, 0
		}
		return r, 12
	}
	return 0, 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// literal consumes word.
func (s *scanner) literal(word string) *fault {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.syntax("a value")
	}
	s.pos += len(word)
	return nil
}

// null consumes null if it comes next.
func (s *scanner) null() bool {
	if s.space() != 'n' {
		return false
	}
	return s.literal("null") == nil
}

// number consumes a number in JSON's grammar and returns its text. integer
// tells that it has neither fraction nor exponent.
func (s *scanner) number() (raw []byte, integer bool, f *fault) {
	s.space()
	start, i, data := s.pos, s.pos, s.data
	if i < len(data) && data[i] == '-' {
		i++
	}
	digits := i
	for i < len(data) && isDigit(data[i]) {
		i++
	}
	if i == digits || data[digits] == '0' && i-digits > 1 {
		return nil, false, s.syntax("a number")
	}
	integer = true
	if i < len(data) && data[i] == '.' {
		integer = false
		i++
		fraction := i
		for i < len(data) && isDigit(data[i]) {
			i++
		}
		if i == fraction {
			return nil, false, s.syntax("a number")
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		integer = false
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		exponent := i
		for i < len(data) && isDigit(data[i]) {
			i++
		}
		if i == exponent {
			return nil, false, s.syntax("a number")
		}
	}
	s.pos = i
	return data[start:i], integer, nil
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// skip consumes any value and returns its text.
func (s *scanner) skip() ([]byte, *fault) {
	c := s.space()
	start := s.pos
	f := s.skipValue(c)
	return s.data[start:s.pos], f
}

func (s *scanner) skipValue(c byte) *fault {
	var f *fault
	switch {
	case c == '"':
		_, f = s.text()
	case c == '{':
		f = s.object(func([]byte) *fault {
			_, f := s.skip()
			return f
		})
	case c == '[':
		f = s.array(func(int) *fault {
			_, f := s.skip()
			return f
		})
	case c == 't':
		f = s.literal("true")
	case c == 'f':
		f = s.literal("false")
	case c == 'n':
		f = s.literal("null")
	default:
		_, _, f = s.number()
	}
	return f
}

// object consumes an object and calls field for each name, which must consume
// the value. The name is valid until then.
func (s *scanner) object(field func(name []byte) *fault) *fault {
	if !s.byteIs('{') {
		return s.syntax("an object")
	}
	if s.depth++; s.depth > maxDepth {
		return s.syntax("values nested less deeply")
	}
	for first := true; ; first = false {
		if s.space() == '}' && first {
			s.pos++
			break
		}
		name, f := s.text()
		if f != nil {
			return f
		}
		if !s.byteIs(':') {
			return s.syntax("':'")
		}
		if f := field(name); f != nil {
			return f
		}
		if s.byteIs(',') {
			continue
		}
		if !s.byteIs('}') {
			return s.syntax("',' or '}'")
		}
		break
	}
	s.depth--
	return nil
}

// array consumes an array and calls element for each index.
func (s *scanner) array(element func(i int) *fault) *fault {
	if !s.byteIs('[') {
		return s.syntax("an array")
	}
	if s.depth++; s.depth > maxDepth {
		return s.syntax("values nested less deeply")
	}
	for i := 0; ; i++ {
		if s.space() == ']' && i == 0 {
			s.pos++
			break
		}
		if f := element(i); f != nil {
			return f
		}
		if s.byteIs(',') {
			continue
		}
		if !s.byteIs(']') {
			return s.syntax("',' or ']'")
		}
		break
	}
	s.depth--
	return nil
}

// end checks that nothing but white space is left.
func (s *scanner) end() *fault {
	if s.space(); s.pos < len(s.data) {
		return s.syntax("nothing after the value")
	}
	return nil
}

// internTable keeps short texts that repeat, so that a batch of 1,000 points
// of ten metrics makes ten strings.
type internTable [64]string

// intern returns b as a string.
func (s *scanner) intern(b []byte) string {
	if s.seen == nil || len(b) == 0 || len(b) > 64 {
		return string(b)
	}
	h := uint32(len(b))
	if len(b) >= 4 {
		h = h*31 + binary.LittleEndian.Uint32(b[len(b)-4:])
		h = h*31 + binary.LittleEndian.Uint32(b)
	} else {
		h = h*31 + uint32(b[len(b)-1])
	}
	slot := &s.seen[h*2654435761>>26]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
