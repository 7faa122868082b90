package registrytest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// Harness makes the stores under test.
type Harness struct {
	// New returns an empty store and arranges for its end with tb.Cleanup.
	New func(tb testing.TB) registry.Store
	// Second returns another handle on the database of first, as a second
	// process would have; nil when the implementation cannot have one.
	Second func(tb testing.TB, first registry.Store) registry.Store
}

// Run checks that the stores of h keep the contract of registry.Store.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, h Harness)
	}{
		{"RoundTrip", testRoundTrip},
		{"Numbers", testNumbers},
		{"Keys", testKeys},
		{"Paging", testPaging},
		{"MoveAlias", testMoveAlias},
		{"History", testHistory},
		{"Ownership", testOwnership},
		{"Cancelled", testCancelled},
		{"SecondHandle", testSecondHandle},
		{"ConcurrentCreate", testConcurrentCreate},
		{"ConcurrentKey", testConcurrentKey},
		{"ConcurrentMove", testConcurrentMove},
		{"Models", testModels},
		{"UpdateVersion", testUpdateVersion},
		{"Stages", testStages},
		{"DeleteVersion", testDeleteVersion},
		{"Search", testSearch},
		{"Prompts", testPrompts},
		{"Tokens", testTokens},
		{"Purge", testPurge},
		{"Collector", testCollector},
		{"Notifier", testNotifier},
		{"SameAsModel", testSameAsModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, h)
		})
	}
}

// at is a time that every store keeps exactly.
func at(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Microsecond)
}

// bare is the least version there can be.
func bare(name string, n int) *registry.Version {
	files := []registry.File{{Path: "model.bin", Size: int64(n), SHA256: fmt.Sprintf("%064x", n)}}
	return &registry.Version{
		Name: name, Created: at(n), Files: files, Digest: registry.ManifestDigest(files), Status: registry.Ready,
		// What the store sets.
		Updated: at(n), Stage: registry.StageNone,
	}
}

// full has something in every field.
func full(name string, n int) *registry.Version {
	v := bare(name, n)
	v.Files = append(v.Files,
		registry.File{Path: "profile.json", Size: 2, SHA256: strings.Repeat("0a", 32)},
		registry.File{Path: "trees/ünïcode 🌲.bin", Size: 1 << 40, SHA256: strings.Repeat("ff", 32)})
	v.Digest = registry.ManifestDigest(v.Files)
	v.Signature = json.RawMessage(`{"inputs":[{"name":"x","datatype":"FP64","shape":[-1,3]}],"q":"'\"\\"}`)
	v.Framework, v.Flavor, v.Run = "xgboost 2.1", "xgboost-json", "run-1"
	v.Datasets = []registry.Dataset{
		{Name: "payments", Version: "12", Digest: "sha256:ab", Context: "training"},
		{Name: "payments", Version: "13"},
	}
	v.Metrics = map[string]float64{"auc": 0.1 + 0.2, "tiny": 5e-324, "huge": -1.7976931348623157e308, "zero": 0}
	v.Tags = map[string]string{"team": "risk", "empty": "", "odd": "a'b\"c\\d\n%_;--"}
	v.Code = registry.Code{Commit: "c0ffee", Dirty: true, Repository: "git.example/fraud", Image: "sha256:11"}
	v.License, v.Golden, v.Source, v.LoggedModel, v.User = "Apache-2.0", "profile.json", "s3://b/m", "m-1", "ann"
	v.Description = "what it is\nin two lines"
	v.Key = fmt.Sprintf("key-%d", n)
	return v
}

func testRoundTrip(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i, v := range []*registry.Version{bare("fraud", 1), full("fraud", 2)} {
		want := *v
		want.Number = i + 1
		got, err := s.CreateVersion(ctx, v, "")
		require.NoError(t, err)
		require.Equal(t, &want, got)
		got, err = s.Version(ctx, "fraud", i+1)
		require.NoError(t, err)
		require.Equal(t, &want, got)
	}
	// Empty and absent are the same.
	v := bare("fraud", 3)
	v.Datasets, v.Metrics, v.Tags = []registry.Dataset{}, map[string]float64{}, map[string]string{}
	v.Number, v.Aliases = 77, []string{"ignored"}
	got, err := s.CreateVersion(ctx, v, "")
	require.NoError(t, err)
	want := bare("fraud", 3)
	want.Number = 3
	require.Equal(t, want, got)

	for _, at := range []struct {
		name string
		n    int
	}{{"fraud", 4}, {"other", 1}, {"Fraud", 1}} {
		_, err = s.Version(ctx, at.name, at.n)
		require.ErrorIs(t, err, registry.ErrNotFound)
	}
}

func testNumbers(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	models, err := allModels(ctx, s, registry.ModelQuery{})
	require.NoError(t, err)
	require.Empty(t, models)
	for i, name := range []string{"b", "a", "b", "b", "a"} {
		_, err := s.CreateVersion(ctx, bare(name, i), "")
		require.NoError(t, err)
	}
	models, err = allModels(ctx, s, registry.ModelQuery{})
	require.NoError(t, err)
	require.Equal(t, []registry.Model{
		{Name: "a", Created: at(1), Updated: at(4), Latest: 2},
		{Name: "b", Created: at(0), Updated: at(3), Latest: 3},
	}, models)
}

func testKeys(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	first := bare("fraud", 1)
	first.Key = "run-1"
	made, err := s.CreateVersion(ctx, first, "")
	require.NoError(t, err)
	require.Equal(t, 1, made.Number)

	again := bare("fraud", 2)
	again.Key = "run-1"
	got, err := s.CreateVersion(ctx, again, "")
	require.NoError(t, err)
	require.Equal(t, made, got, "the key's version must come back, whatever the content")

	again.Name = "churn"
	got, err = s.CreateVersion(ctx, again, "")
	require.NoError(t, err)
	require.Equal(t, 1, got.Number, "a key counts within its model")
	require.Equal(t, "churn", got.Name)

	again.Name, again.Key = "fraud", "Run-1"
	got, err = s.CreateVersion(ctx, again, "")
	require.NoError(t, err)
	require.Equal(t, 2, got.Number, "keys differ by case")

	// A repeated key has not used up a number, and no key is no key.
	for n := 3; n <= 4; n++ {
		got, err = s.CreateVersion(ctx, bare("fraud", n), "")
		require.NoError(t, err)
		require.Equal(t, n, got.Number)
	}
}

func testPaging(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	const n = 7
	var numbers []int
	var names []string
	for i := range n {
		_, err := s.CreateVersion(ctx, bare("m", i), "")
		require.NoError(t, err)
		numbers = append([]int{i + 1}, numbers...)
		alias := fmt.Sprintf("alias-%d", i)
		_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "m", Alias: alias, Time: at(i), To: i + 1}, 0)
		require.NoError(t, err)
		names = append(names, alias)
	}
	for _, limit := range []int{1, 3, n, n + 1} {
		versions, err := allVersions(ctx, s, registry.VersionQuery{Name: "m", OrderBy: []string{"version_number DESC"}, Page: registry.Page{Max: limit}})
		require.NoError(t, err)
		gotNumbers := []int(nil)
		for _, v := range versions {
			require.Equal(t, []string{fmt.Sprintf("alias-%d", v.Number-1)}, v.Aliases)
			gotNumbers = append(gotNumbers, v.Number)
		}
		require.Equal(t, numbers, gotNumbers)

		gotNames := collect(t, limit, func(last string) ([]registry.Alias, error) {
			return s.Aliases(ctx, "m", "", last, limit)
		}, func(a registry.Alias) string {
			require.Equal(t, registry.Alias{Alias: fmt.Sprintf("alias-%d", a.Number-1), Number: a.Number, Moved: at(a.Number - 1)}, a)
			return a.Alias
		})
		require.Equal(t, names, gotNames)
	}
	// Models are in byte order: capitals before small letters, umlauts last.
	for i, name := range []string{"zeta", "Zeta", "äther", "alpha beta"} {
		_, err := s.CreateVersion(ctx, bare(name, i), "")
		require.NoError(t, err)
	}
	models, err := allModels(ctx, s, registry.ModelQuery{Page: registry.Page{Max: 2}})
	require.NoError(t, err)
	var got []string
	for _, m := range models {
		got = append(got, m.Name)
	}
	require.Equal(t, []string{"Zeta", "alpha beta", "m", "zeta", "äther"}, got)
	none, err := allVersions(ctx, s, registry.VersionQuery{Name: "unknown"})
	require.NoError(t, err)
	require.Empty(t, none)
}

// collect walks all pages and returns the position of each item. It gives up on
// a store that never comes to an end.
func collect[T any, P comparable](t *testing.T, limit int, fetch func(last P) ([]T, error), position func(T) P) []P {
	t.Helper()
	var out []P
	var last P
	for range 100 {
		page, err := fetch(last)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		for _, item := range page {
			last = position(item)
			out = append(out, last)
		}
		if len(page) < limit {
			return out
		}
	}
	require.Fail(t, "paging does not come to an end")
	return nil
}

func testOwnership(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	given := full("fraud", 1)
	want := full("fraud", 1)
	want.Number = 1
	got, err := s.CreateVersion(ctx, given, "")
	require.NoError(t, err)
	for _, v := range []*registry.Version{given, got} {
		v.Files[0].Path = "changed"
		v.Signature[0] = 'X'
		v.Datasets[0].Name = "changed"
		v.Metrics["auc"] = 0
		v.Tags["team"] = "changed"
	}
	got, err = s.Version(ctx, "fraud", 1)
	require.NoError(t, err)
	require.Equal(t, want, got, "a store must share no memory with its callers")
}

func testCancelled(t *testing.T, h Harness) {
	s := h.New(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.CreateVersion(gone, bare("fraud", 1), "")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Version(gone, "fraud", 1)
	require.ErrorIs(t, err, context.Canceled)
	models, err := allModels(t.Context(), s, registry.ModelQuery{})
	require.NoError(t, err)
	require.Empty(t, models, "a cancelled call must leave nothing")
}

func testSecondHandle(t *testing.T, h Harness) {
	if h.Second == nil {
		t.Skip("this store has one handle only")
	}
	ctx, a := t.Context(), h.New(t)
	b := h.Second(t, a)
	want, err := a.CreateVersion(ctx, full("fraud", 1), "")
	require.NoError(t, err)
	got, err := b.Version(ctx, "fraud", 1)
	require.NoError(t, err)
	require.Equal(t, want, got)
	second, err := b.CreateVersion(ctx, bare("fraud", 2), "")
	require.NoError(t, err)
	require.Equal(t, 2, second.Number)
	_, err = b.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", Time: at(1), To: 2}, 0)
	require.NoError(t, err)
	moved, err := a.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", Time: at(2), To: 1}, 0)
	require.ErrorIs(t, err, registry.ErrConflict)
	require.Equal(t, 2, moved.From)
}
