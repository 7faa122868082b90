package registrytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// Differences says where a store is allowed to keep less than the contract, as
// one must that is reached over MLflow's REST API. Each field loosens just what
// its comment speaks of.
type Differences struct {
	// Shared: the stores that New returns hold records of other tests, as on
	// one server for all of them. Names get a random beginning.
	Shared bool
	// OwnTimes: times of creation and update are those of the store's clock.
	OwnTimes bool
	// RecordsOnly: versions have a Source, Description and Tags, and no other
	// field of the Draft; the tests give them no other.
	RecordsOnly bool
	// GoneForGood: what is deleted is not found, under no view, and cannot be
	// restored.
	GoneForGood bool
	// NoAudit: Audit and entries that are no plain move are ErrUnsupported.
	NoAudit bool
	// NoAliasesFound: searches for versions leave out their aliases.
	NoAliasesFound bool
}

// RunExcept checks a store that is allowed some differences. It tests what any
// registry needs, by other tests than Run, which wants the whole contract.
func RunExcept(t *testing.T, h Harness, allowed Differences) {
	for _, c := range []struct {
		name string
		test func(k *kit)
	}{
		{"Versions", (*kit).versions},
		{"Models", (*kit).models},
		{"Rename", (*kit).rename},
		{"Delete", (*kit).delete},
		{"VersionUpdates", (*kit).updates},
		{"Stages", (*kit).stages},
		{"Aliases", (*kit).aliases},
		{"AliasPages", (*kit).aliasPages},
		{"Search", (*kit).search},
		{"Tokens", (*kit).tokens},
		{"Prompts", (*kit).prompts},
		{"Refused", (*kit).refused},
		{"Concurrent", (*kit).concurrent},
		{"Cancelled", (*kit).cancelled},
		{"Watch", (*kit).watch},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := &kit{T: t, Store: h.New(t), allowed: allowed}
			if allowed.Shared {
				k.prefix = fmt.Sprintf("t%016x-", rand.Uint64())
			}
			c.test(k)
		})
	}
}

// kit is a store under a test.
type kit struct {
	*testing.T
	registry.Store
	allowed Differences
	prefix  string // of the names of models
}

func (k *kit) name(s string) string { return k.prefix + s }

// draft is a version that every store takes.
func (k *kit) draft(name string, n int) *registry.Version {
	v := &registry.Version{
		Name: k.name(name), Created: at(n), Source: fmt.Sprintf("s3://bucket/%s/%d", name, n), Status: registry.Ready,
		Description: fmt.Sprintf("number %d\nof %s", n, name), Tags: map[string]string{"n": fmt.Sprint(n), "odd": "a'b\"c\\d %_;ü🌲"},
	}
	if !k.allowed.RecordsOnly {
		v.Files, v.Digest = bare(name, n).Files, bare(name, n).Digest
	}
	return v
}

func (k *kit) create(name string, n int) *registry.Version {
	k.Helper()
	v, err := k.CreateVersion(k.Context(), k.draft(name, n), "")
	require.NoError(k, err)
	return v
}

// same compares a version with what is wanted of it.
func (k *kit) same(want, have *registry.Version, found bool) {
	k.Helper()
	w, h := *want, *have
	if k.allowed.OwnTimes {
		require.WithinDuration(k, time.Now(), h.Created, time.Hour)
		require.False(k, h.Updated.Before(h.Created))
		w.Created, w.Updated, h.Created, h.Updated = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	}
	w.Updated, h.Updated = time.Time{}, time.Time{}
	w.Digest, h.Digest, w.User, h.User = "", "", "", ""
	if found && k.allowed.NoAliasesFound {
		w.Aliases, h.Aliases = nil, nil
	}
	if w.Stage == "" {
		w.Stage = registry.StageNone
	}
	require.Equal(k, &w, &h)
}

func (k *kit) version(name string, n int) *registry.Version {
	k.Helper()
	v, err := k.Store.Version(k.Context(), k.name(name), n)
	require.NoError(k, err)
	return v
}

func (k *kit) model(name string) registry.Model {
	k.Helper()
	list := k.found(registry.ModelQuery{Name: k.name(name)})
	require.Len(k, list, 1)
	return list[0]
}

func (k *kit) found(q registry.ModelQuery) []registry.Model {
	k.Helper()
	list, err := allModels(k.Context(), k.Store, q)
	require.NoError(k, err)
	return list
}

// names of the models that a filter finds, without the prefix.
func (k *kit) names(filter string, order ...string) []string {
	k.Helper()
	if k.prefix != "" {
		mine := "name LIKE '" + k.prefix + "%'"
		if filter != "" {
			mine += " AND " + filter
		}
		filter = mine
	}
	var names []string
	for _, m := range k.found(registry.ModelQuery{Filter: filter, OrderBy: order, Page: registry.Page{Max: 2}}) {
		names = append(names, m.Name[len(k.prefix):])
	}
	return names
}

func (k *kit) update(name string, n int, u registry.VersionUpdate) error {
	u.Time = at(100 + n)
	return k.UpdateVersion(k.Context(), k.name(name), n, u)
}

func (k *kit) updateModel(name string, u registry.ModelUpdate) error {
	u.Time = at(100)
	return k.UpdateModel(k.Context(), k.name(name), u)
}

// move sets an alias.
func (k *kit) move(name, alias string, to, expect int) (registry.Entry, error) {
	return k.Record(k.Context(), registry.Entry{Kind: registry.KindAlias, Name: k.name(name), Alias: alias, Time: at(to), To: to}, expect)
}

func (k *kit) versions() {
	for n := 1; n <= 3; n++ {
		want := k.draft("fraud", n)
		want.Number = n
		k.same(want, k.create("fraud", n), false)
		k.same(want, k.version("fraud", n), false)
	}
	require.Equal(k, 1, k.create("churn", 1).Number, "numbers count within a model")
	require.NoError(k, k.update("fraud", 3, registry.VersionUpdate{Deleted: new(true)}))
	require.Equal(k, 4, k.create("fraud", 4).Number, "a number is never given out twice")
	require.Equal(k, 4, k.model("fraud").Latest)
	for _, n := range []int{5, 1 << 30} {
		_, err := k.Store.Version(k.Context(), k.name("fraud"), n)
		require.ErrorIs(k, err, registry.ErrNotFound)
	}
	_, err := k.Store.Version(k.Context(), k.name("unknown"), 1)
	require.ErrorIs(k, err, registry.ErrNotFound)

	// The least there can be.
	v := k.draft("least", 1)
	v.Tags, v.Description = nil, ""
	got, err := k.CreateVersion(k.Context(), v, "")
	require.NoError(k, err)
	v.Number = 1
	k.same(v, got, false)
}

func (k *kit) models() {
	tags := map[string]string{"team": "risk", "empty": "", "odd": "a'b\"c\\d %_;ü🌲"}
	made, err := k.CreateModel(k.Context(), registry.Model{Name: k.name("a b"), Description: "what it is\nin two lines", Tags: tags, Created: at(1)})
	require.NoError(k, err)
	for _, m := range []registry.Model{made, k.model("a b")} {
		require.Equal(k, k.name("a b"), m.Name)
		require.Equal(k, "what it is\nin two lines", m.Description)
		require.Equal(k, tags, m.Tags)
		require.Zero(k, m.Latest)
		require.Empty(k, m.Aliases)
	}
	_, err = k.CreateModel(k.Context(), registry.Model{Name: k.name("a b"), Created: at(2)})
	require.ErrorIs(k, err, registry.ErrExists)

	require.NoError(k, k.updateModel("a b", registry.ModelUpdate{
		Description: new("new"), SetTags: map[string]string{"team": "fraud", "more": "x"}, DeleteTags: []string{"empty", "odd"},
	}))
	m := k.model("a b")
	require.Equal(k, "new", m.Description)
	require.Equal(k, map[string]string{"team": "fraud", "more": "x"}, m.Tags)
	require.ErrorIs(k, k.updateModel("a b", registry.ModelUpdate{DeleteTags: []string{"absent"}}), registry.ErrNotFound)
	require.ErrorIs(k, k.updateModel("unknown", registry.ModelUpdate{Description: new("x")}), registry.ErrNotFound)
	require.ErrorIs(k, k.updateModel("unknown", registry.ModelUpdate{SetTags: tags}), registry.ErrNotFound)
	require.ErrorIs(k, k.updateModel("unknown", registry.ModelUpdate{}), registry.ErrNotFound)
	require.NoError(k, k.updateModel("a b", registry.ModelUpdate{Description: new("")}))
	require.Empty(k, k.model("a b").Description)
	require.Empty(k, k.found(registry.ModelQuery{Name: k.name("unknown")}))
}

func (k *kit) rename() {
	k.create("old", 1)
	k.create("old", 2)
	k.create("other", 1)
	_, err := k.move("old", "champion", 2, 0)
	require.NoError(k, err)
	require.ErrorIs(k, k.updateModel("old", registry.ModelUpdate{Rename: k.name("other")}), registry.ErrExists)
	require.NoError(k, k.updateModel("old", registry.ModelUpdate{Rename: k.name("new")}))
	require.Empty(k, k.found(registry.ModelQuery{Name: k.name("old")}))
	m := k.model("new")
	require.Equal(k, 2, m.Latest)
	require.Len(k, m.Aliases, 1)
	require.Equal(k, k.name("new"), k.version("new", 1).Name)
	_, err = k.Store.Version(k.Context(), k.name("old"), 1)
	require.ErrorIs(k, err, registry.ErrNotFound)
	a, err := k.Store.Aliases(k.Context(), k.name("new"), "champion", "", 1)
	require.NoError(k, err)
	require.Len(k, a, 1)
	require.Equal(k, 2, a[0].Number)
	require.Equal(k, 3, k.create("new", 3).Number)
}

func (k *kit) delete() {
	k.create("gone", 1)
	k.create("gone", 2)
	_, err := k.move("gone", "champion", 1, 0)
	require.NoError(k, err)
	require.NoError(k, k.update("gone", 1, registry.VersionUpdate{Deleted: new(true)}))
	list, err := k.Store.Aliases(k.Context(), k.name("gone"), "", "", 10)
	require.NoError(k, err)
	require.Empty(k, list, "a deleted version loses its aliases")
	require.ErrorIs(k, k.update("gone", 1, registry.VersionUpdate{Description: new("x")}), registry.ErrNotFound)
	_, err = k.move("gone", "champion", 1, 0)
	require.ErrorIs(k, err, registry.ErrNotFound)
	versions, err := allVersions(k.Context(), k.Store, registry.VersionQuery{Name: k.name("gone")})
	require.NoError(k, err)
	require.Len(k, versions, 1)
	v, err := k.Store.Version(k.Context(), k.name("gone"), 1)
	if k.allowed.GoneForGood {
		require.ErrorIs(k, err, registry.ErrNotFound)
		require.ErrorIs(k, k.update("gone", 1, registry.VersionUpdate{Deleted: new(false)}), registry.ErrUnsupported)
	} else {
		require.NoError(k, err)
		require.True(k, v.Deleted)
	}
	require.NoError(k, k.updateModel("gone", registry.ModelUpdate{Deleted: new(true)}))
	require.Empty(k, k.found(registry.ModelQuery{Name: k.name("gone")}))
	_, err = k.Store.Version(k.Context(), k.name("gone"), 2)
	require.ErrorIs(k, err, registry.ErrNotFound)
	require.ErrorIs(k, k.updateModel("gone", registry.ModelUpdate{Description: new("x")}), registry.ErrNotFound)
	if k.allowed.GoneForGood {
		require.ErrorIs(k, k.updateModel("gone", registry.ModelUpdate{Deleted: new(false)}), registry.ErrUnsupported)
	}
}

func (k *kit) updates() {
	k.create("fraud", 1)
	want := k.create("fraud", 2)
	require.NoError(k, k.update("fraud", 2, registry.VersionUpdate{
		Description: new("better"), SetTags: map[string]string{"n": "two", "new": ""}, DeleteTags: []string{"odd"},
	}))
	want.Description, want.Tags = "better", map[string]string{"n": "two", "new": ""}
	k.same(want, k.version("fraud", 2), false)
	require.Equal(k, "1", k.version("fraud", 1).Tags["n"], "the other stays as it was")
	require.ErrorIs(k, k.update("fraud", 2, registry.VersionUpdate{DeleteTags: []string{"absent"}}), registry.ErrNotFound)
	for _, u := range []registry.VersionUpdate{{Description: new("x")}, {SetTags: map[string]string{"a": "b"}}, {Stage: registry.StageStaging}, {}} {
		require.ErrorIs(k, k.update("fraud", 3, u), registry.ErrNotFound)
		require.ErrorIs(k, k.update("unknown", 1, u), registry.ErrNotFound)
	}
}

func (k *kit) stages() {
	for n := 1; n <= 3; n++ {
		k.create("fraud", n)
		require.NoError(k, k.update("fraud", n, registry.VersionUpdate{Stage: registry.StageProduction, ArchiveOthers: n == 3}))
	}
	var have []string
	for n := 1; n <= 3; n++ {
		have = append(have, k.version("fraud", n).Stage)
	}
	require.Equal(k, []string{registry.StageArchived, registry.StageArchived, registry.StageProduction}, have)
	require.NoError(k, k.update("fraud", 3, registry.VersionUpdate{Stage: registry.StageNone}))
	require.Equal(k, registry.StageNone, k.version("fraud", 3).Stage)
}

func (k *kit) aliases() {
	for n := 1; n <= 2; n++ {
		k.create("fraud", n)
	}
	for _, step := range []struct {
		to, expect int
		kind       error
		from       int
		moved      bool
	}{
		{to: 1, expect: 2, kind: registry.ErrConflict},
		{to: 1, expect: 0, moved: true},
		{to: 1, expect: 1, from: 1}, // is there already
		{to: 1, expect: -1, from: 1},
		{to: 2, expect: 0, kind: registry.ErrConflict, from: 1},
		{to: 3, expect: 1, kind: registry.ErrNotFound},
		{to: 3, expect: 0, kind: registry.ErrNotFound},
		{to: 2, expect: 1, from: 1, moved: true},
		{to: 1, expect: -1, from: 2, moved: true},
		{to: 0, expect: 2, kind: registry.ErrConflict, from: 1},
		{to: 0, expect: 1, from: 1, moved: true},
		{to: 0, expect: -1},
	} {
		e, err := k.move("fraud", "champion", step.to, step.expect)
		about := fmt.Sprintf("to %d, expecting %d", step.to, step.expect)
		if step.kind != nil {
			require.ErrorIs(k, err, step.kind, about)
			if errors.Is(err, registry.ErrConflict) {
				require.Equal(k, step.from, e.From, about)
			}
			continue
		}
		require.NoError(k, err, about)
		require.Equal(k, step.moved, e.Seq > 0, about)
		if step.moved {
			require.Equal(k, step.from, e.From, about)
		}
		list, err := k.Store.Aliases(k.Context(), k.name("fraud"), "champion", "", 1)
		require.NoError(k, err)
		if step.to == 0 {
			require.Empty(k, list, about)
			continue
		}
		require.Equal(k, step.to, list[0].Number, about)
		require.Equal(k, []string{"champion"}, k.version("fraud", step.to).Aliases, about)
	}
	_, err := k.move("unknown", "champion", 1, 0)
	require.ErrorIs(k, err, registry.ErrNotFound)
	list, err := k.Store.Aliases(k.Context(), k.name("unknown"), "champion", "", 1)
	require.NoError(k, err)
	require.Empty(k, list)
	if k.allowed.NoAudit {
		_, err = k.Record(k.Context(), registry.Entry{Kind: registry.KindPromotion, Name: k.name("fraud"), Alias: "champion", Time: at(1), To: 1}, 0)
		require.ErrorIs(k, err, registry.ErrUnsupported)
		_, err = k.Audit(k.Context(), registry.AuditQuery{Name: k.name("fraud"), Limit: 10})
		require.ErrorIs(k, err, registry.ErrUnsupported)
	}
}

func (k *kit) aliasPages() {
	k.create("fraud", 1)
	want := []string{"A", "_", "a", "a-b", "b", "champion"}
	for _, alias := range []string{"b", "a-b", "champion", "A", "_", "a"} {
		_, err := k.move("fraud", alias, 1, 0)
		require.NoError(k, err)
	}
	for _, limit := range []int{1, 4, 10} {
		require.Equal(k, want, collect(k.T, limit, func(last string) ([]registry.Alias, error) {
			return k.Store.Aliases(k.Context(), k.name("fraud"), "", last, limit)
		}, func(a registry.Alias) string { return a.Alias }))
	}
	require.Equal(k, want, k.version("fraud", 1).Aliases)
	var of []string
	for _, a := range k.model("fraud").Aliases {
		of = append(of, a.Alias)
	}
	require.Equal(k, want, of)
}

func (k *kit) concurrent() {
	const each, workers = 4, 4
	numbers := make(chan int, each*workers)
	failed := make(chan error, each*workers)
	for range workers {
		go func() {
			for n := range each {
				v, err := k.CreateVersion(context.WithoutCancel(k.Context()), k.draft("busy", n), "")
				if err != nil {
					failed <- err
					numbers <- 0
					continue
				}
				numbers <- v.Number
			}
		}()
	}
	var have []int
	for range each * workers {
		have = append(have, <-numbers)
	}
	select {
	case err := <-failed:
		require.NoError(k, err)
	default:
	}
	slices.Sort(have)
	for i, n := range have {
		require.Equal(k, i+1, n, "every number once")
	}
}

func (k *kit) cancelled() {
	gone, cancel := context.WithCancel(k.Context())
	cancel()
	_, err := k.CreateVersion(gone, k.draft("fraud", 1), "")
	require.ErrorIs(k, err, context.Canceled)
	_, _, err = k.SearchModels(gone, registry.ModelQuery{})
	require.ErrorIs(k, err, context.Canceled)
	require.Empty(k, k.found(registry.ModelQuery{Name: k.name("fraud")}))
}

func (k *kit) watch() {
	k.create("fraud", 1)
	k.create("fraud", 2)
	ctx, cancel := context.WithTimeout(k.Context(), 20*time.Second)
	defer cancel()
	told := make(chan int, 10)
	go func() {
		defer close(told)
		for a, err := range registry.New(k.Store, nil, nil).Watch(ctx, k.name("fraud"), "champion") {
			if err == nil {
				told <- a.Number
			}
		}
	}()
	require.Equal(k, 0, <-told)
	for expect := range 2 {
		_, err := k.move("fraud", "champion", expect+1, expect)
		require.NoError(k, err)
		require.Equal(k, expect+1, <-told)
	}
	cancel()
	_, open := <-told
	require.False(k, open)
}
