// Package llm_test measures what the gateway costs between a client and an upstream,
// against no gateway and httputil.ReverseProxy, which does less: it reads nothing of
// what it passes on.
//
//	go test -run xxx -bench Proxy -benchtime 2000x -count 5 ./serve/llm
//
// All three run in one process over loopback. The column cpu-µs/op is the CPU time
// of all of them; what a proxy costs is the difference to "direct".
package llm_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/millwright-ml/millwright/serve/llm"
)

const body = `{"model":"m","messages":[{"role":"user","content":"What is the capital of France, and how many people live there?"}],"temperature":0.7,"max_tokens":256%s}`

const answer = `{"id":"c1","object":"chat.completion","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"Paris, with two million people."},"finish_reason":"stop"}],"usage":{"prompt_tokens":27,"completion_tokens":9,"total_tokens":36}}`

const event = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"real","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}` + "\n\n"

// cpu is the CPU time of the process so far, in microseconds.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // It does not fail for the process itself.
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

func upstream(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if !strings.Contains(string(b), `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for range 50 {
		_, _ = io.WriteString(w, event)
		_ = flush.Flush()
	}
	_, _ = io.WriteString(w, `data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
}

func BenchmarkProxy(b *testing.B) {
	there := httptest.NewServer(http.HandlerFunc(upstream))
	defer there.Close()
	at, err := url.Parse(there.URL)
	if err != nil {
		b.Fatal(err)
	}
	plain := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(at) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	gateway, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL + "/v1"}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a"}}}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for kind, extra := range map[string]string{"whole": "", "stream": `,"stream":true`} {
		for name, h := range map[string]http.Handler{"direct": nil, "ReverseProxy": plain, "gateway": gateway} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				base := there.URL
				if h != nil {
					front := httptest.NewServer(h)
					defer front.Close()
					base = front.URL
				}
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10, DisableCompression: true}}
				failed := 0
				ask := func() {
					resp, err := client.Post(base+"/v1/chat/completions", "application/json", strings.NewReader(fmt.Sprintf(body, extra)))
					if err != nil {
						b.Fatal(err)
					}
					// A stream through ReverseProxy breaks off now and then on a
					// busy machine; that is a figure, too.
					if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
						failed++
					}
					_ = resp.Body.Close()
				}
				ask()
				began := cpu()
				for b.Loop() {
					ask()
				}
				b.ReportMetric((cpu()-began)/float64(b.N), "cpu-µs/op")
				b.ReportMetric(float64(failed)/float64(b.N), "failed/op")
			})
		}
	}
}
