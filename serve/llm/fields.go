package llm

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Operation is what a request asks for, named as the GenAI conventions name it.
type Operation string

// The operations of a Gateway.
const (
	// Chat is /v1/chat/completions.
	Chat Operation = "chat"
	// Completion is /v1/completions.
	Completion Operation = "text_completion"
	// Embeddings is /v1/embeddings.
	Embeddings Operation = "embeddings"
	// Responses is /v1/responses.
	Responses Operation = "responses"
)

// path of the operation behind the base URL.
func (o Operation) path() string {
	switch o {
	case Chat:
		return "/chat/completions"
	case Completion:
		return "/completions"
	case Embeddings:
		return "/embeddings"
	default:
		return "/responses"
	}
}

// fields are the parts of a request body that the gateway needs.
type fields struct {
	model       string
	modelAt     span // Of the value.
	user        string
	stream      bool
	streamAt    span // Of the value.
	wantsUsage  bool
	options     span // Of the value of stream_options; empty without.
	usageAt     span // Of the value of stream_options.include_usage; empty without.
	optionsNone bool // It is null or {}.
	maxTokens   int  // The greatest of maxes, -1 without.
	maxes       [3]limitField
	n           int
	prompt      span // Of messages, prompt or input.
	tools       span
	open        int // Behind the opening bracket.
	members     int
}

// limitField is one of the names for the most tokens of an answer.
type limitField struct {
	at span // Of the value; empty without.
	n  int  // -1 for null.
}

// errField is a field with a value that cannot be.
type errField struct{ param, why string }

func (e *errField) Error() string { return fmt.Sprintf("%s: %s", e.param, e.why) }

// known are the names that a request may have once: a server behind would take
// another one of two than the gateway did.
var known = [...]string{
	"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens",
	"user", "n", "messages", "prompt", "input", "tools",
}

// maxFirst is where the names for the most tokens begin in known.
const maxFirst = 3

func knownIndex(name []byte) int {
	for i, k := range known {
		if string(name) == k {
			return i
		}
	}
	return -1
}

// scanRequest finds the fields in a request body.
func scanRequest(b []byte) (f fields, err error) {
	f.maxTokens, f.n = -1, 1
	w := walker{b: b}
	var seen uint32
	var bad *errField
	wrong := func(param, why string) {
		if bad == nil {
			bad = &errField{param, why}
		}
	}
	if w.space() != '{' {
		w.fail()
	}
	f.open = w.i + 1
	w.object(1, func(name []byte, _ int) {
		f.members++
		k := knownIndex(name)
		if k < 0 {
			w.value(2)
			return
		}
		if seen&(1<<k) != 0 {
			wrong(known[k], "it stands there twice")
		}
		seen |= 1 << k
		from := w.i
		switch known[k] {
		case "model":
			if w.space() != '"' {
				w.value(2)
				wrong("model", "want a string")
				return
			}
			f.model = w.plainText(wrong, "model")
			f.modelAt = span{from, w.i}
		case "stream":
			f.stream = w.flag(wrong, "stream")
			f.streamAt = span{from, w.i}
		case "stream_options":
			w.streamOptions(&f, wrong)
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			n, ok := -1, true
			if !w.null() {
				n, ok = w.integer(2)
			}
			if !ok {
				wrong(known[k], "want a whole number, 0 or more")
			}
			f.maxes[k-maxFirst] = limitField{span{from, w.i}, n}
			// Of two of them the greater counts, as it may be the one that a
			// server heeds.
			f.maxTokens = max(f.maxTokens, n)
		case "n":
			if w.null() {
				return
			}
			n, ok := w.integer(2)
			if !ok || n < 1 || n > 1024 {
				wrong("n", "want a whole number from 1 to 1,024")
				return
			}
			f.n = n
		case "user":
			if w.space() != '"' {
				w.value(2)
				return
			}
			f.user = w.plainText(wrong, "user")
		case "tools":
			f.tools = w.value(2)
		default:
			f.prompt = w.value(2)
		}
	})
	if err := w.end(); err != nil {
		return fields{}, err
	}
	if bad != nil {
		return fields{}, bad
	}
	if f.model == "" {
		return fields{}, &errField{"model", "it is missing"}
	}
	return f, nil
}

// plainText reads a string of valid UTF-8.
func (w *walker) plainText(wrong func(param, why string), param string) string {
	b := w.text()
	if !utf8.Valid(b) {
		wrong(param, "it is not valid UTF-8")
	}
	return string(b)
}

// flag reads a boolean, where a null is false.
func (w *walker) flag(wrong func(param, why string), param string) bool {
	if w.null() {
		return false
	}
	v, ok := w.boolean(2)
	if !ok {
		wrong(param, "want true or false")
	}
	return v
}

func (w *walker) streamOptions(f *fields, wrong func(param, why string)) {
	from := w.i
	if w.null() {
		f.options, f.optionsNone = span{from, w.i}, true
		return
	}
	if w.space() != '{' {
		w.value(2)
		wrong("stream_options", "want an object")
		return
	}
	f.optionsNone = true
	w.object(2, func(name []byte, _ int) {
		f.optionsNone = false
		if string(name) != "include_usage" {
			w.value(3)
			return
		}
		if !f.usageAt.empty() {
			wrong("stream_options.include_usage", "it stands there twice")
		}
		from := w.i
		f.wantsUsage = w.flag(wrong, "stream_options.include_usage")
		f.usageAt = span{from, w.i}
	})
	f.options = span{from, w.i}
}

// edit is a replacement of a part of a text.
type edit struct {
	at   span
	with string
}

// splice appends b to dst with the edits made, which are in the order of their
// places and do not overlap. All other bytes stay as they are.
func splice(dst, b []byte, edits []edit) []byte {
	from := 0
	for _, e := range edits {
		dst = append(append(dst, b[from:e.at.from]...), e.with...)
		from = e.at.to
	}
	return append(dst, b[from:]...)
}

// answerFields are the parts of an answer, or of an event of one, that the gateway
// needs.
type answerFields struct {
	usage     Usage
	hasUsage  bool
	usageNull bool
	usageAt   span // From the name to behind the value; empty without.
	before    int  // The place of the comma in front of usageAt, -1 without.
	after     int  // The place behind the comma behind usageAt, -1 without.
	id, model span // Of the strings' insides.
	kind      []byte
	choices   int // The number of choices, -1 without.
	output    bool
	finish    []byte
	isError   bool
}

var errAnswer = errors.New("it is not a JSON object")

// scanAnswer finds the fields in an answer or in the data of an event. The bytes
// in it are views of b.
func scanAnswer(b []byte) (f answerFields, err error) {
	f.before, f.after, f.choices = -1, -1, -1
	w := walker{b: b}
	if w.space() != '{' {
		return f, errAnswer
	}
	w.answer(&f, 1)
	return f, w.end()
}

// answer reads the members of an answer. The events of the Responses API have it
// one level down.
func (w *walker) answer(f *answerFields, depth int) {
	comma := -1
	w.object(depth, func(name []byte, at int) {
		switch string(name) {
		case "usage":
			f.hasUsage, f.usageNull = false, false
			if w.null() {
				f.usageNull = true
			} else if w.space() == '{' {
				f.usage, f.hasUsage = Usage{}, true
				w.usage(&f.usage, depth+1)
			} else {
				w.value(depth + 1)
			}
			if depth == 1 {
				f.usageAt, f.before, f.after = span{at, w.i}, comma, -1
				if w.space() == ',' {
					f.after = w.i + 1
				}
			}
		case "id":
			f.id = w.inside(depth + 1)
		case "model":
			f.model = w.inside(depth + 1)
		case "type":
			if depth == 1 {
				f.kind = w.inside(depth + 1).of(w.b)
			} else {
				w.value(depth + 1)
			}
		case "choices":
			w.choices(f, depth+1)
		case "response":
			if depth == 1 && w.space() == '{' {
				w.answer(f, depth+1)
			} else {
				w.value(depth + 1)
			}
		case "error":
			if !w.null() {
				w.value(depth + 1)
				f.isError = true
			}
		case "status":
			if s := w.inside(depth + 1); depth == 2 || len(f.finish) == 0 {
				f.finish = s.of(w.b)
			}
		default:
			w.value(depth + 1)
		}
		if w.space() == ',' {
			comma = w.i
		}
	})
}

// inside skips a value and returns the inside of a string, nothing of another.
func (w *walker) inside(depth int) span {
	s := w.value(depth)
	if s.to-s.from < 2 || w.b[s.from] != '"' {
		return span{}
	}
	return span{s.from + 1, s.to - 1}
}

// choices counts the choices, and finds why the last ended.
func (w *walker) choices(f *answerFields, depth int) {
	if w.space() != '[' {
		w.value(depth)
		return
	}
	f.choices = 0
	w.i++
	if w.space() == ']' {
		w.i++
		return
	}
	for w.err == nil {
		f.choices++
		if w.space() != '{' {
			w.value(depth + 1)
		} else {
			w.object(depth+1, func(name []byte, _ int) {
				switch string(name) {
				case "finish_reason":
					if s := w.inside(depth + 2); !s.empty() {
						f.finish = s.of(w.b)
					}
				case "delta", "text":
					// A delta with nothing in it carries no token.
					v := w.value(depth + 2)
					f.output = f.output || v.to-v.from > 2
				default:
					w.value(depth + 2)
				}
			})
		}
		switch w.space() {
		case ',':
			w.i++
		case ']':
			w.i++
			return
		default:
			w.fail()
		}
	}
}

// usage reads the counts of tokens, by the names of both APIs.
func (w *walker) usage(u *Usage, depth int) {
	w.object(depth, func(name []byte, _ int) {
		switch string(name) {
		case "prompt_tokens", "input_tokens":
			u.Input, _ = w.integer(depth + 1)
		case "completion_tokens", "output_tokens":
			u.Output, _ = w.integer(depth + 1)
		case "prompt_tokens_details", "input_tokens_details":
			w.detail(depth+1, "cached_tokens", &u.CachedInput)
		case "completion_tokens_details", "output_tokens_details":
			w.detail(depth+1, "reasoning_tokens", &u.Reasoning)
		default:
			w.value(depth + 1)
		}
	})
}

func (w *walker) detail(depth int, want string, to *int) {
	if w.space() != '{' {
		w.value(depth)
		return
	}
	w.object(depth, func(name []byte, _ int) {
		if string(name) == want {
			*to, _ = w.integer(depth + 1)
		} else {
			w.value(depth + 1)
		}
	})
}

// withoutUsage appends b to dst without the member usage.
func (f *answerFields) withoutUsage(dst, b []byte) []byte {
	at := f.usageAt
	switch {
	case f.before >= 0:
		at.from = f.before
	case f.after >= 0:
		at.to = f.after
	}
	return append(append(dst, b[:at.from]...), bytes.TrimLeft(b[at.to:], " ")...)
}
