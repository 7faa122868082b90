package llm

import (
	"cmp"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// configure makes the tables of upstreams and models, or says what is wrong.
func (g *Gateway) configure(upstreams []Upstream, models []Model) error {
	var f errs.Faults
	for i, u := range upstreams {
		f.Check(u.Name != "", "upstream %d has no name", i)
		f.Check(g.upstreams[u.Name] == nil, "there are two upstreams %q", u.Name)
		base, err := url.Parse(u.URL)
		if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil {
			// The text of the error would show a password in the URL.
			f.Addf("upstream %q has a URL that is not the base of an HTTP server", u.Name)
			continue
		}
		f.Check(u.Weight >= 0, "upstream %q has the weight %v, want more than 0", u.Name, u.Weight)
		f.Check(!strings.ContainsAny(u.Key, "\r\n"), "upstream %q has a key with a line end", u.Name)
		if u.Metrics != "" {
			m, err := url.Parse(u.Metrics)
			f.Check(err == nil && (m.Scheme == "http" || m.Scheme == "https") && m.Host != "", "upstream %q has metrics at something that is not a URL", u.Name)
		}
		g.upstreams[u.Name] = newUpstream(u, base, g.o.Failures, g.o.Cooldown)
	}
	for i, h := range g.o.Hooks {
		_, asks := h.(RequestHook)
		_, answers := h.(AnswerHook)
		_, streams := h.(StreamHook)
		f.Check(asks || answers || streams, "hook %d is none of RequestHook, AnswerHook and StreamHook: a %T", i, h)
	}
	f.Check(len(models) > 0, "there are no models")
	for i, m := range models {
		f.Check(m.Name != "", "model %d has no name", i)
		f.Check(g.models[m.Name] == nil, "there are two models %q", m.Name)
		f.Check(len(m.Targets) > 0, "model %q has no targets", m.Name)
		f.Check(m.MaxTokens >= 0 && m.Concurrency >= 0, "model %q has a bound below 0", m.Name)
		f.Check(m.Price.Input >= 0 && m.Price.Output >= 0 && m.Price.Request >= 0 && (m.Price.CachedInput >= 0 || m.Price.CachedInput == -1), "model %q has a price below 0", m.Name)
		f.Check(max(m.Price.Input, m.Price.Output, m.Price.Request, m.Price.CachedInput) <= mostMoney, "model %q has a price above %g", m.Name, mostMoney)
		made := &model{Model: m, router: m.Router}
		if made.router == nil {
			made.router = LeastTokens{}
		}
		if m.Concurrency > 0 {
			made.queue = newQueue(m.Concurrency, g.o.MaxWaiting, g.o.MaxWait)
		}
		for _, t := range m.Targets {
			up := g.upstreams[t.Upstream]
			f.Check(up != nil, "model %q is at the upstream %q, which there is not", m.Name, t.Upstream)
			name := cmp.Or(t.Model, m.Name)
			quoted, _ := json.Marshal(name) //nolint:errchkjson // A string always has one.
			made.targets = append(made.targets, &target{up: up, name: name, quoted: string(quoted)})
		}
		g.models[m.Name] = made
		g.names = append(g.names, m.Name)
	}
	slices.Sort(g.names)
	for _, m := range g.models {
		for _, name := range m.Fallbacks {
			other := g.models[name]
			f.Check(other != nil && other != m, "model %q falls back to %q, which is no other model", m.Name, name)
			m.fallbacks = append(m.fallbacks, other)
		}
	}
	return f.Err("llm: configuration")
}

// newTransport is the transport of an upstream without one.
func newTransport() *http.Transport {
	return &http.Transport{
		// No proxy of the environment: requests go where the configuration says.
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     90 * time.Second,
		// Usage is read from the bytes.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         8 << 10,
	}
}
