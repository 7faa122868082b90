package llm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// WatchOptions are the settings of Watch. Nil is the defaults.
type WatchOptions struct {
	// Every is how often an upstream is asked, Timeout how long it may take to
	// answer. Defaults 2 s and 1 s.
	Every, Timeout time.Duration
	// Failures is how many checks in a row have to fail before an upstream gets
	// no more requests. One that succeeds brings it back. Default 2.
	Failures int
}

// Watch keeps an eye on the upstreams until ctx ends: it asks each of them for its
// models, and reads load and cache use from its metrics if it has any. It returns
// nil then.
func (g *Gateway) Watch(ctx context.Context, o *WatchOptions) error {
	var opts WatchOptions
	if o != nil {
		opts = *o
	}
	if opts.Every <= 0 {
		opts.Every = 2 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = time.Second
	}
	if opts.Failures <= 0 {
		opts.Failures = 2
	}
	var wg sync.WaitGroup
	for _, u := range g.upstreams {
		wg.Go(func() { u.watch(ctx, &opts) })
	}
	wg.Wait()
	return nil
}

// watch checks one upstream again and again.
func (u *upstream) watch(ctx context.Context, o *WatchOptions) {
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	failed := 0
	for {
		err := u.check(ctx, o.Timeout)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failed = 0
			u.down.Store(false)
		default:
			if failed++; failed >= o.Failures {
				u.down.Store(true)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check asks the upstream for its models and its metrics.
func (u *upstream) check(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := u.get(ctx, u.health)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 1<<20)) // Only that it answers counts.
	_ = body.Close()
	if u.Metrics == "" {
		return nil
	}
	at, err := url.Parse(u.Metrics)
	if err != nil {
		return err
	}
	body, err = u.get(ctx, at)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // It was only read.
	s, err := readSignals(body)
	if err != nil {
		return err
	}
	s.At = time.Now()
	u.signals.Store(s)
	return nil
}

func (u *upstream) get(ctx context.Context, at *url.URL) (io.ReadCloser, error) {
	h := make(http.Header, len(u.Header)+1)
	if at.Host == u.health.Host {
		for name, values := range u.Header {
			h[http.CanonicalHeaderKey(name)] = values
		}
		if u.bearer != nil {
			h["Authorization"] = u.bearer
		}
	}
	req := (&http.Request{Method: http.MethodGet, URL: at, Host: at.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h}).WithContext(ctx)
	resp, err := u.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		_ = resp.Body.Close() // The status says enough.
		return nil, fmt.Errorf("the status is %d", resp.StatusCode)
	}
	return resp.Body, nil
}

// signalNames are the metrics that say how busy a server is, of the servers that
// have them.
var signalNames = map[string]func(s *Signals) *float64{
	"vllm:num_requests_running":     func(s *Signals) *float64 { return &s.Running },
	"vllm:num_requests_waiting":     func(s *Signals) *float64 { return &s.Waiting },
	"vllm:kv_cache_usage_perc":      func(s *Signals) *float64 { return &s.Cache },
	"vllm:gpu_cache_usage_perc":     func(s *Signals) *float64 { return &s.Cache }, // Before version 0.10.
	"sglang:num_running_reqs":       func(s *Signals) *float64 { return &s.Running },
	"sglang:num_queue_reqs":         func(s *Signals) *float64 { return &s.Waiting },
	"sglang:token_usage":            func(s *Signals) *float64 { return &s.Cache },
	"llamacpp:requests_processing":  func(s *Signals) *float64 { return &s.Running },
	"llamacpp:requests_deferred":    func(s *Signals) *float64 { return &s.Waiting },
	"llamacpp:kv_cache_usage_ratio": func(s *Signals) *float64 { return &s.Cache },
}

// readSignals reads the text form of Prometheus. A server with several engines
// has a line for each: requests add up, of the caches the fullest counts.
func readSignals(r io.Reader) (*Signals, error) {
	const longest = 16 << 20
	s := &Signals{}
	lines := bufio.NewScanner(io.LimitReader(r, longest))
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	newest := 0.0
	for lines.Scan() {
		line := lines.Text()
		end := strings.IndexAny(line, "{ \t")
		if end <= 0 || line[0] == '#' {
			continue
		}
		name := line[:end]
		if name == "vllm:lora_requests_info" {
			// Its value is a time, and the newest line counts.
			if v, ok := sampleValue(line); ok && v >= newest {
				newest = v
				s.Adapters = adapters(line)
			}
			continue
		}
		to := signalNames[name]
		if to == nil {
			continue
		}
		v, ok := sampleValue(line)
		if !ok || v < 0 {
			continue
		}
		if at := to(s); at == &s.Cache {
			*at = max(*at, v)
		} else {
			*at += v
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errors.Join(errors.New("the metrics cannot be read"), err)
	}
	return s, nil
}

// sampleValue is the value of a line.
func sampleValue(line string) (float64, bool) {
	// A label's value may have spaces and brackets.
	if i := strings.LastIndexByte(line, '}'); i >= 0 {
		line = line[i+1:]
	} else if _, rest, ok := strings.Cut(line, " "); ok {
		line = rest
	}
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(fields[0], 64)
	return v, err == nil && v-v == 0 // A NaN or an infinity says nothing.
}

// adapters are the names in the label of vLLM's info.
func adapters(line string) []string {
	_, rest, ok := strings.Cut(line, `running_lora_adapters="`)
	if !ok {
		return nil
	}
	names, _, _ := strings.Cut(rest, `"`)
	var list []string
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, name)
		}
	}
	return list
}
