package guard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/serve/llm"
)

// Options are the settings of Redact and Deny. Nil is the defaults.
type Options struct {
	// NoInput leaves requests alone, NoOutput answers. Default false.
	NoInput, NoOutput bool
	// Refuse refuses what has a pattern in place of taking it out: Redact's default
	// is false. Deny always refuses.
	Refuse bool
	// Lookback is how many bytes of a text of a stream are kept back at most.
	// Default 512.
	Lookback int
	// OnFind is told of each thing that was found, by its kind, on the path of the
	// request. Default none.
	OnFind func(x *llm.Exchange, kind string)
}

// Guard is a hook for requests, answers and streams. It is safe for concurrent use.
type Guard struct {
	patterns []Pattern
	o        Options
}

// Code is that of the error for what is refused.
const Code = "content_filter"

// Redact puts the kind, in brackets, in the place of all that the patterns find.
// What two of them find is the first one's.
func Redact(patterns []Pattern, o *Options) *Guard {
	g := &Guard{patterns: slices.Clone(patterns)}
	if o != nil {
		g.o = *o
	}
	if g.o.Lookback <= 0 {
		g.o.Lookback = 512
	}
	return g
}

// Deny refuses requests, and ends answers, with one of the words or phrases.
func Deny(list []string, o *Options) *Guard {
	g := Redact([]Pattern{words(list)}, o)
	g.o.Refuse = true
	return g
}

func refuse(what string) error {
	return &llm.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: Code, Message: what}
}

// Request implements llm.RequestHook.
func (g *Guard) Request(_ context.Context, x *llm.Exchange, body []byte) ([]byte, error) {
	if g.o.NoInput {
		return body, nil
	}
	return llm.EditTexts(body, func(text string) (string, error) { return g.edit(x, text, "request") })
}

// Answer implements llm.AnswerHook.
func (g *Guard) Answer(_ context.Context, x *llm.Exchange, body []byte) ([]byte, error) {
	if g.o.NoOutput || x.Operation == llm.Embeddings {
		return body, nil
	}
	return llm.EditTexts(body, func(text string) (string, error) { return g.edit(x, text, "answer") })
}

// Stream implements llm.StreamHook.
func (g *Guard) Stream(_ context.Context, x *llm.Exchange) llm.StreamFilter {
	if g.o.NoOutput {
		return nil
	}
	return llm.StreamTexts(x.Operation, func() llm.TextFilter { return &filter{g: g, x: x} })
}

// hit is a thing that was found.
type hit struct {
	from, to int
	kind     string
	rank     int
}

// all is what all patterns find.
func (g *Guard) all(text string) (all []hit) {
	for rank, p := range g.patterns {
		for _, m := range p.find(text) {
			all = append(all, hit{m[0], m[1], p.kind, rank})
		}
	}
	return all
}

// resolve leaves of what overlaps what the first pattern found.
func resolve(all []hit) []hit {
	slices.SortFunc(all, func(a, b hit) int { return cmp.Or(a.rank-b.rank, a.from-b.from) })
	var kept []hit
	for _, h := range all {
		if !slices.ContainsFunc(kept, func(k hit) bool { return h.from < k.to && k.from < h.to }) {
			kept = append(kept, h)
		}
	}
	slices.SortFunc(kept, func(a, b hit) int { return a.from - b.from })
	return kept
}

// edit is what becomes of a whole text.
func (g *Guard) edit(x *llm.Exchange, text, what string) (string, error) {
	return g.replace(x, text, resolve(g.all(text)), what)
}

// replace takes the hits out of a text.
func (g *Guard) replace(x *llm.Exchange, text string, hits []hit, what string) (string, error) {
	if len(hits) == 0 {
		return text, nil
	}
	var b strings.Builder
	from := 0
	for _, h := range hits {
		if g.o.OnFind != nil {
			g.o.OnFind(x, h.kind)
		}
		if g.o.Refuse {
			return "", refuse(fmt.Sprintf("the %s has something that is not allowed here (%s)", what, h.kind))
		}
		b.WriteString(text[from:h.from])
		b.WriteString("[" + h.kind + "]")
		from = h.to
	}
	b.WriteString(text[from:])
	return b.String(), nil
}

// filter is a text of a stream.
type filter struct {
	g      *Guard
	x      *llm.Exchange
	before string // The letter in front of what is kept: it shows where a word begins.
	kept   string
	inside bool // Of something that was too long to be kept back.
}

// Next implements llm.TextFilter.
func (f *filter) Next(piece string) (string, error) {
	if f.inside {
		n := 0
		for n < len(piece) && wordByte(piece[n]) {
			n++
		}
		if piece = piece[n:]; piece == "" {
			return "", nil
		}
		f.inside = false
	}
	f.kept += piece
	text, all, base := f.look()
	cut := len(text)
	for _, p := range f.g.patterns {
		cut = min(cut, p.tail(text))
	}
	cut = max(cut, base)
	// What lies on both sides of the cut waits as a whole.
	for moved := true; moved; {
		moved = false
		for _, h := range all {
			if h.from < cut && h.to > cut {
				cut, moved = h.from, true
			}
		}
	}
	hits := resolve(all)
	if least := len(text) - f.g.o.Lookback; cut < least {
		cut = least
		for _, h := range hits {
			if h.from < cut && h.to > cut {
				cut, f.inside = h.to, h.to == len(text)
			}
		}
	}
	for cut > 0 && cut < len(text) && !utf8.RuneStart(text[cut]) {
		cut--
	}
	whole := hits
	for i, h := range hits {
		if h.to > cut {
			whole = hits[:i]
			break
		}
	}
	out, err := f.g.replace(f.x, text[:cut], whole, "answer")
	if cut > base {
		_, n := utf8.DecodeLastRuneInString(text[:cut])
		f.before = text[cut-n : cut]
	}
	f.kept = text[cut:]
	return strings.TrimPrefix(out, text[:base]), err
}

// look returns what is kept with what is in it, behind the letter before.
func (f *filter) look() (text string, all []hit, base int) {
	text, base = f.before+f.kept, len(f.before)
	all = slices.DeleteFunc(f.g.all(text), func(h hit) bool { return h.from < base })
	return text, all, base
}

// End implements llm.TextFilter.
func (f *filter) End() (string, error) {
	text, all, base := f.look()
	f.before, f.kept, f.inside = "", "", false
	out, err := f.g.replace(f.x, text, resolve(all), "answer")
	return strings.TrimPrefix(out, text[:base]), err
}
