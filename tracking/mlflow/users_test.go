package mlflow_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// users is a server whose admin is root, with what its Auth kept last.
type users struct {
	*api
	auth *mlflow.Auth
	kept *kept
}

type kept struct {
	mu     sync.Mutex
	config mlflow.AuthConfig
	times  int
	fail   error
}

func (k *kept) keep(config mlflow.AuthConfig) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	k.config = config
	k.times++
	return nil
}

func newUsers(t testing.TB, names ...string) *users {
	t.Helper()
	config := mlflow.AuthConfig{Users: []mlflow.AuthUser{{Name: "root", Password: quickHash(t, password), Admin: true}}}
	for _, name := range names {
		config.Users = append(config.Users, mlflow.AuthUser{Name: name, Password: quickHash(t, password), Tokens: []string{mlflow.HashToken("token of " + name)}})
	}
	auth, err := mlflow.NewAuth(config)
	require.NoError(t, err)
	u := &users{auth: auth, kept: &kept{}}
	auth.Changed = u.kept.keep
	auth.HashQuickly()
	u.api = newAPI(t, &mlflow.Options{Auth: auth})
	return u
}

// with returns the server as someone with another password calls it.
func (u *users) with(name, password string) *api {
	b := *u.api
	b.head = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}}
	return &b
}

func TestUsersLife(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	root := u.as("root")
	const first, second = "first password", "second password"
	require.JSONEq(t, `{"user":{"id":2,"username":"ann","is_admin":false,"experiment_permissions":[],"registered_model_permissions":[],"scorer_permissions":[]}}`,
		root.ok("POST", "users/create", `{"username":"ann","password":"`+first+`"}`))
	require.Equal(t, "User (username=ann) already exists", root.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "users/create", `{"username":"ann","password":"`+first+`"}`))
	ann := u.with("ann", first)
	require.JSONEq(t, `{"user":{"id":2,"username":"ann","is_admin":false},"is_basic_auth":true}`, ann.ok("GET", "users/current", ""))
	require.JSONEq(t, `{"users":[{"id":1,"username":"root","is_admin":true,"roles":[]},{"id":2,"username":"ann","is_admin":false,"roles":[]}]}`, root.ok("GET", "users/list", ""))
	require.JSONEq(t, `{"is_admin":false,"permissions":[]}`, ann.ok("GET", "/ajax-api/3.0/mlflow/users/current/permissions", ""))

	// Another password counts at once, and what was remembered of the old one
	// does not.
	change := func(current string) string {
		return `{"username":"ann","password":"` + second + `","current_password":"` + current + `"}`
	}
	require.Contains(t, ann.fails(400, "INVALID_PARAMETER_VALUE", "PATCH", "users/update-password", change("")), "Current password is required")
	require.Contains(t, ann.fails(400, "INVALID_PARAMETER_VALUE", "PATCH", "users/update-password", change("something else")), "does not match")
	require.Contains(t, ann.fails(400, "INVALID_PARAMETER_VALUE", "PATCH", "users/update-password", change(second)), "does not match")
	require.Equal(t, `{}`, ann.ok("PATCH", "users/update-password", change(first)))
	ann.fails(401, "UNAUTHENTICATED", "GET", "users/current", "")
	ann = u.with("ann", second)
	ann.ok("GET", "users/get?username=ann", "")
	require.Contains(t, ann.fails(400, "INVALID_PARAMETER_VALUE", "PATCH", "users/update-password", change(second)), "must differ")

	root.ok("PATCH", "users/update-admin", `{"username":"ann","is_admin":true}`)
	ann.ok("GET", "users/get?username=root", "")
	ann.ok("PATCH", "users/update-admin", `{"username":"ann","is_admin":false}`)
	ann.fails(403, "PERMISSION_DENIED", "GET", "users/get?username=root", "")

	require.Equal(t, `{}`, root.ok("DELETE", "users/delete", `{"username":"ann"}`))
	ann.fails(401, "UNAUTHENTICATED", "GET", "users/current", "")
	require.Equal(t, "User with username=ann not found", root.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "users/get?username=ann", ""))
	require.Len(t, u.kept.config.Users, 1)
	require.Equal(t, u.auth.Config(), u.kept.config)

	// The same name again is someone else.
	require.Contains(t, root.ok("POST", "users/create", `{"username":"ann","password":"`+first+`"}`), `"id":3`)
	u.with("ann", second).fails(401, "UNAUTHENTICATED", "GET", "users/current", "")
	u.with("ann", first).ok("GET", "users/current", "")
}

func TestUsersRefusals(t *testing.T) {
	t.Parallel()
	u := newUsers(t, "ann", "eve")
	root, ann := u.as("root"), u.as("ann")
	before := u.auth.Config()

	for _, tc := range []struct{ method, target, body, says string }{
		{"POST", "users/create", `{}`, "Missing value for required parameter 'username'"},
		{"POST", "users/create", `{"username":"x"}`, "Missing value for required parameter 'password'"},
		{"POST", "users/create", `{"username":"","password":"` + password + `"}`, "Missing value for required parameter 'username'"},
		{"POST", "users/create", `{"username":"a:b","password":"` + password + `"}`, "without colon"},
		{"POST", "users/create", `{"username":"a\nb","password":"` + password + `"}`, "control characters"},
		{"POST", "users/create", `{"username":"` + strings.Repeat("x", 256) + `","password":"` + password + `"}`, "255 bytes"},
		{"POST", "users/create", `{"username":"x","password":"eleven byte"}`, "has 11 bytes, want 12 to 1024"},
		{"POST", "users/create", `{"username":"x","password":"` + strings.Repeat("x", 1025) + `"}`, "has 1025 bytes"},
		{"POST", "users/create", `{"username":"x","password":5}`, "Invalid value 5 for parameter 'password' supplied"},
		{"PATCH", "users/update-password", `{"username":"eve","password":"eleven byte"}`, "has 11 bytes"},
		{"PATCH", "users/update-admin", `{"username":"eve"}`, "Missing value for required parameter 'is_admin'"},
		{"PATCH", "users/update-admin", `{"username":"eve","is_admin":"yes"}`, "Invalid value"},
		{"GET", "users/get", ``, "Missing value for required parameter 'username'"},
		{"DELETE", "users/delete", `{}`, "Missing value for required parameter 'username'"},
	} {
		require.Contains(t, root.fails(400, "INVALID_PARAMETER_VALUE", tc.method, tc.target, tc.body), tc.says, tc.body)
	}
	for _, tc := range [][3]string{
		{"PATCH", "users/update-password", `{"username":"nobody","password":"` + password + `"}`},
		{"PATCH", "users/update-admin", `{"username":"nobody","is_admin":true}`},
		{"DELETE", "users/delete", `{"username":"nobody"}`},
		{"GET", "/api/3.0/mlflow/users/permissions/list?username=nobody", ""},
		{"GET", "/api/3.0/mlflow/users/roles/list?username=nobody", ""},
		{"GET", "/api/3.0/mlflow/users/permissions/get?username=nobody&resource_type=experiment&resource_id=0", ""},
	} {
		require.Equal(t, "User with username=nobody not found", root.fails(404, "RESOURCE_DOES_NOT_EXIST", tc[0], tc[1], tc[2]))
	}

	// The last admin stays, and nobody deletes themselves.
	require.Contains(t, root.fails(400, "BAD_REQUEST", "PATCH", "users/update-admin", `{"username":"root","is_admin":false}`), "only admin")
	require.Contains(t, root.fails(400, "BAD_REQUEST", "DELETE", "users/delete", `{"username":"root"}`), "cannot delete their own account")
	require.Error(t, u.auth.DeleteUser("root"))
	require.ErrorIs(t, u.auth.SetAdmin("nobody", true), tracking.ErrNotFound)

	// To others, users that exist and those that do not are the same.
	for _, name := range []string{"eve", "root", "nobody", "", "a:b"} {
		for _, tc := range [][3]string{
			{"GET", "users/get?username=" + name, ""},
			{"POST", "users/create", `{"username":"` + name + `","password":"` + password + `"}`},
			{"PATCH", "users/update-password", `{"username":"` + name + `","password":"` + password + `"}`},
			{"PATCH", "users/update-admin", `{"username":"` + name + `","is_admin":true}`},
			{"DELETE", "users/delete", `{"username":"` + name + `"}`},
			{"GET", "/api/3.0/mlflow/users/permissions/list?username=" + name, ""},
			{"GET", "/api/3.0/mlflow/users/roles/list?username=" + name, ""},
			{"GET", "/api/3.0/mlflow/users/permissions/get?username=" + name + "&resource_type=experiment&resource_id=0", ""},
			{"POST", "/api/3.0/mlflow/users/permissions/grant", `{"username":"` + name + `","resource_type":"experiment","resource_id":"0","permission":"READ"}`},
			{"POST", "/api/3.0/mlflow/users/permissions/revoke", `{"username":"` + name + `","resource_type":"registered_model","resource_id":"m"}`},
			{"POST", "experiments/permissions/create", `{"username":"` + name + `","experiment_id":"0","permission":"READ"}`},
			{"GET", "registered-models/permissions/get?name=m&username=" + name, ""},
		} {
			if name == "" { // a fault of the request itself, for everyone
				status, text := ann.do(tc[0], tc[1], tc[2])
				require.Contains(t, []int{400, 403}, status, text)
				continue
			}
			require.Equal(t, "Permission denied", ann.fails(403, "PERMISSION_DENIED", tc[0], tc[1], tc[2]), "%s %s %s", tc[0], tc[1], tc[2])
		}
		nobody, user := u.with("nobody", "some password"), u.with("eve", "some password")
		require.Equal(t, nobody.fails(401, "UNAUTHENTICATED", "GET", "users/get?username="+name, ""), user.fails(401, "UNAUTHENTICATED", "GET", "users/get?username="+name, ""))
	}
	require.Equal(t, before, u.auth.Config())
	require.Zero(t, u.kept.times)

	root.fails(501, "NOT_IMPLEMENTED", "POST", "/api/3.0/mlflow/roles/create", `{"name":"r","workspace":"default"}`)
	newAPI(t, nil).fails(404, "ENDPOINT_NOT_FOUND", "GET", "users/current", "")
}

// TestUsersHideHashes asks every route that speaks of users for hashes.
func TestUsersHideHashes(t *testing.T) {
	t.Parallel()
	u := newUsers(t, "ann")
	root := u.as("root")
	var secrets []string
	for _, user := range u.auth.Config().Users {
		secrets = append(secrets, user.Password, strings.Split(user.Password, "$")[3])
		secrets = append(secrets, user.Tokens...)
	}
	for _, target := range []string{
		"users/get?username=ann", "users/list", "users/current", "/ajax-api/3.0/mlflow/users/current/permissions",
		"/api/3.0/mlflow/users/permissions/list?username=ann", "/api/3.0/mlflow/users/roles/list?username=ann",
	} {
		text := root.ok("GET", target, "")
		for _, s := range append(secrets, "pbkdf2", "sha256") {
			require.NotContains(t, text, s, target)
		}
	}
	text := root.ok("POST", "users/create", `{"username":"new","password":"`+password+`"}`)
	require.NotContains(t, text, "pbkdf2")
	require.NotContains(t, text, password)
}

func TestChangesAreKeptOrRefused(t *testing.T) {
	t.Parallel()
	u := newUsers(t, "ann", "eve")
	root, ann := u.as("root"), u.as("ann")
	exp := field(t, ann.ok("POST", "experiments/create", `{"name":"of ann"}`), "experiment_id")
	require.Equal(t, 1, u.kept.times)
	require.Equal(t, mlflow.FullPermission, u.kept.config.Users[0].Experiments[tracking.ExperimentID(exp)])

	before := u.auth.Config()
	u.kept.fail = fmt.Errorf("the disk is full: %w", tracking.ErrInvalid) // of whatever kind, it is no fault of the client
	for _, tc := range [][3]string{
		{"POST", "users/create", `{"username":"new","password":"` + password + `"}`},
		{"PATCH", "users/update-password", `{"username":"ann","password":"another password"}`},
		{"PATCH", "users/update-admin", `{"username":"ann","is_admin":true}`},
		{"DELETE", "users/delete", `{"username":"eve"}`},
		{"POST", "experiments/permissions/create", `{"username":"eve","experiment_id":"` + exp + `","permission":"READ"}`},
		{"POST", "/api/3.0/mlflow/users/permissions/grant", `{"username":"eve","resource_type":"registered_model","resource_id":"m","permission":"READ"}`},
		{"POST", "experiments/create", `{"name":"unkept"}`},
	} {
		require.NotContains(t, root.fails(500, "INTERNAL_ERROR", tc[0], tc[1], tc[2]), "disk")
	}
	require.Equal(t, before, u.auth.Config())
	ann.ok("GET", "users/current", "")
	u.as("eve").ok("GET", "users/current", "")

	u.kept.fail = nil
	root.ok("DELETE", "users/delete", `{"username":"eve"}`)
	times := u.kept.times
	root.ok("PATCH", "users/update-admin", `{"username":"ann","is_admin":false}`) // is the case
	require.NoError(t, u.auth.Grant("ann", tracking.ExperimentID(exp), mlflow.FullPermission))
	require.Equal(t, times, u.kept.times, "nothing to keep")

	// What was kept is all there is after a restart.
	again, err := mlflow.NewAuth(u.kept.config)
	require.NoError(t, err)
	require.Equal(t, u.auth.Config(), again.Config())
	data, err := json.MarshalIndent(u.kept.config, "", "  ")
	require.NoError(t, err)
	parsed, err := mlflow.ParseAuthConfig(strings.NewReader(string(data)))
	require.NoError(t, err)
	require.Equal(t, u.kept.config, parsed)
}

// TestChangesTogether makes many changes at once: none is lost, and what is kept
// last is what is.
func TestChangesTogether(t *testing.T) {
	t.Parallel()
	u := newUsers(t, "ann", "bob")
	const each = 50
	var wg sync.WaitGroup
	for _, name := range []string{"ann", "bob"} {
		wg.Go(func() {
			for i := range each {
				require.NoError(t, u.auth.Grant(name, tracking.ExperimentID(fmt.Sprint(i)), mlflow.EditPermission))
			}
		})
		wg.Go(func() {
			for i := range each {
				require.NoError(t, u.auth.GrantModel(name, fmt.Sprint("m", i), mlflow.EditPermission))
				_ = u.auth.Config()
				u.as(name).ok("GET", "users/current", "")
			}
		})
	}
	wg.Wait()
	require.Equal(t, u.auth.Config(), u.kept.config)
	for _, user := range u.kept.config.Users[:2] {
		require.Len(t, user.Experiments, each)
		require.Len(t, user.Models, each)
	}
	require.Equal(t, 4*each, u.kept.times)
}

// TestOneAdminRemains lets two admins take each other's place away at once.
func TestOneAdminRemains(t *testing.T) {
	t.Parallel()
	for range 20 {
		auth, err := mlflow.NewAuth(mlflow.AuthConfig{Users: []mlflow.AuthUser{
			{Name: "a", Tokens: []string{mlflow.HashToken("a")}, Admin: true}, {Name: "b", Tokens: []string{mlflow.HashToken("b")}, Admin: true},
		}})
		require.NoError(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		wg.Go(func() { errs[0] = auth.SetAdmin("a", false) })
		wg.Go(func() { errs[1] = auth.DeleteUser("b") })
		wg.Wait()
		require.Error(t, errors.Join(errs...))
		require.False(t, errs[0] != nil && errs[1] != nil)
		admins := slices.DeleteFunc(auth.Config().Users, func(u mlflow.AuthUser) bool { return !u.Admin })
		require.Len(t, admins, 1)
	}
}

func TestTooManyGrants(t *testing.T) {
	t.Parallel()
	config := mlflow.AuthConfig{Users: []mlflow.AuthUser{{Name: "a", Admin: true, Tokens: []string{mlflow.HashToken("a")}, Models: map[string]mlflow.Permission{}}}}
	name := strings.Repeat("m", 490)
	for i := range 25_000 {
		config.Users[0].Models[fmt.Sprint(name, i)] = mlflow.ReadPermission
	}
	auth, err := mlflow.NewAuth(config)
	require.NoError(t, err)
	require.NoError(t, auth.GrantModel("a", "one more", mlflow.ReadPermission), "nothing is kept")
	auth.Changed = func(mlflow.AuthConfig) error { return nil }
	before := maps.Clone(auth.Config().Users[0].Models)
	require.ErrorIs(t, auth.GrantModel("a", "and one more", mlflow.ReadPermission), tracking.ErrInvalid)
	require.Equal(t, before, auth.Config().Users[0].Models)
}
