package registrytest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func testSearch(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i, name := range []string{"alpha", "Beta", "beta_2", "gamma%x"} {
		_, err := s.CreateModel(ctx, registry.Model{Name: name, Created: at(10 + i), Tags: map[string]string{"team": []string{"a", "b", "A", ""}[i]}})
		require.NoError(t, err)
		for n := range i {
			v := bare(name, 20+10*i+n)
			v.Run, v.Source = fmt.Sprintf("run%d", n), "s3://bucket/"+name
			v.Tags = map[string]string{"n": fmt.Sprint(n)}
			_, err := s.CreateVersion(ctx, v, "")
			require.NoError(t, err)
		}
	}
	for _, c := range []struct {
		filter string
		order  []string
		want   []string
	}{
		{"", nil, []string{"Beta", "alpha", "beta_2", "gamma%x"}},
		{"name = 'alpha'", nil, []string{"alpha"}},
		{"name != 'alpha'", nil, []string{"Beta", "beta_2", "gamma%x"}},
		{"name LIKE 'beta%'", nil, []string{"beta_2"}},
		{"name ILIKE 'beta%'", nil, []string{"Beta", "beta_2"}},
		{"name LIKE '%\\%x'", nil, []string{"gamma%x"}},
		{"name LIKE 'beta\\_2'", nil, []string{"beta_2"}},
		{"tags.team = 'a'", nil, []string{"alpha"}},
		{"tags.team ILIKE 'a' AND name != 'alpha'", nil, []string{"beta_2"}},
		{"tags.absent IS NULL AND tags.team IS NOT NULL", []string{"name DESC"}, []string{"gamma%x", "beta_2", "alpha", "Beta"}},
		{"tags.absent != 'x'", nil, nil},
		{"", []string{"creation_timestamp DESC"}, []string{"gamma%x", "beta_2", "Beta", "alpha"}},
		{"", []string{"last_updated_timestamp"}, []string{"alpha", "Beta", "beta_2", "gamma%x"}},
	} {
		for _, size := range []int{0, 1, 3} {
			list, err := allModels(ctx, s, registry.ModelQuery{Filter: c.filter, OrderBy: c.order, Page: registry.Page{Max: size}})
			require.NoError(t, err, c.filter)
			var got []string
			for _, m := range list {
				got = append(got, m.Name)
			}
			require.Equal(t, c.want, got, "%q by %q in pages of %d", c.filter, c.order, size)
		}
	}
	for _, c := range []struct {
		filter string
		order  []string
		want   []string
	}{
		{"", nil, []string{"gamma%x/3", "gamma%x/2", "gamma%x/1", "beta_2/2", "beta_2/1", "Beta/1"}},
		{"name = 'beta_2'", nil, []string{"beta_2/2", "beta_2/1"}},
		{"version_number >= 2", []string{"name", "version_number"}, []string{"beta_2/2", "gamma%x/2", "gamma%x/3"}},
		{"run_id = 'run1'", nil, []string{"gamma%x/2", "beta_2/2"}},
		{"run_id IN ('run1', 'run2')", []string{"version_number"}, []string{"beta_2/2", "gamma%x/2", "gamma%x/3"}},
		{"source_path LIKE 's3://%/Beta'", nil, []string{"Beta/1"}},
		{"tags.n = '0'", []string{"creation_timestamp"}, []string{"Beta/1", "beta_2/1", "gamma%x/1"}},
	} {
		for _, size := range []int{0, 1, 4} {
			list, err := allVersions(ctx, s, registry.VersionQuery{Filter: c.filter, OrderBy: c.order, Page: registry.Page{Max: size}})
			require.NoError(t, err, c.filter)
			var got []string
			for _, v := range list {
				got = append(got, v.Ref())
			}
			require.Equal(t, c.want, got, "%q by %q in pages of %d", c.filter, c.order, size)
		}
	}
	_, _, err := s.SearchModels(ctx, registry.ModelQuery{Filter: "name >"})
	require.ErrorIs(t, err, registry.ErrInvalid)
	_, _, err = s.SearchVersions(ctx, registry.VersionQuery{OrderBy: []string{"nonsense"}})
	require.ErrorIs(t, err, registry.ErrInvalid)
}

func testPrompts(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i, c := range []struct{ name, tag string }{{"model", ""}, {"prompt", "true"}, {"no prompt", "false"}} {
		v := bare(c.name, i)
		if c.tag != "" {
			v.Tags = map[string]string{registry.PromptTag: c.tag}
		}
		_, err := s.CreateModel(ctx, registry.Model{Name: c.name, Created: at(i), Tags: v.Tags})
		require.NoError(t, err)
		_, err = s.CreateVersion(ctx, v, "")
		require.NoError(t, err)
	}
	tag := "tags.`" + registry.PromptTag + "`"
	for filter, want := range map[string][]string{
		"":                 {"model", "no prompt"},
		tag + " = 'true'":  {"prompt"},
		tag + " != 'true'": {"model", "no prompt"},
		tag + " = 'false'": {"model", "no prompt"},
		tag + " IS NULL":   {"model"},
		"name LIKE '%'":    {"model", "no prompt"},
	} {
		models, err := allModels(ctx, s, registry.ModelQuery{Filter: filter})
		require.NoError(t, err, filter)
		versions, err := allVersions(ctx, s, registry.VersionQuery{Filter: filter, OrderBy: []string{"name"}})
		require.NoError(t, err, filter)
		var names, of []string
		for _, m := range models {
			names = append(names, m.Name)
		}
		for _, v := range versions {
			of = append(of, v.Name)
		}
		require.Equal(t, want, names, filter)
		require.Equal(t, want, of, filter)
	}
	exact, err := allModels(ctx, s, registry.ModelQuery{Name: "prompt"})
	require.NoError(t, err)
	require.Len(t, exact, 1)
}

func testTokens(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	for i := range 5 {
		_, err := s.CreateVersion(ctx, bare(fmt.Sprintf("m%d", i), i), "")
		require.NoError(t, err)
	}
	_, models, err := s.SearchModels(ctx, registry.ModelQuery{Page: registry.Page{Max: 2}})
	require.NoError(t, err)
	require.NotEmpty(t, models)
	_, versions, err := s.SearchVersions(ctx, registry.VersionQuery{Page: registry.Page{Max: 2}})
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	for _, token := range []string{"nonsense", models + "x", versions, "-1", "9999999999999999999999"} {
		_, _, err = s.SearchModels(ctx, registry.ModelQuery{Page: registry.Page{Token: token}})
		require.ErrorIs(t, err, registry.ErrInvalid, token)
	}
	_, _, err = s.SearchModels(ctx, registry.ModelQuery{Filter: "name != 'x'", Page: registry.Page{Token: models}})
	require.ErrorIs(t, err, registry.ErrInvalid)
	_, _, err = s.SearchVersions(ctx, registry.VersionQuery{Page: registry.Page{Token: models}})
	require.ErrorIs(t, err, registry.ErrInvalid)

	// A token stays good while others write.
	_, err = s.CreateVersion(ctx, bare("a first", 9), "")
	require.NoError(t, err)
	page, _, err := s.SearchModels(ctx, registry.ModelQuery{Page: registry.Page{Max: 9, Token: models}})
	require.NoError(t, err)
	require.Len(t, page, 3)
	require.Equal(t, "m2", page[0].Name)
}
