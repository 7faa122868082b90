package judge

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSimilar bounds the texts that are compared, in characters or words: the cost
// of a comparison grows with the product of both lengths. What is longer is cut.
const maxSimilar = 4096

// Similarity is the edit distance between the output and the expected answer,
// turned into 1 for the same text and 0 for nothing in common: 1 − distance ÷ the
// longer length, in characters, of which the first 4,096 count. It is named
// "similarity".
func Similarity() Scorer {
	return plain("similarity", func(s *Sample) Score {
		a, b := runes(s.Output), runes(s.Expected)
		if len(a)+len(b) == 0 {
			return Score{Value: 1}
		}
		return Score{Value: 1 - float64(editDistance(a, b))/float64(max(len(a), len(b)))}
	})
}

func runes(s string) []rune {
	out := make([]rune, 0, min(utf8.RuneCountInString(s), maxSimilar))
	for _, r := range s {
		if len(out) == maxSimilar {
			break
		}
		out = append(out, r)
	}
	return out
}

// editDistance is Levenshtein's, with one row of memory.
func editDistance[E comparable](a, b []E) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := diagonal
			if x != y {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// RougeL is the F measure of the longest common subsequence of the words of the
// output and of the expected answer, as the package rouge-score has it without
// stemming. Words are runs of letters and digits, in lower case. It is named
// "rouge_l".
func RougeL() Scorer {
	return plain("rouge_l", func(s *Sample) Score {
		got, want := words(s.Output), words(s.Expected)
		return Score{Value: harmonic(common(got, want), len(got), len(want))}
	})
}

// TokenF1 is the F measure of the words that the output and the expected answer
// share, in any order, as SQuAD counts them: in lower case, without punctuation
// and English articles. It is named "token_f1".
func TokenF1() Scorer {
	return plain("token_f1", func(s *Sample) Score {
		got, want := squad(s.Output), squad(s.Expected)
		if len(got) == 0 || len(want) == 0 {
			if len(got) == len(want) {
				return Score{Value: 1}
			}
			return Score{}
		}
		left := counts(want)
		shared := 0
		for _, w := range got {
			if left[w] > 0 {
				left[w]--
				shared++
			}
		}
		return Score{Value: harmonic(shared, len(got), len(want))}
	})
}

// BLEU is the sentence BLEU of the output with the expected answer as its one
// reference, from 0 to 1: up to four words together, a penalty for what is short,
// and counts of zero halved as in sacreBLEU's exponential smoothing. Words are
// those of RougeL. It is named "bleu".
func BLEU() Scorer {
	return plain("bleu", func(s *Sample) Score { return Score{Value: bleu(words(s.Output), words(s.Expected))} })
}

// ChrF is the F measure of the runs of one to six characters that the output and the
// expected answer share, with recall twice as heavy as precision and without the
// spaces (Popović, chrF: character n-gram F-score, 2015), as sacreBLEU has it. It
// suits languages that write no spaces, or many endings. The first 4,096 characters
// count. It is named "chrf".
func ChrF() Scorer {
	return plain("chrf", func(s *Sample) Score { return Score{Value: chrF(solid(s.Output), solid(s.Expected))} })
}

// solid is text without its spaces.
func solid(s string) []rune {
	return runes(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s))
}

func chrF(got, want []rune) float64 {
	const longest, recalls = 6, 2 * 2
	precision, recall, orders := 0.0, 0.0, 0.0
	for n := 1; n <= min(longest, len(got), len(want)); n++ {
		have, shared := runs(want, n), 0
		for gram, count := range runs(got, n) {
			shared += min(count, have[gram])
		}
		precision += float64(shared) / float64(len(got)-n+1)
		recall += float64(shared) / float64(len(want)-n+1)
		orders++
	}
	if precision+recall == 0 {
		return 0
	}
	precision, recall = precision/orders, recall/orders
	return (1 + recalls) * precision * recall / (recalls*precision + recall)
}

// runs counts the runs of n characters.
func runs(text []rune, n int) map[string]int {
	out := make(map[string]int, len(text))
	for i := 0; i+n <= len(text); i++ {
		out[string(text[i:i+n])]++
	}
	return out
}

// maxGram is BLEU's longest run of words.
const maxGram = 4

func bleu(got, want []string) float64 {
	if len(got) == 0 || len(want) == 0 {
		return 0
	}
	logs, smooth, orders := 0.0, 1.0, 0
	for n := 1; n <= maxGram; n++ {
		total := len(got) - n + 1
		if total < 1 {
			break
		}
		right, have := 0, grams(want, n)
		for gram, count := range grams(got, n) {
			right += min(count, have[gram])
		}
		if n == 1 && right == 0 {
			return 0
		}
		precision := float64(right) / float64(total)
		if right == 0 {
			smooth *= 2
			precision = 1 / (smooth * float64(total))
		}
		logs += math.Log(precision)
		orders++
	}
	if orders < maxGram {
		return 0 // As sacreBLEU has it without effective order.
	}
	brevity := 0.0
	if len(got) < len(want) {
		brevity = 1 - float64(len(want))/float64(len(got))
	}
	return math.Exp(logs/maxGram + brevity)
}

// grams counts the runs of n words.
func grams(words []string, n int) map[string]int {
	out := make(map[string]int, len(words))
	for i := 0; i+n <= len(words); i++ {
		out[strings.Join(words[i:i+n], " ")]++
	}
	return out
}

func counts(words []string) map[string]int { return grams(words, 1) }

// words are the runs of letters and digits, in lower case.
func words(s string) []string {
	return bounded(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	}))
}

// squad are the words as SQuAD's script makes them.
func squad(s string) []string {
	kept := strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) || r < utf8.RuneSelf && unicode.IsSymbol(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
	return bounded(slices.DeleteFunc(strings.Fields(kept), func(w string) bool { return w == "a" || w == "an" || w == "the" }))
}

func bounded(list []string) []string { return list[:min(len(list), maxSimilar)] }

// common is the length of the longest common subsequence.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// harmonic is the F measure of a precision and a recall.
func harmonic(shared, got, want int) float64 {
	if shared == 0 {
		return 0
	}
	p, r := float64(shared)/float64(got), float64(shared)/float64(want)
	return 2 * p * r / (p + r)
}
