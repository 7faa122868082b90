package trackingtest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

func testSearchErrors(k *kit) {
	exps := []tracking.ExperimentID{k.population()}
	for _, filter := range []string{
		"metrics", "metrics.auc", "metrics.auc >", "metrics.auc > 'x'", "metrics.auc > abc", "metrics.auc LIKE 'x'", "metrics.auc > 1 OR metrics.auc < 0",
		"metrics.auc > 1 AND", "AND metrics.auc > 1", "metrics.auc > 1 metrics.auc < 2", "metrics.auc >> 1", "metrics.auc ~ 1", "(metrics.auc > 1)",
		"params.depth = 3", "params.depth > '3'", "params.depth = 'x", "params.depth IN ('x')", "params.`depth = '3'", "params. = '3'",
		"colour = 'red'", "attributes.colour = 'red'", "nothing.key = 'x'", "status = 1", "status IS NULL", "start_time = 'x'", "run_name IN ('x')",
		"dataset.colour = 'x'", "dataset.name > 'x'", "run_id IN ()", "run_id IN ('a' 'b')", "run_id IN 'a'", "tags.team IS", "tags.team IS NOT", "tags.team NOT LIKE 'x'",
		"metrics.auc > 1;", "metrics.auc > 1 -- comment", "'a' = 'a'", "1 = 1",
		"params.depth = 'a\x00b'", "params.depth = '\xff'",
		strings.Repeat("metrics.auc > 1 AND ", 5000) + "metrics.auc > 1",
	} {
		page, next, err := k.store.SearchRuns(k.Context(), tracking.RunQuery{Experiments: exps, Filter: filter})
		if len(page) > 0 || next != "" || !errors.Is(err, tracking.ErrInvalid) {
			k.Errorf("filter %q gives %d runs and error %v, want ErrInvalid", short(filter), len(page), err)
		}
	}
	for _, order := range [][]string{
		{""}, {"colour"}, {"metrics"}, {"metrics.auc UP"}, {"metrics.auc ASC DESC"}, {"dataset.name"}, {"nothing.key"},
		{"metrics.auc", "metrics.auc DESC"}, {"start_time", "created"}, {"metrics.auc; DROP TABLE x"}, {"metrics.`auc"},
	} {
		_, _, err := k.store.SearchRuns(k.Context(), tracking.RunQuery{Experiments: exps, OrderBy: order})
		if !errors.Is(err, tracking.ErrInvalid) {
			k.Errorf("order %q gives error %v, want ErrInvalid", order, err)
		}
	}
}

func short(s string) string { return s[:min(len(s), 200)] }

// testSearchWhileWriting wants each run that is there all the time exactly
// once, in every order that the writer does not touch.
func testSearchWhileWriting(k *kit) {
	if k.allowed.LooseTokens {
		k.Skip("entries written between two pages may move the others")
	}
	for i, order := range [][]string{nil, {"metrics.m"}, {"metrics.m DESC"}, {"params.p"}, {"tags.t DESC", "start_time"}, {"end_time"}} {
		exp := k.experiment(fmt.Sprint("experiment ", i))
		add := func(n int, start int64) {
			id := k.run(exp, tracking.RunID(fmt.Sprintf("run%dx%d", i, n)), at(start))
			b := tracking.Batch{}
			if n%3 > 0 { // some have no value in the order
				b.Metrics = []tracking.Metric{{Key: "m", Value: float64(n % 5), Time: base()}}
				b.Params, b.Tags = map[string]string{"p": fmt.Sprint(n % 4)}, map[string]string{"t": fmt.Sprint(n % 2)}
			}
			k.log(id, b)
			if n%4 == 0 {
				k.updateRun(id, tracking.RunUpdate{End: at(int64(n % 8))})
			}
		}
		const there = 18
		for n := range there {
			add(n, int64(n/2)*10)
		}
		seen := map[string]int{}
		q := tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, OrderBy: order, Page: tracking.Page{Max: 4}}
		for n := there; ; n++ {
			page, next, err := k.store.SearchRuns(k.Context(), q)
			k.noError(err)
			for _, r := range page {
				seen[r.Name]++
			}
			if next == "" {
				break
			}
			q.Page.Token = next
			if n < there+4 {
				add(n, int64(n*37%200)-10)
				k.log(page[0].ID, tracking.Batch{Tags: map[string]string{"unrelated": "x"}})
			}
		}
		for n := range there {
			name := fmt.Sprintf("name of run%dx%d", i, n)
			if seen[name] != 1 {
				k.Fatalf("order %q: the run %q, there from the start, was returned %d times", order, name, seen[name])
			}
		}
		for name, n := range seen {
			if n > 1 {
				k.Fatalf("order %q: the run %q was returned %d times", order, name, n)
			}
		}
	}
}

func testPageTokens(k *kit) {
	exp, other := k.experiment("experiment"), k.experiment("other")
	a, b := k.run(exp, "runa", at(1)), k.run(exp, "runb", at(2))
	for _, id := range []tracking.RunID{a, b} {
		k.log(id, tracking.Batch{Metrics: []tracking.Metric{
			{Key: "m", Value: 1, Time: base()}, {Key: "m", Value: 2, Time: base()},
			{Key: "n", Value: 1, Time: base()}, {Key: "n", Value: 2, Time: base()},
		}})
	}
	readHistory := func(id tracking.RunID, key, token string) (string, error) {
		_, next, err := k.store.History(k.Context(), id, key, tracking.Page{Max: 1, Token: token})
		return next, err
	}
	runs := tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, Filter: "metrics.m > 0", OrderBy: []string{"metrics.n"}}
	readRuns := func(q tracking.RunQuery, token string) (string, error) {
		q.Page = tracking.Page{Max: 1, Token: token}
		_, next, err := k.store.SearchRuns(k.Context(), q)
		return next, err
	}
	experiments := tracking.ExperimentQuery{OrderBy: []string{"name"}}
	readExperiments := func(q tracking.ExperimentQuery, token string) (string, error) {
		q.Page = tracking.Page{Max: 1, Token: token}
		_, next, err := k.store.SearchExperiments(k.Context(), q)
		return next, err
	}
	first := func(token string, err error) string {
		k.Helper()
		k.noError(err)
		if token == "" {
			k.Fatalf("there is more to read and no token")
		}
		return token
	}
	historyToken := first(readHistory(a, "m", ""))
	runToken := first(readRuns(runs, ""))
	experimentToken := first(readExperiments(experiments, ""))
	fine := func(_ string, err error) { k.Helper(); k.noError(err) }
	refused := func(_ string, err error) { k.Helper(); k.isKind(err, tracking.ErrInvalid) }
	for range 2 { // a token may be used again
		fine(readHistory(a, "m", historyToken))
		fine(readRuns(runs, runToken))
		fine(readExperiments(experiments, experimentToken))
	}
	// The size of the page may change on the way.
	runs.Page = tracking.Page{Max: 7, Token: runToken}
	page, next, err := k.store.SearchRuns(k.Context(), runs)
	k.noError(err)
	equal(k, len(page), 1)
	equal(k, next, "")

	for _, bad := range []string{"x", "!", "AAAA", strings.Repeat("A", 5000), "\x00", "e30", "bnVsbA", "-1"} {
		refused(readHistory(a, "m", bad))
		refused(readRuns(runs, bad))
		refused(readExperiments(experiments, bad))
	}
	if k.allowed.LooseTokens {
		return
	}
	for _, bad := range []string{historyToken + "A", "A" + runToken, experimentToken + "="} {
		refused(readHistory(a, "m", bad))
		refused(readRuns(runs, bad))
		refused(readExperiments(experiments, bad))
	}
	refused(readHistory(b, "m", historyToken))
	refused(readHistory(a, "n", historyToken))
	refused(readHistory(a, "m", runToken))
	refused(readRuns(runs, experimentToken))
	refused(readExperiments(experiments, runToken))
	for _, change := range []func(*tracking.RunQuery){
		func(q *tracking.RunQuery) { q.Experiments = []tracking.ExperimentID{other} },
		func(q *tracking.RunQuery) { q.Experiments = []tracking.ExperimentID{exp, other} },
		func(q *tracking.RunQuery) { q.View = tracking.All },
		func(q *tracking.RunQuery) { q.Filter = "metrics.m > 1" },
		func(q *tracking.RunQuery) { q.OrderBy = []string{"metrics.n DESC"} },
		func(q *tracking.RunQuery) { q.OrderBy = nil },
	} {
		q := runs
		change(&q)
		refused(readRuns(q, runToken))
	}
	for _, change := range []func(*tracking.ExperimentQuery){
		func(q *tracking.ExperimentQuery) { q.Name = "other" },
		func(q *tracking.ExperimentQuery) { q.ID = other },
		func(q *tracking.ExperimentQuery) { q.View = tracking.All },
		func(q *tracking.ExperimentQuery) { q.Filter = "name LIKE '%'" },
		func(q *tracking.ExperimentQuery) { q.OrderBy = nil },
	} {
		q := experiments
		change(&q)
		refused(readExperiments(q, experimentToken))
	}
}
