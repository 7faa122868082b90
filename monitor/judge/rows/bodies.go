package rows

import (
	"encoding/json"
	"strings"
)

// Question is the text of a request's body, of the chat, completions or responses
// API: that of the only message, or all messages with their roles. A body that is
// none of these, or was cut, is its own text.
func Question(body []byte) string {
	var q struct {
		Messages     []message       `json:"messages"`
		Prompt       json.RawMessage `json:"prompt"`
		Instructions string          `json:"instructions"`
		Input        json.RawMessage `json:"input"`
	}
	if json.Unmarshal(body, &q) != nil {
		return string(body)
	}
	messages := q.Messages
	switch {
	case len(messages) > 0:
	case q.Prompt != nil:
		messages = []message{{Role: "user", Content: q.Prompt}}
	case q.Input != nil:
		if q.Instructions != "" {
			messages = append(messages, message{Role: "system", plain: q.Instructions})
		}
		var list []message
		if json.Unmarshal(q.Input, &list) == nil {
			messages = append(messages, list...)
		} else {
			messages = append(messages, message{Role: "user", Content: q.Input})
		}
	default:
		return string(body)
	}
	if len(messages) == 1 {
		return messages[0].text()
	}
	var lines []string
	for _, m := range messages {
		lines = append(lines, m.Role+": "+m.text())
	}
	return strings.Join(lines, "\n")
}

// Answer is the text of an answer's body: of its first choice, its refusal, or the
// calls of tools that it wants. What is no such body, like the text of a stream, is
// its own text.
func Answer(body []byte) string {
	var a struct {
		Choices []struct {
			Text    string  `json:"text"`
			Message message `json:"message"`
		} `json:"choices"`
		Output []message `json:"output"`
	}
	if json.Unmarshal(body, &a) != nil || len(a.Choices)+len(a.Output) == 0 {
		return string(body)
	}
	if len(a.Choices) > 0 {
		return a.Choices[0].Text + a.Choices[0].Message.text()
	}
	var texts []string
	for _, m := range a.Output {
		if text := m.text(); text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n")
}

// message is one of a chat, or an item of the responses API.
type message struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	Refusal   string          `json:"refusal"`
	ToolCalls json.RawMessage `json:"tool_calls"`

	plain string
}

func (m *message) text() string {
	text := m.plain + contentText(m.Content) + m.Refusal
	if len(m.ToolCalls) > 0 && string(m.ToolCalls) != "null" && string(m.ToolCalls) != "[]" {
		text += string(m.ToolCalls)
	}
	return text
}

// contentText is that of a string, a list of strings, or a list of parts.
func contentText(raw json.RawMessage) string {
	var one string
	if len(raw) == 0 || json.Unmarshal(raw, &one) == nil {
		return one
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, "\n")
	}
	var parts []struct{ Type, Text, Refusal string }
	list = nil // Some of it may be filled.
	if json.Unmarshal(raw, &parts) != nil {
		return string(raw)
	}
	for _, p := range parts {
		switch {
		case p.Text+p.Refusal != "":
			list = append(list, p.Text+p.Refusal)
		case p.Type != "":
			list = append(list, "["+p.Type+"]") // An image, or a sound.
		}
	}
	return strings.Join(list, "\n")
}
