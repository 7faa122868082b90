package mlflow

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sums are numbers by name, such as the tokens that a span used.
type sums map[string]float64

// sumNode is a span as far as sums over its trace need it.
type sumNode struct {
	id, parent  string
	usage, cost sums // nil where the span has none
}

func nodeOf(id, parent string, attrs attributes) sumNode {
	return sumNode{id: id, parent: parent, usage: parseSums(attrs.get(attrUsage)), cost: parseSums(attrs.get(attrCost))}
}

// parseSums reads an object and keeps its finite numbers.
func parseSums(value string) sums {
	var members map[string]any
	if !strings.HasPrefix(strings.TrimSpace(value), "{") || json.Unmarshal([]byte(value), &members) != nil {
		return nil
	}
	out := sums{}
	for key, v := range members {
		if f, ok := v.(float64); ok && !math.IsInf(f, 0) {
			out[key] = f
		}
	}
	return out
}

// total adds up what the spans of a trace have. A span whose ancestor has
// numbers does not count: some instrumentations sum up in the parents. nil when
// no span has any.
func total(nodes []sumNode, values func(*sumNode) sums) sums {
	known := make(map[string]bool, len(nodes))
	for i := range nodes {
		known[nodes[i].id] = true
	}
	children := map[string][]*sumNode{}
	var open []*sumNode
	for i := range nodes {
		n := &nodes[i]
		if n.parent != "" && known[n.parent] {
			children[n.parent] = append(children[n.parent], n)
		} else {
			open = append(open, n)
		}
	}
	var out sums
	for len(open) > 0 {
		n := open[len(open)-1]
		open = open[:len(open)-1]
		if v := values(n); v != nil {
			if out == nil {
				out = sums{}
			}
			for key, f := range v {
				out[key] += f
			}
			continue
		}
		open = append(open, children[n.id]...)
		delete(children, n.id) // a span is its own ancestor only once
	}
	return out
}

// writeUsage writes numbers of tokens; the first three are always there.
func writeUsage(s sums) string {
	out := []byte{'{'}
	for i, name := range usageNames {
		v, ok := s[name]
		if !ok && i >= 3 {
			continue
		}
		out = appendName(out, name)
		out = strconv.AppendInt(out, int64(v), 10)
	}
	return string(append(out, '}'))
}

// writeCost writes costs.
func writeCost(s sums) string {
	out := []byte{'{'}
	for _, name := range [...]string{"input_cost", "output_cost", "total_cost"} {
		out = appendName(out, name)
		out = valueWriter{}.double(out, s[name])
	}
	return string(append(out, '}'))
}

func appendName(dst []byte, name string) []byte {
	if len(dst) > 1 {
		dst = append(dst, ", "...)
	}
	return append(appendText(dst, name), ": "...)
}

// maxPreviewText is how much of a request or a response MLflow shows in lists,
// in characters.
const maxPreviewText = 1000

// preview is what lists show of a span's inputs or outputs: the text of the
// last message of the role, where there are messages, else the JSON.
func preview(value, role string) string {
	text := value
	if strings.HasPrefix(value, "{") {
		var obj map[string]any
		if json.Unmarshal([]byte(value), &obj) == nil {
			if t := lastText(messagesIn(obj, 0), role); t != "" {
				text = t
			}
		}
	}
	if !storable(text) {
		text = strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "")
	}
	if utf8.RuneCountInString(text) > maxPreviewText {
		text = truncate(text, maxPreviewText-3) + "..."
	}
	return text
}

// messagesIn finds the messages in what chat models read and answer.
func messagesIn(obj map[string]any, depth int) []map[string]any {
	if list := messageList(obj["messages"]); list != nil {
		return list
	}
	if choices, ok := obj["choices"].([]any); ok && len(choices) > 0 {
		if choice, ok := choices[0].(map[string]any); ok {
			if list := messageList([]any{choice["message"]}); len(list) > 0 {
				return list
			}
		}
	}
	for _, name := range [...]string{"input", "output"} {
		if list := messageList(obj[name]); list != nil {
			return list
		}
	}
	if inner, ok := obj["request"].(map[string]any); ok && depth < 10 {
		return messagesIn(inner, depth+1)
	}
	return nil
}

// messageList returns the messages of a list, nil when it is no list or empty.
func messageList(v any) []map[string]any {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil
	}
	out := []map[string]any{}
	for _, item := range list {
		if m, ok := item.(map[string]any); ok && m["role"] != nil && m["content"] != nil {
			out = append(out, m)
		}
	}
	return out
}

// lastText returns the text of the last message of the role, or of the last
// one.
func lastText(list []map[string]any, role string) string {
	if len(list) == 0 {
		return ""
	}
	m := list[len(list)-1]
	for _, one := range slices.Backward(list) {
		if one["role"] == role {
			m = one
			break
		}
	}
	switch content := m["content"].(type) {
	case string:
		return content
	case []any:
		for _, part := range content {
			switch p := part.(type) {
			case string:
				return p
			case map[string]any:
				if p["type"] == "text" || p["type"] == "output_text" {
					text, _ := p["text"].(string)
					return text
				}
			}
		}
	}
	return ""
}
