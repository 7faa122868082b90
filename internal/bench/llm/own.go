package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millwright-ml/millwright/serve/llm"
)

// canned answers without a network, so that only the gateway's own work is left.
type canned struct{ kind, body string }

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.kind}}, ContentLength: -1, Body: io.NopCloser(&pieces{c.body})}, nil
}

// pieces gives an event at a time, as a network does.
type pieces struct{ rest string }

func (p *pieces) Read(b []byte) (int, error) {
	if p.rest == "" {
		return 0, io.EOF
	}
	n := strings.Index(p.rest, "\n\n") + 2
	if n < 2 {
		n = len(p.rest)
	}
	n = copy(b, p.rest[:n])
	p.rest = p.rest[n:]
	return n, nil
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Flush()                      {}

type anybody struct{ tenant llm.Tenant }

func (a *anybody) Authenticate(*http.Request) (*llm.Tenant, error) { return &a.tenant, nil }

// worked is the gateway's work on one request, with limits and two upstreams to choose
// from.
func worked(ctx context.Context, kind, answer string, stream bool) (func() error, error) {
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: "http://a", Transport: canned{kind, answer}}, {Name: "b", URL: "http://b", Transport: canned{kind, answer}}},
		[]llm.Model{{Name: whole, Targets: []llm.Target{{Upstream: "a"}, {Upstream: "b"}}}},
		&llm.Options{Auth: &anybody{llm.Tenant{Tokens: 1 << 40, Requests: 1 << 40}}})
	if err != nil {
		return nil, err
	}
	_, body, _ := strings.Cut(string(request(whole, stream)), "\r\n\r\n")
	w := &nowhere{header: make(http.Header)}
	return func() error {
		clear(w.header)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {"x"}, "Accept": {"*/*"}}
		g.ServeHTTP(w, r)
		return nil
	}, nil
}

// own measures the gateway's own logic: the smallest of many short runs, which other
// work on the machine can only make longer.
func own(ctx context.Context, c *config) error {
	const more = 1000
	event := `data: {"id":"c1","object":"chat.completion.chunk","created":1700000000,"model":"e","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}` + "\n\n"
	stream := func(n int) string { return strings.Repeat(event, n) + last + usage + "data: [DONE]\n\n" }
	const sse = "text/event-stream"
	best := map[string]float64{}
	for name, made := range map[string]struct {
		kind, answer string
		stream       bool
	}{"whole": {"application/json", answer, false}, "short": {sse, stream(1), true}, "long": {sse, stream(1 + more), true}} {
		f, err := worked(ctx, made.kind, made.answer, made.stream)
		if err != nil {
			return err
		}
		if best[name], err = fastest(f, c.length()/4); err != nil {
			return err
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "own logic, without a network\tµs\taim\t")
	fmt.Fprintf(out, "a whole answer\t%.2f\t5\t\na stream of one event\t%.2f\t5\t\nan event more\t%.3f\t3\t\n\t\t\t\n", best["whole"], best["short"], (best["long"]-best["short"])/more)
	return out.Flush()
}

// fastest is how many microseconds f takes.
func fastest(f func() error, length time.Duration) (float64, error) {
	best, n := math.MaxFloat64, 1
	for began := time.Now(); time.Since(began) < length; {
		start := time.Now()
		for range n {
			if err := f(); err != nil {
				return 0, err
			}
		}
		took := time.Since(start)
		if took < time.Millisecond {
			n *= 2
			continue
		}
		best = min(best, float64(took.Nanoseconds())/1e3/float64(n))
	}
	return best, nil
}
