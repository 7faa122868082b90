package search

import (
	"strings"
	"unicode/utf8"
)

// matchLike matches s as LIKE does. It keeps the last "%" and, when what
// follows fails, lets it swallow more: len(s)·len(pattern) steps at worst.
func matchLike(s, pattern string) bool {
	parts := LikeParts(pattern)
	p, at := 0, 0           // next part, next byte of s
	retry, retryAt := -1, 0 // where to go on after a mismatch
	for {
		if p == len(parts) {
			if at == len(s) {
				return true
			}
		} else if part := parts[p]; part.Many {
			if p == len(parts)-1 {
				return true
			}
			retry, retryAt = p+1, at
			p++
			if next := parts[p]; !next.One {
				i := strings.Index(s[at:], next.Literal)
				if i < 0 {
					return false
				}
				retryAt += i
				at = retryAt
			}
			continue
		} else if part.One {
			if at < len(s) {
				_, n := utf8.DecodeRuneInString(s[at:])
				at += n
				p++
				continue
			}
		} else if strings.HasPrefix(s[at:], part.Literal) {
			at += len(part.Literal)
			p++
			continue
		}
		if retry < 0 || retryAt >= len(s) {
			return false
		}
		_, n := utf8.DecodeRuneInString(s[retryAt:])
		retryAt += n
		if next := parts[retry]; !next.One {
			i := strings.Index(s[retryAt:], next.Literal)
			if i < 0 {
				return false
			}
			retryAt += i
		}
		p, at = retry, retryAt
	}
}

// lowerASCII folds A to Z only, which every database agrees on.
func lowerASCII(s string) string {
	upper := func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return strings.Map(upper, s)
		}
	}
	return s
}
