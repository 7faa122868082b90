package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exact is 1 if the output is the expected answer, apart from space around both.
// It is named "exact".
func Exact() Scorer {
	return plain("exact", func(s *Sample) Score {
		return passes(strings.TrimSpace(s.Output) == strings.TrimSpace(s.Expected))
	})
}

// Contains is 1 if the output has the text in it, in any case. An empty text
// stands for the sample's expected answer.
func Contains(name, text string) Scorer {
	text = strings.ToLower(text)
	return plain(name, func(s *Sample) Score {
		want := text
		if want == "" {
			want = strings.ToLower(strings.TrimSpace(s.Expected))
		}
		return passes(strings.Contains(strings.ToLower(s.Output), want))
	}, "text", text)
}

// Regexp is 1 if the output matches somewhere. Anchor the expression to ask for
// all of it.
func Regexp(name string, expression *regexp.Regexp) Scorer {
	return plain(name, func(s *Sample) Score { return passes(expression.MatchString(s.Output)) }, "expression", expression.String())
}

// Length is how many characters the output has. It is named "length" and judges
// nothing: watch how it drifts.
func Length() Scorer {
	return plain("length", func(s *Sample) Score { return Score{Value: float64(utf8.RuneCountInString(s.Output))} })
}

// LengthWithin is 1 if the output has from least to most characters.
func LengthWithin(name string, least, most int) Scorer {
	return plain(name, func(s *Sample) Score {
		n := utf8.RuneCountInString(s.Output)
		return passes(least <= n && n <= most)
	}, "least", strconv.Itoa(least), "most", strconv.Itoa(most))
}

// refusals are how models begin to say that they will not answer.
var refusals = regexp.MustCompile(`(?i)\b(i('m| am) (sorry|unable|not able)|i (can('t|not)|won't|will not|must decline|am not able)|as an ai( language)? model|unable to (help|assist|comply)|(cannot|can't|won't) (help|assist|comply|provide|fulfil))\b`)

// refusalHead is how far into an output a refusal is looked for: later on it is
// more often a citation.
const refusalHead = 240

// Refusal is 1 if the output is a refusal to answer: Finish is "content_filter", or
// one of these phrases is in its first 240 bytes, in any case: "I'm sorry", "I am
// unable", "I can't", "I won't", "I must decline", "as an AI model", "unable to
// help", "cannot assist" and their kin. Further expressions add those of other
// languages. It is named "refusal"; its mean is the share of refusals. It misses
// some and takes an apology for one: the drift of the share is what it is good for.
func Refusal(further ...*regexp.Regexp) Scorer {
	all := append([]*regexp.Regexp{refusals}, further...)
	about := make([]string, len(all))
	for i, e := range all {
		about[i] = e.String()
	}
	return plain("refusal", func(s *Sample) Score {
		head := strings.ReplaceAll(s.Output[:min(len(s.Output), refusalHead)], "’", "'")
		if s.Finish == "content_filter" || slices.ContainsFunc(all, func(e *regexp.Regexp) bool { return e.MatchString(head) }) {
			return Score{Value: 1, Label: "refusal"}
		}
		return Score{Label: "answer"}
	}, "phrases", digestOf(about...))
}

// Schema is 1 if the output is one JSON value that agrees with a JSON Schema
// (draft 2020-12 unless it names another; formats are checked). References to
// other documents are refused. Explanation says what does not fit.
func Schema(name string, schema []byte) (Scorer, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("judge: schema %q: %w: %w", name, err, ErrInvalid)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(refuseLoader{})
	c.AssertFormat()
	const place = "schema.json"
	if err := c.AddResource(place, doc); err != nil {
		return nil, fmt.Errorf("judge: schema %q: %w: %w", name, err, ErrInvalid)
	}
	compiled, err := c.Compile(place)
	if err != nil {
		return nil, fmt.Errorf("judge: schema %q: %w: %w", name, err, ErrInvalid)
	}
	return plain(name, func(s *Sample) Score {
		v, err := oneValue(s.Output)
		if err == nil {
			err = compiled.Validate(v)
		}
		score := passes(err == nil)
		if err != nil {
			score.Explanation = shorten(err.Error(), maxExplanation)
		}
		return score
	}, "schema", digestOf(string(schema))), nil
}

// refuseLoader reads nothing: a schema must not reach into files or the network.
type refuseLoader struct{}

var errElsewhere = errors.New("it refers to another document")

func (refuseLoader) Load(string) (any, error) { return nil, errElsewhere }

// maxDepth bounds how deep an output's JSON may nest, since the validation
// recurses.
const maxDepth = 200

// oneValue reads text that is one JSON value.
func oneValue(text string) (any, error) {
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // As the validation wants it.
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("text follows the JSON value: %w", ErrInvalid)
	}
	return v, nil
}

func checkDepth(text string) error {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("the JSON nests deeper than %d: %w", maxDepth, ErrInvalid)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// maxExplanation bounds the explanations of scores, in bytes.
const maxExplanation = 2000

// shorten cuts text to so many bytes, between characters.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
