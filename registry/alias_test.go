package registry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func TestSetAlias(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	for i := range 5 {
		_, err := b.Register(ctx, "fraud", draft("model", fmt.Sprint(i)))
		require.NoError(t, err)
	}
	require.NoError(t, b.SetAlias(ctx, "fraud", "champion", 3, nil))
	n, err := b.Alias(ctx, "fraud", "champion")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	v, err := b.Resolve(ctx, "fraud@champion")
	require.NoError(t, err)
	require.Equal(t, 3, v.Number)
	require.Equal(t, []string{"champion"}, v.Aliases)

	err = b.SetAlias(ctx, "fraud", "champion", 4, nil)
	require.EqualError(t, err, `registry: set alias "champion" of "fraud" to v4: the alias exists already, at v3: conflict`)
	require.NoError(t, b.SetAlias(ctx, "fraud", "champion", 4, &registry.AliasOptions{
		Expect: 3, By: "retrain loop", Reason: "better", Evidence: json.RawMessage(` { "auc": [0.9, 0.93] } `),
	}))
	err = b.SetAlias(ctx, "fraud", "champion", 5, &registry.AliasOptions{Expect: 3})
	require.ErrorIs(t, err, registry.ErrConflict)
	require.EqualError(t, err, `registry: set alias "champion" of "fraud" to v5: the alias moved to v4, expected v3: conflict`)
	var conflict *registry.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, registry.ConflictError{Name: "fraud", Alias: "champion", To: 5, Want: 3, Have: 4}, *conflict)
	err = b.SetAlias(ctx, "fraud", "shadow", 5, &registry.AliasOptions{Expect: 3})
	require.EqualError(t, err, `registry: set alias "shadow" of "fraud" to v5: the alias does not exist, expected v3: conflict`)

	// New versions and other aliases leave an alias where it is.
	_, err = b.Register(ctx, "fraud", draft("model", "new"))
	require.NoError(t, err)
	require.NoError(t, b.SetAlias(ctx, "fraud", "shadow", 6, nil))
	var aliases []string
	for a, err := range b.Aliases(ctx, "fraud") {
		require.NoError(t, err)
		aliases = append(aliases, fmt.Sprint(a.Alias, " ", a.Number))
	}
	require.Equal(t, []string{"champion 4", "shadow 6"}, aliases)

	err = b.DeleteAlias(ctx, "fraud", "champion", nil)
	require.ErrorIs(t, err, registry.ErrInvalid)
	err = b.DeleteAlias(ctx, "fraud", "champion", &registry.AliasOptions{Expect: 3})
	require.EqualError(t, err, `registry: delete alias "champion" of "fraud": the alias moved to v4, expected v3: conflict`)
	require.NoError(t, b.DeleteAlias(ctx, "fraud", "champion", &registry.AliasOptions{Expect: 4, By: "ann"}))
	err = b.DeleteAlias(ctx, "fraud", "champion", &registry.AliasOptions{Expect: -1})
	require.EqualError(t, err, `registry: delete alias "champion" of "fraud": model "fraud" has no alias "champion", it has shadow: not found`)

	var history []string
	for m, err := range b.History(ctx, "fraud", "champion") {
		require.NoError(t, err)
		require.False(t, m.Time.IsZero())
		history = append(history, fmt.Sprintf("%d->%d %s %s %s", m.From, m.To, m.By, m.Reason, m.Evidence))
	}
	require.Equal(t, []string{`4->0 ann  `, `3->4 retrain loop better {"auc":[0.9,0.93]}`, `0->3   `}, history)
}

func TestSetAliasReportsEveryFault(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	err := b.SetAlias(ctx, "a:b", "v12", -3, &registry.AliasOptions{
		Expect: -2, By: strings.Repeat("x", 256), Reason: "\x00", Evidence: json.RawMessage("{"),
	})
	require.ErrorIs(t, err, registry.ErrInvalid)
	for _, want := range []string{"version -3", `model name "a:b"`, `alias "v12" looks like a version number`, "Expect is -2", "By has 256 bytes", "Reason holds", "Evidence is not valid JSON"} {
		require.ErrorContains(t, err, want)
	}
	for alias, ok := range map[string]bool{
		"champion": true, "a-b_C9": true, "ünï": true, "v": true, "v1a": true, "-": true, strings.Repeat("a", 255): true,
		"": false, "latest": false, "Latest": false, "v1": false, "V001": false, "a b": false, "a.b": false, "a/b": false, "a@b": false, strings.Repeat("a", 256): false,
	} {
		_, err := b.Alias(ctx, "fraud", alias)
		if ok {
			require.ErrorIs(t, err, registry.ErrNotFound, alias)
		} else {
			require.ErrorIs(t, err, registry.ErrInvalid, alias)
		}
	}
}

func TestOneOfManyPromotersWins(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	for i := range 9 {
		_, err := b.Register(ctx, "fraud", draft("model", fmt.Sprint(i)))
		require.NoError(t, err)
	}
	require.NoError(t, b.SetAlias(ctx, "fraud", "champion", 1, nil))
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = b.SetAlias(ctx, "fraud", "champion", i+2, &registry.AliasOptions{Expect: 1})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		var conflict *registry.ConflictError
		require.ErrorAs(t, err, &conflict)
	}
	require.Equal(t, 1, won)
}

func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	for i := range 3 {
		_, err := b.Register(ctx, "fraud", draft("model", fmt.Sprint(i)))
		require.NoError(t, err)
	}
	_, err := b.Resolve(ctx, "fraud@champion")
	require.EqualError(t, err, `registry: resolve "fraud@champion": model "fraud" has no alias "champion", nor any other: not found`)
	require.NoError(t, b.SetAlias(ctx, "fraud", "champion", 1, nil))
	require.NoError(t, b.SetAlias(ctx, "fraud", "shadow", 2, nil))

	for ref, want := range map[string]string{
		"fraud/4":       `registry: resolve "fraud/4": model "fraud" has no version 4, its newest is 3: not found`,
		"frod/1":        `registry: resolve "frod/1": no model "frod" is registered: not found`,
		"frod@champion": `registry: resolve "frod@champion": no model "frod" is registered: not found`,
		"fraud@champ":   `registry: resolve "fraud@champ": model "fraud" has no alias "champ", it has champion, shadow: not found`,
	} {
		_, err := b.Resolve(ctx, ref)
		require.ErrorIs(t, err, registry.ErrNotFound)
		require.EqualError(t, err, want)
	}
	_, err = b.Version(ctx, "fraud", 9)
	require.EqualError(t, err, `registry: version 9 of "fraud": model "fraud" has no version 9, its newest is 3: not found`)
	_, err = b.Version(ctx, "fraud", 0)
	require.ErrorIs(t, err, registry.ErrInvalid)
	_, err = b.Alias(ctx, "frod", "champion")
	require.EqualError(t, err, `registry: alias "champion" of "frod": no model "frod" is registered: not found`)
	err = b.SetAlias(ctx, "fraud", "champion", 7, &registry.AliasOptions{Expect: 1})
	require.EqualError(t, err, `registry: set alias "champion" of "fraud" to v7: model "fraud" has no version 7, its newest is 3: not found`)
	err = b.DeleteAlias(ctx, "frod", "champion", &registry.AliasOptions{Expect: -1})
	require.EqualError(t, err, `registry: delete alias "champion" of "frod": no model "frod" is registered: not found`)

	for i := range 25 {
		require.NoError(t, b.SetAlias(ctx, "fraud", fmt.Sprintf("a%02d", i), 1, nil))
	}
	_, err = b.Resolve(ctx, "fraud@nope")
	require.ErrorContains(t, err, "it has a00, a01, ")
	require.ErrorContains(t, err, "a19, …: not found", "the list is bounded")
}

func TestLists(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	const n = 70 // more than two pages of versions and of moves
	for i := range n {
		v, err := b.Register(ctx, "fraud", draft("model", fmt.Sprint(i)))
		require.NoError(t, err)
		require.NoError(t, b.SetAlias(ctx, "fraud", "champion", v.Number, &registry.AliasOptions{Expect: -1}))
	}
	want := n
	for v, err := range b.Versions(ctx, "fraud") {
		require.NoError(t, err)
		require.Equal(t, want, v.Number)
		want--
	}
	require.Zero(t, want)
	want = n
	for m, err := range b.History(ctx, "fraud", "") {
		require.NoError(t, err)
		require.Equal(t, want, m.To)
		require.Equal(t, want-1, m.From)
		want--
	}
	require.Zero(t, want)
	for v, err := range b.Versions(ctx, "fraud") { // a caller may stop
		require.NoError(t, err)
		require.Equal(t, n, v.Number)
		break
	}

	for i := range 300 {
		_, err := b.Register(ctx, fmt.Sprintf("m%03d", i), draft("model", "same"))
		require.NoError(t, err)
	}
	var names []string
	for m, err := range b.Models(ctx) {
		require.NoError(t, err)
		names = append(names, m.Name)
	}
	require.Len(t, names, 301)
	require.IsIncreasing(t, names)

	var got []error
	for v, err := range b.Versions(ctx, "unknown") {
		require.Nil(t, v)
		got = append(got, err)
	}
	require.Len(t, got, 1)
	require.EqualError(t, got[0], `registry: versions of "unknown": no model "unknown" is registered: not found`)
	for _, seq := range []func(yield func(error)){
		func(yield func(error)) {
			for _, err := range b.Versions(ctx, "a/b") {
				yield(err)
			}
		},
		func(yield func(error)) {
			for _, err := range b.Aliases(ctx, "a/b") {
				yield(err)
			}
		},
		func(yield func(error)) {
			for _, err := range b.History(ctx, "fraud", "v1") {
				yield(err)
			}
		},
	} {
		seen := 0
		seq(func(err error) {
			seen++
			require.ErrorIs(t, err, registry.ErrInvalid)
		})
		require.Equal(t, 1, seen)
	}
}
