package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/serve/llm"
)

// The models of the upstream are named by what they answer: so many events, so far
// apart. They are what all proxies have.
const (
	whole  = "e0-g0us"
	burst  = "e100-g0us"
	paced  = "e100-g2000us"
	crowd  = "e1000-g2000000us"
	answer = `{"id":"c1","object":"chat.completion","created":1,"model":"e0","choices":[{"index":0,"message":{"role":"assistant","content":"Paris, with two million people."},"finish_reason":"stop"}],"usage":{"prompt_tokens":27,"completion_tokens":9,"total_tokens":36}}`
	last   = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"e","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage  = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"e","choices":[],"usage":{"prompt_tokens":27,"completion_tokens":100,"total_tokens":127}}` + "\n\n"
)

// key is what clients send. LiteLLM does not start without one.
const key = "sk-bench-0123456789abcdef0123456789abcdef"

var models = []string{whole, burst, paced, crowd}

// upstream answers with the events that the model's name tells, each of which carries
// the time at which it was sent.
func upstream(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Model         string
		Stream        bool
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	b, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(b, &asked) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	events, gap := 0, 0
	if _, err := fmt.Sscanf(asked.Model, "e%d-g%dus", &events, &gap); err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !asked.Stream {
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(answer))}
		_, _ = io.WriteString(w, answer)
		return
	}
	w.Header()["Content-Type"] = []string{"text/event-stream"}
	flush := http.NewResponseController(w)
	due := time.Now()
	var event []byte
	for range events {
		event = append(event[:0], `data: {"id":"c1","object":"chat.completion.chunk","created":`...)
		event = strconv.AppendInt(event, time.Now().UnixMicro(), 10)
		event = append(event, `,"model":"e","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}`+"\n\n"...)
		if _, err := w.Write(event); err != nil {
			return // The client has left.
		}
		if flush.Flush() != nil {
			return
		}
		if gap > 0 {
			due = due.Add(time.Duration(gap) * time.Microsecond)
			time.Sleep(time.Until(due))
		}
	}
	_, _ = io.WriteString(w, last)
	if asked.StreamOptions.IncludeUsage {
		_, _ = io.WriteString(w, usage)
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// serveAs is one of our own servers.
func serveAs(what string, port int, to string) error {
	runtime.GOMAXPROCS(1)
	var h http.Handler
	switch what {
	case "upstream":
		h = http.HandlerFunc(upstream)
	case "ReverseProxy":
		at, err := url.Parse(to)
		if err != nil {
			return err
		}
		h = &httputil.ReverseProxy{
			Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(at) },
			Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		}
	case "gateway":
		list := make([]llm.Model, len(models))
		for i, name := range models {
			list[i] = llm.Model{Name: name, Targets: []llm.Target{{Upstream: "a"}}}
		}
		keys, err := llm.NewKeys(map[string]*llm.Tenant{llm.HashKey(key): {Name: "bench"}})
		if err != nil {
			return err
		}
		g, err := llm.New([]llm.Upstream{{Name: "a", URL: to + "/v1"}}, list, &llm.Options{Auth: keys})
		if err != nil {
			return err
		}
		h = g
	default:
		return fmt.Errorf("-be %q is none of upstream, gateway and ReverseProxy", what)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(l)
}
