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
	// Another model each time, so that nothing is answered from a cache of one.
	name := func(n int) string { return version(n*7919%c.models, 1, c.versions).model }
	get := func(title, path string, query func(n int) url.Values, want string) measurement {
		return median(title, func(ctx context.Context, s *server, n int) error {
			return s.ask(ctx, path, query(n), want)
		})
	}
	search := func(title, path, filter string, orderBy []string, most int, want string) measurement {
		return get(title, path, func(n int) url.Values {
			q := url.Values{"max_results": {strconv.Itoa(most)}}
			if filter != "" {
				q.Set("filter", strings.ReplaceAll(filter, "$NAME", name(n)))
			}
			if orderBy != nil {
				q["order_by"] = orderBy
			}
			return q
		}, want)
	}
	overREST := func(ctx context.Context, s *server) (float64, error) {
		conn, err := mlflow.Dial(s.Base, nil)
		if err != nil {
			return 0, err
		}
		return told(ctx, conn, conn, name(1), 3*length)
	}
	const models, versions = api + "registered-models/search", api + "model-versions/search"
	return []measurement{
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
		search("search models, first page of 100, p50", models, "", nil, 100, `"registered_models"`),
		search("search models, latest updated 100, p50", models, "", []string{"last_updated_timestamp DESC"}, 100, `"registered_models"`),
		search("search models, name LIKE, p50", models, "name LIKE '%el-0042%'", nil, 100, `"registered_models"`),
		search("search models, by a tag, p50", models, "tags.team = 'b'", nil, 100, `"registered_models"`),
		search("search versions, of one model, p50", versions, "name = '$NAME'", nil, 100, `"model_versions"`),
		search("search versions, by a run, p50", versions, fmt.Sprintf("run_id = '%s'", version(c.models/2, 3, c.versions).run), nil, 100, `"model_versions"`),
		search("search versions, tag and name LIKE, p50", versions, "tags.validation = 'failed' AND name LIKE 'model-00%'", nil, 100, `"model_versions"`),
		search("search versions, first page of 1,000, p50", versions, "", nil, 1000, `"model_versions"`),
		search("search versions, ordered by name, 100, p50", versions, "", []string{"name ASC", "version_number DESC"}, 100, `"model_versions"`),
		{"all models by pages of 1,000", "ms", true, func(ctx context.Context, s *server) (float64, error) {
			return s.all(ctx, models, "registered_models", c.models)
		}},
	}
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

// all reads a search to its end.
func (s *server) all(ctx context.Context, path, field string, atLeast int) (float64, error) {
	began, token, n := time.Now(), "", 0
	for {
		answer, err := s.Call(ctx, http.MethodGet, path+"?max_results=1000&page_token="+url.QueryEscape(token), nil)
		if err != nil {
			return 0, err
		}
		var page map[string]json.RawMessage
		if err := json.Unmarshal(answer, &page); err != nil {
			return 0, err
		}
		var list []json.RawMessage
		if err := json.Unmarshal(page[field], &list); err != nil {
			return 0, err
		}
		n += len(list)
		token = ""
		if next := page["next_page_token"]; next != nil {
			if err := json.Unmarshal(next, &token); err != nil {
				return 0, err
			}
		}
		if token == "" {
			break
		}
	}
	if n < atLeast {
		return 0, fmt.Errorf("%d found, want at least %d", n, atLeast)
	}
	return rivals.Milliseconds(time.Since(began)), nil
}
