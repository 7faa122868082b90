package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/servehook"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// constant is a model that costs nothing.
type constant struct{}

func (constant) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "input", Datatype: oip.FP32, Shape: []int64{-1, width}}},
		Outputs: []oip.TensorMetadata{{Name: "score", Datatype: oip.FP32, Shape: []int64{-1}}},
	}
}

func (constant) Infer(_ context.Context, _ *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, oip.NewFP32("score", []int64{1}, []float32{0.5}))
	return nil
}

func (constant) Close() error { return nil }

// handler serves the model, watched by the monitor where there is one.
func handler(ctx context.Context, m *monitor.Monitor) (http.Handler, error) {
	opts := new(serve.Options)
	if m != nil {
		hook, err := servehook.New(m, &servehook.Options{Inputs: []string{"input"}})
		if err != nil {
			return nil, err
		}
		opts.Observers = []serve.Observer{hook}
	}
	s := serve.New(opts)
	return s, s.Deploy(ctx, serve.Deployment{Name: "m", Version: "1", Model: constant{}})
}

// serving is what a monitor adds to a request of one row of 32 numbers: to the handler,
// and to what a server does for it, connections and net/http included.
func serving(ctx context.Context, c *config) ([]figure, error) {
	ref, err := build(sample(20_000), &profile.BuilderOptions{Score: true})
	if err != nil {
		return nil, err
	}
	m, err := monitor.New(ref, &monitor.Options{MaxPending: -1})
	if err != nil {
		return nil, err
	}
	defer shut(ctx, m)
	plain, err := handler(ctx, nil)
	if err != nil {
		return nil, err
	}
	watched, err := handler(ctx, m)
	if err != nil {
		return nil, err
	}
	numbers := make([]string, width)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("%.4f", float64(i)/width-0.5)
	}
	body := fmt.Sprintf(`{"id":"req-0001","inputs":[{"name":"input","shape":[1,%d],"datatype":"FP32","data":[%s]}]}`, width, strings.Join(numbers, ","))
	least := [2]float64{1e9, 1e9}
	for range 20 { // In turns, so that both meet the same disturbance.
		for i, h := range []http.Handler{plain, watched} {
			least[i] = min(least[i], best(c.length/20, 100, func() { again(ctx, h, body) }))
		}
	}
	if seen := m.Snapshot().Predictions; seen == 0 {
		return nil, errors.New("the monitor has seen no request")
	}
	spent, err := overNetwork(ctx, plain, body, c.length)
	if err != nil {
		return nil, err
	}
	more := least[1] - least[0]
	return []figure{
		{name: "handler, a request of 1×32 in JSON", value: least[0], unit: "ns"},
		{name: "what the monitor adds", value: more, unit: "ns"},
		{name: "processor time a request over HTTP, a bare client's included", value: spent / 1000, unit: "µs"},
		{name: "overhead of the monitor on it", value: 100 * more / spent, unit: "%", aim: 2},
	}, nil
}

// again calls a handler a hundred times.
func again(ctx context.Context, h http.Handler, body string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v2/models/m/infer", http.NoBody)
	r.ContentLength = int64(len(body))
	w := &nowhere{http.Header{}}
	for range 100 {
		r.Body = io.NopCloser(strings.NewReader(body))
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}

// overNetwork is the processor time of a request, in nanoseconds, over a connection
// that stays open, from a client that only writes and reads bytes.
func overNetwork(ctx context.Context, h http.Handler, body string, length time.Duration) (float64, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "POST /v2/models/m/infer HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	answers := bufio.NewReader(conn)
	one := func() error {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	if err := one(); err != nil {
		return 0, err
	}
	before, n := cpu(), 0
	for began := time.Now(); time.Since(began) < length; n++ {
		if err := one(); err != nil {
			return 0, err
		}
	}
	return float64((cpu() - before).Nanoseconds()) / float64(n), nil
}
