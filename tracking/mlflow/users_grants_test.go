package mlflow_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// TestGrants plays the routes of clients up to MLflow 3.11.
func TestGrants(t *testing.T) {
	t.Parallel()
	u := newUsers(t, "ann", "bob")
	root, ann, bob := u.as("root"), u.as("ann"), u.as("bob")
	ann.ok("POST", "experiments/create", `{"name":"of ann"}`)
	body := func(permission string) string {
		return `{"experiment_id":"1","username":"bob","permission":"` + permission + `"}`
	}
	const none = `{"experiment_id":"1","username":"bob"}`
	require.Equal(t, "Experiment permission with experiment_id=1 and username=bob not found", ann.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "experiments/permissions/get?experiment_id=1&username=bob", ""))
	ann.fails(404, "RESOURCE_DOES_NOT_EXIST", "PATCH", "experiments/permissions/update", body("READ"))
	ann.fails(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "experiments/permissions/delete", none)
	bob.fails(403, "PERMISSION_DENIED", "GET", "experiments/get?experiment_id=1", "")

	require.JSONEq(t, `{"experiment_permission":{"experiment_id":"1","user_id":3,"permission":"READ"}}`, ann.ok("POST", "experiments/permissions/create", body("READ")))
	require.Contains(t, ann.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "experiments/permissions/create", body("EDIT")), "already exists")
	require.JSONEq(t, `{"experiment_permission":{"experiment_id":"1","user_id":3,"permission":"READ"}}`, ann.ok("GET", "/ajax-api/2.0/mlflow/experiments/permissions/get?experiment_id=1&username=bob", ""))
	require.JSONEq(t, `{"user":{"id":3,"username":"bob","is_admin":false,"experiment_permissions":[{"experiment_id":"1","user_id":3,"permission":"READ"}],"registered_model_permissions":[],"scorer_permissions":[]}}`,
		bob.ok("GET", "users/get?username=bob", ""))
	bob.ok("GET", "experiments/get?experiment_id=1", "")
	bob.fails(403, "PERMISSION_DENIED", "GET", "experiments/permissions/get?experiment_id=1&username=bob", "")
	for _, p := range []string{"READ", "USE", "EDIT"} {
		ann.ok("PATCH", "experiments/permissions/update", body(p))
		bob.fails(403, "PERMISSION_DENIED", "PATCH", "experiments/permissions/update", body("MANAGE"))
		bob.fails(403, "PERMISSION_DENIED", "POST", "experiments/delete", `{"experiment_id":"1"}`)
		status, _ := bob.do("POST", "experiments/set-experiment-tag", `{"experiment_id":"1","key":"k","value":"v"}`)
		require.Equal(t, p == "EDIT", status == 200)
	}
	ann.ok("PATCH", "experiments/permissions/update", body("MANAGE"))
	bob.ok("POST", "experiments/permissions/create", `{"experiment_id":"1","username":"root","permission":"NO_PERMISSIONS"}`)
	root.ok("GET", "experiments/get?experiment_id=1", "") // an admin may do everything
	bob.ok("DELETE", "experiments/permissions/delete", none)
	bob.fails(403, "PERMISSION_DENIED", "GET", "experiments/get?experiment_id=1", "")

	// Deleted is not gone: the permissions are there when it is restored.
	ann.ok("POST", "experiments/delete", `{"experiment_id":"1"}`)
	ann.ok("POST", "experiments/restore", `{"experiment_id":"1"}`)

	for _, tc := range []struct{ body, code, says string }{
		{body("ALL"), "INVALID_PARAMETER_VALUE", "Invalid permission 'ALL'. Valid permissions are: ('READ', 'USE', 'EDIT', 'MANAGE', 'NO_PERMISSIONS')"},
		{body("read"), "INVALID_PARAMETER_VALUE", "Invalid permission"},
		{none, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'permission'"},
		{`{"experiment_id":"1","permission":"READ"}`, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'username'"},
		{`{"username":"bob","permission":"READ"}`, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'experiment_id'"},
		{`{"experiment_id":"one","username":"bob","permission":"READ"}`, "INVALID_PARAMETER_VALUE", "Invalid experiment ID"},
	} {
		require.Contains(t, root.fails(400, tc.code, "POST", "experiments/permissions/create", tc.body), tc.says)
	}
	root.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "experiments/permissions/create", `{"experiment_id":"77","username":"bob","permission":"READ"}`)
	root.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "experiments/permissions/create", `{"experiment_id":"1","username":"nobody","permission":"READ"}`)
}

// TestGrantsOfModels plays the same for registered models, and MLflow's newer
// routes for all things.
func TestGrantsOfModels(t *testing.T) {
	t.Parallel()
	u := newUsers(t, "ann", "bob")
	root, ann, bob := u.as("root"), u.as("ann"), u.as("bob")
	as := func(name string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.NoError(t, err)
		r.SetBasicAuth(name, password)
		return r
	}
	require.NoError(t, u.auth.ModelChanged(as("ann"), "", "churn"))
	const name = `"name":"churn","username":"bob"`
	ann.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "registered-models/permissions/get?name=churn&username=bob", "")
	require.JSONEq(t, `{"registered_model_permission":{"name":"churn","user_id":3,"permission":"READ"}}`, ann.ok("POST", "registered-models/permissions/create", `{`+name+`,"permission":"READ"}`))
	require.Contains(t, ann.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "registered-models/permissions/create", `{`+name+`,"permission":"READ"}`), "already exists")
	require.NoError(t, u.auth.AuthorizeModel(as("bob"), mlflow.Read, "churn"))
	require.ErrorIs(t, u.auth.AuthorizeModel(as("bob"), mlflow.Write, "churn"), mlflow.ErrDenied)
	ann.ok("PATCH", "registered-models/permissions/update", `{`+name+`,"permission":"EDIT"}`)
	require.JSONEq(t, `{"registered_model_permission":{"name":"churn","user_id":3,"permission":"EDIT"}}`, ann.ok("GET", "registered-models/permissions/get?name=churn&username=bob", ""))
	require.NoError(t, u.auth.AuthorizeModel(as("bob"), mlflow.Write, "churn"))
	for _, verb := range []mlflow.Verb{mlflow.Delete, mlflow.Manage, mlflow.Administer, "unknown"} {
		require.ErrorIs(t, u.auth.AuthorizeModel(as("bob"), verb, "churn"), mlflow.ErrDenied)
		require.NoError(t, u.auth.AuthorizeModel(as("root"), verb, "churn"))
	}
	bob.fails(403, "PERMISSION_DENIED", "DELETE", "registered-models/permissions/delete", `{`+name+`}`)
	ann.ok("DELETE", "registered-models/permissions/delete", `{`+name+`}`)
	ann.fails(404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "registered-models/permissions/delete", `{`+name+`}`)

	const users = "/api/3.0/mlflow/users/permissions/"
	thing := `{"username":"bob","resource_type":"registered_model","resource_id":"churn"`
	ann.ok("POST", users+"grant", thing+`,"permission":"MANAGE"}`)
	require.Contains(t, ann.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", users+"grant", thing+`,"permission":"READ"}`), "already exists")
	require.JSONEq(t, `{"allowed":true,"permission":"MANAGE"}`, bob.ok("GET", users+"get?username=bob&resource_type=prompt&resource_id=churn", ""))
	require.JSONEq(t, `{"allowed":false,"permission":"NO_PERMISSIONS"}`, bob.ok("GET", users+"get?username=bob&resource_type=experiment&resource_id=0", ""))
	require.JSONEq(t, `{"is_admin":false,"permissions":[{"role_id":3,"role_name":"__user_3__","workspace":"default","resource_type":"registered_model","resource_pattern":"churn","permission":"MANAGE"}]}`,
		root.ok("GET", users+"list?username=bob", ""))
	ann.ok("POST", users+"revoke", thing+`}`)
	require.Equal(t, "Permission for user=bob on resource_type=registered_model, resource_id=churn not found", ann.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", users+"revoke", thing+`}`))
	for _, tc := range [][2]string{
		{thing + `,"permission":"NO_PERMISSIONS"}`, "Invalid permission 'NO_PERMISSIONS'"},
		{`{"username":"bob","resource_type":"thing","resource_id":"churn","permission":"READ"}`, "Invalid resource type 'thing'"},
		{`{"username":"bob","resource_type":"experiment","permission":"READ"}`, "Missing value for required parameter 'resource_id'"},
		{`{"username":"bob","resource_type":"registered_model","resource_id":"a\nb","permission":"READ"}`, "Invalid name"},
	} {
		require.Contains(t, root.fails(400, "INVALID_PARAMETER_VALUE", "POST", users+"grant", tc[0]), tc[1])
	}
	all := `{"username":"bob","resource_type":"experiment","resource_id":"*","permission":"READ"}`
	ann.fails(403, "PERMISSION_DENIED", "POST", users+"grant", all)
	root.fails(501, "NOT_IMPLEMENTED", "POST", users+"grant", all)
	// A model of the name * is one model.
	require.NoError(t, u.auth.ModelChanged(as("bob"), "", "*"))
	require.ErrorIs(t, u.auth.AuthorizeModel(as("bob"), mlflow.Read, "churn"), mlflow.ErrDenied)
}

// TestModelNames follows models through their names.
func TestModelNames(t *testing.T) {
	t.Parallel()
	u := newUsers(t, "ann", "bob", "eve")
	as := func(name string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.NoError(t, err)
		r.SetBasicAuth(name, password)
		return r
	}
	// may is what each of the three may do: m(anage), r(ead) or nothing.
	may := func(model string) (out string) {
		for _, name := range []string{"ann", "bob", "eve"} {
			switch {
			case u.auth.AuthorizeModel(as(name), mlflow.Manage, model) == nil:
				out += "m"
			case u.auth.AuthorizeModel(as(name), mlflow.Read, model) == nil:
				out += "r"
			default:
				out += "-"
			}
		}
		return out
	}
	require.NoError(t, u.auth.ModelChanged(as("ann"), "", "a"))
	require.NoError(t, u.auth.GrantModel("bob", "a", mlflow.ReadPermission))
	require.NoError(t, u.auth.GrantModel("eve", "b", mlflow.FullPermission), "left of an earlier model")
	require.Equal(t, "mr-", may("a"))
	require.NoError(t, u.auth.ModelChanged(as("bob"), "a", "b"), "whoever renames")
	require.Equal(t, "mr-", may("b"))
	require.Equal(t, "---", may("a"))
	require.NoError(t, u.auth.ModelChanged(as("eve"), "", "a"))
	require.Equal(t, "--m", may("a"))
	require.Equal(t, "mr-", may("b"))
	require.NoError(t, u.auth.ModelChanged(as("root"), "b", ""))
	require.Equal(t, "---", may("b"))
	require.NoError(t, u.auth.GrantModel("bob", "b", mlflow.FullPermission), "given before there is a model")
	require.NoError(t, u.auth.ModelChanged(as("ann"), "", "b"))
	require.Equal(t, "m--", may("b"))
	times := u.kept.times
	require.NoError(t, u.auth.ModelChanged(as("ann"), "c", ""))
	require.NoError(t, u.auth.ModelChanged(as("ann"), "c", "d"))
	require.NoError(t, u.auth.ModelChanged(as("ann"), "c", "c"))
	require.Equal(t, times, u.kept.times)
	require.ErrorIs(t, u.auth.ModelChanged(as("nobody"), "", "e"), mlflow.ErrUnauthenticated)
	require.ErrorIs(t, u.auth.GrantModel("ann", "", mlflow.ReadPermission), tracking.ErrInvalid)
	require.ErrorIs(t, u.auth.GrantModel("ann", "x", "SOME"), tracking.ErrInvalid)
	require.ErrorIs(t, u.auth.GrantModel("nobody", "x", mlflow.ReadPermission), tracking.ErrNotFound)

	// Without a grant, the greater of what the server and the default give.
	for _, tc := range []struct {
		server, byDef mlflow.Permission
		model, whole  bool
	}{
		{"", "", false, false}, {mlflow.ReadPermission, "", true, true}, {"", mlflow.ReadPermission, true, false},
		{mlflow.ReadPermission, mlflow.NoPermissions, true, true}, {mlflow.DenyPermission, mlflow.EditPermission, true, false},
	} {
		auth, err := mlflow.NewAuth(mlflow.AuthConfig{Default: tc.byDef, Users: []mlflow.AuthUser{
			{Name: "x", Password: quickHash(t, password), Server: tc.server, Models: map[string]mlflow.Permission{"denied": mlflow.NoPermissions}},
		}})
		require.NoError(t, err)
		require.Equal(t, tc.model, auth.AuthorizeModel(as("x"), mlflow.Read, "m") == nil)
		require.Equal(t, tc.whole, auth.AuthorizeModel(as("x"), mlflow.Read, "") == nil)
		require.ErrorIs(t, auth.AuthorizeModel(as("x"), mlflow.Read, "denied"), mlflow.ErrDenied)
		require.NoError(t, auth.AuthorizeModel(as("x"), mlflow.Create, ""))
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	store := new(trackingtest.Memory)
	u := newUsers(t, "ann", "bob")
	exp, err := store.CreateExperiment(t.Context(), tracking.Experiment{Name: "e"})
	require.NoError(t, err)
	deleted, err := store.CreateExperiment(t.Context(), tracking.Experiment{Name: "deleted"})
	require.NoError(t, err)
	require.NoError(t, store.UpdateExperiment(t.Context(), deleted.ID, tracking.ExperimentUpdate{Deleted: new(true)}))
	for _, id := range []tracking.ExperimentID{exp.ID, deleted.ID, "70", "71", "none"} {
		require.NoError(t, u.auth.Grant("ann", id, mlflow.EditPermission))
	}
	require.NoError(t, u.auth.Grant("bob", "70", mlflow.EditPermission))
	require.NoError(t, u.auth.Sweep(t.Context(), store))
	require.Equal(t, map[tracking.ExperimentID]mlflow.Permission{exp.ID: mlflow.EditPermission, deleted.ID: mlflow.EditPermission}, u.kept.config.Users[0].Experiments)
	require.Empty(t, u.kept.config.Users[1].Experiments)
	times := u.kept.times
	require.NoError(t, u.auth.Sweep(t.Context(), store))
	require.Equal(t, times, u.kept.times)

	// A store that fails says nothing about what is gone.
	require.Error(t, u.auth.Sweep(t.Context(), noSearch{store}))
	require.Equal(t, times, u.kept.times)
}

type noSearch struct{ tracking.Store }

func (noSearch) SearchExperiments(context.Context, tracking.ExperimentQuery) ([]tracking.Experiment, string, error) {
	return nil, "", errors.New("no store")
}

func TestUserIDs(t *testing.T) {
	t.Parallel()
	token := func(s string) []string { return []string{mlflow.HashToken(s)} }
	auth, err := mlflow.NewAuth(mlflow.AuthConfig{Users: []mlflow.AuthUser{{Name: "c", Tokens: token("c")}, {Name: "b", ID: 7, Tokens: token("b")}, {Name: "a", Tokens: token("a")}}})
	require.NoError(t, err)
	ids := map[string]int64{}
	for _, u := range auth.Config().Users {
		ids[u.Name] = u.ID
	}
	require.Equal(t, map[string]int64{"a": 9, "b": 7, "c": 8}, ids)
	for _, users := range [][]mlflow.AuthUser{
		{{Name: "a", ID: 1, Tokens: token("a")}, {Name: "b", ID: 1, Tokens: token("b")}},
		{{Name: "a", ID: -1, Tokens: token("a")}}, {{Name: "a", ID: 1 << 60, Tokens: token("a")}},
		{{Name: "a", Tokens: token("a"), Models: map[string]mlflow.Permission{"m": "SOME"}}},
		{{Name: "a", Tokens: token("a"), Models: map[string]mlflow.Permission{"": "READ"}}},
		{{Name: "a\xff", Tokens: token("a")}},
	} {
		_, err := mlflow.NewAuth(mlflow.AuthConfig{Users: users})
		require.ErrorIs(t, err, tracking.ErrInvalid)
	}
}
