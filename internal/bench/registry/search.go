package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

const (
	modelSearch   = api + "registered-models/search"
	versionSearch = api + "model-versions/search"
)

// searching is one search that both servers answer.
type searching struct {
	name, path string
	// query makes the n-th request.
	query func(n int) url.Values
	want  string // in the answer
}

// anyModel is another model for each n, so that nothing is answered from a
// cache of one.
func anyModel(c config, n int) string { return version(n*7919%c.models, 1, c.versions).model }

func searches(c config) []searching {
	search := func(name, path, want, filter string, most int, orderBy ...string) searching {
		return searching{name, path, func(n int) url.Values {
			q := url.Values{"max_results": {strconv.Itoa(most)}}
			if filter != "" {
				q.Set("filter", strings.ReplaceAll(filter, "$NAME", anyModel(c, n)))
			}
			if orderBy != nil {
				q["order_by"] = orderBy
			}
			return q
		}, want}
	}
	models := func(name, filter string, most int, orderBy ...string) searching {
		return search("models, "+name, modelSearch, `"registered_models"`, filter, most, orderBy...)
	}
	versions := func(name, filter string, most int, orderBy ...string) searching {
		return search("versions, "+name, versionSearch, `"model_versions"`, filter, most, orderBy...)
	}
	run := version(c.models/2, min(3, c.versions), c.versions).run
	return []searching{
		models("first page of 100", "", 100),
		models("latest updated 100", "", 100, "last_updated_timestamp DESC"),
		models("name LIKE", "name LIKE '%el-0042%'", 100),
		models("by a tag", "tags.team = 'b'", 100),
		models("first page of 1,000", "", 1000),
		versions("of one model", "name = '$NAME'", 100),
		versions("by a run", "run_id = '"+run+"'", 100),
		versions("tag and name LIKE", "tags.validation = 'failed' AND name LIKE 'model-00%'", 100),
		versions("first page of 1,000", "", 1000),
		versions("ordered by name, 100", "", 100, "name ASC", "version_number DESC"),
	}
}

// all reads a search to its end. What this program needs to take the answers
// apart does not count.
func (s *server) all(ctx context.Context, path, field string, atLeast int) (float64, error) {
	var took time.Duration
	token, n := "", 0
	for {
		began := time.Now()
		answer, err := s.Call(ctx, http.MethodGet, path+"?max_results=1000&page_token="+url.QueryEscape(token), nil)
		if err != nil {
			return 0, err
		}
		took += time.Since(began)
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
	return rivals.Milliseconds(took), nil
}
