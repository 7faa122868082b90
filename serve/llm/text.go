package llm

import (
	"bytes"
	"encoding/json"
	"errors"
)

// notText are the members whose strings are no text: names, kinds, and data.
var notText = map[string]bool{
	"role": true, "type": true, "name": true, "id": true, "object": true, "status": true, "tool_call_id": true, "call_id": true, "item_id": true,
	"url": true, "image_url": true, "data": true, "file_data": true, "file_id": true, "file_url": true, "detail": true, "format": true,
	"finish_reason": true, "encrypted_content": true, "phase": true,
}

// textParts are the members of bodies that have texts.
var textParts = map[string]bool{
	"messages": true, "prompt": true, "input": true, "instructions": true, "suffix": true, "choices": true, "output": true, "response": true,
}

// stringAt is a string of a JSON text.
type stringAt struct {
	at   span // With its quotes.
	text string
}

// EditTexts returns a body of a request, or of an answer, in which edit has been
// applied to each text: of messages, prompts, inputs and answers, with the
// arguments of tools, and without names, kinds and data. All other bytes stay as
// they are, but for the probabilities of tokens: where a text has changed they
// would show it, and are taken out. An error of edit is returned.
func EditTexts(body []byte, edit func(text string) (string, error)) ([]byte, error) {
	var t texts
	w := walker{b: body}
	w.object(1, func(name []byte, _ int) {
		if textParts[string(name)] {
			t.collect(&w, "", 2)
		} else {
			w.value(2)
		}
	})
	if err := w.end(); err != nil {
		return nil, err
	}
	return t.edited(body, edit)
}

// texts are the texts of a body, in their order, and the places of the
// probabilities of tokens.
type texts struct {
	found []stringAt
	probs []span
}

func (t *texts) edited(body []byte, change func(text string) (string, error)) ([]byte, error) {
	var edits []edit
	for _, s := range t.found {
		text, err := change(s.text)
		if err != nil {
			return nil, err
		}
		if text != s.text {
			edits = append(edits, edit{s.at, quoted(text)})
		}
	}
	if len(edits) == 0 {
		return body, nil
	}
	for _, p := range t.probs {
		edits = append(edits, edit{p, "null"})
	}
	sortEdits(edits)
	return splice(make([]byte, 0, len(body)+64), body, edits), nil
}

// collect reads the next value, a member of that name, and finds the texts in it.
func (t *texts) collect(w *walker, name string, depth int) {
	switch c := w.space(); {
	case name == "logprobs":
		t.probs = append(t.probs, w.value(depth))
	case c == '"' && !notText[name]:
		t.found = append(t.found, w.string(depth))
	case c == '[':
		w.array(depth, func() { t.collect(w, name, depth+1) })
	case c == '{':
		w.object(depth, func(name []byte, _ int) { t.collect(w, string(name), depth+1) })
	default:
		w.value(depth)
	}
}

// array calls each for every element of the array that comes next. each has to
// read it.
func (w *walker) array(depth int, each func()) {
	if w.space() != '[' || depth > maxDepth {
		w.deep(depth)
		return
	}
	w.i++
	if w.space() == ']' {
		w.i++
		return
	}
	for w.err == nil {
		each()
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

// string reads a string.
func (w *walker) string(depth int) stringAt {
	at := w.value(depth)
	s := stringAt{at: at}
	raw := at.of(w.b)
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		s.text = string(raw[1 : len(raw)-1])
	} else {
		_ = json.Unmarshal(raw, &s.text) // It was read as one.
	}
	return s
}

// quoted is a text as JSON.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // A string always has one.
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// TextFilter sees one text of a stream, piece by piece: that of a choice, or the
// arguments of a tool.
type TextFilter interface {
	// Next gets the next piece, and returns what may go out. What it keeps back
	// has to be bounded. An error ends the stream.
	Next(piece string) (string, error)
	// End returns what was kept back, at the end of the text.
	End() (string, error)
}

// StreamTexts returns a StreamFilter that sends the texts of a stream through
// filters of their own, which open makes. What they keep back goes out with a later
// piece, or by an event of its own in front of the one that says why the text
// ended. The probabilities of tokens, which would show it, are taken out.
func StreamTexts(op Operation, open func() TextFilter) StreamFilter {
	return &textStream{op: op, open: open}
}

var errEvent = errors.New("llm: an event of the stream is not JSON")
