package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// The kinds of error of this package, for errors.Is.
var (
	// ErrNotFound: the host has no such model.
	ErrNotFound = errs.ErrNotFound
	// ErrUnsupported: a gateway has no shadows.
	ErrUnsupported = errs.ErrUnsupported
)

// The kinds of llm.Arm.
const (
	KindModel  = "model"
	KindPrompt = "prompt"
)

// Host runs experiments on a gateway: it is the rollout.Host for Run, and the hook
// and the observer of the gateway. Several experiments may run on one, each with a
// model or prompt of its own. It is safe for concurrent use, with nothing to close.
type Host struct {
	kind string

	mu        sync.RWMutex
	routers   map[string]serve.Router
	defaults  map[string]preset
	observers []*serve.Observer
}

// preset is the version without an experiment.
type preset struct {
	version string
	// instead is what the alias said when the version was promoted: another word of
	// it counts more. Of prompts.
	instead string
}

// Models returns a host for models, with the version of each that answers without an
// experiment.
func Models(defaults map[string]string) *Host {
	h := &Host{kind: KindModel, routers: make(map[string]serve.Router), defaults: make(map[string]preset)}
	for model, version := range defaults {
		h.defaults[model] = preset{version: version}
	}
	return h
}

// Prompts returns a host for prompts.
func Prompts() *Host {
	return &Host{kind: KindPrompt, routers: make(map[string]serve.Router), defaults: make(map[string]preset)}
}

// SetRouter implements rollout.Host.
func (h *Host) SetRouter(subject string, r serve.Router) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.defaults[subject]; !ok && h.kind == KindModel {
		return fmt.Errorf("trial: model %q: it has no version that answers without an experiment, give trial.Models one: %w", subject, ErrNotFound)
	}
	if r == nil {
		delete(h.routers, subject)
	} else {
		h.routers[subject] = r
	}
	return nil
}

// SetDefault implements rollout.Host.
func (h *Host) SetDefault(subject, version string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, ok := h.defaults[subject]; !ok || p.version != version {
		h.defaults[subject] = preset{version: version}
	}
	return nil
}

// Attach implements rollout.Host.
func (h *Host) Attach(o serve.Observer) (detach func()) {
	at := &o
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observers = append(slices.Clip(h.observers), at)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.observers = slices.DeleteFunc(slices.Clone(h.observers), func(other *serve.Observer) bool { return other == at })
	}
}

// Do implements rollout.Host: it refuses.
func (h *Host) Do(context.Context, *serve.Call) (*oip.InferResponse, error) {
	return nil, fmt.Errorf("trial: shadow: a gateway has none: %w", ErrUnsupported)
}

// Defaults returns the versions that answer without an experiment.
func (h *Host) Defaults() map[string]string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make(map[string]string)
	for subject := range maps.Keys(h.defaults) {
		all[subject] = h.defaults[subject].version
	}
	return all
}

// Request implements llm.RequestHook: it puts requests for models on a side. Hooks
// that change the model come before.
func (h *Host) Request(_ context.Context, x *llm.Exchange, body []byte) ([]byte, error) {
	if h.kind == KindModel {
		h.Choose(x, x.Model, "")
	}
	return body, nil
}

// Choose puts a request on a side of the experiment with the subject and returns its
// version; without one it is the version that was promoted, and "" where there is
// none. version is what the request gets otherwise. It is for prompts.Options.Choose.
func (h *Host) Choose(x *llm.Exchange, subject, version string) string {
	h.mu.RLock()
	r, p := h.routers[subject], h.defaults[subject]
	h.mu.RUnlock()
	if r != nil {
		c := serve.Call{Model: subject, RequestID: x.ID, Tenant: x.Tenant, Start: x.Began, Header: header{x}}
		if v := r.Route(context.Background(), &c); v != "" && c.Variant != "" {
			x.Arms = append(x.Arms, llm.Arm{Kind: h.kind, Subject: subject, Version: v, Variant: c.Variant})
			return v
		}
	}
	if h.kind == KindPrompt && p.version != "" && p.instead != version {
		return h.promoted(subject, version)
	}
	return p.version
}

// promoted returns the version of a prompt that was promoted, as long as the alias
// says what it said then.
func (h *Host) promoted(subject, version string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.defaults[subject]
	switch {
	case !ok:
		return ""
	case p.instead == "":
		p.instead = version
		h.defaults[subject] = p
	case p.instead != version:
		delete(h.defaults, subject)
		return ""
	}
	return p.version
}

// Router returns a router for the host's models: it takes the upstreams that have
// the request's version, and among them the one that next picks. Where none of them
// is left, another version answers. A nil next is llm.LeastTokens.
func (h *Host) Router(next llm.Router) llm.Router {
	if next == nil {
		next = llm.LeastTokens{}
	}
	return llm.RouterFunc(func(q *llm.Query, candidates []llm.Candidate) int {
		version := ""
		for _, a := range q.Arms {
			if a.Kind == KindModel && a.Subject == q.Model {
				version = a.Version
			}
		}
		if version == "" {
			h.mu.RLock()
			version = h.defaults[q.Model].version
			h.mu.RUnlock()
		}
		fit := make([]llm.Candidate, 0, len(candidates))
		at := make([]int, 0, len(candidates))
		for i, c := range candidates {
			if c.Model == version {
				fit, at = append(fit, c), append(at, i)
			}
		}
		if len(fit) == 0 {
			return next.Pick(q, candidates)
		}
		i := next.Pick(q, fit)
		if i < 0 || i >= len(at) {
			i = 0
		}
		return at[i]
	})
}

// Observe implements llm.Observer.
func (h *Host) Observe(x *llm.Exchange) {
	for i := range x.Arms {
		a := &x.Arms[i]
		if a.Kind != h.kind {
			continue
		}
		counts, err := outcome(x, a)
		if !counts {
			continue
		}
		ex := &serve.Exchange{
			Model: a.Subject, Version: a.Version, Variant: a.Variant, Tenant: x.Tenant, RequestID: x.ID, Header: header{x},
			Start: x.Began, Duration: max(x.Ended.Sub(x.Began), 0), Queue: x.Queued, Status: x.Status, Err: err,
		}
		h.mu.RLock()
		all := h.observers
		h.mu.RUnlock()
		for _, o := range all {
			(*o).Observe(ex)
		}
	}
}

var (
	errOther  = errors.New("trial: another version answered")
	errFailed = errors.New("trial: the request failed")
	errClient = fmt.Errorf("trial: the request is at fault: %w", errs.ErrInvalid)
)

// outcome says whether the exchange counts for its version, and as what.
func outcome(x *llm.Exchange, a *llm.Arm) (counts bool, err error) {
	code, status := "", 0
	if e, ok := errors.AsType[*llm.Error](x.Err); ok {
		code, status = e.Code, e.Status
	}
	switch {
	case x.Cached:
		return false, nil
	case x.Attempts == 0 && a.Kind == KindPrompt:
		switch code {
		case "prompt_variables", "prompt_damaged", "prompt_not_found":
			return true, errFailed
		}
		return false, nil
	case x.Attempts == 0:
		return code == "upstream_unavailable", errFailed
	case errors.Is(x.Err, context.Canceled):
		return true, context.Canceled
	case a.Kind == KindModel && (x.UpstreamModel != a.Version || x.Served != a.Subject):
		return true, errOther
	case x.Err == nil:
		return true, nil
	case code == "upstream_error" && status >= 400 && status < 500 && status != 408 && status != 429:
		return true, errClient
	}
	return true, errFailed
}

// header is what a rollout's Key and Value see of an exchange.
type header struct{ x *llm.Exchange }

// Get implements serve.Header.
func (h header) Get(name string) string {
	switch name {
	case "user":
		return h.x.User
	case "session":
		return h.x.Session
	case "tenant":
		return h.x.Tenant
	}
	return ""
}

// User is the key of the request's field "user".
func User() rollout.Key { return rollout.Header("user") }

// Session is the key of the conversation, by llm.Options.Session.
func Session() rollout.Key { return rollout.Header("session") }

// Tenant is the key of whom the API key belongs to.
func Tenant() rollout.Key { return rollout.Header("tenant") }

// Value makes a rollout.Guard's Value of a figure of the gateway's exchanges; false
// leaves one out.
func Value(of func(x *llm.Exchange) (float64, bool)) func(x *serve.Exchange) (float64, bool) {
	return func(x *serve.Exchange) (float64, bool) {
		h, ok := x.Header.(header)
		if !ok {
			return 0, false
		}
		return of(h.x)
	}
}

// Cost is what the request costs, in what the prices are in.
func Cost(x *llm.Exchange) (float64, bool) { return float64(x.Cost) / 1e9, true }

// OutputTokens is the number of tokens of the answer.
func OutputTokens(x *llm.Exchange) (float64, bool) { return float64(x.Usage.Output), true }

// FirstByte is the time to the first byte of the answer, in seconds.
func FirstByte(x *llm.Exchange) (float64, bool) {
	return x.First.Sub(x.Began).Seconds(), !x.First.IsZero()
}
