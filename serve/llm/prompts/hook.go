package prompts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/llm"
)

// Options are the settings of a Hook. Nil is the defaults.
type Options struct {
	// Field is the name of the field by which requests name a prompt. Default
	// "prompt_ref".
	Field string
	// Alias is what a request means that names neither a version nor an alias.
	// Default "champion".
	Alias string
	// Role is that of the message that a prompt of the type text becomes. Default
	// "user".
	Role string
	// Allow says whether a request may have a prompt. What it may not have does
	// not exist for it. Nil allows all.
	Allow func(x *llm.Exchange, name string) bool
	// Choose returns another version of a prompt than the request's own, which is
	// the number of the alias, "" for that one. It is not called for requests that
	// name a version. An experiment's is serve/llm/trial. Nil changes nothing.
	Choose func(x *llm.Exchange, name, version string) string
	// Refresh is how long an answer of the registry is good for. Default 30 s.
	Refresh time.Duration
	// Timeout is how long the registry may take. Default 5 s.
	Timeout time.Duration
	// MaxPrompts is how many references are remembered. Default 1,000.
	MaxPrompts int
	// MaxVariable is the size of the largest value of a variable, MaxRendered that
	// of the largest prompt, in bytes. Defaults 256 KiB and 1 MiB.
	MaxVariable, MaxRendered int
	// AllowMarks lets values have the marks by which models part messages.
	// Default false: they are refused.
	AllowMarks bool
	// OnError is told why the registry could not be asked, and of prompts that are
	// damaged, from any goroutine. Default none.
	OnError func(err error)
}

// Hook renders prompts. It is an llm.RequestHook, safe for concurrent use, with
// nothing to close.
type Hook struct {
	o     Options
	field []byte // As it stands in a body.
	cache *cache
}

// New returns a hook for the prompts of a source.
func New(source Source, o *Options) *Hook {
	h := &Hook{}
	if o != nil {
		h.o = *o
	}
	text := func(to *string, v string) {
		if *to == "" {
			*to = v
		}
	}
	text(&h.o.Field, "prompt_ref")
	text(&h.o.Alias, "champion")
	text(&h.o.Role, "user")
	if h.o.Refresh <= 0 {
		h.o.Refresh = 30 * time.Second
	}
	if h.o.Timeout <= 0 {
		h.o.Timeout = 5 * time.Second
	}
	number := func(to *int, v int) {
		if *to <= 0 {
			*to = v
		}
	}
	number(&h.o.MaxPrompts, 1000)
	number(&h.o.MaxVariable, 256<<10)
	number(&h.o.MaxRendered, 1<<20)
	h.field, _ = json.Marshal(h.o.Field) //nolint:errchkjson // A string always has one.
	h.cache = &cache{source: source, o: &h.o, entries: make(map[string]*entry)}
	return h
}

// CodeVariables is the code of the error for variables that do not fit the
// prompt, CodeDamaged that for a prompt which cannot be rendered. Both may be the
// fault of a new version.
const (
	CodeVariables = "prompt_variables"
	CodeDamaged   = "prompt_damaged"
)

func (h *Hook) invalid(code, format string, args ...any) *llm.Error {
	return &llm.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: h.o.Field, Message: fmt.Sprintf(format, args...)}
}

// ref is what a request says.
type ref struct {
	Name      string                     `json:"name"`
	Alias     string                     `json:"alias"`
	Version   json.RawMessage            `json:"version"`
	Variables map[string]json.RawMessage `json:"variables"`
}

// named is a name that MLflow allows for prompts.
var named = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,255}$`)

// Request implements llm.RequestHook.
func (h *Hook) Request(ctx context.Context, x *llm.Exchange, body []byte) ([]byte, error) {
	if !bytes.Contains(body, h.field) {
		return body, nil
	}
	members, err := split(body)
	if err != nil {
		return nil, h.invalid("", "the body is not a JSON object")
	}
	rest, raw, n := members[:0:0], json.RawMessage(nil), 0
	for _, m := range members {
		if m.name == h.o.Field {
			raw, n = m.value, n+1
			continue
		}
		rest = append(rest, m)
	}
	switch {
	case n == 0:
		return body, nil // It stands somewhere else.
	case n > 1:
		return nil, h.invalid("", "%s: it stands there twice", h.o.Field)
	}
	r, version, e := h.read(raw)
	if e != nil {
		return nil, e
	}
	p, e2 := h.find(ctx, x, r, version)
	if e2 != nil {
		return nil, e2
	}
	x.Prompt, x.PromptVersion = r.Name, p.number
	var faults errs.Faults
	v := readValues(r.Variables, h.o.MaxVariable, &faults)
	p.template.match(v, &faults)
	if size := p.template.size(v); size > h.o.MaxRendered {
		faults.Addf("the prompt has %d bytes with them, more than %d", size, h.o.MaxRendered)
	} else if !h.o.AllowMarks {
		p.template.marks(v, &faults)
	}
	if err := faults.Err(fmt.Sprintf("%s.variables of the prompt %q, version %s", h.o.Field, r.Name, p.number)); err != nil {
		return nil, h.invalid(CodeVariables, "%s", strings.TrimSuffix(err.Error(), ": "+errs.ErrInvalid.Error()))
	}
	if rest, err = h.place(x.Operation, rest, p.template, v); err != nil {
		return nil, err
	}
	return join(rest), nil
}

// read reads the field.
func (h *Hook) read(raw json.RawMessage) (r ref, version string, e *llm.Error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if !utf8.Valid(raw) || d.Decode(&r) != nil || len(raw) == 0 || raw[0] != '{' {
		return r, "", h.invalid("", `%s: want an object with "name", "alias" or "version", and "variables"`, h.o.Field)
	}
	if !named.MatchString(r.Name) {
		return r, "", h.invalid("", "%s.name: want 1 to 255 letters, digits, _, - and .", h.o.Field)
	}
	if version = strings.Trim(string(r.Version), `"`); version == "null" {
		version = ""
	}
	if n, err := strconv.Atoi(version); version != "" && (err != nil || n < 1 || strconv.Itoa(n) != version) {
		return r, "", h.invalid("", "%s.version: want a whole number from 1 up", h.o.Field)
	}
	if version != "" && r.Alias != "" {
		return r, "", h.invalid("", "%s: there are a version and an alias, want one of them", h.o.Field)
	}
	if r.Alias == "" {
		r.Alias = h.o.Alias
	}
	if len(r.Alias) > 255 || strings.ContainsAny(r.Alias, "@/") {
		return r, "", h.invalid("", "%s.alias: it is no name of an alias", h.o.Field)
	}
	return r, version, nil
}

// find returns the version that the request gets.
func (h *Hook) find(ctx context.Context, x *llm.Exchange, r ref, version string) (*prompt, error) {
	if h.o.Allow != nil && !h.o.Allow(x, r.Name) {
		return nil, h.missing(r.Name)
	}
	if version != "" {
		return h.get(ctx, r.Name, r.Name+"/"+version)
	}
	p, err := h.get(ctx, r.Name, r.Name+"@"+r.Alias)
	if err != nil || h.o.Choose == nil {
		return p, err
	}
	// The number of the alias is what an experiment compares with.
	other := h.o.Choose(x, r.Name, p.number)
	if other == "" || other == p.number {
		return p, nil
	}
	// Should it fail, the failure is the experiment's.
	x.Prompt, x.PromptVersion = r.Name, other
	return h.get(ctx, r.Name, r.Name+"/"+other)
}

func (h *Hook) missing(name string) error {
	return &llm.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "prompt_not_found", Param: h.o.Field, Message: fmt.Sprintf("the prompt %q does not exist, or has no such version or alias", name)}
}

func (h *Hook) get(ctx context.Context, name, reference string) (*prompt, error) {
	p, err := h.cache.get(ctx, reference)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, errs.ErrNotFound), errors.Is(err, errs.ErrInvalid):
		return nil, h.missing(name)
	case errors.Is(err, errTemplate):
		return nil, &llm.Error{Status: http.StatusInternalServerError, Type: "server_error", Code: CodeDamaged, Param: h.o.Field, Message: fmt.Sprintf("the prompt %q cannot be rendered", name)}
	}
	return nil, &llm.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "prompt_unavailable", Message: "the registry of prompts does not answer", RetryAfter: badFor}
}
