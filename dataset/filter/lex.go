package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid is the kind of every error of this package: a text that is no
// predicate, or a predicate that does not fit the schema.
var ErrInvalid = errs.ErrInvalid

// SyntaxError says where a text stops being a predicate. It is an ErrInvalid.
type SyntaxError struct {
	Offset int    // In bytes from the start.
	Reason string // What is wrong there.
	Near   string // The start of the text from there on.
}

// Error names the place and the reason.
func (e *SyntaxError) Error() string {
	if e.Near == "" {
		return fmt.Sprintf("filter: parse: at the end (byte %d): %s: invalid", e.Offset, e.Reason)
	}
	return fmt.Sprintf("filter: parse: at byte %d, near %q: %s: invalid", e.Offset, e.Near, e.Reason)
}

// Is reports that a SyntaxError is an ErrInvalid.
func (e *SyntaxError) Is(target error) bool { return target == ErrInvalid }

type tokenKind uint8

const (
	end    tokenKind = iota
	word             // A keyword, or a bare name.
	name             // A quoted name.
	str              // A quoted text.
	hexes            // X'…'.
	digits           // A number, with its sign.
	symbol
)

type token struct {
	kind tokenKind
	text string // Unquoted.
	at   int
}

func (t token) is(keyword string) bool { return t.kind == word && strings.EqualFold(t.text, keyword) }

// reserved words are no bare names.
var reserved = map[string]bool{
	"AND": true, "OR": true, "NOT": true, "IN": true, "IS": true, "NULL": true, "BETWEEN": true,
	"TRUE": true, "FALSE": true, "DATE": true, "TIMESTAMP": true,
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// lexer cuts a text into tokens.
type lexer struct {
	src string
	pos int
}

func (l *lexer) fail(at int, format string, args ...any) error {
	near := l.src[min(at, len(l.src)):]
	if len(near) > 20 {
		near = near[:20]
		for len(near) > 0 && !utf8.ValidString(near) {
			near = near[:len(near)-1]
		}
	}
	return &SyntaxError{Offset: at, Reason: fmt.Sprintf(format, args...), Near: near}
}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.src) && strings.IndexByte(" \t\r\n", l.src[l.pos]) >= 0 {
		l.pos++
	}
	at := l.pos
	if at == len(l.src) {
		return token{kind: end, at: at}, nil
	}
	c := l.src[at]
	switch {
	case c == '\'':
		s, err := l.quoted('\'')
		return token{str, s, at}, err
	case c == '"':
		s, err := l.quoted('"')
		return token{name, s, at}, err
	case (c == 'x' || c == 'X') && at+1 < len(l.src) && l.src[at+1] == '\'':
		l.pos++
		s, err := l.quoted('\'')
		return token{hexes, s, at}, err
	case isLetter(c):
		for l.pos < len(l.src) && (isLetter(l.src[l.pos]) || isDigit(l.src[l.pos])) {
			l.pos++
		}
		return token{word, l.src[at:l.pos], at}, nil
	case isDigit(c), c == '-', c == '+', c == '.':
		return l.number()
	}
	for _, s := range []string{"<>", "!=", "<=", ">=", "==", "<", ">", "=", "(", ")", ","} {
		if strings.HasPrefix(l.src[at:], s) {
			l.pos += len(s)
			return token{symbol, s, at}, nil
		}
	}
	return token{}, l.fail(at, "this character has no meaning here")
}

// quoted reads to the closing quote; a doubled quote stands for one.
func (l *lexer) quoted(q byte) (string, error) {
	start := l.pos
	var b strings.Builder
	for l.pos++; l.pos < len(l.src); l.pos++ {
		if l.src[l.pos] != q {
			b.WriteByte(l.src[l.pos])
			continue
		}
		if l.pos+1 < len(l.src) && l.src[l.pos+1] == q {
			b.WriteByte(q)
			l.pos++
			continue
		}
		l.pos++
		return b.String(), nil
	}
	return "", l.fail(start, "the quote is not closed")
}

func (l *lexer) number() (token, error) {
	at := l.pos
	if c := l.src[l.pos]; c == '-' || c == '+' {
		l.pos++
	}
	whole := l.run()
	part := 0
	if l.pos < len(l.src) && l.src[l.pos] == '.' {
		l.pos++
		part = l.run()
	}
	if whole+part == 0 {
		return token{}, l.fail(at, "want a number")
	}
	if l.pos < len(l.src) && (l.src[l.pos] == 'e' || l.src[l.pos] == 'E') {
		l.pos++
		if l.pos < len(l.src) && (l.src[l.pos] == '-' || l.src[l.pos] == '+') {
			l.pos++
		}
		if l.run() == 0 {
			return token{}, l.fail(at, "the exponent of the number has no digits")
		}
	}
	if l.pos < len(l.src) && isLetter(l.src[l.pos]) {
		return token{}, l.fail(at, "the number runs into a name")
	}
	s := strings.TrimPrefix(l.src[at:l.pos], "+")
	if _, err := rational(s); err != nil {
		return token{}, l.fail(at, "%v", err)
	}
	return token{digits, s, at}, nil
}

func (l *lexer) run() int {
	from := l.pos
	for l.pos < len(l.src) && isDigit(l.src[l.pos]) {
		l.pos++
	}
	return l.pos - from
}
