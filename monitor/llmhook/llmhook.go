package llmhook

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/monitor/inferlog"
	"github.com/millwright-ml/millwright/serve/llm"
)

// Schema is that of the log.
func Schema() inferlog.Schema {
	var s inferlog.Schema
	for _, c := range inputs {
		s.Inputs = append(s.Inputs, inferlog.Field{Name: c.name, Type: c.kind})
	}
	for _, c := range outputs {
		s.Outputs = append(s.Outputs, inferlog.Field{Name: c.name, Type: c.kind})
	}
	return s
}

// Appender is an *inferlog.Log.
type Appender interface {
	Append(r inferlog.Record)
}

// Options are the settings of a Hook. Nil is the defaults.
type Options struct {
	// Skip leaves out requests for which it is true, which are counted. It is
	// called on the path of the request. Default none.
	Skip func(x *llm.Exchange) bool
}

// Stats is what a Hook has seen.
type Stats struct {
	// Rows is how many requests were handed to the log, Skipped how many were not.
	Rows, Skipped uint64
	// Mended is how many rows had a text that was not UTF-8, which no engine could
	// read: those bytes are replaced.
	Mended uint64
	// Failed is how many of the rows have an error, Cached how many came out of the
	// gateway's cache.
	Failed, Cached uint64
	// Input and Output are the tokens of all rows, Cost is what they cost.
	Input, Output uint64
	Cost          llm.Nanos
}

// Hook writes rows. It is an llm.Recorder and an llm.Observer, safe for concurrent
// use, with nothing to close: the log is the caller's.
type Hook struct {
	log Appender
	o   Options

	rows, skipped, mended, failed, cached, input, output atomic.Uint64
	cost                                                 atomic.Int64
}

// New returns a hook that writes to the log, whose schema is Schema.
func New(log Appender, o *Options) *Hook {
	h := &Hook{log: log}
	if o != nil {
		h.o = *o
	}
	return h
}

// Record implements llm.Recorder.
func (h *Hook) Record(r llm.Record) { h.append(&r.Exchange, r.Request, r.Answer, r.Truncated) }

// Observe implements llm.Observer.
func (h *Hook) Observe(x *llm.Exchange) { h.append(x, nil, nil, false) }

// Stats returns the counters.
func (h *Hook) Stats() Stats {
	return Stats{
		Rows: h.rows.Load(), Skipped: h.skipped.Load(), Mended: h.mended.Load(), Failed: h.failed.Load(), Cached: h.cached.Load(),
		Input: h.input.Load(), Output: h.output.Load(), Cost: llm.Nanos(h.cost.Load()),
	}
}

// row is what columns are made of.
type row struct {
	x               *llm.Exchange
	request, answer []byte
	truncated       bool
	mended          bool
}

// column is a column of the schema.
type column struct {
	name  string
	kind  inferlog.Type
	value func(r *row) any
}

func text(name string, of func(r *row) string) column {
	return column{name, inferlog.String, func(r *row) any { return []string{r.clean(of(r))} }}
}

func number[N int | int64](name string, of func(r *row) N) column {
	return column{name, inferlog.Int64, func(r *row) any { return []int64{int64(of(r))} }}
}

func flag(name string, of func(r *row) bool) column {
	return column{name, inferlog.Bool, func(r *row) any { return []bool{of(r)} }}
}

// clean makes a text UTF-8, as a cut may have gone through the middle of a letter,
// and clients send what they like.
func (r *row) clean(s string) string {
	mended := strings.ToValidUTF8(s, "\uFFFD")
	r.mended = r.mended || len(mended) != len(s) || mended != s
	return mended
}

var inputs = []column{
	text("request", func(r *row) string { return string(r.request) }),
	text("operation", func(r *row) string { return string(r.x.Operation) }),
	text("model", func(r *row) string { return r.x.Model }),
	text("tenant", func(r *row) string { return r.x.Tenant }),
	text("user", func(r *row) string { return r.x.User }),
	text("session", func(r *row) string { return r.x.Session }),
	flag("stream", func(r *row) bool { return r.x.Stream }),
	text("prompt", func(r *row) string { return r.x.Prompt }),
	text("prompt_version", func(r *row) string { return r.x.PromptVersion }),
	text("variant", func(r *row) string {
		var names []string
		for _, a := range r.x.Arms {
			names = append(names, a.Variant)
		}
		return strings.Join(names, " ")
	}),
}

var outputs = []column{
	text("answer", func(r *row) string { return string(r.answer) }),
	text("upstream", func(r *row) string { return r.x.Upstream }),
	number("attempts", func(r *row) int { return r.x.Attempts }),
	number("status", func(r *row) int { return r.x.Status }),
	text("finish", func(r *row) string { return r.x.Finish }),
	text("response_id", func(r *row) string { return r.x.ResponseID }),
	text("response_model", func(r *row) string { return r.x.ResponseModel }),
	number("input_tokens", func(r *row) int { return r.x.Usage.Input }),
	number("output_tokens", func(r *row) int { return r.x.Usage.Output }),
	number("cached_tokens", func(r *row) int { return r.x.Usage.CachedInput }),
	number("reasoning_tokens", func(r *row) int { return r.x.Usage.Reasoning }),
	flag("estimated", func(r *row) bool { return r.x.Estimated }),
	{"cost", inferlog.Float64, func(r *row) any { return []float64{float64(r.x.Cost) / 1e9} }},
	flag("cached", func(r *row) bool { return r.x.Cached }),
	number("first_us", func(r *row) int64 { return since(r.x.Began, r.x.First).Microseconds() }),
	number("queued_us", func(r *row) int64 { return r.x.Queued.Microseconds() }),
	flag("truncated", func(r *row) bool { return r.truncated }),
}

// since is 0 where there was no second time.
func since(from, to time.Time) time.Duration {
	if to.IsZero() {
		return 0
	}
	return max(to.Sub(from), 0)
}

// append hands one row over.
func (h *Hook) append(x *llm.Exchange, request, answer []byte, truncated bool) {
	if h.o.Skip != nil && h.o.Skip(x) {
		h.skipped.Add(1)
		return
	}
	r := &row{x: x, request: request, answer: answer, truncated: truncated}
	rec := inferlog.Record{
		RequestID: r.clean(x.ID), Time: x.Began, Model: r.clean(x.Served), Version: r.clean(x.UpstreamModel), Latency: since(x.Began, x.Ended),
		Inputs: make([]any, len(inputs)), Outputs: make([]any, len(outputs)),
	}
	if x.Err != nil {
		rec.Error = r.clean(x.Err.Error())
		h.failed.Add(1)
	}
	for i := range inputs {
		rec.Inputs[i] = inputs[i].value(r)
	}
	for i := range outputs {
		rec.Outputs[i] = outputs[i].value(r)
	}
	h.rows.Add(1)
	if r.mended {
		h.mended.Add(1)
	}
	if x.Cached {
		h.cached.Add(1)
	}
	h.input.Add(uint64(max(x.Usage.Input, 0)))
	h.output.Add(uint64(max(x.Usage.Output, 0)))
	h.cost.Add(int64(x.Cost))
	h.log.Append(rec)
}
