package llm

import (
	"context"
	"maps"
	"net/http"
	"time"
)

// Usage is the tokens of one request.
type Usage struct {
	// Input and Output are the tokens of the prompt and of the answer.
	Input, Output int
	// CachedInput are those of Input that the upstream had in its cache,
	// Reasoning those of Output that are not shown.
	CachedInput, Reasoning int
}

// Total is the tokens of the prompt and the answer.
func (u Usage) Total() int { return u.Input + u.Output }

// Nanos is an amount of money in billionths of whatever the prices are in. A token
// may cost less than a millionth.
type Nanos int64

// Price is what a model costs, in money per million tokens.
type Price struct {
	// Input, Output and CachedInput are the prices of a million tokens each. A
	// CachedInput of 0 is the price of the input; -1 is nothing.
	Input, Output, CachedInput float64
	// Request is the price of a request.
	Request float64
}

// mostNanos is the most that a sum of money is taken for: what does not fit in 64
// bits is as much as there is.
const mostNanos = 9e18

// Of is what a request with the usage costs, never less than 0, and at most
// 9,000,000,000.
func (p Price) Of(u Usage) Nanos {
	cached := p.CachedInput
	switch {
	case cached == 0:
		cached = p.Input
	case cached < 0:
		cached = 0
	}
	input, output := max(u.Input, 0), max(u.Output, 0)
	hits := max(min(u.CachedInput, input), 0)
	m := p.Input*float64(input-hits) + cached*float64(hits) + p.Output*float64(output)
	// A millionth of the price of a million tokens is the price of one.
	n := m*1e3 + p.Request*1e9 + 0.5
	if !(n < mostNanos) { // Also what is no number.
		return mostNanos
	}
	return Nanos(max(n, 0))
}

// Exchange is one request and what became of it. Observers get it when it has
// ended, hooks while it goes on; they must not keep it.
type Exchange struct {
	// ID is the gateway's name for the request. It is the client's X-Request-Id
	// where that is well-formed.
	ID string
	// Operation, Model, Stream and User are what the client asked for.
	Operation Operation
	Model     string
	Stream    bool
	User      string
	// Tenant is whose request it is.
	Tenant string
	// Session is the conversation that it belongs to, by Options.Session.
	Session string
	// Prompt and PromptVersion are the prompt that a hook rendered into the
	// request, "" without one (serve/llm/prompts).
	Prompt, PromptVersion string
	// Arms are the sides of experiments that it is on, nil without any
	// (serve/llm/trial). Hooks append to it.
	Arms []Arm
	// MaxTokens is the bound that the client set, -1 without.
	MaxTokens int

	// Upstream and UpstreamModel are who answered, by the names of the
	// configuration. Served is the model that answered: a fallback has another
	// name than Model.
	Upstream, UpstreamModel, Served string
	// Attempts is how many upstreams were asked.
	Attempts int
	// Status is the HTTP status of the answer, 499 when the client left.
	Status int
	// Err is what went wrong, also in the middle of a stream.
	Err error
	// ResponseID, ResponseModel and Finish are the answer's own.
	ResponseID, ResponseModel, Finish string

	// Usage is what the upstream counted. Estimated says that it did not, and
	// that the input is by the bytes and the output by the events, or all that was
	// reserved where the client left before the upstream said anything.
	Usage     Usage
	Estimated bool
	// Cost is the price of Usage.
	Cost Nanos
	// Cached says that the answer came out of the gateway's cache.
	Cached bool

	// Began is when the request came, First when the first byte of the answer
	// went out, Ended when the last did. Queued is how long it waited for its
	// turn.
	Began, First, Ended time.Time
	Queued              time.Duration
	// Events is the number of events with output.
	Events int

	context context.Context //nolint:containedctx // It belongs to one request, as this does.
}

// Arm is one side of an experiment.
type Arm struct {
	// Subject is what the experiment compares versions of, the name of a model or
	// of a prompt, as Kind says.
	Kind, Subject string
	// Version is the one that the request is to have, Variant what the experiment
	// calls it.
	Version, Variant string
}

// Observer learns of every request, when it has ended. Observe is called on the
// path of the request: it must not block, and must not keep the exchange.
type Observer interface {
	Observe(x *Exchange)
}

// Tracer is an Observer that learns also when a request begins.
type Tracer interface {
	Observer
	// Begin is called before anything is done for a request, of which only ID,
	// Operation and Began are known. It returns the context that the request goes
	// on with, which Exchange.Context has for Observe, and headers that upstreams
	// are sent in place of the client's.
	Begin(ctx context.Context, x *Exchange, header http.Header) (context.Context, http.Header)
}

// trace tells tracers that the request begins.
func (c *call) trace() {
	for _, o := range c.g.o.Observers {
		t, ok := o.(Tracer)
		if !ok {
			continue
		}
		ctx, header := t.Begin(c.r.Context(), &c.x, c.r.Header)
		if ctx != c.r.Context() {
			c.r = c.r.WithContext(ctx)
		}
		if c.traced == nil {
			c.traced = header
			continue
		}
		maps.Copy(c.traced, header)
	}
	c.x.context = c.r.Context()
}

// Context is that of the request, with what a Tracer has put there. It may have
// ended.
func (x *Exchange) Context() context.Context {
	if x.context == nil {
		return context.Background()
	}
	return x.context
}
