package guard

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// words is a pattern of words and phrases, found whole and in any case.
func words(list []string) Pattern {
	var quoted []string
	begin := make(map[rune][][]rune) // By the first letter, folded.
	most := 0
	for _, w := range list {
		if w = strings.TrimSpace(w); w == "" {
			continue
		}
		quoted = append(quoted, regexp.QuoteMeta(w))
		folded := []rune(w)
		for i, r := range folded {
			folded[i] = fold(r)
		}
		begin[folded[0]] = append(begin[folded[0]], folded)
		most = max(most, len(folded))
	}
	if len(quoted) == 0 {
		return Pattern{"word", func(string) [][]int { return nil }, func(text string) int { return len(text) }}
	}
	// The longest first, as an expression takes the first that fits.
	slices.SortFunc(quoted, func(a, b string) int { return len(b) - len(a) })
	find := matcher(regexp.MustCompile(`(?i)(?:`+strings.Join(quoted, "|")+`)`), wholeWord)
	return Pattern{"word", find, func(text string) int {
		at := len(text)
		var last []rune // Folded, from the end on.
		for i := len(text); i > 0 && len(last) < most; {
			r, n := utf8.DecodeLastRuneInString(text[:i])
			i -= n
			last = append(last, fold(r))
			for _, w := range begin[fold(r)] {
				if begins(w, last) {
					at = i
				}
			}
		}
		return at
	}}
}

// begins reports whether a word begins with, or is, what is there in reverse.
func begins(word, reversed []rune) bool {
	if len(word) < len(reversed) {
		return false
	}
	for i := range reversed {
		if word[i] != reversed[len(reversed)-1-i] {
			return false
		}
	}
	return true
}

// fold is the same for all cases of a letter, as expressions know them.
func fold(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

// wholeWord reports whether a match is no part of a longer word.
func wholeWord(text string, at []int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
	after, _ := utf8.DecodeRuneInString(text[at[1]:])
	first, _ := utf8.DecodeRuneInString(text[at[0]:])
	last, _ := utf8.DecodeLastRuneInString(text[:at[1]])
	return (!alnum(before) || !alnum(first)) && (!alnum(after) || !alnum(last))
}
