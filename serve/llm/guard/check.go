package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/llm"
)

// ErrInvalid is the kind of error of a schema that is none.
var ErrInvalid = errs.ErrInvalid

// Limit refuses requests whose texts have more than so many letters together, and
// ends answers with a text of more. 0 is no limit.
func Limit(input, output int) llm.Hook { return limit{input, output} }

type limit struct{ input, output int }

func (l limit) Request(_ context.Context, _ *llm.Exchange, body []byte) ([]byte, error) {
	if l.input <= 0 {
		return body, nil
	}
	n := 0
	return llm.EditTexts(body, func(text string) (string, error) {
		if n += utf8.RuneCountInString(text); n > l.input {
			return "", &llm.Error{Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Code: "too_long", Message: fmt.Sprintf("the texts of the request have more than %d letters", l.input)}
		}
		return text, nil
	})
}

func (l limit) Answer(_ context.Context, x *llm.Exchange, body []byte) ([]byte, error) {
	if l.output <= 0 || x.Operation == llm.Embeddings {
		return body, nil
	}
	return llm.EditTexts(body, func(text string) (string, error) {
		return (&counted{most: l.output}).Next(text)
	})
}

func (l limit) Stream(_ context.Context, x *llm.Exchange) llm.StreamFilter {
	if l.output <= 0 {
		return nil
	}
	return llm.StreamTexts(x.Operation, func() llm.TextFilter { return &counted{most: l.output} })
}

// counted counts the letters of a text.
type counted struct{ n, most int }

func (c *counted) Next(piece string) (string, error) {
	if c.n += utf8.RuneCountInString(piece); c.n > c.most {
		return "", &llm.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "too_long", Message: fmt.Sprintf("the answer has more than %d letters", c.most)}
	}
	return piece, nil
}

func (c *counted) End() (string, error) { return "", nil }

// Schema refuses answers whose text is not one JSON value that agrees with a JSON
// schema (draft 2020-12 unless it names another; formats are checked). References to
// other documents are none. Calls of tools are left alone. Of a stream no more than
// 1 MiB is held against it: what is longer is refused.
func Schema(schema []byte) (llm.Hook, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("guard: schema: %w: %w", err, ErrInvalid)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.AssertFormat()
	const place = "schema.json"
	if err := c.AddResource(place, doc); err != nil {
		return nil, fmt.Errorf("guard: schema: %w: %w", err, ErrInvalid)
	}
	s, err := c.Compile(place)
	if err != nil {
		return nil, fmt.Errorf("guard: schema: %w: %w", err, ErrInvalid)
	}
	return &schemed{s}, nil
}

// nowhere reads nothing: a schema must not reach into files or the network.
type nowhere struct{}

func (nowhere) Load(string) (any, error) { return nil, errors.New("it refers to another document") }

type schemed struct{ schema *jsonschema.Schema }

// maxText and maxDepth bound what is validated, as that recurses.
const (
	maxText  = 1 << 20
	maxDepth = 200
)

func (s *schemed) check(text string) error {
	v, err := oneValue(text)
	if err == nil {
		err = s.schema.Validate(v)
	}
	if err != nil {
		// What does not fit is the model's text, and no business of a log.
		return &llm.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "schema_mismatch", Message: "the answer does not agree with the schema"}
	}
	return nil
}

// oneValue reads a text that is one JSON value.
func oneValue(text string) (any, error) {
	if len(text) > maxText {
		return nil, errors.New("it is too long")
	}
	d := json.NewDecoder(strings.NewReader(text))
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			break
		}
		if c, ok := t.(json.Delim); ok && (c == '{' || c == '[') {
			depth++
		} else if ok {
			depth--
		}
		if depth > maxDepth {
			return nil, errors.New("it is nested too deeply")
		}
	}
	return jsonschema.UnmarshalJSON(strings.NewReader(text))
}

// Answer implements llm.AnswerHook.
func (s *schemed) Answer(_ context.Context, x *llm.Exchange, body []byte) ([]byte, error) {
	if x.Operation == llm.Embeddings {
		return body, nil
	}
	var a struct {
		Choices []struct {
			Text    *string
			Message struct{ Content *string }
		}
		Output []struct {
			Content []struct{ Type, Text string }
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, &llm.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "schema_mismatch", Message: "the answer has no text"}
	}
	var texts []string
	for _, c := range a.Choices {
		for _, t := range []*string{c.Text, c.Message.Content} {
			if t != nil {
				texts = append(texts, *t)
			}
		}
	}
	for _, o := range a.Output {
		for _, c := range o.Content {
			if c.Type == "output_text" {
				texts = append(texts, c.Text)
			}
		}
	}
	for _, t := range texts {
		if err := s.check(t); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// Stream implements llm.StreamHook.
func (s *schemed) Stream(_ context.Context, x *llm.Exchange) llm.StreamFilter {
	return &schemedStream{schemed: s, op: x.Operation, texts: make(map[int]*strings.Builder)}
}

// schemedStream collects the texts of a stream. It holds nothing back.
type schemedStream struct {
	*schemed

	op    llm.Operation
	texts map[int]*strings.Builder
	size  int
}

func (s *schemedStream) Event(data []byte, send func([]byte)) error {
	var e struct {
		Type    string
		Delta   json.RawMessage
		Index   int `json:"output_index"`
		Choices []struct {
			Index int
			Text  string
			Delta struct{ Content string }
		}
	}
	if json.Unmarshal(data, &e) == nil {
		for _, c := range e.Choices {
			s.add(c.Index, c.Text+c.Delta.Content)
		}
		var text string
		if e.Type == "response.output_text.delta" && json.Unmarshal(e.Delta, &text) == nil {
			s.add(e.Index, text)
		}
		// This is the last event of its kind of stream.
		if e.Type == "response.completed" {
			if err := s.finish(); err != nil {
				return err
			}
		}
	}
	send(data)
	return nil
}

func (s *schemedStream) add(i int, text string) {
	if text == "" || s.size > maxText {
		return
	}
	if s.texts[i] == nil {
		s.texts[i] = new(strings.Builder)
	}
	s.texts[i].WriteString(text)
	s.size += len(text)
}

func (s *schemedStream) finish() error {
	for _, t := range s.texts {
		if err := s.check(t.String()); err != nil {
			return err
		}
	}
	return nil
}

func (s *schemedStream) End(func([]byte)) error {
	if s.op == llm.Responses {
		return nil
	}
	return s.finish()
}
