package ingest

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON values may lie in each other.
const maxDepth = 64

// jsonText reads the tokens of RFC 8259 off a text.
type jsonText struct {
	data    []byte
	pos     int
	scratch []byte // Holds a text that had escapes in it.
}

func (t *jsonText) space() {
	for t.pos < len(t.data) {
		switch t.data[t.pos] {
		case ' ', '\t', '\r', '\n':
			t.pos++
		default:
			return
		}
	}
}

// peek is the first byte of the next token, 0 at the end.
func (t *jsonText) peek() byte {
	t.space()
	if t.pos < len(t.data) {
		return t.data[t.pos]
	}
	return 0
}

// take moves past c, if it is next.
func (t *jsonText) take(c byte) bool {
	if t.peek() != c || c == 0 {
		return false
	}
	t.pos++
	return true
}

// word moves past true, false or null.
func (t *jsonText) word(w string) bool {
	if !bytes.HasPrefix(t.data[t.pos:], []byte(w)) {
		return false
	}
	t.pos += len(w)
	return true
}

// number moves past a number and returns its text; whole says that it has
// neither a point nor an exponent.
func (t *jsonText) number() (text []byte, whole, ok bool) {
	start, i := t.pos, t.pos
	at := func() byte {
		if i < len(t.data) {
			return t.data[i]
		}
		return 0
	}
	run := func() bool {
		from := i
		for at()-'0' <= 9 {
			i++
		}
		return i > from
	}
	if at() == '-' {
		i++
	}
	if at() == '0' {
		i++
	} else if !run() {
		return nil, false, false
	}
	whole = true
	if at() == '.' {
		whole = false
		i++
		if !run() {
			return nil, false, false
		}
	}
	if at() == 'e' || at() == 'E' {
		whole = false
		i++
		if at() == '+' || at() == '-' {
			i++
		}
		if !run() {
			return nil, false, false
		}
	}
	t.pos = i
	return t.data[start:i], whole, true
}

// text moves past a string and returns what it says, which is valid until the
// next call.
func (t *jsonText) text() (s []byte, reason string) {
	t.pos++ // The quote.
	start, ascii := t.pos, true
	for i := start; i < len(t.data); i++ {
		switch c := t.data[i]; {
		case c == '"':
			t.pos = i + 1
			if s = t.data[start:i]; !ascii && !utf8.Valid(s) {
				return nil, "is not UTF-8 text"
			}
			return s, ""
		case c == '\\':
			return t.escaped(start, i)
		case c < 0x20:
			return nil, "has a control character in a text"
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, "has a text that never closes"
}

// escaped goes on with a text whose first escape is at i.
func (t *jsonText) escaped(start, i int) (s []byte, reason string) {
	t.scratch = append(t.scratch[:0], t.data[start:i]...)
	for i < len(t.data) {
		c := t.data[i]
		switch {
		case c == '"':
			t.pos = i + 1
			if !utf8.Valid(t.scratch) {
				return nil, "is not UTF-8 text"
			}
			return t.scratch, ""
		case c < 0x20:
			return nil, "has a control character in a text"
		case c != '\\':
			t.scratch = append(t.scratch, c)
			i++
			continue
		}
		if i++; i >= len(t.data) {
			break
		}
		if t.data[i] == 'u' {
			r, n := unicodeEscape(t.data[i-1:])
			if n == 0 {
				return nil, `has an escape \u without four hexadecimal digits`
			}
			t.scratch = utf8.AppendRune(t.scratch, r)
			i += n - 1
			continue
		}
		at := bytes.IndexByte([]byte(`"\/bfnrt`), t.data[i])
		if at < 0 {
			return nil, "has an unknown escape in a text"
		}
		t.scratch = append(t.scratch, "\"\\/\b\f\n\r\t"[at])
		i++
	}
	return nil, "has a text that never closes"
}

// unicodeEscape reads \u0041, or two of them for one character; a half of a
// pair alone is U+FFFD, as everywhere in Go.
func unicodeEscape(b []byte) (r rune, length int) {
	first, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(first) {
		if second, ok := hex4(b[6:]); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r, 12
			}
		}
		return utf8.RuneError, 6
	}
	return first, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// skip moves past any value.
func (t *jsonText) skip(depth int) (reason string) {
	const broken = "is not JSON"
	if depth > maxDepth {
		return "is nested too deep"
	}
	switch t.peek() {
	case '{':
		t.pos++
		for first := true; !t.take('}'); first = false {
			if !first && !t.take(',') || t.peek() != '"' {
				return broken
			}
			if _, reason := t.text(); reason != "" {
				return reason
			}
			if !t.take(':') {
				return broken
			}
			if reason := t.skip(depth + 1); reason != "" {
				return reason
			}
		}
	case '[':
		t.pos++
		for first := true; !t.take(']'); first = false {
			if !first && !t.take(',') {
				return broken
			}
			if reason := t.skip(depth + 1); reason != "" {
				return reason
			}
		}
	case '"':
		_, reason = t.text()
		return reason
	case 't', 'f', 'n':
		if !t.word("true") && !t.word("false") && !t.word("null") {
			return broken
		}
	default:
		if _, _, ok := t.number(); !ok {
			return broken
		}
	}
	return ""
}
