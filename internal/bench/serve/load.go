package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// width is how many columns the model has, besides how many requests are on their way
// at a time, and most how many connections there are at most when requests come
// whatever has become of those before; then they wait for one, which counts.
const (
	width   = 30
	besides = 16
	most    = 256
)

// bodies are the requests, a row each, in the forms of the servers.
type bodies struct {
	v2, plain [][]byte
	typed     []*oip.InferRequest
}

func requests(path string) (*bodies, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b := new(bodies)
	for ; len(raw) >= width*4; raw = raw[width*4:] {
		row := make([]float32, width)
		texts := make([]string, width)
		for i := range row {
			row[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[i*4:]))
			texts[i] = strconv.FormatFloat(float64(row[i]), 'g', -1, 32)
		}
		r := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("input", []int64{1, width}, row)}}
		text, err := oip.AppendRequest(nil, r)
		if err != nil {
			return nil, err
		}
		b.typed, b.v2 = append(b.typed, r), append(b.v2, text)
		b.plain = append(b.plain, []byte(`{"rows":[[`+strings.Join(texts, ",")+`]]}`))
	}
	return b, nil
}

// sender sends the request of a number and returns the first number of the answer.
type sender func(ctx context.Context, i int) (float64, error)

func (s *server) sender(reqs *bodies) (sender, func(), error) {
	if s.path == "grpc" {
		host, port, _ := net.SplitHostPort(s.addr)
		n, _ := strconv.Atoi(port)
		conn, err := grpc.NewClient(net.JoinHostPort(host, strconv.Itoa(n+1)), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, nil, err
		}
		client := grpcserve.NewClient(conn, nil)
		return func(ctx context.Context, i int) (float64, error) {
			resp, err := client.Infer(ctx, "m", "", reqs.typed[i%len(reqs.typed)])
			if err != nil {
				return 0, err
			}
			return float64(resp.Outputs[0].FP32()[0]), nil
		}, func() { _ = conn.Close() }, nil
	}
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: most, MaxConnsPerHost: most}}
	list := reqs.plain
	if s.v2 {
		list = reqs.v2
	}
	url := "http://" + s.addr + s.path
	return func(ctx context.Context, i int) (float64, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(list[i%len(list)]))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header["Idempotency-Key"] = nil // Not sent: a connection that the server has closed is no failure.
		resp, err := web.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("status %d: %.200s: %w", resp.StatusCode, text, err)
		}
		if i >= len(list) {
			return 0, nil // Its answer was looked at the first time.
		}
		return first(text, s.v2)
	}, web.CloseIdleConnections, nil
}

func first(text []byte, v2 bool) (float64, error) {
	var list []float64
	if v2 {
		var answer struct{ Outputs []struct{ Data []float64 } }
		if err := json.Unmarshal(text, &answer); err != nil || len(answer.Outputs) == 0 {
			return 0, fmt.Errorf("the answer %.200s: %w", text, err)
		}
		list = answer.Outputs[0].Data
	} else if err := json.Unmarshal(text, &list); err != nil {
		return 0, fmt.Errorf("the answer %.200s: %w", text, err)
	}
	if len(list) == 0 {
		return 0, fmt.Errorf("the answer %.200s has no number", text)
	}
	return list[0], nil
}

// figures are what one server did.
type figures struct {
	cpu     float64 // microseconds a request
	rate    float64 // requests a second
	memory  float64 // MiB
	answers []float64
}

// measure sends requests one behind the other on several connections.
func (s *server) measure(ctx context.Context, reqs *bodies, length time.Duration) (f figures, err error) {
	send, done, err := s.sender(reqs)
	if err != nil {
		return f, err
	}
	defer done()
	if f.answers, err = warm(ctx, send, len(reqs.typed)); err != nil {
		return f, err
	}
	if s.path == "/floor" {
		f.answers = nil
	}
	rounds := func(length time.Duration) (n int64, err error) {
		var count atomic.Int64
		var failed atomic.Value
		var all sync.WaitGroup
		until := time.Now().Add(length)
		for range besides {
			all.Go(func() {
				for time.Now().Before(until) {
					if _, err := send(ctx, len(reqs.typed)+int(count.Add(1))); err != nil {
						failed.Store(err)
						return
					}
				}
			})
		}
		all.Wait()
		err, _ = failed.Load().(error)
		return count.Load(), err
	}
	if _, err := rounds(length / 5); err != nil {
		return f, err
	}
	before, _ := rivals.Used(s.cmd.Process.Pid)
	began := time.Now()
	n, err := rounds(length)
	took := time.Since(began)
	after, bytes := rivals.Used(s.cmd.Process.Pid)
	f.cpu, f.rate, f.memory = float64((after-before).Microseconds())/float64(n), float64(n)/took.Seconds(), bytes/(1<<20)
	return f, err
}

// warm has each request answered once. A server that listens may not be ready yet.
func warm(ctx context.Context, send sender, n int) (answers []float64, err error) {
	for began := time.Now(); time.Since(began) < time.Minute && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		answers = answers[:0]
		for i := range n {
			var v float64
			if v, err = send(ctx, i); err != nil {
				break
			}
			answers = append(answers, v)
		}
		if err == nil {
			return answers, nil
		}
	}
	return nil, err
}

// same compares a server's answers with ours: the same model must have answered.
func same(ours, theirs []float64) error {
	for i := range theirs {
		if math.Abs(ours[i]-theirs[i]) > 1e-6 {
			return fmt.Errorf("row %d: it answers %v, ours %v", i, theirs[i], ours[i])
		}
	}
	return nil
}

// shares are the loads, as shares of what a server can do, and quantiles what is told
// of the times.
var (
	shares    = []float64{0.5, 0.8, 0.95}
	quantiles = []float64{0.5, 0.9, 0.99, 0.999}
)

// latencies are the times of requests that come at random, by load and quantile.
type latencies struct {
	name string
	rate float64
	ms   [][]float64
}

// openLoop sends requests when they are due, whatever has become of those before.
func (s *server) openLoop(ctx context.Context, reqs *bodies, capacity float64, length time.Duration) (l latencies, err error) {
	send, done, err := s.sender(reqs)
	if err != nil {
		return l, err
	}
	defer done()
	l = latencies{name: s.name, rate: capacity}
	for _, share := range shares {
		rng := rand.New(rand.NewPCG(1, 2))
		var due []time.Duration
		for at := 0.0; at < length.Seconds(); at += rng.ExpFloat64() / (capacity * share) {
			due = append(due, time.Duration(at*float64(time.Second)))
		}
		times := make([]time.Duration, len(due))
		var failed atomic.Value
		var all sync.WaitGroup
		began := time.Now()
		for i, at := range due {
			if wait := at - time.Since(began); wait > 0 {
				time.Sleep(wait)
			}
			all.Go(func() {
				if _, err := send(ctx, len(reqs.typed)+i); err != nil {
					failed.Store(err)
				}
				times[i] = time.Since(began) - at
			})
		}
		all.Wait()
		if err, _ := failed.Load().(error); err != nil {
			return l, err
		}
		slices.Sort(times)
		var row []float64
		for _, q := range quantiles {
			row = append(row, float64(times[min(int(q*float64(len(times))), len(times)-1)].Microseconds())/1000)
		}
		l.ms = append(l.ms, row)
	}
	return l, nil
}

func printLatencies(list []latencies) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nserver\tload\trequests a second\tp50 ms\tp90\tp99\tp99.9\t")
	for _, l := range list {
		for i, share := range shares {
			fmt.Fprintf(w, "%s\t%.0f %%\t%.0f\t", l.name, share*100, l.rate*share)
			for _, v := range l.ms[i] {
				fmt.Fprintf(w, "%.2f\t", v)
			}
			fmt.Fprintln(w)
		}
	}
	_ = w.Flush()
}
