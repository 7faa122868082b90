package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
)

// maxDepth bounds nested arrays and objects, so that a body of brackets costs no
// stack. What nests deeper is refused.
const maxDepth = 256

// Faults of a text that is not JSON.
var (
	errSyntax = errors.New("it is not valid JSON")
	errDeep   = errors.New("it is nested too deeply")
)

// span is a part of a text, from its first byte to behind its last.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }
func (s span) empty() bool        { return s.to == s.from }

// walker reads a JSON text once and copies nothing. The first fault sticks, and
// every method is a no-op behind it.
type walker struct {
	b   []byte
	i   int
	err error
}

func (w *walker) fail() {
	if w.err == nil {
		w.err = errSyntax
	}
	w.i = len(w.b)
}

// space skips white space and returns the next byte, 0 at the end, which no JSON
// has outside of strings.
func (w *walker) space() byte {
	for w.i < len(w.b) {
		switch c := w.b[w.i]; c {
		case ' ', '\n', '\r', '\t':
			w.i++
		default:
			return c
		}
	}
	return 0
}

// object calls each with the name and the place of every member of the object
// that comes next. A name without escapes is a view of the text. each has to read
// the member's value, by value or one of the others.
func (w *walker) object(depth int, each func(name []byte, at int)) {
	if w.space() != '{' || depth > maxDepth {
		w.deep(depth)
		return
	}
	w.i++
	if w.space() == '}' {
		w.i++
		return
	}
	for w.err == nil {
		w.space()
		at := w.i
		name := w.text()
		if w.space() != ':' {
			w.fail()
			return
		}
		w.i++
		w.space()
		each(name, at)
		switch w.space() {
		case ',':
			w.i++
		case '}':
			w.i++
			return
		default:
			w.fail()
		}
	}
}

func (w *walker) deep(depth int) {
	if depth > maxDepth && w.err == nil {
		w.err = errDeep
	}
	w.fail()
}

// value skips one value and returns its place.
func (w *walker) value(depth int) span {
	c := w.space()
	from := w.i
	switch {
	case c == '"':
		w.str()
	case c == '{':
		w.pairs(depth)
	case c == '[':
		w.list(depth)
	case c == '-' || c >= '0' && c <= '9':
		w.number()
	case c == 't':
		w.word("true")
	case c == 'f':
		w.word("false")
	case c == 'n':
		w.word("null")
	default:
		w.fail()
	}
	if w.err != nil {
		return span{}
	}
	return span{from, w.i}
}

// pairs skips an object. Unlike object it decodes no names.
func (w *walker) pairs(depth int) {
	if depth > maxDepth {
		w.deep(depth)
		return
	}
	w.i++
	if w.space() == '}' {
		w.i++
		return
	}
	for w.err == nil {
		if w.space() != '"' {
			w.fail()
			return
		}
		w.str()
		if w.space() != ':' {
			w.fail()
			return
		}
		w.i++
		w.value(depth + 1)
		switch w.space() {
		case ',':
			w.i++
		case '}':
			w.i++
			return
		default:
			w.fail()
		}
	}
}

// list skips an array and returns the number of its elements.
func (w *walker) list(depth int) (n int) {
	if depth > maxDepth {
		w.deep(depth)
		return 0
	}
	w.i++
	if w.space() == ']' {
		w.i++
		return 0
	}
	for w.err == nil {
		w.value(depth + 1)
		n++
		switch w.space() {
		case ',':
			w.i++
		case ']':
			w.i++
			return n
		default:
			w.fail()
		}
	}
	return n
}

func (w *walker) word(s string) {
	if !bytes.HasPrefix(w.b[w.i:], []byte(s)) {
		w.fail()
		return
	}
	w.i += len(s)
}

// plain are the bytes that stand for themselves inside a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// str skips a string and reports whether it has escapes.
func (w *walker) str() (escaped bool) {
	b := w.b
	for i := w.i + 1; i < len(b); i++ {
		if plain[b[i]] {
			continue
		}
		switch b[i] {
		case '"':
			w.i = i + 1
			return escaped
		case '\\':
			escaped = true
			n := escapeLen(b[i:])
			if n == 0 {
				w.fail()
				return false
			}
			i += n - 1
		default:
			w.fail()
			return false
		}
	}
	w.fail()
	return false
}

// escapeLen is the length of the escape at the start of b, 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// number skips a number.
func (w *walker) number() {
	b, i := w.b, w.i
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	ok := true
	if i < len(b) && b[i] == '0' {
		i++
	} else {
		ok = digits()
	}
	if ok && i < len(b) && b[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		ok = digits()
	}
	if !ok {
		w.fail()
		return
	}
	w.i = i
}

// text reads a string. Without escapes it is a view of the text.
func (w *walker) text() []byte {
	if w.space() != '"' {
		w.fail()
		return nil
	}
	from := w.i
	escaped := w.str()
	if w.err != nil {
		return nil
	}
	if !escaped {
		return w.b[from+1 : w.i-1]
	}
	// Rare, and then the standard decoder says what it means.
	var s string
	if err := json.Unmarshal(w.b[from:w.i], &s); err != nil {
		w.fail()
		return nil
	}
	return []byte(s)
}

// null consumes a null and reports whether there was one.
func (w *walker) null() bool {
	if w.space() != 'n' {
		return false
	}
	w.word("null")
	return true
}

// boolean reads a true or a false, and reports whether it was one of them. Any
// other value is skipped.
func (w *walker) boolean(depth int) (v, ok bool) {
	switch w.space() {
	case 't':
		w.word("true")
		return true, true
	case 'f':
		w.word("false")
		return false, true
	}
	w.value(depth)
	return false, false
}

// integer reads a whole number, however it is written, and reports whether it was
// one between 0 and 2^31-1. Any other value is skipped.
func (w *walker) integer(depth int) (int, bool) {
	s := w.value(depth)
	if w.err != nil {
		return 0, false
	}
	n := 0
	for _, c := range s.of(w.b) {
		if c < '0' || c > '9' || n > math.MaxInt32/10 {
			f, err := strconv.ParseFloat(string(s.of(w.b)), 64)
			if err != nil || f != math.Trunc(f) || f < 0 || f > math.MaxInt32 {
				return 0, false
			}
			return int(f), true
		}
		n = 10*n + int(c-'0')
	}
	return n, n <= math.MaxInt32
}

// end checks that nothing but white space is left, and returns the fault.
func (w *walker) end() error {
	if w.err == nil && w.space() != 0 || w.i < len(w.b) {
		w.fail()
	}
	return w.err
}
