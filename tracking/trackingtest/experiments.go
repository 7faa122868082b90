package trackingtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

func experimentTests() []test {
	return []test{
		{"CreateExperiment", nothing, testCreateExperiment},
		{"ExperimentIDs", nothing, testExperimentIDs},
		{"ExperimentRace", nothing, testExperimentRace},
		{"UpdateExperiment", nothing, testUpdateExperiment},
		{"DeleteExperiment", nothing, testDeleteExperiment},
		{"ExperimentCascade", nothing, testExperimentCascade},
		{"SearchExperiments", nothing, testSearchExperiments},
		{"FilterExperiments", nothing, testFilterExperiments},
	}
}

func testCreateExperiment(k *kit) {
	plain := k.createExperiment(tracking.Experiment{Name: "plain", Created: at(1).Add(999 * time.Microsecond)})
	equal(k, plain.Name, "plain"+k.end)
	equal(k, plain.Deleted, false)
	equal(k, plain.DeletedAt, time.Time{})
	equal(k, plain.Tags != nil, true)
	if !strings.HasSuffix(plain.ArtifactLocation, "/"+string(plain.ID)) {
		k.Fatalf("the artifact location %q does not end with the id %q", plain.ArtifactLocation, plain.ID)
	}
	if !k.allowed.OwnTimes {
		equal(k, plain.Created, at(1))
	}
	tags := map[string]string{"team": "a", "empty": "", "long": strings.Repeat("ж", 5000)}
	full := k.createExperiment(tracking.Experiment{Name: "full", Created: base(), Tags: tags, ArtifactLocation: "s3://bucket/some/where"})
	equal(k, full.ArtifactLocation, "s3://bucket/some/where")
	for _, e := range []tracking.Experiment{plain, full} {
		equal(k, k.describeExperiment(k.getExperiment(e.ID)), k.describeExperiment(e))
	}
	equal(k, k.getExperiment(full.ID).Tags["long"], tags["long"])
	tags["team"] = "changed by the caller"
	full.Tags["empty"] = "changed by the caller"
	got := k.getExperiment(full.ID)
	equal(k, got.Tags["team"]+got.Tags["empty"], "a")

	_, err := k.store.CreateExperiment(k.Context(), tracking.Experiment{Name: plain.Name, Created: base()})
	k.isKind(err, tracking.ErrExists)
	// A name differs by case and by blanks.
	for _, name := range []string{"Plain", "plain ", " plain", "plаin"} {
		k.experiment(name)
	}
}

func testExperimentIDs(k *kit) {
	if k.allowed.OwnIDs {
		k.Skip("the store allocates ids")
	}
	zero := k.createExperiment(tracking.Experiment{ID: "0", Name: "Default", Created: base()})
	equal(k, zero.ID, tracking.ExperimentID("0"))
	_, err := k.store.CreateExperiment(k.Context(), tracking.Experiment{ID: "0", Name: "other", Created: base()})
	k.isKind(err, tracking.ErrExists)
	seventeen := k.createExperiment(tracking.Experiment{ID: "17", Name: "seventeen", Created: base()})
	equal(k, seventeen.ID, tracking.ExperimentID("17"))
	seen := map[tracking.ExperimentID]bool{"0": true, "17": true}
	for i := range 20 { // past the one that was given
		e := k.createExperiment(tracking.Experiment{Name: fmt.Sprint("allocated ", i), Created: base()})
		if number, err := strconv.ParseInt(string(e.ID), 10, 64); err != nil || number < 1 || seen[e.ID] {
			k.Fatalf("the allocated id %q is no decimal number above 0, or is taken", e.ID)
		}
		seen[e.ID] = true
	}
}

func testExperimentRace(k *kit) {
	const racers = 8
	name := "same" + k.end
	results := make(chan error, racers)
	for range racers {
		go func() {
			_, err := k.store.CreateExperiment(k.Context(), tracking.Experiment{Name: name, Created: base()})
			results <- err
		}()
	}
	won := 0
	for range racers {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, tracking.ErrExists) {
			k.Errorf("a loser got %v, want ErrExists", err)
		}
	}
	equal(k, won, 1)
}

func testUpdateExperiment(k *kit) {
	id := k.createExperiment(tracking.Experiment{Name: "first", Created: base(), Tags: map[string]string{"a": "1", "b": "2"}}).ID
	k.experiment("taken")
	want := k.getExperiment(id)
	created := want.Updated
	update := func(u tracking.ExperimentUpdate) {
		k.Helper()
		k.updateExperiment(id, u)
		equal(k, k.describeExperiment(k.getExperiment(id)), k.describeExperiment(want))
	}
	update(tracking.ExperimentUpdate{})
	want.Name = "renamed" + k.end
	update(tracking.ExperimentUpdate{Name: "renamed"})
	update(tracking.ExperimentUpdate{Name: "renamed"}) // its own name is not taken
	if got := k.getExperiment(id).Updated; !got.After(created) && !k.allowed.OwnTimes {
		k.Fatalf("the experiment was updated at %v, before that at %v", got, created)
	}
	want.Tags = map[string]string{"a": "3", "b": "2", "c": ""}
	update(tracking.ExperimentUpdate{SetTags: map[string]string{"a": "3", "c": ""}})
	want.Tags = map[string]string{"a": "3", "d": "4"}
	update(tracking.ExperimentUpdate{SetTags: map[string]string{"d": "4"}, DeleteTags: []string{"b", "c"}})

	refused := func(u tracking.ExperimentUpdate, kind error) {
		k.Helper()
		k.isKind(k.store.UpdateExperiment(k.Context(), id, u), kind)
		if !k.allowed.NotAtomic {
			equal(k, k.describeExperiment(k.getExperiment(id)), k.describeExperiment(want))
		}
	}
	refused(tracking.ExperimentUpdate{Name: "taken" + k.end, SetTags: map[string]string{"x": "y"}}, tracking.ErrExists)
	if !k.allowed.LooseDeletes {
		refused(tracking.ExperimentUpdate{Name: "other" + k.end, SetTags: map[string]string{"x": "y"}, DeleteTags: []string{"a", "b"}}, tracking.ErrNotFound)
	}
	k.isKind(k.store.UpdateExperiment(k.Context(), "987654321", tracking.ExperimentUpdate{Name: "x" + k.end}), tracking.ErrNotFound)
	k.isKind(k.store.UpdateExperiment(k.Context(), "no-such-experiment", tracking.ExperimentUpdate{Name: "x" + k.end}), tracking.ErrNotFound, tracking.ErrInvalid)
}

func testDeleteExperiment(k *kit) {
	id := k.experiment("experiment")
	run := k.run(id, "run1", base())
	k.updateExperiment(id, tracking.ExperimentUpdate{Deleted: new(true)})
	got := k.getExperiment(id)
	equal(k, got.Deleted, true)
	if !k.allowed.NoDeletionTimes {
		equal(k, got.DeletedAt.IsZero(), false)
		equal(k, k.getRun(run).DeletedAt, got.DeletedAt)
	}
	equal(k, k.getRun(run).Deleted, true)

	// Its name stays taken, and nothing may be written to it.
	_, err := k.store.CreateExperiment(k.Context(), tracking.Experiment{Name: got.Name, Created: base()})
	k.isKind(err, tracking.ErrExists)
	other := k.experiment("other")
	k.isKind(k.store.UpdateExperiment(k.Context(), other, tracking.ExperimentUpdate{Name: got.Name}), tracking.ErrExists)
	mustBeActive := func(err error) {
		k.Helper()
		k.isKind(err, tracking.ErrInvalid)
		if !strings.Contains(err.Error(), "must be in the 'active' state") {
			k.Fatalf("error %q does not say that it must be in the 'active' state", err)
		}
	}
	_, err = k.store.CreateRun(k.Context(), tracking.RunInfo{ID: "late", Experiment: id, Name: "x", Status: tracking.Running, Start: base()})
	mustBeActive(err)
	if !k.allowed.DeletesOnce {
		mustBeActive(k.store.UpdateExperiment(k.Context(), id, tracking.ExperimentUpdate{Name: "x" + k.end}))
		mustBeActive(k.store.UpdateExperiment(k.Context(), id, tracking.ExperimentUpdate{SetTags: map[string]string{"x": "y"}}))
		mustBeActive(k.store.UpdateExperiment(k.Context(), id, tracking.ExperimentUpdate{Deleted: new(true), SetTags: map[string]string{"x": "y"}}))
		// The same deletion again is harmless, and no new one.
		k.updateExperiment(id, tracking.ExperimentUpdate{Deleted: new(true)})
		equal(k, k.getExperiment(id).DeletedAt, got.DeletedAt)
	}
	mustBeActive(k.store.LogBatch(k.Context(), run, tracking.Batch{Tags: map[string]string{"x": "y"}}))

	k.updateExperiment(id, tracking.ExperimentUpdate{Deleted: new(false), Name: "restored", SetTags: map[string]string{"x": "y"}})
	got = k.getExperiment(id)
	equal(k, got.Deleted, false)
	equal(k, got.DeletedAt, time.Time{})
	equal(k, got.Name, "restored"+k.end)
	equal(k, got.Tags["x"], "y")
	equal(k, k.getRun(run).Deleted, false)
	equal(k, k.getRun(run).DeletedAt, time.Time{})
	if !k.allowed.DeletesOnce {
		k.updateExperiment(id, tracking.ExperimentUpdate{Deleted: new(false)})
	}
	k.run(id, "late", base())
}

// testExperimentCascade wants the runs back that went with the experiment, and
// not those that were deleted before it, be it in the same millisecond.
func testExperimentCascade(k *kit) {
	if k.allowed.RestoresAll {
		k.Skip("the store restores all runs of an experiment")
	}
	exp, other := k.experiment("experiment"), k.experiment("other")
	elsewhere := k.run(other, "elsewhere", base())
	for round := range 10 {
		before := k.run(exp, tracking.RunID(fmt.Sprint("before", round)), base())
		with := k.run(exp, tracking.RunID(fmt.Sprint("with", round)), base())
		k.updateRun(before, tracking.RunUpdate{Deleted: new(true)})
		k.updateExperiment(exp, tracking.ExperimentUpdate{Deleted: new(true)})
		equal(k, k.getRun(with).Deleted, true)
		k.updateExperiment(exp, tracking.ExperimentUpdate{Deleted: new(false)})
		equal(k, k.getRun(before).Deleted, true)
		equal(k, k.getRun(with).Deleted, false)
	}
	equal(k, k.getRun(elsewhere).Deleted, false)
}

func testSearchExperiments(k *kit) {
	if !k.allowed.Shared {
		equal(k, len(k.searchExperiments(tracking.ExperimentQuery{}, 0)), 0)
	}
	var all []tracking.Experiment
	for i := range 12 {
		e := k.createExperiment(tracking.Experiment{Name: fmt.Sprintf("experiment %d", (i*5)%12), Created: at(int64(i / 3))})
		if i%4 == 0 {
			k.updateExperiment(e.ID, tracking.ExperimentUpdate{Deleted: new(true)})
			e = k.getExperiment(e.ID)
		}
		all = append(all, e)
	}
	byID := func(a, b tracking.Experiment) int { return cmp.Compare(experimentNumber(a.ID), experimentNumber(b.ID)) }
	latest := func(a, b tracking.Experiment) int { return cmp.Or(b.Created.Compare(a.Created), byID(a, b)) }
	for _, c := range []struct {
		order   []string
		compare func(a, b tracking.Experiment) int
	}{
		{nil, latest},
		{[]string{"name"}, func(a, b tracking.Experiment) int { return cmp.Compare(a.Name, b.Name) }},
		{[]string{"name DESC"}, func(a, b tracking.Experiment) int { return cmp.Compare(b.Name, a.Name) }},
		{[]string{"experiment_id ASC"}, byID},
		{[]string{"experiment_id DESC"}, func(a, b tracking.Experiment) int { return byID(b, a) }},
		{[]string{"creation_time", "name DESC"}, func(a, b tracking.Experiment) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(b.Name, a.Name))
		}},
		{[]string{"attribute.creation_time DESC"}, latest},
	} {
		for _, view := range []tracking.View{tracking.ActiveOnly, tracking.DeletedOnly, tracking.All} {
			want := slices.DeleteFunc(slices.Clone(all), func(e tracking.Experiment) bool { return !view.Includes(e.Deleted) })
			slices.SortFunc(want, c.compare)
			for _, size := range []int{0, 1, 5, 12, 13} {
				got := k.searchExperiments(tracking.ExperimentQuery{View: view, OrderBy: c.order}, size)
				equal(k, strings.Join(mapSlice(got, k.describeExperiment), ""), strings.Join(mapSlice(want, k.describeExperiment), ""))
			}
		}
	}
	for _, q := range []tracking.ExperimentQuery{{Name: all[0].Name}, {ID: all[0].ID}} {
		equal(k, len(k.searchExperiments(q, 0)), 0) // it is deleted
		q.View = tracking.All
		found := k.searchExperiments(q, 0)
		equal(k, len(found), 1)
		equal(k, found[0].ID, all[0].ID)
	}
	equal(k, len(k.searchExperiments(tracking.ExperimentQuery{Name: "experiment" + k.end}, 0)), 0)
	equal(k, len(k.searchExperiments(tracking.ExperimentQuery{Name: all[1].Name, ID: all[2].ID}, 0)), 0)
	equal(k, len(k.searchExperiments(tracking.ExperimentQuery{ID: "987654321"}, 0)), 0)
}

func testFilterExperiments(k *kit) {
	ids := map[tracking.ExperimentID]string{}
	for i, e := range []tracking.Experiment{
		{Name: "prod-a", Tags: map[string]string{"team": "x", "with blank": "1"}},
		{Name: "prod_b", Tags: map[string]string{"team": "X"}},
		{Name: "PROD-c", Tags: map[string]string{"team": ""}},
		{Name: "it's 100% \\ 日本", Tags: map[string]string{"other": "x"}},
	} {
		e.Created = at(int64(i))
		ids[k.createExperiment(e).ID] = string(rune('a' + i))
	}
	for _, c := range []struct {
		filter, want string
		odd          bool
	}{
		{filter: "", want: "abcd"},
		{filter: "name LIKE 'prod%'", want: "ab"},
		{filter: "name ILIKE 'prod%'", want: "abc"},
		{filter: `name LIKE 'prod\_%'`, want: "b", odd: true},
		{filter: "name LIKE 'prod_%'", want: "ab"},
		{filter: `name LIKE 'it''s 100\% \\ 日本%'`, want: "d", odd: true},
		{filter: "name LIKE '%日_%'", want: "d"},
		{filter: "name != 'x' AND name LIKE 'p%'", want: "ab"},
		{filter: "tags.team = 'x'", want: "a"},
		{filter: "tags.team != 'x'", want: "bc"},
		{filter: "tag.team ILIKE 'x'", want: "ab"},
		{filter: "tags.team IS NULL", want: "d"},
		{filter: "tags.team IS NOT NULL", want: "abc"},
		{filter: "tags.`with blank` = '1'", want: "a"},
		{filter: `tags."with blank" = '1' and attribute.name LIKE 'prod%'`, want: "a"},
	} {
		if c.odd && k.allowed.LooseFilters {
			continue
		}
		found := k.searchExperiments(tracking.ExperimentQuery{Filter: c.filter, OrderBy: []string{"experiment_id"}}, 2)
		if got := strings.Join(mapSlice(found, func(e tracking.Experiment) string { return ids[e.ID] }), ""); got != c.want {
			k.Errorf("filter %s selects %q, want %q", c.filter, got, c.want)
		}
	}
	if !k.allowed.OwnTimes {
		found := k.searchExperiments(tracking.ExperimentQuery{Filter: fmt.Sprintf("creation_time > %d AND creation_time <= %d", at(0).UnixMilli(), at(2).UnixMilli())}, 0)
		equal(k, len(found), 2)
	}
	for _, filter := range []string{"name", "name =", "name = 'x' OR name = 'y'", "colour = 'x'", "name = x", "name > 'a'", "creation_time = 'x'", "name = 'x", "metrics.m > 1", "name = 'x';"} {
		_, _, err := k.store.SearchExperiments(k.Context(), tracking.ExperimentQuery{Filter: filter})
		k.isKind(err, tracking.ErrInvalid)
	}
	for _, order := range [][]string{{"colour"}, {"name UP"}, {"name", "name DESC"}, {""}} {
		_, _, err := k.store.SearchExperiments(k.Context(), tracking.ExperimentQuery{OrderBy: order})
		k.isKind(err, tracking.ErrInvalid)
	}
}
