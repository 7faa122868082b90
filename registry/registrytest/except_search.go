package registrytest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func (k *kit) search() {
	for _, m := range []registry.Model{
		{Name: "alpha", Tags: map[string]string{"team": "risk", "a b": "x"}}, {Name: "Beta", Tags: map[string]string{"team": "fraud"}},
		{Name: "beta"}, {Name: "gamma_1"}, {Name: "gammax1"}, {Name: "it's"},
	} {
		m.Name, m.Created = k.name(m.Name), at(1)
		_, err := k.CreateModel(k.Context(), m)
		require.NoError(k, err)
	}
	require.Equal(k, []string{"Beta", "alpha", "beta", "gamma_1", "gammax1", "it's"}, k.names(""))
	require.Equal(k, []string{"it's", "gammax1", "gamma_1", "beta", "alpha", "Beta"}, k.names("", "name DESC"))
	p := k.prefix
	for filter, want := range map[string][]string{
		"name = '" + p + "alpha'":                               {"alpha"},
		"name != '" + p + "alpha'":                              {"Beta", "beta", "gamma_1", "gammax1", "it's"},
		"name LIKE '" + p + "b%'":                               {"beta"},
		"name ILIKE '" + p + "b%'":                              {"Beta", "beta"},
		"name LIKE '%gamma_1'":                                  {"gamma_1", "gammax1"},
		"tags.team = 'risk'":                                    {"alpha"},
		"tags.team LIKE '%r%' AND name LIKE '%a'":               {"Beta", "alpha"},
		"tags.`a b` = 'x'":                                      {"alpha"},
		`tags."team" != 'risk'`:                                 {"Beta"},
		"tags.team = 'none'":                                    nil,
		"name = '" + p + "alpha' and name = '" + p + "gammax1'": nil,
	} {
		require.Equal(k, want, k.names(filter), filter)
	}
	for _, name := range []string{"it's", "alpha"} {
		require.Equal(k, k.name(name), k.model(name).Name)
		list := k.found(registry.ModelQuery{Name: k.name(name), OrderBy: []string{"name"}})
		require.Len(k, list, 1)
		require.Equal(k, k.name(name), list[0].Name)
	}
	require.Empty(k, k.found(registry.ModelQuery{Name: k.name("alpha"), Filter: "tags.team = 'fraud'"}))
	for _, view := range []registry.View{registry.ActiveOnly, registry.All} {
		require.Len(k, k.found(registry.ModelQuery{Name: k.name("beta"), View: view}), 1)
	}
	require.Empty(k, k.found(registry.ModelQuery{Name: k.name("beta"), View: registry.DeletedOnly}))

	for n := 1; n <= 5; n++ {
		v := k.draft("alpha", n)
		v.Tags["parity"] = fmt.Sprint(n % 2)
		_, err := k.CreateVersion(k.Context(), v, "")
		require.NoError(k, err)
		k.create("beta", n)
	}
	for filter, want := range map[string][]int{
		"":                                    {5, 4, 3, 2, 1},
		"version_number > 3":                  {5, 4},
		"version_number != 3":                 {5, 4, 2, 1},
		"tags.parity = '0'":                   {4, 2},
		"tags.parity != '0'":                  {5, 3, 1},
		"source_path = 's3://bucket/alpha/2'": {2},
		"source_path LIKE 's3://bucket/%/4'":  {4},
		"version_number >= 2 AND version_number <= 3 AND tags.`parity` = '1'": {3},
		"version_number = 9": nil,
	} {
		q := registry.VersionQuery{Name: k.name("alpha"), Filter: filter, OrderBy: []string{"version_number DESC"}, Page: registry.Page{Max: 2}}
		list, err := allVersions(k.Context(), k.Store, q)
		require.NoError(k, err, filter)
		var have []int
		for _, v := range list {
			have = append(have, v.Number)
			want := k.draft("alpha", v.Number)
			want.Number, want.Tags["parity"] = v.Number, fmt.Sprint(v.Number%2)
			k.same(want, v, true)
		}
		require.Equal(k, want, have, filter)
	}
	list, err := allVersions(k.Context(), k.Store, registry.VersionQuery{Name: k.name("unknown")})
	require.NoError(k, err)
	require.Empty(k, list)
}

func (k *kit) tokens() {
	for n := range 5 {
		k.create(fmt.Sprint("m", n), n)
		k.create("many", n)
	}
	q := registry.ModelQuery{Filter: "name LIKE '" + k.prefix + "m%'", Page: registry.Page{Max: 2}}
	page, token, err := k.SearchModels(k.Context(), q)
	require.NoError(k, err)
	require.Len(k, page, 2)
	require.NotEmpty(k, token)
	q.Page.Token = token
	again, _, err := k.SearchModels(k.Context(), q)
	require.NoError(k, err)
	require.NotEqual(k, page[0].Name, again[0].Name)
	other := q
	other.Filter = "name LIKE '%m%'"
	_, _, err = k.SearchModels(k.Context(), other)
	require.ErrorIs(k, err, registry.ErrInvalid, "the token belongs to another query")
	q.Page.Token = token[:len(token)-2]
	_, _, err = k.SearchModels(k.Context(), q)
	require.ErrorIs(k, err, registry.ErrInvalid)

	v := registry.VersionQuery{Name: k.name("many"), Page: registry.Page{Max: 2}}
	first, token, err := k.SearchVersions(k.Context(), v)
	require.NoError(k, err)
	require.Len(k, first, 2)
	v.Page.Token = token
	second, _, err := k.SearchVersions(k.Context(), v)
	require.NoError(k, err)
	require.NotEqual(k, first[0].Number, second[0].Number)
	v.Filter = "version_number > 1"
	_, _, err = k.SearchVersions(k.Context(), v)
	require.ErrorIs(k, err, registry.ErrInvalid)
}

// Prompts of MLflow's are out of sight unless they are asked for.
func (k *kit) prompts() {
	_, err := k.CreateModel(k.Context(), registry.Model{Name: k.name("greeting"), Tags: map[string]string{registry.PromptTag: "true"}, Created: at(1)})
	require.NoError(k, err)
	v := k.draft("greeting", 1)
	v.Source, v.Tags = "prompt-template", map[string]string{registry.PromptTag: "true", "mlflow.prompt.text": "Hello {{name}},\nhow are you?", "_mlflow_prompt_type": "text"}
	_, err = k.CreateVersion(k.Context(), v, "")
	require.NoError(k, err)
	k.create("fraud", 1)
	require.Equal(k, []string{"fraud"}, k.names(""))
	require.Equal(k, []string{"greeting"}, k.names("tags.`mlflow.prompt.is_prompt` = 'true'"))
	require.Equal(k, []string{"fraud"}, k.names("tags.`mlflow.prompt.is_prompt` != 'true'"))
	require.Equal(k, k.name("greeting"), k.model("greeting").Name)
	for _, filter := range []string{"", "version_number = 1"} {
		list, err := allVersions(k.Context(), k.Store, registry.VersionQuery{Name: k.name("greeting"), Filter: filter})
		require.NoError(k, err)
		require.Len(k, list, 1)
	}
	require.Len(k, k.found(registry.ModelQuery{Name: k.name("greeting"), OrderBy: []string{"name"}}), 1)
	require.Equal(k, "Hello {{name}},\nhow are you?", k.version("greeting", 1).Tags["mlflow.prompt.text"])
}

func (k *kit) refused() {
	k.create("fraud", 1)
	for _, filter := range []string{"name >", "name > 'a'", "nonsense = 'x'", "name = 'a' OR name = 'b'", "tags.a = b", "name = 'a"} {
		_, _, err := k.SearchModels(k.Context(), registry.ModelQuery{Filter: filter})
		require.ErrorIs(k, err, registry.ErrInvalid, filter)
		_, _, err = k.SearchVersions(k.Context(), registry.VersionQuery{Filter: filter})
		require.ErrorIs(k, err, registry.ErrInvalid, filter)
	}
	_, _, err := k.SearchModels(k.Context(), registry.ModelQuery{OrderBy: []string{"nonsense"}})
	require.ErrorIs(k, err, registry.ErrInvalid)
	_, _, err = k.SearchVersions(k.Context(), registry.VersionQuery{Filter: "version_number = 'x'"})
	require.ErrorIs(k, err, registry.ErrInvalid)
	if k.allowed.RecordsOnly {
		v := k.draft("fraud", 1)
		v.Framework, v.Metrics = "xgboost", map[string]float64{"auc": 1}
		_, err := k.CreateVersion(k.Context(), v, "")
		require.ErrorIs(k, err, registry.ErrUnsupported)
		require.ErrorContains(k, err, "framework, metrics")
		v = k.draft("fraud", 1)
		v.Source = ""
		_, err = k.CreateVersion(k.Context(), v, "")
		require.ErrorIs(k, err, registry.ErrInvalid)
	}
}
