package prompts

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The tags of MLflow's prompts.
const (
	isPromptTag = "mlflow.prompt.is_prompt"
	textTag     = "mlflow.prompt.text"
	typeTag     = "_mlflow_prompt_type"
)

// variable is a variable in a template, as MLflow writes it.
var variable = regexp.MustCompile(`\{\{\s*([a-zA-Z_][a-zA-Z0-9_]*(?:\.[a-zA-Z_][a-zA-Z0-9_]*)*)\s*\}\}`)

// control are the marks by which the templates of models part messages.
var control = regexp.MustCompile(`<[|｜][^<>|｜]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos)>|\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]`)

// template is a prompt that is ready to be rendered.
type template struct {
	chat      bool
	messages  []message
	variables []string // Sorted.
}

// message is one message of a prompt. The role of a text is "".
type message struct {
	role  string
	parts []part
}

// part is a text, followed by a variable unless that is "".
type part struct{ text, variable string }

var errTemplate = errors.New("the template is damaged")

// compile reads a prompt out of the tags of its version.
func compile(tags map[string]string) (*template, error) {
	if !strings.EqualFold(tags[isPromptTag], "true") {
		return nil, fmt.Errorf("it is a model and no prompt: %w", errs.ErrNotFound)
	}
	text, ok := tags[textTag]
	if !ok {
		return nil, fmt.Errorf("it has no text: %w", errTemplate)
	}
	t := &template{chat: tags[typeTag] == "chat"}
	seen := map[string]bool{}
	if !t.chat {
		parts, err := parse(text, seen)
		if err != nil {
			return nil, err
		}
		t.messages = []message{{parts: parts}}
	} else if err := t.compileChat(text, seen); err != nil {
		return nil, err
	}
	t.variables = slices.Sorted(maps.Keys(seen))
	return t, nil
}

func (t *template) compileChat(text string, seen map[string]bool) error {
	var list []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields() // What is not understood must not be left out.
	if err := d.Decode(&list); err != nil || d.More() || len(list) == 0 {
		return fmt.Errorf("it is no list of messages with a role and a text each: %w", errTemplate)
	}
	for _, m := range list {
		if m.Role == "" {
			return fmt.Errorf("a message has no role: %w", errTemplate)
		}
		parts, err := parse(m.Content, seen)
		if err != nil {
			return err
		}
		t.messages = append(t.messages, message{m.Role, parts})
	}
	return nil
}

// parse splits a text at its variables.
func parse(text string, seen map[string]bool) ([]part, error) {
	if strings.Contains(text, "{%") && strings.Contains(text, "%}") {
		return nil, fmt.Errorf("it uses Jinja's control flow, which is not rendered here: %w", errTemplate)
	}
	var parts []part
	from := 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		seen[name] = true
		parts = append(parts, part{text[from:m[0]], name})
		from = m[1]
	}
	return append(parts, part{text: text[from:]}), nil
}

// values are the variables of a request.
type values map[string]string

// readValues reads variables, and says all that is wrong with them.
func readValues(raw map[string]json.RawMessage, most int, faults *errs.Faults) values {
	v := make(values, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		text, short := "", cut(name)
		switch b := raw[name]; {
		case len(b) > 0 && b[0] == '"':
			if json.Unmarshal(b, &text) != nil || !utf8.Valid(b) {
				faults.Addf("%q is not valid UTF-8", short)
			}
		case string(b) == "true" || string(b) == "false" || len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
			text = string(b)
		default:
			faults.Addf("%q is neither a text nor a number nor a boolean", short)
		}
		faults.Check(len(text) <= most, "%q has %d bytes, more than %d", short, len(text), most)
		v[name] = text
	}
	return v
}

// match says which variables are missing, and which the template does not have.
func (t *template) match(v values, faults *errs.Faults) {
	for _, name := range t.variables {
		_, ok := v[name]
		faults.Check(ok, "%q is missing", cut(name))
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		_, ok := slices.BinarySearch(t.variables, name)
		faults.Check(ok, "%q is not in the prompt", cut(name))
	}
}

// size is that of the rendered texts.
func (t *template) size(v values) (n int) {
	for _, m := range t.messages {
		for _, p := range m.parts {
			n += len(p.text) + len(v[p.variable])
		}
	}
	return n
}

// text renders the texts of a message.
func (m *message) text(v values) string {
	var b strings.Builder
	for _, p := range m.parts {
		b.WriteString(p.text)
		if p.variable != "" {
			b.WriteString(v[p.variable])
		}
	}
	return b.String()
}

// marks says which values have, or make with what is around them, a mark by which
// models part messages.
func (t *template) marks(v values, faults *errs.Faults) {
	for _, m := range t.messages {
		text := m.text(v)
		if !strings.ContainsAny(text, "<[") {
			continue
		}
		found := control.FindAllStringIndex(text, -1)
		at := 0
		for _, p := range m.parts {
			from := at + len(p.text)
			at = from + len(v[p.variable])
			hit := slices.ContainsFunc(found, func(f []int) bool { return f[0] < at && f[1] > from })
			faults.Check(!hit, "%q has a mark by which models part messages", cut(p.variable))
		}
	}
}

// cut shortens outside text for an error.
func cut(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
