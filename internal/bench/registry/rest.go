package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
	"github.com/millwright-ml/millwright/registry/mlflow"
)

const api = "/api/2.0/mlflow/"

// measurement yields one figure of a server.
type measurement struct {
	name, unit string
	less       bool
	run        func(context.Context, *server) (float64, error)
}

// requests are what both servers answer.
func requests(c config) []measurement {
	length := time.Duration(c.seconds * float64(time.Second))
	unit := "ms"
	if c.cpu {
		unit = "ms of CPU"
	}
	median := func(name string, f func(ctx context.Context, s *server, n int) error) measurement {
		return measurement{name, unit, true, func(ctx context.Context, s *server) (float64, error) {
			n, before := 0, s.CPU()
			ms, err := rivals.Median(length, func() error { n++; return f(ctx, s, n) })
			if c.cpu {
				ms = rivals.Milliseconds(s.CPU()-before) / float64(n)
			}
			return ms, err
		}}
	}
	name := func(n int) string { return anyModel(c, n) }
	get := func(title, path string, query func(n int) url.Values, want string) measurement {
		return median(title, func(ctx context.Context, s *server, n int) error {
			return s.ask(ctx, path, query(n), want)
		})
	}
	overREST := func(ctx context.Context, s *server) (float64, error) {
		conn, err := mlflow.Dial(s.Base, nil)
		if err != nil {
			return 0, err
		}
		return told(ctx, conn, conn, name(1), 3*length)
	}
	all := []measurement{
		median("create version, p50", func(ctx context.Context, s *server, _ int) error { return s.createVersion(ctx, "growing-8") }),
		{"create version, 8 writers, versions a second", "1/s", false, func(ctx context.Context, s *server) (float64, error) {
			return s.createVersions(ctx, 8, length)
		}},
		get("get by alias, p50", api+"registered-models/alias", func(n int) url.Values {
			return url.Values{"name": {name(n)}, "alias": {champion}}
		}, `"model_version"`),
		get("get version, p50", api+"model-versions/get", func(n int) url.Values {
			return url.Values{"name": {name(n)}, "version": {"1"}}
		}, `"model_version"`),
		get("get model, p50", api+"registered-models/get", func(n int) url.Values { return url.Values{"name": {name(n)}} }, `"registered_model"`),
		get("get latest versions, p50", api+"registered-models/get-latest-versions", func(n int) url.Values { return url.Values{"name": {name(n)}} }, `"model_versions"`),
		median("set alias, p50", func(ctx context.Context, s *server, n int) error {
			body := fmt.Appendf(nil, `{"name":%q,"alias":"challenger","version":"%d"}`, name(0), 1+n%c.versions)
			_, err := s.Call(ctx, http.MethodPost, api+"registered-models/alias", body)
			return err
		}),
		{"alias moved over REST, a client of ours is told, p50", "ms", true, overREST},
	}
	for _, q := range searches(c) {
		all = append(all, get("search "+q.name+", p50", q.path, q.query, q.want))
	}
	return append(all, measurement{"search all models by pages of 1,000", "ms", true, func(ctx context.Context, s *server) (float64, error) {
		return s.all(ctx, modelSearch, "registered_models", c.models)
	}})
}

// ask sends a GET and looks for a word in the answer.
func (s *server) ask(ctx context.Context, path string, query url.Values, want string) error {
	answer, err := s.Call(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
	if err == nil && !strings.Contains(string(answer), want) {
		err = fmt.Errorf("nothing was found: %.200s", answer)
	}
	return err
}

// createVersion registers a small folder that was uploaded before, as the
// client's register_model does.
func (s *server) createVersion(ctx context.Context, model string) error {
	if s.source == "" {
		answer, err := s.Call(ctx, http.MethodPost, api+"runs/create", []byte(`{"experiment_id":"0","start_time":1700000000000}`))
		if err != nil {
			return err
		}
		var created struct {
			Run struct {
				Info struct {
					ID string `json:"run_id"`
				}
			}
		}
		if err := json.Unmarshal(answer, &created); err != nil {
			return err
		}
		s.run = created.Run.Info.ID
		for path, content := range map[string]string{"MLmodel": "flavors: {}\n", "model.bin": strings.Repeat("x", 100_000)} {
			if _, err := s.Call(ctx, http.MethodPut, "/api/2.0/mlflow-artifacts/artifacts/0/"+s.run+"/artifacts/model/"+path, []byte(content)); err != nil {
				return err
			}
		}
		s.source = "mlflow-artifacts:/0/" + s.run + "/artifacts/model"
		for i := range 9 {
			body := fmt.Appendf(nil, `{"name":"growing-%d"}`, i)
			if _, err := s.Call(ctx, http.MethodPost, api+"registered-models/create", body); err != nil {
				return err
			}
		}
	}
	_, err := s.Call(ctx, http.MethodPost, api+"model-versions/create", fmt.Appendf(nil, `{"name":%q,"source":%q,"run_id":%q}`, model, s.source, s.run))
	return err
}

func (s *server) createVersions(ctx context.Context, writers int, length time.Duration) (float64, error) {
	if err := s.createVersion(ctx, "growing-8"); err != nil {
		return 0, err
	}
	var made atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, writers)
	began := time.Now()
	for w := range writers {
		wg.Go(func() {
			for errs[w] == nil && time.Since(began) < length {
				errs[w] = s.createVersion(ctx, "growing-"+strconv.Itoa(w))
				made.Add(1)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return float64(made.Load()) / time.Since(began).Seconds(), nil
}
