package oip

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds nested arrays and objects, so that a body of brackets costs
// no stack.
const maxDepth = 64

// scanner walks a JSON text once. The first fault sticks: every method is a
// no-op after it, so that callers check at the end of a value only.
type scanner struct {
	b   []byte
	i   int
	err *fault

	// scratch holds the last string that had escapes.
	scratch []byte
}

// fault is what is wrong, where, in words for the sender.
type fault struct {
	at   int
	text string
}

// fail records that want was expected at the offset.
func (s *scanner) fail(at int, want string) {
	if s.err == nil {
		s.err = &fault{at: at, text: fmt.Sprintf("found %s, want %s", s.found(at), want)}
	}
}

// refuse records a fault that is not about the next character.
func (s *scanner) refuse(at int, format string, args ...any) {
	if s.err == nil {
		s.err = &fault{at: at, text: fmt.Sprintf(format, args...)}
	}
}

// found names what stands at the offset.
func (s *scanner) found(at int) string {
	if at >= len(s.b) {
		return "the end of the text"
	}
	switch c := s.b[at]; {
	case c == '"':
		return "a string"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	case word(s.b[at:], "true"), word(s.b[at:], "false"):
		return "a boolean"
	case word(s.b[at:], "null"):
		return "null"
	case word(s.b[at:], "NaN"), word(s.b[at:], "Infinity"):
		return "NaN or Infinity, which JSON does not have"
	default:
		r, _ := utf8.DecodeRune(s.b[at:])
		return fmt.Sprintf("%q", r)
	}
}

// word reports whether b starts with w.
func word(b []byte, w string) bool { return len(b) >= len(w) && string(b[:len(w)]) == w }

// space skips white space and returns the next byte, 0 at the end. A zero byte
// in the text is never valid JSON, so callers need not tell the two apart.
func (s *scanner) space() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\n', '\r', '\t':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// take consumes c after white space, or fails.
func (s *scanner) take(c byte, want string) bool {
	if s.err != nil {
		return false
	}
	if i := s.i; i < len(s.b) && s.b[i] == c {
		s.i++
		return true
	}
	return s.takeLater(c, want)
}

// takeLater is take where there is white space, or a fault.
func (s *scanner) takeLater(c byte, want string) bool {
	if s.space() != c {
		s.fail(s.i, want)
		return false
	}
	s.i++
	return true
}

// more is called after a value inside an array or object that close ends: it
// consumes the comma and reports true, or the end and reports false.
func (s *scanner) more(end byte) bool {
	if s.err != nil {
		return false
	}
	switch s.space() {
	case ',':
		s.i = blank(s.b, s.i+1)
		return true
	case end:
		s.i++
		return false
	}
	s.fail(s.i, fmt.Sprintf("',' or '%c'", end))
	return false
}

// open consumes the start of an object and reports whether it has members.
func (s *scanner) open(want string) bool {
	if !s.take('{', want) {
		return false
	}
	if s.space() == '}' {
		s.i++
		return false
	}
	return true
}

// key reads a member's name and the colon. The bytes are valid until the next
// string is read.
func (s *scanner) key() []byte {
	if b, i := s.b, s.i; i+10 <= len(b) && b[i] == '"' && s.err == nil {
		// Most are short and plain, with the colon right behind.
		n := plain8(binary.LittleEndian.Uint64(b[i+1:]))
		if end := i + 1 + n; n < 8 && b[end] == '"' && b[end+1] == ':' {
			s.i = blank(b, end+2)
			return b[i+1 : end]
		}
	}
	k := s.bytes("a member name")
	s.take(':', "':'")
	return k
}

// null consumes a null and reports whether there was one.
func (s *scanner) null() bool {
	if s.err == nil && s.space() == 'n' && word(s.b[s.i:], "null") {
		s.i += len("null")
		return true
	}
	return false
}

// boolean reads a true or a false.
func (s *scanner) boolean(want string) bool {
	if s.err != nil {
		return false
	}
	switch s.space(); {
	case word(s.b[s.i:], "true"):
		s.i += len("true")
		return true
	case word(s.b[s.i:], "false"):
		s.i += len("false")
	default:
		s.fail(s.i, want)
	}
	return false
}

// text reads a string value.
func (s *scanner) text(want string) string { return string(s.bytes(want)) }

// bytes reads a string and returns its content, a view of the text or of the
// scratch buffer, valid until the next string is read. The content is valid
// UTF-8: replacing bad bytes in silence would change what a model sees.
func (s *scanner) bytes(want string) []byte {
	if !s.take('"', want) {
		return nil
	}
	b, from, high := s.b, s.i, false
	for i := from; i < len(b); i++ {
		if i+8 <= len(b) {
			i += plain8(binary.LittleEndian.Uint64(b[i:]))
			if i == len(b) {
				break
			}
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return s.valid(b[from:i], from, high)
		case c == '\\':
			s.i = i
			return s.escaped(from, high)
		case c < 0x20:
			s.refuse(i, "found the control character %#02x inside a string, want it escaped", c)
			return nil
		case c >= utf8.RuneSelf:
			high = true
		}
	}
	s.i = len(s.b)
	s.fail(s.i, "the end of a string")
	return nil
}

// The bytes of a word, all the same.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plain8 counts the bytes at the start of a word that are printable ASCII and
// neither a quote nor a backslash. Of the marks that the subtractions leave only
// those behind the first may be wrong.
func plain8(v uint64) int {
	quote, backslash := v^'"'*ones, v^'\\'*ones
	marks := (v-0x20*ones)&^v | (quote-ones)&^quote | (backslash-ones)&^backslash | v
	return bits.TrailingZeros64(marks&highs) / 8
}

// valid passes on b unless it has bytes that are not UTF-8.
func (s *scanner) valid(b []byte, at int, high bool) []byte {
	if high && !utf8.Valid(b) {
		s.refuse(at, "the string is not valid UTF-8")
		return nil
	}
	return b
}

// escaped reads the rest of a string whose first backslash is at s.i.
func (s *scanner) escaped(from int, high bool) []byte {
	out := append(s.scratch[:0], s.b[from:s.i]...)
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			s.scratch = out
			return s.valid(out, from, high)
		case c == '\\':
			var ok bool
			if out, ok = s.escape(out); !ok {
				return nil
			}
		case c < 0x20:
			s.refuse(s.i, "found the control character %#02x inside a string, want it escaped", c)
			return nil
		default:
			high = high || c >= utf8.RuneSelf
			out = append(out, c)
			s.i++
		}
	}
	s.fail(s.i, "the end of a string")
	return nil
}

// escape reads one escape sequence at s.i and appends what it stands for.
func (s *scanner) escape(out []byte) ([]byte, bool) {
	at := s.i
	if at+1 >= len(s.b) {
		s.fail(len(s.b), "an escape sequence")
		return out, false
	}
	s.i += 2
	switch c := s.b[at+1]; c {
	case '"', '\\', '/':
		return append(out, c), true
	case 'b':
		return append(out, '\b'), true
	case 'f':
		return append(out, '\f'), true
	case 'n':
		return append(out, '\n'), true
	case 'r':
		return append(out, '\r'), true
	case 't':
		return append(out, '\t'), true
	case 'u':
		return s.unicode(out, at)
	}
	s.refuse(at, "found an unknown escape sequence in a string")
	return out, false
}

// unicode reads \uXXXX, two of them where they form a surrogate pair.
func (s *scanner) unicode(out []byte, at int) ([]byte, bool) {
	r, ok := s.hex4(s.i)
	if !ok {
		s.refuse(at, `found \u without four hexadecimal digits in a string`)
		return out, false
	}
	s.i += 4
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r), true
	}
	if word(s.b[s.i:], `\u`) {
		if low, ok := s.hex4(s.i + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				s.i += 6
				return utf8.AppendRune(out, pair), true
			}
		}
	}
	s.refuse(at, "found half of a surrogate pair in a string")
	return out, false
}

// hex4 reads four hexadecimal digits at i.
func (s *scanner) hex4(i int) (rune, bool) {
	if i+4 > len(s.b) {
		return 0, false
	}
	var r rune
	for _, c := range s.b[i : i+4] {
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

// skip reads past any value, depth arrays and objects deep so far.
func (s *scanner) skip(depth int) {
	if s.err != nil {
		return
	}
	switch c := s.space(); {
	case c == '"':
		s.bytes("a string")
	case c == '{' || c == '[':
		s.skipInside(c, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		if n := s.number(); n.end > 0 {
			s.i = n.end
		}
	case word(s.b[s.i:], "true"), word(s.b[s.i:], "null"):
		s.i += 4
	case word(s.b[s.i:], "false"):
		s.i += 5
	default:
		s.fail(s.i, "a value")
	}
}

// skipInside reads past the array or object that opens at s.i.
func (s *scanner) skipInside(open byte, depth int) {
	if depth > maxDepth {
		s.refuse(s.i, "arrays and objects are nested more than %d deep", maxDepth)
		return
	}
	end := open + 2 // In ASCII ']' and '}' are two after '[' and '{'.
	s.i++
	if s.space() == end {
		s.i++
		return
	}
	for {
		if open == '{' {
			s.key()
		}
		s.skip(depth)
		if !s.more(end) {
			return
		}
	}
}

// end checks that nothing but white space is left.
func (s *scanner) end() {
	if s.err == nil && (s.space() != 0 || s.i < len(s.b)) {
		s.fail(s.i, "the end of the text")
	}
}
