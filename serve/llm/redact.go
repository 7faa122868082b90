package llm

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
)

// streamText is the text of the first choice of a stream.
func streamText(raw []byte) []byte {
	var e events
	e.reset(bytes.NewReader(raw), max(len(raw)+1, firstBuffer))
	var text []byte
	for {
		for ev, ok := e.next(); ok; ev, ok = e.next() {
			text = appendText(text, ev.data)
		}
		if e.fill() != nil {
			return text
		}
	}
}

// appendText appends the text of one event.
func appendText(dst, data []byte) []byte {
	var d struct {
		Type    string
		Delta   json.RawMessage
		Choices []struct {
			Index int
			Text  string
			Delta struct{ Content string }
		}
	}
	if json.Unmarshal(data, &d) != nil {
		return dst
	}
	if d.Type == "response.output_text.delta" {
		var s string
		if json.Unmarshal(d.Delta, &s) == nil {
			return append(dst, s...)
		}
	}
	for _, c := range d.Choices {
		if c.Index == 0 {
			dst = append(append(dst, c.Text...), c.Delta.Content...)
		}
	}
	return dst
}

// The things that RedactPII finds, and what it leaves in their place. A letter
// behind a backslash belongs to an escape of JSON.
var personal = []struct {
	kind string
	at   *regexp.Regexp
}{
	{"[key]", regexp.MustCompile(`(?:\bsk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[abpr]-|AKIA|AIza)[A-Za-z0-9_-]{12,}`)},
	{"[email]", regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)},
	{"[card]", regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)},
	{"[phone]", regexp.MustCompile(`\+\d(?:[ ().-]{0,2}\d){7,14}\b`)},
}

// RedactPII appends text to dst with what looks like an API key, an e-mail
// address, a payment card or an international phone number replaced by its kind
// in brackets. It knows no names and no streets. JSON stays JSON: a card that is
// a number becomes one of zeros.
func RedactPII(dst, text []byte) []byte {
	for _, p := range personal {
		// A copy is made for what was found only.
		if !p.at.Match(text) {
			continue
		}
		text = replace(p.kind, p.at, text)
	}
	return append(dst, text...)
}

func replace(kind string, at *regexp.Regexp, text []byte) []byte {
	var out []byte
	from := 0
	for _, m := range at.FindAllIndex(text, -1) {
		found := text[m[0]:m[1]]
		if kind == "[card]" && !luhn(found) {
			continue
		}
		out = append(out, text[from:m[0]]...)
		from = m[1]
		switch {
		case kind == "[card]" && bare(text, m):
			out = append(out, '0')
		case kind == "[email]" && m[0] > 0 && text[m[0]-1] == '\\':
			out = append(append(out, found[0]), kind...) // A letter of \n.
		default:
			out = append(out, kind...)
		}
	}
	return append(out, text[from:]...)
}

// bare reports whether digits are a number of JSON and not part of a string: then
// brackets would be an array.
func bare(text []byte, m []int) bool {
	before := bytes.TrimRight(text[:m[0]], " \t\r\n")
	after := bytes.TrimLeft(text[m[1]:], " \t\r\n")
	return len(before) > 0 && bytes.IndexByte([]byte(":,["), before[len(before)-1]) >= 0 &&
		len(after) > 0 && bytes.IndexByte([]byte(",]}"), after[0]) >= 0 && json.Valid(text[m[0]:m[1]])
}

// luhn checks the last digit of a card's number.
func luhn(text []byte) bool {
	sum, double := 0, false
	for _, c := range slices.Backward(text) {
		d := int(c) - '0'
		if d < 0 || d > 9 {
			continue
		}
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}
