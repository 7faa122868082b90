package mlflow_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "model-versions/create", `{"name":"fraud","source":"s3://b/k"}`)
		a.model("fraud")
		v := ok[versionAnswer](a, "POST", "model-versions/create",
			`{"name":"fraud","source":"s3://b/k","description":"d","run_link":"http://x/1","tags":[{"key":"k","value":"v"}]}`).ModelVersion
		require.Equal(t, mlflowapi.ModelVersion{
			Name: "fraud", Version: "1", CreationTimestamp: v.CreationTimestamp, LastUpdatedTimestamp: v.LastUpdatedTimestamp, CurrentStage: "None",
			Description: "d", Source: "s3://b/k", Status: mlflowapi.VersionReady, RunLink: "http://x/1", Tags: []mlflowapi.ModelVersionTag{{Key: "k", Value: "v"}},
		}, v)
		require.Equal(t, v, ok[versionAnswer](a, "GET", "model-versions/get?name=fraud&version=1", "").ModelVersion)

		a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", `{"name":"fraud"}`)
		require.Equal(t, "Parameter 'version' must be an integer, got 'x'.", a.fails(400, "INVALID_PARAMETER_VALUE", "GET", "model-versions/get?name=fraud&version=x", ""))
		for _, n := range []string{"7", "0", "-1"} {
			require.Equal(t, "Model Version (name=fraud, version="+n+") not found", a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "model-versions/get?name=fraud&version="+n, ""))
		}

		require.Equal(t, "e", ok[versionAnswer](a, "PATCH", "model-versions/update", `{"name":"fraud","version":"1","description":"e"}`).ModelVersion.Description)
		ok[empty](a, "POST", "model-versions/set-tag", `{"name":"fraud","version":"1","key":"t","value":"1"}`)
		ok[empty](a, "DELETE", "model-versions/delete-tag", `{"name":"fraud","version":"1","key":"k"}`)
		ok[empty](a, "DELETE", "model-versions/delete-tag", `{"name":"fraud","version":"1","key":"never"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "model-versions/delete-tag", `{"name":"fraud","version":"9","key":"never"}`)
		require.Equal(t, []mlflowapi.ModelVersionTag{{Key: "t", Value: "1"}}, ok[versionAnswer](a, "GET", "model-versions/get?name=fraud&version=1", "").ModelVersion.Tags)
		require.Equal(t, "s3://b/k", ok[mlflowapi.GetModelVersionDownloadURIResponse](a, "GET", "model-versions/get-download-uri?name=fraud&version=1", "").ArtifactURI)

		ok[empty](a, "DELETE", "model-versions/delete", `{"name":"fraud","version":"1"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "model-versions/delete", `{"name":"fraud","version":"1"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "model-versions/get?name=fraud&version=1", "")
		require.Equal(t, "2", a.version("fraud").Version, "numbers are never given twice")
	})
}

func TestAliases(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		a.model("fraud")
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "registered-models/alias?name=fraud&alias=latest", "")
		a.version("fraud")
		a.version("fraud")
		ok[empty](a, "POST", "registered-models/alias", `{"name":"fraud","alias":"champion","version":"1"}`)
		ok[empty](a, "POST", "registered-models/alias", `{"name":"fraud","alias":"champion","version":"2"}`)
		v := ok[versionAnswer](a, "GET", "registered-models/alias?name=fraud&alias=champion", "").ModelVersion
		require.Equal(t, "2", v.Version)
		require.Equal(t, []string{"champion"}, v.Aliases)
		require.Equal(t, []mlflowapi.RegisteredModelAlias{{Alias: "champion", Version: "2"}}, ok[modelAnswer](a, "GET", "registered-models/get?name=fraud", "").RegisteredModel.Aliases)
		require.Equal(t, "2", ok[versionAnswer](a, "GET", "registered-models/alias?name=fraud&alias=Latest", "").ModelVersion.Version)

		require.Equal(t, "Registered model alias nope not found.", a.fails(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/alias?name=fraud&alias=nope", ""))
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "registered-models/alias?name=nope&alias=champion", "")
		require.Equal(t, "Model Version (name=fraud, version=9) not found", a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "registered-models/alias", `{"name":"fraud","alias":"c","version":"9"}`))
		for alias, message := range map[string]string{
			"latest": "'latest' alias name (case insensitive) is reserved.", "v3": "Version alias name 'v3' is reserved.", "V3": "Version alias name 'V3' is reserved.",
			"x y": "Invalid alias name: 'x y'. Names may only contain alphanumerics, underscores (_), and dashes (-).", "a@b": "Invalid alias name", strings.Repeat("a", 256): "256 bytes",
		} {
			require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/alias", `{"name":"fraud","alias":"`+alias+`","version":"1"}`), message)
		}

		ok[empty](a, "DELETE", "registered-models/alias", `{"name":"fraud","alias":"champion"}`)
		ok[empty](a, "DELETE", "registered-models/alias", `{"name":"fraud","alias":"champion"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "registered-models/alias", `{"name":"nope","alias":"champion"}`)

		ok[empty](a, "POST", "registered-models/alias", `{"name":"fraud","alias":"champion","version":"2"}`)
		ok[empty](a, "DELETE", "model-versions/delete", `{"name":"fraud","version":"2"}`)
		a.fails(400, "INVALID_PARAMETER_VALUE", "GET", "registered-models/alias?name=fraud&alias=champion", "")
	})
}

func TestStages(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		a.model("fraud")
		for range 3 {
			a.version("fraud")
		}
		move := func(version, stage, archive string) mlflowapi.ModelVersion {
			return ok[versionAnswer](a, "POST", "model-versions/transition-stage",
				`{"name":"fraud","version":"`+version+`","stage":"`+stage+`","archive_existing_versions":`+archive+`}`).ModelVersion
		}
		require.Equal(t, "Production", move("1", "production", "false").CurrentStage)
		require.Equal(t, "Production", move("2", "PRODUCTION", "true").CurrentStage)
		latest := func(method, target, body string) (out []string) {
			for _, v := range ok[mlflowapi.GetLatestVersionsResponse](a, method, "registered-models/get-latest-versions"+target, body).ModelVersions {
				out = append(out, v.Version+" "+v.CurrentStage)
			}
			return out
		}
		require.Equal(t, []string{"1 Archived", "2 Production", "3 None"}, latest("POST", "", `{"name":"fraud"}`))
		require.Equal(t, []string{"2 Production", "3 None"}, latest("GET", "?name=fraud&stages=Production&stages=none", ""))
		a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/get-latest-versions", `{"name":"fraud","stages":["bad"]}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "registered-models/get-latest-versions", `{"name":"nope"}`)
		require.Equal(t, "Invalid Model Version stage: bogus. Value must be one of None, Staging, Production, Archived.",
			a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/transition-stage", `{"name":"fraud","version":"1","stage":"bogus"}`))
		require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/transition-stage",
			`{"name":"fraud","version":"1","stage":"Archived","archive_existing_versions":true}`), "is not an Active stage")
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "model-versions/transition-stage", `{"name":"fraud","version":"9","stage":"Staging"}`)
	})
}

func TestSearchVersions(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		run := a.run(map[string]string{"model/MLmodel": "{}"})
		a.model("a")
		a.model("b")
		for range 120 {
			a.version("a")
		}
		ok[versionAnswer](a, "POST", "model-versions/create", `{"name":"b","source":"runs:/`+string(run.ID)+`/model","run_id":"`+string(run.ID)+`"}`)
		search := func(filter, rest string) mlflowapi.SearchModelVersionsResponse {
			return ok[mlflowapi.SearchModelVersionsResponse](a, "GET", "model-versions/search?filter="+url.QueryEscape(filter)+rest, "")
		}
		require.Len(t, search("", "").ModelVersions, 121)
		require.Len(t, search("name = 'a'", "").ModelVersions, 120)
		require.Equal(t, "b", search("run_id = '"+string(run.ID)+"'", "").ModelVersions[0].Name)
		require.Len(t, search("name = 'a' AND version_number > 118", "").ModelVersions, 2)
		require.Equal(t, "120", search("name = 'a'", "&order_by=version_number+DESC&max_results=1").ModelVersions[0].Version)
		require.Len(t, search("source_path LIKE 's3://%'", "").ModelVersions, 120)
		first := search("name = 'a'", "&max_results=110")
		require.Len(t, first.ModelVersions, 110)
		require.Len(t, search("name = 'a'", "&max_results=110&page_token="+url.QueryEscape(first.NextPageToken)).ModelVersions, 10)
		for _, bad := range []string{"max_results=0", "max_results=200001", "filter=foo", "order_by=bogus", "page_token=x", "max_results=2147483648"} {
			a.fails(400, "INVALID_PARAMETER_VALUE", "GET", "model-versions/search?"+bad, "")
		}
	})
}
