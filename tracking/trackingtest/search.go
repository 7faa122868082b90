package trackingtest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

func searchTests() []test {
	return []test{
		{"SearchRuns", nothing, testSearchRuns},
		{"FilterRuns", nothing, testFilterRuns},
		{"OrderRuns", nothing, testOrderRuns},
		{"SearchErrors", nothing, testSearchErrors},
		{"SearchWhileWriting", nothing, testSearchWhileWriting},
		{"PageTokens", nothing, testPageTokens},
	}
}

func testSearchRuns(k *kit) {
	exp, other := k.experiment("experiment"), k.experiment("other")
	elsewhere := k.getRun(k.run(other, "elsewhere", at(2)))
	all := []tracking.RunInfo{}
	for i := range 12 {
		id := k.run(exp, tracking.RunID(fmt.Sprintf("run%c", 'a'+(i*5)%12)), at(int64(i/3))) // three runs start at once
		k.log(id, tracking.Batch{
			Params:      map[string]string{"i": fmt.Sprint(i)},
			Tags:        map[string]string{"t": "x"},
			Metrics:     []tracking.Metric{{Key: "m", Value: float64(i), Time: base()}},
			Inputs:      []tracking.DatasetInput{{Name: "d", Digest: "1", Source: "s3://b/d", Schema: "{}", Profile: "{}"}},
			ModelInputs: []tracking.ModelID{"m-1"}, Outputs: []tracking.ModelOutput{{Model: "m-2", Step: 4}},
		})
		if i%4 == 0 {
			k.updateRun(id, tracking.RunUpdate{Status: tracking.Killed, End: at(100), Deleted: new(true)})
		}
		all = append(all, k.getRun(id))
		equal(k, all[i].Inputs[0].Profile, "{}")
		all[i].Inputs[0].Schema, all[i].Inputs[0].Profile = "", "" // as a search returns it
	}
	slices.SortFunc(all, latestRun)
	both := append(slices.Clone(all), elsewhere)
	slices.SortFunc(both, latestRun)
	for _, c := range []struct {
		experiments []tracking.ExperimentID
		all         []tracking.RunInfo
	}{
		{[]tracking.ExperimentID{exp}, all},
		{[]tracking.ExperimentID{other, exp}, both},
		{[]tracking.ExperimentID{"987654321", exp}, all},
		{[]tracking.ExperimentID{"987654321"}, nil},
	} {
		for _, view := range []tracking.View{tracking.ActiveOnly, tracking.DeletedOnly, tracking.All} {
			want := slices.DeleteFunc(slices.Clone(c.all), func(r tracking.RunInfo) bool { return !view.Includes(r.Deleted) })
			for _, size := range []int{0, 1, 5, 12, 13, 14} {
				got := k.searchRuns(tracking.RunQuery{Experiments: c.experiments, View: view}, size)
				describe := func(r tracking.RunInfo) string {
					if k.allowed.SharedDatasets { // and with it their long texts
						r.Inputs = nil
					}
					return fmt.Sprintf("%s of %s at %s\n%s", r.ID, r.Experiment, r.ArtifactURI, k.describeRun(r))
				}
				equal(k, strings.Join(mapSlice(got, describe), ""), strings.Join(mapSlice(want, describe), ""))
			}
		}
	}
}

// latestRun is the order of runs where there is no other.
func latestRun(a, b tracking.RunInfo) int {
	if c := b.Start.Compare(a.Start); c != 0 {
		return c
	}
	return strings.Compare(string(a.ID), string(b.ID))
}

// population makes runs named a to h, each started later than the one before,
// in which every entity of a filter has some values and is missing somewhere.
func (k *kit) population() tracking.ExperimentID {
	exp := k.experiment("population")
	metric := func(key string, v float64) tracking.Metric {
		return tracking.Metric{Key: key, Value: v, Time: base()}
	}
	old := tracking.Metric{Key: "auc", Value: 99, Step: -1, Time: base()} // not the latest
	for i, c := range []struct {
		info  tracking.RunInfo
		batch tracking.Batch
	}{
		{tracking.RunInfo{User: "ann", Status: tracking.Finished, End: at(50)}, tracking.Batch{
			Metrics: []tracking.Metric{old, metric("auc", 0.5), metric("loss/val set", 1)},
			Params:  map[string]string{"depth": "3", "kind": "Tree"},
			Tags:    map[string]string{"team": "alpha", "a.b": "dots"},
			Inputs:  []tracking.DatasetInput{{Name: "iris", Digest: "d1", Context: "training"}},
		}},
		{tracking.RunInfo{User: "bob", Status: tracking.Failed, End: at(40)}, tracking.Batch{
			Metrics: []tracking.Metric{metric("auc", 0.75), metric("loss/val set", 1)},
			Params:  map[string]string{"depth": "10", "kind": "tree"},
			Tags:    map[string]string{"team": "ALPHA"},
			Inputs:  []tracking.DatasetInput{{Name: "iris", Digest: "d2", Context: "evaluation"}, {Name: "wine", Digest: "d1"}},
		}},
		{tracking.RunInfo{User: "", Status: tracking.Running}, tracking.Batch{
			Metrics: []tracking.Metric{metric("auc", math.NaN())},
			Params:  map[string]string{"depth": "", "kind": "50%"},
			Tags:    map[string]string{"team": ""},
		}},
		{tracking.RunInfo{User: "ann", Status: tracking.Running}, tracking.Batch{
			Params: map[string]string{"kind": "a_b"},
			Tags:   map[string]string{"team": "日本語"},
		}},
		{tracking.RunInfo{User: "Ann", Status: tracking.Scheduled}, tracking.Batch{
			Metrics: []tracking.Metric{metric("auc", math.Inf(1))},
			Params:  map[string]string{"kind": `back\slash`},
			Tags:    map[string]string{"team": "it's"},
		}},
		{tracking.RunInfo{Status: tracking.Killed, End: at(60)}, tracking.Batch{
			Metrics: []tracking.Metric{metric("auc", math.Inf(-1))},
			Params:  map[string]string{"kind": "axb"},
			Tags:    map[string]string{"team": `say "hi"`},
		}},
		{tracking.RunInfo{Status: tracking.Running}, tracking.Batch{
			Metrics: []tracking.Metric{metric("auc", 0)},
			Tags:    map[string]string{"team": "É"},
		}},
		{tracking.RunInfo{Status: tracking.Running}, tracking.Batch{
			Metrics: []tracking.Metric{metric("auc", 0.5)},
			Tags:    map[string]string{"team": "beta\nline"},
		}},
	} {
		c.info.ID, c.info.Experiment, c.info.Name, c.info.Start = tracking.RunID(fmt.Sprint("population", i)), exp, string(rune('a'+i)), at(int64(i))
		k.log(k.createRun(c.info).ID, c.batch)
	}
	return exp
}

// names is what a search gave, as one text.
func names(runs []tracking.RunInfo) string {
	return strings.Join(mapSlice(runs, func(r tracking.RunInfo) string { return r.Name }), "")
}

func testFilterRuns(k *kit) {
	exp := k.population()
	for _, c := range []struct {
		filter, want string
		kind         filterKind
	}{
		{"", "abcdefgh", plain},
		{"  ", "abcdefgh", plain},
		{"metrics.auc > 0.5", "be", plain},
		{"metrics.auc >= 0.5", "abeh", plain},
		{"metric.auc = 0.5", "ah", plain},
		{"metrics.auc = 5e-1", "ah", plain},
		{"metrics.auc = 0", "g", nanFilter},
		{"metrics.auc < 0.5", "fg", nanFilter},
		{"metrics.auc <= 0", "fg", nanFilter},
		{"metrics.auc != 0.5", "bcefg", plain},
		{"metrics.auc > -1", "abegh", nanFilter},
		{"metrics.auc < -1", "f", plain},
		{"metrics.`auc` > 0.5 AND metrics.auc < 100", "b", plain},
		{"metrics.`loss/val set` = 1", "ab", plain},
		{`metrics."loss/val set" = 1 and params.depth = '3'`, "a", plain},
		{"metrics.never > 0", "", plain},
		{"metrics.never != 0", "", plain},

		{"params.depth = '3'", "a", plain},
		{`params.depth = "3"`, "a", plain},
		{"params.depth != '3'", "bc", plain},
		{"params.depth = ''", "c", plain},
		{"parameters.kind LIKE 't%'", "b", plain},
		{"param.kind ILIKE 'T%'", "ab", plain},
		{"params.kind LIKE '%e%'", "ab", plain},
		{"params.kind LIKE 'a_b'", "df", plain},
		{`params.kind LIKE 'a\_b'`, "d", odd},
		{"params.kind LIKE '50%'", "c", plain},
		{`params.kind LIKE '%\%'`, "c", odd},
		{`params.kind LIKE '%\\%'`, "e", odd},
		{`params.kind = 'back\slash'`, "e", plain},
		{"params.depth IS NULL", "defgh", plain},
		{"params.depth IS NOT NULL", "abc", plain},
		{"params.`it's; --` = '1'", "", odd},

		{"tags.team = 'alpha'", "a", plain},
		{"tag.team ILIKE 'alpha'", "ab", plain},
		{"tags.team LIKE 'alpha'", "a", plain},
		{"tags.team LIKE 'ALPHA'", "b", plain},
		{"tags.team = ''", "c", plain},
		{"tags.team != 'alpha'", "bcdefgh", plain},
		{"tags.team = '日本語'", "d", plain},
		{"tags.team LIKE '日_語'", "d", plain},
		{"tags.team LIKE '%本%'", "d", plain},
		{"tags.team = 'it''s'", "e", odd},
		{`tags.team = "it's"`, "e", plain},
		{`tags.team = 'say "hi"'`, "f", plain},
		{"tags.team ILIKE 'é'", "", odd},
		{"tags.team LIKE 'beta%line'", "h", plain},
		{"tags.team LIKE '_'", "g", plain},
		{"tags.team LIKE ''", "c", plain},
		{"tags.team LIKE '%'", "abcdefgh", plain},
		{"tags.`a.b` = 'dots'", "a", plain},
		{"tags.a.b = 'dots'", "a", plain},
		{"tags.`a.b` IS NULL AND tags.team != ''", "bdefgh", plain},

		{"status = 'RUNNING'", "cdgh", plain},
		{"attributes.status != 'RUNNING'", "abef", plain},
		{"attr.status LIKE 'F%'", "ab", plain},
		{"attribute.status ILIKE 'finished'", "a", plain},
		{"run_name = 'c'", "c", plain},
		{"attributes.run_name LIKE '%'", "abcdefgh", plain},
		{"tags.mlflow.runName = 'd'", "d", plain},
		{"tags.`mlflow.runName` != 'd'", "abcefgh", plain},
		{"user_id = 'ann'", "ad", plain},
		{"attribute.user_id ILIKE 'ann'", "ade", plain},
		{fmt.Sprintf("start_time > %d", at(5).UnixMilli()), "gh", plain},
		{fmt.Sprintf("attributes.start_time <= %d", at(1).UnixMilli()), "ab", plain},
		{fmt.Sprintf("created = %d", at(1).UnixMilli()), "b", plain},
		{fmt.Sprintf("end_time >= %d", at(50).UnixMilli()), "af", plain},
		{fmt.Sprintf("end_time != %d", at(50).UnixMilli()), "bf", plain},
		{"artifact_uri LIKE '%/artifacts'", "abcdefgh", plain},
		{"run_id = 'nosuchrun'", "", plain},
		{"run_id NOT IN ('nosuchrun', \"other\")", "abcdefgh", plain},

		{"dataset.name = 'iris'", "ab", plain},
		{"datasets.name LIKE 'w%'", "b", plain},
		{"dataset.name != 'iris'", "b", plain},
		{"dataset.digest = 'd1'", "ab", plain},
		{"dataset.digest IN ('d2', 'x')", "b", plain},
		{"dataset.name NOT IN ('iris')", "b", plain},
		{"dataset.context = 'evaluation'", "b", plain},
		{"dataset.context != 'evaluation'", "a", plain}, // an empty one is none
		{"dataset.context = 'training' AND dataset.name = 'iris'", "a", plain},
		{"dataset.name = 'wine' AND dataset.digest = 'd2'", "b", odd}, // each of another input

		{"metrics.auc > 0 AND params.kind ILIKE 'tree' AND tags.team != 'x' AND status = 'FAILED'", "b", plain},
		{"metrics.auc>0.5 and params.kind='tree'", "b", odd},
		{"\tmetrics.auc\n>\n0.5 ", "be", plain},
	} {
		switch {
		case c.kind == nanFilter && (k.allowed.NaNMatchesZero || k.allowed.ClampedInfinities), c.kind == odd && k.allowed.LooseFilters:
			continue
		}
		for _, size := range []int{0, 3} {
			q := tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, Filter: c.filter, OrderBy: []string{"start_time"}}
			if got := names(k.searchRuns(q, size)); got != c.want {
				k.Errorf("filter %s selects %q, want %q", c.filter, got, c.want)
			}
		}
	}
	// Ids that the store may have allocated.
	all := k.searchRuns(tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, OrderBy: []string{"start_time"}}, 0)
	for filter, want := range map[string]string{
		"run_id = '%s'": "b", "run_id != '%s'": "acdefgh", "run_id IN ('%s', 'x')": "b", "run_id LIKE '%s'": "b", "attribute.run_id NOT IN ('%s')": "acdefgh",
	} {
		q := tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, Filter: fmt.Sprintf(filter, all[1].ID), OrderBy: []string{"start_time"}}
		equal(k, names(k.searchRuns(q, 0)), want)
	}
}

// filterKind tells which differences loosen a case.
type filterKind int

const (
	plain     filterKind = iota
	odd                  // LooseFilters
	nanFilter            // NaNMatchesZero, ClampedInfinities
)

func testOrderRuns(k *kit) {
	exp := k.population()
	for _, c := range []struct{ order, want string }{
		{"", "hgfedcba"},
		{"start_time", "abcdefgh"},
		{"start_time ASC", "abcdefgh"},
		{"attributes.start_time DESC", "hgfedcba"},
		{"created desc", "hgfedcba"},
		{"run_name DESC", "hgfedcba"},
		{"tags.mlflow.runName", "abcdefgh"},
		// NaN after all numbers, then what has none; ties the latest first.
		{"metrics.auc", "fghabecd"},
		{"metrics.auc DESC", "ebhagfcd"},
		{"metrics.`loss/val set` DESC", "bahgfedc"},
		{"metrics.never", "hgfedcba"},
		{"metrics.auc, start_time", "fgahbecd"},
		{"metrics.auc DESC, start_time ASC", "ebahgfcd"},
		// Texts in byte order.
		{"params.kind", "cadfebhg"},
		{"params.kind DESC", "befdachg"},
		{"params.depth ASC, run_name", "cbadefgh"},
		{"tags.team", "cbahefgd"},
		{"tag.team DESC", "dgfehabc"},
		{"end_time", "bafhgedc"},
		{"attribute.end_time DESC", "fabhgedc"},
		{"status, run_name", "bafcdghe"},
		{"user_id DESC, start_time", "badecfgh"},
	} {
		var order []string
		if c.order != "" {
			order = strings.Split(c.order, ", ")
		}
		for _, size := range []int{0, 1, 3} {
			q := tracking.RunQuery{Experiments: []tracking.ExperimentID{exp}, OrderBy: order}
			if got := names(k.searchRuns(q, size)); got != c.want {
				k.Errorf("order %q with pages of %d gives %q, want %q", c.order, size, got, c.want)
			}
		}
	}
}
