package ecs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version is that of the schema.
const Version = "8.17.0"

// Options configures a handler. Nil means all defaults.
type Options struct {
	// Level is the least one that is written. Default slog.LevelInfo.
	Level slog.Leveler
	// Service and Dataset are service.name and event.dataset. Default none.
	Service, Dataset string
	// AddSource writes where a record was made, in log.origin. Default false.
	AddSource bool
	// Trace gives the ids of the trace and the span that a context belongs to,
	// empty where it belongs to none. Default none.
	Trace func(context.Context) (trace, span string)
}

// NewHandler returns a handler that writes to w, one Write a record. It is safe
// for concurrent use.
func NewHandler(w io.Writer, opts *Options) slog.Handler {
	h := &handler{mu: new(sync.Mutex), w: w}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.Level == nil {
		h.opts.Level = slog.LevelInfo
	}
	return h
}

type handler struct {
	mu    *sync.Mutex // Of w, which all handlers made of one share.
	w     io.Writer
	opts  Options
	attrs []field
	group string // Of what is added, with a dot behind.
}

// field is one attribute, its groups in its name.
type field struct {
	name  string
	value slog.Value
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.opts.Level.Level() }

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group += name + "."
	return &c
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(c.attrs)
	for _, a := range attrs {
		c.attrs = flatten(c.attrs, h.group, a)
	}
	return &c
}

// flatten appends an attribute, a group as its members.
func flatten(to []field, prefix string, a slog.Attr) []field {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Equal(slog.Attr{}) {
			return to
		}
		return append(to, field{prefix + a.Key, v})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range v.Group() {
		to = flatten(to, prefix, member)
	}
	return to
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	var e entry
	at := r.Time
	if at.IsZero() {
		at = time.Now()
	}
	e.add("@timestamp", at.UTC().Format("2006-01-02T15:04:05.000000Z"))
	e.add("log.level", strings.ToLower(r.Level.String()))
	e.add("message", r.Message)
	e.add("ecs.version", Version)
	if h.opts.Service != "" {
		e.add("service.name", h.opts.Service)
	}
	if h.opts.Dataset != "" {
		e.add("event.dataset", h.opts.Dataset)
	}
	if h.opts.Trace != nil {
		if trace, span := h.opts.Trace(ctx); trace != "" {
			e.add("trace.id", trace)
			if span != "" {
				e.add("span.id", span)
			}
		}
	}
	if h.opts.AddSource && r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		e.add("log.origin.function", frame.Function)
		e.add("log.origin.file.name", frame.File)
		e.add("log.origin.file.line", frame.Line)
	}
	fields := slices.Clip(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		fields = flatten(fields, h.group, a)
		return true
	})
	for _, f := range fields {
		e.field(f)
	}
	line := append([]byte{'{'}, e.text.Bytes()...)
	line = append(line, '}', '\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(line)
	return err
}

// entry is one line under way. The first of two fields of a name stays: parsers
// refuse the line, or keep the one or the other.
type entry struct {
	text bytes.Buffer
	seen map[string]bool
}

func (e *entry) add(name string, v any) {
	if e.seen[name] {
		return
	}
	if e.seen == nil {
		e.seen = map[string]bool{}
	}
	e.seen[name] = true
	data, err := json.Marshal(v)
	if err != nil { // A NaN, or a type that has no JSON.
		data, _ = json.Marshal(fmt.Sprint(v))
	}
	if e.text.Len() > 0 {
		e.text.WriteByte(',')
	}
	key, _ := json.Marshal(name)
	e.text.Write(key)
	e.text.WriteByte(':')
	e.text.Write(data)
}

func (e *entry) field(f field) {
	if err, ok := f.value.Any().(error); ok && (f.name == "error" || f.name == "err") {
		e.add("error.message", err.Error())
		e.add("error.type", fmt.Sprintf("%T", err))
		return
	}
	if !known(f.name) {
		e.add("labels."+strings.ReplaceAll(f.name, ".", "_"), f.value.String())
		return
	}
	switch f.value.Kind() {
	case slog.KindDuration: // The schema's durations are nanoseconds.
		e.add(f.name, f.value.Duration().Nanoseconds())
	case slog.KindTime:
		e.add(f.name, f.value.Time().UTC().Format(time.RFC3339Nano))
	default:
		e.add(f.name, f.value.Any())
	}
}

// known reports whether a name begins with a field set of the schema.
func known(name string) bool {
	set, _, ok := strings.Cut(name, ".")
	switch set {
	case "tags":
		return !ok
	case "agent", "client", "cloud", "container", "data_stream", "destination", "error", "event", "faas", "file", "group", "host",
		"http", "labels", "log", "network", "observer", "orchestrator", "organization", "process", "rule", "server", "service",
		"source", "span", "threat", "trace", "transaction", "url", "user", "user_agent":
		return ok
	}
	return false
}
