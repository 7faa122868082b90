package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

const api = "/api/2.0/mlflow/"

// measurement yields one figure of a server.
type measurement struct {
	name, unit string
	less       bool
	run        func(context.Context, *server) (float64, error)
}

func measurements(c config) []measurement {
	length := time.Duration(c.seconds * float64(time.Second))
	return []measurement{
		{"log-metric, p50", "ms", true, func(ctx context.Context, s *server) (float64, error) {
			run, err := s.newRun(ctx)
			if err != nil {
				return 0, err
			}
			step := 0
			return rivals.Median(length, func() error {
				step++
				_, err := s.Call(ctx, http.MethodPost, api+"runs/log-metric",
					fmt.Appendf(nil, `{"run_id":%q,"key":"loss","value":0.5,"timestamp":1700000000000,"step":%d}`, run, step))
				return err
			})
		}},
		{"runs/create, p50", "ms", true, func(ctx context.Context, s *server) (float64, error) {
			return rivals.Median(length, func() error { _, err := s.newRun(ctx); return err })
		}},
		{"log-batch of 1,000 (10 keys), points a second", "1/s", false, batches(length, 10, 1)},
		{"log-batch of 1,000 (1,000 keys), points a second", "1/s", false, batches(length, 1000, 1)},
		{"same, 10 keys, 8 writers", "1/s", false, batches(length, 10, 8)},
		{"search: 3 filters, p50", "ms", true, search(length,
			`metrics.m3 > 0.9 and params.p5 = '5-17' and tags.team = 'a'`, "")},
		{"search: 2 filters, ordered by a metric, p50", "ms", true, search(length,
			`metrics.m1 > 0.5 and params.p2 = '2-3'`, "metrics.m4 DESC")},
		{"search: ordered by a metric, p50", "ms", true, search(length, "", "metrics.m7 ASC")},
		{"search: first page of 100, p50", "ms", true, search(length, "", "")},
		{"history, all points by pages", "ms", true, func(ctx context.Context, s *server) (float64, error) {
			began, token, n := time.Now(), "", 0
			for {
				answer, err := s.Call(ctx, http.MethodGet, api+"metrics/get-history?run_id="+s.longRun+"&metric_key=long&max_results=25000&page_token="+token, nil)
				if err != nil {
					return 0, err
				}
				var page struct {
					Metrics []json.RawMessage
					Next    string `json:"next_page_token"`
				}
				if err := json.Unmarshal(answer, &page); err != nil {
					return 0, err
				}
				n += len(page.Metrics)
				if token = page.Next; token == "" {
					break
				}
			}
			if n != c.points {
				return 0, fmt.Errorf("%d points, want %d", n, c.points)
			}
			return float64(time.Since(began).Microseconds()) / 1000, nil
		}},
		{"history, sampled to 320 points, p50", "ms", true, func(ctx context.Context, s *server) (float64, error) {
			return rivals.Median(length, func() error {
				_, err := s.Call(ctx, http.MethodGet, api+"metrics/get-history-bulk-interval?run_ids="+s.longRun+"&metric_key=long&max_results=320", nil)
				return err
			})
		}},
		{"artifact up", "MB/s", false, func(ctx context.Context, s *server) (float64, error) { return transfer(ctx, s, c.artifact, true) }},
		{"artifact down", "MB/s", false, func(ctx context.Context, s *server) (float64, error) { return transfer(ctx, s, c.artifact, false) }},
		{"memory, its peak while an artifact goes up", "MiB", true, func(ctx context.Context, s *server) (float64, error) {
			return rivals.Peak(ctx, s.Memory, func(ctx context.Context) error {
				_, err := transfer(ctx, s, c.artifact, true)
				return err
			})
		}},
	}
}

func (s *server) newRun(ctx context.Context) (string, error) {
	answer, err := s.Call(ctx, http.MethodPost, api+"runs/create",
		[]byte(`{"experiment_id":"0","start_time":1700000000000,"tags":[{"key":"mlflow.user","value":"bench"},{"key":"mlflow.source.name","value":"bench.py"}]}`))
	if err != nil {
		return "", err
	}
	var created struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			}
		}
	}
	err = json.Unmarshal(answer, &created)
	return created.Run.Info.ID, err
}

// batches measures points a second, each writer to a run of its own.
func batches(length time.Duration, keys, writers int) func(context.Context, *server) (float64, error) {
	return func(ctx context.Context, s *server) (float64, error) {
		var points atomic.Int64
		var wg sync.WaitGroup
		errs := make([]error, writers)
		began := time.Now()
		for w := range writers {
			wg.Go(func() {
				errs[w] = func() error {
					run, err := s.newRun(ctx)
					if err != nil {
						return err
					}
					for n := 0; time.Since(began) < length; n++ {
						if _, err := s.Call(ctx, http.MethodPost, api+"runs/log-batch", batch(run, keys, n)); err != nil {
							return err
						}
						points.Add(1000)
					}
					return nil
				}()
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return 0, err
			}
		}
		return float64(points.Load()) / time.Since(began).Seconds(), nil
	}
}

// batch is the n-th body of 1,000 points.
func batch(run string, keys, n int) []byte {
	steps := 1000 / keys
	body := make([]byte, 0, 100_000)
	body = fmt.Appendf(body, `{"run_id":%q,"metrics":[`, run)
	for i := range 1000 {
		if i > 0 {
			body = append(body, ',')
		}
		step := n*steps + i/keys
		body = fmt.Appendf(body, `{"key":"key_%04d","value":%g,"timestamp":%d,"step":%d}`, i%keys, float64(float32(step%977)/977), 1_700_000_000_000+step*100, step)
	}
	return append(body, `],"params":[],"tags":[]}`...)
}

func search(length time.Duration, filter, order string) func(context.Context, *server) (float64, error) {
	return func(ctx context.Context, s *server) (float64, error) {
		query := map[string]any{"experiment_ids": []string{s.experiment}, "filter": filter, "max_results": 100}
		if order != "" {
			query["order_by"] = []string{order}
		}
		body, err := json.Marshal(query)
		if err != nil {
			return 0, err
		}
		return rivals.Median(length, func() error {
			answer, err := s.Call(ctx, http.MethodPost, api+"runs/search", body)
			if err == nil && !strings.Contains(string(answer), `"run_id"`) {
				err = fmt.Errorf("no run found: %.200s", answer)
			}
			return err
		})
	}
}

// zeros is a body that costs nothing to make.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// transfer returns MB/s of one artifact in one direction.
func transfer(ctx context.Context, s *server, size int64, up bool) (float64, error) {
	const path = "/api/2.0/mlflow-artifacts/artifacts/0/bench/artifacts/big.bin"
	began := time.Now()
	method, body := http.MethodGet, io.Reader(nil)
	if up {
		method, body = http.MethodPut, io.LimitReader(zeros{}, size)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.Base+path, body)
	if err != nil {
		return 0, err
	}
	if up {
		request.ContentLength = size
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || !up && n != size) {
		err = fmt.Errorf("status %d, %d bytes", response.StatusCode, n)
	}
	return float64(size) / 1e6 / time.Since(began).Seconds(), err
}

// soak logs with 8 writers and prints what the server holds each tenth of it.
func soak(ctx context.Context, s *server, length time.Duration) error {
	for i := range 10 {
		rate, err := batches(length/10, 10, 8)(ctx, s)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "soak %d/10: %.0f points/s, %.1f MiB\n", i+1, rate, s.Memory())
	}
	return nil
}
