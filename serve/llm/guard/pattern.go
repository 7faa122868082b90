package guard

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pattern is something to be found in a text. Make it with one of the functions of
// this package.
type Pattern struct {
	kind string
	// find returns the places of all that there is.
	find func(text string) [][]int
	// tail is where the part of a text begins that may be an unfinished one.
	tail func(text string) int
}

// Kind is what it is called, as in "email".
func (p Pattern) Kind() string { return p.kind }

// Regexp is a pattern of an expression. Of a stream, the last longest bytes are kept
// back; what is longer may be missed in one. The expression must not match nothing.
func Regexp(kind string, at *regexp.Regexp, longest int) Pattern {
	return Pattern{kind, matcher(at, nil), func(text string) int { return max(0, len(text)-max(longest, 1)) }}
}

// Personal are all patterns of this package.
func Personal() []Pattern { return []Pattern{Key(), Email(), IBAN(), Card(), Phone(), IPv4()} }

var (
	email = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)
	phone = regexp.MustCompile(`\+\d(?:[ ().-]{0,2}\d){7,14}\b|\(\d{3}\) ?\d{3}[ .-]\d{4}\b|\b\d{3}[ .-]\d{3}[ .-]\d{4}\b`)
	card  = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)
	iban  = regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}\b`)
	ipv4  = regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`)
	key   = regexp.MustCompile(`(?:\bsk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[abpr]-|AKIA|AIza)[A-Za-z0-9_-]{12,}|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)
	begun = regexp.MustCompile(`\b[A-Z]{2}\d{2}[A-Z0-9 ]*$`)
)

// Email is an e-mail address.
func Email() Pattern { return Pattern{"email", matcher(email, nil), word} }

// Phone is a number with its country, or one of North America with its area.
func Phone() Pattern { return Pattern{"phone", matcher(phone, nil), digits} }

// Card is a payment card's number with a right check digit.
func Card() Pattern {
	return Pattern{"card", matcher(card, func(text string, at []int) bool { return luhn(text[at[0]:at[1]]) }), digits}
}

// IBAN is an account's number with a right check number.
func IBAN() Pattern { return Pattern{"iban", findIBAN, ibanTail} }

// IPv4 is an address of the internet protocol, version 4.
func IPv4() Pattern {
	return Pattern{"ipv4", matcher(ipv4, func(text string, at []int) bool {
		for part := range strings.SplitSeq(text[at[0]:at[1]], ".") {
			if n, err := strconv.Atoi(part); err != nil || n > 255 {
				return false
			}
		}
		// More parts are another number.
		before, after := text[:at[0]], text[at[1]:]
		return !strings.HasSuffix(before, ".") && (len(after) < 2 || after[0] != '.' || after[1] < '0' || after[1] > '9')
	}), word}
}

// Key is an API key: of OpenAI's form, of Hugging Face, GitHub, GitLab, Slack, AWS
// and Google, and a JWT.
func Key() Pattern { return Pattern{"key", matcher(key, nil), word} }

// matcher finds what an expression matches and valid, unless nil, agrees to.
func matcher(at *regexp.Regexp, valid func(text string, at []int) bool) func(string) [][]int {
	return func(text string) [][]int {
		all := at.FindAllStringIndex(text, -1)
		return slices.DeleteFunc(all, func(m []int) bool { return m[0] == m[1] || valid != nil && !valid(text, m) })
	}
}

// findIBAN finds account numbers. An expression takes words behind one for a part of
// it, so that shorter ones are tried, too.
func findIBAN(text string) (found [][]int) {
	for _, m := range iban.FindAllStringIndex(text, -1) {
		for end := m[1]; end-m[0] >= 15; end-- {
			next, _ := utf8.DecodeRuneInString(text[end:])
			if text[end-1] == ' ' || end < m[1] && alnum(next) {
				continue
			}
			if mod97(text[m[0]:end]) {
				found = append(found, []int{m[0], end})
				break
			}
		}
	}
	return found
}

func alnum(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// word is where the last word begins, with all that addresses and keys have.
func word(text string) int {
	i := len(text)
	for i > 0 && wordByte(text[i-1]) {
		i--
	}
	return i
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._%+-@", c) >= 0
}

// digits is where the last row of digits begins.
func digits(text string) int {
	i := len(text)
	for i > 0 && (text[i-1] >= '0' && text[i-1] <= '9' || strings.IndexByte(" +().-", text[i-1]) >= 0) {
		i--
	}
	for i < len(text) && (text[i] < '0' || text[i] > '9') && text[i] != '+' && text[i] != '(' {
		i++ // Not the blank in front of it.
	}
	return min(i, word(text))
}

func ibanTail(text string) int {
	i := word(text)
	if m := begun.FindStringIndex(text); m != nil {
		i = min(i, m[0])
	}
	return i
}

// luhn checks the last digit of a card's number.
func luhn(text string) bool {
	sum, n := 0, 0
	for i := len(text) - 1; i >= 0; i-- {
		d := int(text[i]) - '0'
		if d < 0 || d > 9 {
			continue
		}
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return sum%10 == 0
}

// mod97 checks an account's number by ISO 13616.
func mod97(text string) bool {
	text = strings.ReplaceAll(text, " ", "")
	if len(text) < 15 || len(text) > 34 {
		return false
	}
	rest := 0
	for _, c := range text[4:] + text[:4] {
		switch {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'Z':
			rest = (rest*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}
