package llm

import (
	"fmt"
	"slices"
	"strings"
)

// textStream gives the texts of a stream to filters.
type textStream struct {
	op    Operation
	open  func() TextFilter
	lanes []*lane
	head  string // The members that all events of a chat have.
}

// lane is one text of a stream.
type lane struct {
	key    string
	choice int    // -1 in the Responses API.
	tail   string // The event that sends the rest, with %s for it.
	filter TextFilter
}

// eventTexts is what an event has.
type eventTexts struct {
	edits  []edit
	lanes  []*lane // Of the edits; nil for one that is no text.
	ended  []int   // Choices.
	closes bool    // All texts of the Responses API end here.
}

// Event implements StreamFilter.
func (s *textStream) Event(data []byte, send func([]byte)) error {
	var e eventTexts
	var err error
	if s.op == Responses {
		e, err = s.response(data)
	} else {
		e, err = s.chunk(data)
	}
	if err != nil {
		return err
	}
	for _, l := range s.lanes {
		if !e.ends(l) {
			continue
		}
		rest, err := l.filter.End()
		if err != nil {
			return err
		}
		l.filter = s.open() // A server that goes on gets a new one.
		if i := e.index(l); i >= 0 {
			e.edits[i].with += rest
		} else if rest != "" {
			send([]byte(strings.Replace(l.tail, "%s", quoted(rest), 1)))
		}
	}
	if len(e.edits) == 0 {
		send(data)
		return nil
	}
	for i, l := range e.lanes {
		if l != nil {
			e.edits[i].with = quoted(e.edits[i].with)
		}
	}
	sortEdits(e.edits)
	send(splice(make([]byte, 0, len(data)+64), data, e.edits))
	return nil
}

func (e *eventTexts) ends(l *lane) bool {
	return e.closes || slices.Contains(e.ended, l.choice)
}

func (e *eventTexts) index(l *lane) int {
	for i, o := range slices.Backward(e.lanes) {
		if o == l {
			return i
		}
	}
	return -1
}

// End implements StreamFilter.
func (s *textStream) End(send func([]byte)) error {
	for _, l := range s.lanes {
		rest, err := l.filter.End()
		if err != nil {
			return err
		}
		if rest != "" {
			send([]byte(strings.Replace(l.tail, "%s", quoted(rest), 1)))
		}
	}
	s.lanes = nil
	return nil
}

// mostLanes bounds the texts of one stream: more choices than a request may have,
// and tools.
const mostLanes = 4096

// lane returns the lane of a key, a new one with that tail.
func (s *textStream) lane(key string, choice int, tail func() string) (*lane, error) {
	for _, l := range s.lanes {
		if l.key == key {
			return l, nil
		}
	}
	if len(s.lanes) == mostLanes {
		return nil, fmt.Errorf("%w: it has too many texts", errEvent)
	}
	l := &lane{key: key, choice: choice, tail: tail(), filter: s.open()}
	s.lanes = append(s.lanes, l)
	return l, nil
}

// piece is a piece of a text in an event.
type piece struct {
	stringAt
	path string // "content", or "tool 0"
}

// chunk reads an event of a chat or a completion.
func (s *textStream) chunk(data []byte) (e eventTexts, err error) {
	w := walker{b: data}
	head := ""
	type choice struct {
		index  int
		pieces []piece
		ended  bool
	}
	var choices []choice
	w.object(1, func(name []byte, at int) {
		switch string(name) {
		case "id", "object", "created", "model":
			if v := w.value(2); w.err == nil {
				head += string(data[at:v.to]) + ","
			}
		case "choices":
			if w.space() != '[' {
				w.value(2)
				return
			}
			w.array(2, func() {
				c := choice{}
				w.object(3, func(name []byte, _ int) {
					switch string(name) {
					case "index":
						c.index, _ = w.integer(4)
					case "finish_reason":
						c.ended = !w.inside(4).empty()
					case "logprobs":
						e.edits, e.lanes = append(e.edits, edit{w.value(4), "null"}), append(e.lanes, nil)
					case "text", "delta":
						c.pieces = w.pieces(c.pieces, string(name), 4)
					default:
						w.value(4)
					}
				})
				choices = append(choices, c)
			})
		default:
			w.value(2)
		}
	})
	if w.end() != nil {
		return e, errEvent
	}
	if s.head == "" {
		s.head = strings.ReplaceAll(head, "%", `\u0025`)
	}
	for _, c := range choices {
		for _, p := range c.pieces {
			l, err := s.lane(fmt.Sprint(c.index, " ", p.path), c.index, func() string { return s.tail(c.index, p.path) })
			if err != nil {
				return e, err
			}
			out, err := l.filter.Next(p.text)
			if err != nil {
				return e, err
			}
			e.edits, e.lanes = append(e.edits, edit{p.at, out}), append(e.lanes, l)
		}
		if c.ended {
			e.ended = append(e.ended, c.index)
		}
	}
	return e, nil
}

// tail is the event that sends the rest of a text.
func (s *textStream) tail(choice int, path string) string {
	what := `"delta":{` + strings.ReplaceAll(quoted(path), "%", `\u0025`) + `:%s}`
	switch tool, isTool := strings.CutPrefix(path, "tool "); {
	case isTool:
		what = `"delta":{"tool_calls":[{"index":` + tool + `,"function":{"arguments":%s}}]}`
	case path == "text":
		what = `"text":%s`
	}
	return fmt.Sprintf(`{%s"choices":[{"index":%d,`, s.head, choice) + what + `,"finish_reason":null}]}`
}

// pieces reads the text or the delta of a choice.
func (w *walker) pieces(found []piece, name string, depth int) []piece {
	switch c := w.space(); {
	case c == '"' && name == "text":
		return append(found, piece{w.string(depth), name})
	case c != '{' || name != "delta":
		w.value(depth)
		return found
	}
	w.object(depth, func(name []byte, _ int) {
		switch n := string(name); {
		case n == "tool_calls" && w.space() == '[':
			w.array(depth+1, func() { found = w.tool(found, depth+2) })
		case w.space() == '"' && !notText[n]:
			found = append(found, piece{w.string(depth + 1), n})
		default:
			w.value(depth + 1)
		}
	})
	return found
}

// tool reads a piece of the call of a tool.
func (w *walker) tool(found []piece, depth int) []piece {
	index, from := 0, len(found)
	w.object(depth, func(name []byte, _ int) {
		switch string(name) {
		case "index":
			index, _ = w.integer(depth + 1)
		case "function":
			if w.space() != '{' {
				w.value(depth + 1)
				return
			}
			w.object(depth+1, func(name []byte, _ int) {
				if string(name) == "arguments" && w.space() == '"' {
					found = append(found, piece{stringAt: w.string(depth + 2)})
				} else {
					w.value(depth + 2)
				}
			})
		default:
			w.value(depth + 1)
		}
	})
	for i := from; i < len(found); i++ {
		found[i].path = fmt.Sprint("tool ", index)
	}
	return found
}

// response reads an event of the Responses API.
func (s *textStream) response(data []byte) (e eventTexts, err error) {
	w := walker{b: data}
	var kind, head string
	var delta *stringAt
	var t texts
	w.object(1, func(name []byte, at int) {
		switch n := string(name); n {
		case "type":
			kind = string(w.inside(2).of(data))
		case "delta":
			if w.space() != '"' {
				w.value(2)
				return
			}
			d := w.string(2)
			delta = &d
		case "item_id", "output_index", "content_index", "summary_index":
			if v := w.value(2); w.err == nil {
				head += string(data[at:v.to]) + ","
			}
		case "response", "item", "part", "text", "arguments", "refusal":
			t.collect(&w, n, 2)
		case "logprobs":
			t.probs = append(t.probs, w.value(2))
		default:
			w.value(2)
		}
	})
	if w.end() != nil {
		return e, errEvent
	}
	for _, p := range t.probs {
		e.edits, e.lanes = append(e.edits, edit{p, "null"}), append(e.lanes, nil)
	}
	if delta == nil {
		// Whole texts, some of which were sent in pieces.
		e.closes = strings.HasSuffix(kind, ".done") || len(t.found) > 0 && !strings.HasSuffix(kind, ".added")
		for _, f := range t.found {
			filter := s.open()
			out, err := filter.Next(f.text)
			if err != nil {
				return e, err
			}
			rest, err := filter.End()
			if err != nil {
				return e, err
			}
			e.edits, e.lanes = append(e.edits, edit{f.at, quoted(out + rest)}), append(e.lanes, nil)
		}
		return e, nil
	}
	safe := strings.ReplaceAll(head, "%", `\u0025`)
	l, err := s.lane(kind+" "+head, -1, func() string { return fmt.Sprintf(`{"type":%s,%s"delta":`, quoted(kind), safe) + "%s}" })
	if err != nil {
		return e, err
	}
	out, err := l.filter.Next(delta.text)
	if err != nil {
		return e, err
	}
	e.edits, e.lanes = append(e.edits, edit{delta.at, out}), append(e.lanes, l)
	return e, nil
}
