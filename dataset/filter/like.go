package filter

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
)

// Like matches rows whose text matches a pattern as SQL has it: % stands for any
// characters, _ for one, and a backslash takes the next character as it is, as in
// PostgreSQL and Spark (DuckDB wants ESCAPE '\' said). What stands before the
// first % or _ rules files, row groups and pages out.
func Like(column, pattern string) Expr { return comparison(like, column, pattern) }

// HasPrefix matches rows whose text starts with the prefix.
func HasPrefix(column, prefix string) Expr {
	return Like(column, strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(prefix)+"%")
}

// newLike makes the test of a pattern.
func newLike(t arrow.DataType, l literal) (test, error) {
	if id := t.ID(); id != arrow.STRING && id != arrow.BINARY || l.kind != text {
		return nil, errors.New("LIKE wants a column of text and a text, " + mismatch(t, l).Error())
	}
	var p likeTest
	many := false // Before the next part.
	for s := l.text; s != ""; {
		c := s[0]
		s = s[1:]
		switch {
		case c == '%':
			many = true
			continue
		case c == '_':
			p.parts = append(p.parts, part{many: many, one: true})
		case c == '\\' && s == "":
			return nil, errors.New("the pattern of LIKE ends with a backslash, which takes the next character as it is")
		default:
			if c == '\\' {
				c, s = s[0], s[1:]
			}
			if n := len(p.parts); n == 0 || many || p.parts[n-1].one {
				p.parts = append(p.parts, part{many: many})
			}
			last := &p.parts[len(p.parts)-1]
			last.text = append(last.text, c)
		}
		many = false
	}
	p.open = many
	if len(p.parts) > 0 && !p.parts[0].one && !p.parts[0].many {
		p.prefix = string(p.parts[0].text)
		p.pure = len(p.parts) == 1
	}
	switch {
	case len(p.parts) == 0 && p.open:
		return fixed{true}, nil
	case len(p.parts) == 0 || p.pure && !p.open:
		return textTest{eq, p.prefix}, nil
	}
	return p, nil
}

// likeTest is a pattern that is more than one text.
type likeTest struct {
	parts  []part
	open   bool   // Anything may follow.
	prefix string // Of every text that matches.
	pure   bool   // The prefix is all there is to it.
}

// part is a text, or one character whatever it is.
type part struct {
	many bool // Anything may come before.
	one  bool
	text []byte
}

// cut takes the part off the start of a text.
func (p *part) cut(v []byte) (rest []byte, ok bool) {
	if !p.one {
		return bytes.CutPrefix(v, p.text)
	}
	if len(v) == 0 {
		return nil, false
	}
	_, n := utf8.DecodeRune(v)
	return v[n:], true
}

func (t likeTest) eval(a arrow.Array, out []uint64) {
	n := a.Len()
	if n == 0 {
		return
	}
	data, offsets := valuesOf(a)
	prefix := []byte(t.prefix)
	for i := range n {
		v := data[offsets[i]:offsets[i+1]]
		if bytes.HasPrefix(v, prefix) && (t.pure || t.match(v)) {
			out[i>>6] |= 1 << (i & 63)
		}
	}
}

// match goes back to the last % only: what an earlier one could take more of,
// the last one can take as well.
func (t likeTest) match(v []byte) bool {
	back, rest := -1, []byte(nil) // The part behind the last %, and where it was tried.
	for k := 0; ; {
		if k == len(t.parts) && (t.open || len(v) == 0) {
			return true
		}
		if k < len(t.parts) {
			p := &t.parts[k]
			if p.many {
				back, rest = k, v
			}
			if after, ok := p.cut(v); ok {
				k, v = k+1, after
				continue
			}
		}
		if back < 0 || len(rest) == 0 {
			return false
		}
		_, n := utf8.DecodeRune(rest)
		// The % takes a character more.
		k, v = back, rest[n:]
		p := &t.parts[k]
		if !p.one {
			at := bytes.Index(v, p.text)
			if at < 0 {
				return false
			}
			v = v[at:]
		}
	}
}

// outcomes of texts between two bounds: those with a prefix lie side by side.
func (t likeTest) outcomes(s Stats) outcomes {
	lo, hi := endOf[string](s.Min), endOf[string](s.Max)
	starts := func(v string) string { return v[:min(len(v), len(t.prefix))] }
	if lo != nil && starts(*lo) > t.prefix || hi != nil && starts(*hi) < t.prefix {
		return canBeFalse
	}
	if t.pure && lo != nil && hi != nil && strings.HasPrefix(*lo, t.prefix) && strings.HasPrefix(*hi, t.prefix) {
		return canBeTrue
	}
	return canBeTrue | canBeFalse
}
