package llm_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// canned answers without a network, so that only the gateway's own work is left.
type canned struct{ kind, body string }

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {c.kind}}, ContentLength: -1,
		Body: io.NopCloser(&pieces{rest: c.body}),
	}, nil
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

// sink takes an answer.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) Flush()                      {}

// usual is a body as clients send it.
const usual = `{"model":"m","messages":[{"role":"system","content":"You are a helpful assistant that answers in one sentence."},{"role":"user","content":"What is the capital of France, and how many people live there?"}],"temperature":0.7,"max_tokens":256}`

func work(b testing.TB, kind, answer, body string) func() {
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: "http://a", Transport: canned{kind, answer}}, {Name: "b", URL: "http://b", Transport: canned{kind, answer}}},
		[]llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a"}, {Upstream: "b"}}}},
		&llm.Options{Auth: tenants(&llm.Tenant{Tokens: 1 << 40, Requests: 1 << 40})})
	require.NoError(b, err)
	w := &sink{}
	return func() {
		w.header = make(http.Header, 8)
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, chat, strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {"x"}, "Accept": {"*/*"}}
		g.ServeHTTP(w, r)
	}
}

func stream(n int) string {
	return strings.Repeat(chunk(" token"), n) + finish + counts + done
}

// The gateway's own work, without net/http.
func BenchmarkOwn(b *testing.B) {
	for name, tc := range map[string][3]string{
		"whole":       {"application/json", whole, usual},
		"stream1":     {sse, stream(1), strings.Replace(usual, "{", `{"stream":true,`, 1)},
		"stream1001":  {sse, stream(1001), strings.Replace(usual, "{", `{"stream":true,`, 1)},
		"prompt100KB": {"application/json", whole, strings.Replace(usual, "France", strings.Repeat("France ", 14_000), 1)},
	} {
		b.Run(name, func(b *testing.B) {
			f := work(b, tc[0], tc[1], tc[2])
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

func TestAllocations(t *testing.T) { //nolint:paralleltest // It counts allocations.
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	measure := func(f func()) float64 { return testing.AllocsPerRun(200, f) }
	require.LessOrEqual(t, measure(work(t, "application/json", whole, usual)), 60.0)
	streamed := strings.Replace(usual, "{", `{"stream":true,`, 1)
	short, long := measure(work(t, sse, stream(1), streamed)), measure(work(t, sse, stream(1001), streamed))
	// An event costs none, up to what makes a buffer grow.
	require.LessOrEqual(t, long-short, 20.0)
}
