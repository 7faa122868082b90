package prompts

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/millwright-ml/millwright/serve/llm"
)

// member is a member of a body. Its value is as it came.
type member struct {
	name  string
	value json.RawMessage
}

var errBody = errors.New("it is no object")

// split takes a body apart into its members, in their order.
func split(body []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errBody
	}
	var list []member
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{}
		m.name, _ = t.(string)
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// join is the inverse of split.
func join(list []member) []byte {
	b := []byte{'{'}
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendText(b, m.name), ':'), m.value...)
	}
	return append(b, '}')
}

// appendText appends a text as JSON. HTML stays as it is.
func appendText(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // A string always has one.
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// place puts the rendered prompt where the operation has it.
func (h *Hook) place(op llm.Operation, list []member, t *template, v values) ([]member, error) {
	switch op {
	case llm.Chat:
		own, err := h.take(&list, "messages")
		if err != nil {
			return nil, err
		}
		return append(list, member{"messages", h.messages(t, v, own)}), nil
	case llm.Responses:
		own, err := h.take(&list, "input")
		if err != nil {
			return nil, err
		}
		return append(list, member{"input", h.messages(t, v, own)}), nil
	}
	name := "prompt"
	if op == llm.Embeddings {
		name = "input"
	}
	if t.chat {
		return nil, h.invalid("", "%s: the prompt is a chat, which has no place in this request", h.o.Field)
	}
	own, err := h.take(&list, name)
	if err != nil {
		return nil, err
	}
	if len(own) > 0 {
		return nil, h.invalid("", "there are both %s and %s, want one of them", name, h.o.Field)
	}
	return append(list, member{name, appendText(nil, t.messages[0].text(v))}), nil
}

// take removes the client's own messages, and returns them without their brackets.
func (h *Hook) take(list *[]member, name string) ([]byte, error) {
	var own []byte
	kept, n := (*list)[:0], 0
	for _, m := range *list {
		if m.name != name {
			kept = append(kept, m)
			continue
		}
		n++
		switch value := bytes.TrimSpace(m.value); {
		case string(value) == "null", string(value) == `""`:
		case value[0] == '[':
			own = bytes.TrimSpace(value[1 : len(value)-1])
		case value[0] == '"' && name != "messages":
			own = append(append([]byte(`{"role":"user","content":`), value...), '}')
		default:
			return nil, h.invalid("", "%s: want a list", name)
		}
	}
	if n > 1 {
		return nil, h.invalid("", "%s: it stands there twice", name)
	}
	*list = kept
	return own, nil
}

// messages are those of the prompt, with the client's own behind.
func (h *Hook) messages(t *template, v values, own []byte) []byte {
	b := []byte{'['}
	for i, m := range t.messages {
		if i > 0 {
			b = append(b, ',')
		}
		role := m.role
		if !t.chat {
			role = h.o.Role
		}
		b = appendText(append(b, `{"role":`...), role)
		b = append(appendText(append(b, `,"content":`...), m.text(v)), '}')
	}
	if len(own) > 0 {
		b = append(append(b, ','), own...)
	}
	return append(b, ']')
}
