package search

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid is the kind of every error of this package.
var ErrInvalid = errs.ErrInvalid

// scanner reads a text from left to right. The parser calls the method for
// what the grammar wants next, so no token needs a look at what is before it.
type scanner struct {
	text string
	at   int    // next byte
	in   string // "filter" or "order_by", for errors
}

// checkText refuses what no database would take as a text.
func checkText(in, text string, limit int) error {
	if len(text) > limit {
		return fmt.Errorf("search: %s: it has %d bytes, at most %d are allowed: %w", in, len(text), limit, ErrInvalid)
	}
	if before, _, found := strings.Cut(text, "\x00"); found {
		return fmt.Errorf("search: %s at character %d: found NUL, which no text can hold: %w", in, utf8.RuneCountInString(before)+1, ErrInvalid)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("search: %s: it is not valid UTF-8: %w", in, ErrInvalid)
	}
	return nil
}

// pos is the 1-based number of the character at byte at.
func (s *scanner) pos(at int) int { return utf8.RuneCountInString(s.text[:at]) + 1 }

func (s *scanner) errorf(at int, format string, args ...any) error {
	return fmt.Errorf("search: %s at character %d: %s: %w", s.in, s.pos(at), fmt.Sprintf(format, args...), ErrInvalid)
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) {
		r, n := utf8.DecodeRuneInString(s.text[s.at:])
		if !unicode.IsSpace(r) {
			return
		}
		s.at += n
	}
}

// next is the next byte, 0 at the end.
func (s *scanner) next() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// take moves over all characters that satisfy ok and returns them.
func (s *scanner) take(ok func(rune) bool) string {
	rest := s.text[s.at:]
	end := strings.IndexFunc(rest, func(r rune) bool { return !ok(r) })
	if end < 0 {
		end = len(rest)
	}
	s.at += end
	return rest[:end]
}

// found describes what stands at byte at, for errors.
func (s *scanner) found(at int) string {
	rest := s.text[at:]
	if rest == "" {
		return "the end"
	}
	r, n := utf8.DecodeRuneInString(rest)
	if isKeyRune(r) {
		here := *s
		here.at = at
		word := here.take(isKeyRune)
		if len(word) > 60 {
			word = strings.ToValidUTF8(word[:60], "") + "…"
		}
		return "'" + word + "'"
	}
	if unicode.IsPrint(r) && r != '\'' {
		return "'" + rest[:n] + "'"
	}
	return strconv.QuoteRune(r)
}

func isKeyRune(r rune) bool {
	return r == '_' || r == '-' || r == '.' || r == '/' || r == ':' || unicode.IsLetter(r) || unicode.IsNumber(r)
}

func isLetter(r rune) bool { return r < utf8.RuneSelf && unicode.IsLetter(r) }

func isOpRune(r rune) bool { return strings.ContainsRune("=!<>~", r) }

// quoted reads a text in the quotes that stand here; a quote inside is
// doubled. Backslashes mean nothing.
func (s *scanner) quoted() (string, error) {
	start, quote := s.at, s.text[s.at:s.at+1]
	var b strings.Builder
	for s.at++; ; {
		i := strings.Index(s.text[s.at:], quote)
		if i < 0 {
			s.at = start
			return "", s.errorf(start, "Invalid clause(s) in filter string: found %s without an end, expected the closing quote", s.found(start))
		}
		b.WriteString(s.text[s.at : s.at+i])
		s.at += i + 1
		if s.next() != quote[0] {
			return b.String(), nil
		}
		b.WriteByte(quote[0])
		s.at++
	}
}

// number reads digits with an optional sign "-", fraction and exponent. What
// is too large for a float64 is infinite.
func (s *scanner) number() (float64, bool) {
	start := s.at
	if s.next() == '-' {
		s.at++
	}
	digits := s.take(isDigit)
	if s.next() == '.' {
		s.at++
		digits += s.take(isDigit)
	}
	if digits == "" {
		s.at = start
		return 0, false
	}
	if s.next() == 'e' || s.next() == 'E' {
		s.at++
		if s.next() == '-' || s.next() == '+' {
			s.at++
		}
		if s.take(isDigit) == "" {
			s.at = start
			return 0, false
		}
	}
	if r, _ := utf8.DecodeRuneInString(s.text[s.at:]); s.at < len(s.text) && (isKeyRune(r)) {
		s.at = start // "5x", "1.2.3"
		return 0, false
	}
	f, _ := strconv.ParseFloat(s.text[start:s.at], 64) // its only error here is of range, with ±Inf
	if math.IsNaN(f) {
		return 0, false
	}
	return f, true
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }
