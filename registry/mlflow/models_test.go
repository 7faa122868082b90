package mlflow_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/registry"
)

func TestModels(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		m := ok[modelAnswer](a, "POST", "registered-models/create", `{"name":"fraud","description":"d","tags":[{"key":"k","value":"v"},{"key":"k","value":"w"}]}`).RegisteredModel
		require.Equal(t, "fraud", m.Name)
		require.Equal(t, "d", m.Description)
		require.Equal(t, []mlflowapi.RegisteredModelTag{{Key: "k", Value: "w"}}, m.Tags)
		require.NotZero(t, m.CreationTimestamp)
		require.Equal(t, m, ok[modelAnswer](a, "GET", "registered-models/get?name=fraud", "").RegisteredModel)
		require.Equal(t, m, ok[modelAnswer](a, "GET", "/ajax-api/2.0/mlflow/registered-models/get?name=fraud", "").RegisteredModel)

		require.Equal(t, "Registered Model (name=fraud) already exists.", a.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "registered-models/create", `{"name":"fraud"}`))
		require.Contains(t, a.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "registered-models/create", `{"name":"fraud","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]}`),
			"Tried to create a prompt with name 'fraud', but the name is already taken by a registered model.")
		require.Equal(t, "Registered Model with name=nope not found", a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "registered-models/get?name=nope", ""))
		for _, name := range []string{"", "  ", "a/b", "a:b", "..", ".", "a\\\\b", "a\\u0001", strings.Repeat("x", 300)} {
			a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/create", `{"name":"`+name+`"}`)
		}

		require.Equal(t, "new", ok[modelAnswer](a, "PATCH", "registered-models/update", `{"name":"fraud","description":"new"}`).RegisteredModel.Description)
		ok[empty](a, "POST", "registered-models/set-tag", `{"name":"fraud","key":"t","value":"1"}`)
		ok[empty](a, "DELETE", "registered-models/delete-tag", `{"name":"fraud","key":"k"}`)
		ok[empty](a, "DELETE", "registered-models/delete-tag", `{"name":"fraud","key":"never"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "registered-models/delete-tag", `{"name":"nope","key":"never"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "registered-models/set-tag", `{"name":"nope","key":"t"}`)
		require.Equal(t, []mlflowapi.RegisteredModelTag{{Key: "t", Value: "1"}}, ok[modelAnswer](a, "GET", "registered-models/get?name=fraud", "").RegisteredModel.Tags)

		a.version("fraud")
		a.model("other")
		a.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "registered-models/rename", `{"name":"fraud","new_name":"other"}`)
		a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/rename", `{"name":"fraud","new_name":"a/b"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "registered-models/rename", `{"name":"nope","new_name":"b"}`)
		m = ok[modelAnswer](a, "POST", "registered-models/rename", `{"name":"fraud","new_name":"scam"}`).RegisteredModel
		require.Equal(t, "scam", m.Name)
		require.Equal(t, "scam", m.LatestVersions[0].Name)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "model-versions/get?name=fraud&version=1", "")
	})
}

// A deleted model gives its name back at once, as clients expect, and can still
// be restored under another.
func TestDeletedModel(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		a.model("fraud")
		a.version("fraud")
		ok[empty](a, "DELETE", "registered-models/delete", `{"name":"fraud"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "registered-models/delete", `{"name":"fraud"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "model-versions/get?name=fraud&version=1", "")
		a.model("fraud")
		require.Equal(t, "1", a.version("fraud").Version)
		ok[empty](a, "DELETE", "registered-models/delete", `{"name":"fraud"}`)

		var deleted []string
		for m, err := range a.reg.SearchModels(t.Context(), registry.ModelQuery{View: registry.DeletedOnly}) {
			require.NoError(t, err)
			deleted = append(deleted, m.Name)
		}
		require.Len(t, deleted, 2)
		require.Regexp(t, `^fraud~deleted-\d{8}T\d{6}\.\d{6}Z$`, deleted[0])
		require.NoError(t, a.reg.UpdateModel(t.Context(), deleted[0], registry.ModelUpdate{Deleted: new(false), Rename: "fraud"}))
		require.Equal(t, "1", ok[versionAnswer](a, "GET", "model-versions/get?name=fraud&version=1", "").ModelVersion.Version)
	})
}

func TestSearchModels(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		const n = 130 // more than one page of the store
		for i := range n {
			name := "m" + strconv.Itoa(1000+i)
			a.model(name)
			if i%50 == 0 {
				a.version(name)
				a.version(name)
			}
		}
		ok[empty](a, "POST", "registered-models/set-tag", `{"name":"m1007","key":"team","value":"risk"}`)
		ok[modelAnswer](a, "POST", "registered-models/create", `{"name":"greet","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]}`)

		search := func(query string) mlflowapi.SearchRegisteredModelsResponse {
			return ok[mlflowapi.SearchRegisteredModelsResponse](a, "GET", "registered-models/search?"+query, "")
		}
		first := search("")
		require.Len(t, first.RegisteredModels, 100)
		require.Len(t, search("page_token="+url.QueryEscape(first.NextPageToken)).RegisteredModels, n-100)
		all := search("max_results=1000")
		require.Len(t, all.RegisteredModels, n, "prompts are left out")
		require.Empty(t, all.NextPageToken)
		require.Equal(t, "2", all.RegisteredModels[50].LatestVersions[0].Version)
		require.Len(t, all.RegisteredModels[50].LatestVersions, 1)
		require.Empty(t, all.RegisteredModels[51].LatestVersions)
		require.Equal(t, "m1129", search("order_by=name+DESC&max_results=1").RegisteredModels[0].Name)
		require.Len(t, search("filter="+url.QueryEscape("tags.team = 'risk'")).RegisteredModels, 1)
		require.Len(t, search("filter="+url.QueryEscape("name LIKE 'm100%'")).RegisteredModels, 10)
		prompts := search("filter=" + url.QueryEscape("tags.`mlflow.prompt.is_prompt` = 'true'"))
		require.Equal(t, "greet", prompts.RegisteredModels[0].Name)

		for _, bad := range []string{"max_results=0", "max_results=-1", "max_results=1001", "max_results=x", "filter=foo", "filter=" + url.QueryEscape("name = 'a' OR name = 'b'"),
			"order_by=bogus", "page_token=x", "filter=" + url.QueryEscape(strings.Repeat("name = 'a' AND ", 10_000)+"name = 'a'")} {
			a.fails(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/search?"+bad, "")
		}
	})
}
