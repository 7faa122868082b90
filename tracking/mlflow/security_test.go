package mlflow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

func TestHostHeader(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "LOCALHOST": true, "127.0.0.1:80": true, "127.8.8.8": true, "[::1]": true, "[::1]:5000": true,
		"0.0.0.0:5000": true, "10.1.2.3": true, "172.16.0.1:1": true, "172.31.255.255": true, "192.168.7.7:5000": true, "[fd00::1]:5000": true,
		"evil.com": false, "evil.com:5000": false, "": false, "10.evil.com": false, "192.168.1.1.evil.com": false, "172.32.0.1": false, "8.8.8.8": false,
		"localhost.evil.com": false, "localhost:5000:1": false, "localhost:evil": false, "localhost@evil.com": false, "[::1": false, "127.1": false,
	} {
		require.Equal(t, want, mlflow.HostAllowed(nil, host), host)
	}
	allowed := []string{"ml.example.com", "*.corp:8443"}
	for host, want := range map[string]bool{
		"ml.example.com": true, "ml.example.com:5000": true, "ML.Example.com": true, "x.corp:8443": true,
		"x.corp": false, "x.corp:1": false, "localhost": false, "evil.com": false, "ml.example.com.evil": false,
	} {
		require.Equal(t, want, mlflow.HostAllowed(allowed, host), host)
	}
	require.True(t, mlflow.HostAllowed([]string{"*"}, "anything"))

	a := newAPI(t, nil)
	for _, target := range []string{"/api/2.0/mlflow/experiments/get?experiment_id=0", "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0", "/graphql", "/nothing", "/get-artifact"} {
		resp := hostRequest(a, "GET", target, "evil.com")
		require.Equal(t, 403, resp.StatusCode, target)
		require.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	}
	require.Equal(t, 200, hostRequest(a, "GET", "/health", "evil.com").StatusCode)
	require.Equal(t, 200, hostRequest(a, "GET", "/version", "evil.com").StatusCode)
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	a := newAPI(t, &mlflow.Options{AllowedOrigins: []string{"https://ui.example.com", "https://*.corp"}})
	for _, tc := range []struct {
		origin string
		post   int
		listed bool
	}{
		{"", 200, false}, {"http://localhost", 200, false}, {"http://localhost:3000", 200, false}, {"http://127.0.0.1:1", 200, false}, {"http://[::1]:1", 200, false},
		{"https://ui.example.com", 200, true}, {"https://a.corp", 200, true},
		{"http://evil.com", 403, false}, {"null", 403, false}, {"https://ui.example.com.evil.com", 403, false}, {"http://ui.example.com", 403, false},
		{"http://localhost.evil.com", 403, false}, {"http://localhost@evil.com", 403, false}, {"file://", 403, false}, {"::", 403, false},
	} {
		for _, root := range []string{"/api", "/ajax-api"} {
			resp := a.send("POST", root+"/2.0/mlflow/experiments/search", `{}`, "Origin", tc.origin)
			require.Equal(t, tc.post, resp.StatusCode, tc.origin)
			allow := ""
			if tc.listed {
				allow = tc.origin
			}
			require.Equal(t, allow, resp.Header.Get("Access-Control-Allow-Origin"), tc.origin)
			require.Equal(t, 200, a.send("GET", root+"/2.0/mlflow/experiments/get?experiment_id=0", "", "Origin", tc.origin).StatusCode)
			for _, method := range []string{"PUT", "PATCH", "DELETE"} {
				resp := a.send(method, root+"/2.0/mlflow/logged-models/m-1", `{}`, "Origin", tc.origin)
				require.Equal(t, tc.post == 403, resp.StatusCode == 403, "%s %s", method, tc.origin)
			}
			require.Equal(t, 204, a.send("OPTIONS", root+"/2.0/mlflow/experiments/search", "", "Origin", tc.origin).StatusCode)
		}
	}
}

func TestOwnOriginMayWrite(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), "POST", "/ajax-api/2.0/mlflow/experiments/search", strings.NewReader("{}"))
	require.NoError(t, err)
	r.Host = "10.0.0.5:5000"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "http://10.0.0.5:5000")
	require.Equal(t, 200, record(a.h, r).StatusCode)
	r.Header.Set("Origin", "http://10.0.0.6:5000")
	require.Equal(t, 403, record(a.h, r).StatusCode)
}

func TestRoutesMustBeComplete(t *testing.T) {
	t.Parallel()
	require.NoError(t, mlflow.CheckRoutes(func(_, _ *string, _, _, _ *bool) {}))
	for name, change := range map[string]func(method, path *string, serve, scope, verb *bool){
		"no method": func(method, _ *string, _, _, _ *bool) { *method = "" },
		"no path":   func(_, path *string, _, _, _ *bool) { *path = "" },
		"no serve":  func(_, _ *string, serve, _, _ *bool) { *serve = false },
		"no scope":  func(_, _ *string, _, scope, _ *bool) { *scope = false },
		"no verb":   func(_, _ *string, _, _, verb *bool) { *verb = false },
		"twice":     func(_, path *string, _, _, _ *bool) { *path = "y" },
	} {
		require.ErrorIs(t, mlflow.CheckRoutes(change), tracking.ErrInvalid, name)
	}
}

func TestNewHandlerRefusesBadOptions(t *testing.T) {
	t.Parallel()
	_, err := mlflow.NewHandler(nil, nil)
	require.ErrorIs(t, err, tracking.ErrInvalid)
	for _, prefix := range []string{"ml", "/ml/", "//ml", "/"} {
		_, err := mlflow.NewHandler(newAPI(t, nil).store, &mlflow.Options{Prefix: prefix})
		require.ErrorIs(t, err, tracking.ErrInvalid, prefix)
	}
}

// broken is a store that fails in a chosen way once it is armed.
type broken struct {
	tracking.Store
	fail func() error
}

func (b *broken) Run(ctx context.Context, id tracking.RunID) (tracking.RunInfo, error) {
	if b.fail != nil {
		return tracking.RunInfo{}, b.fail()
	}
	return b.Store.Run(ctx, id)
}

func TestFailuresShowNothing(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	store := &broken{Store: newAPI(t, nil).store}
	h, err := mlflow.NewHandler(store, &mlflow.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	require.NoError(t, err)
	a := &api{t: t, h: h}
	const get = "runs/get?run_id=abc"
	for _, tc := range []struct {
		fail   func() error
		status int
		code   string
	}{
		{func() error { panic("SELECT password FROM users") }, 500, "INTERNAL_ERROR"},
		{func() error { return errors.New("SELECT password FROM users") }, 500, "INTERNAL_ERROR"},
		{func() error { return fmt.Errorf("password@host: %w", tracking.ErrUnavailable) }, 503, "TEMPORARILY_UNAVAILABLE"},
		{func() error { return fmt.Errorf("password@host: %w", tracking.ErrClosed) }, 503, "TEMPORARILY_UNAVAILABLE"},
		{func() error { return fmt.Errorf("password: %w", context.DeadlineExceeded) }, 504, "DEADLINE_EXCEEDED"},
		{func() error { return fmt.Errorf("password: %w", context.Canceled) }, 499, "CANCELLED"},
	} {
		store.fail = tc.fail
		require.NotContains(t, a.fails(tc.status, tc.code, "GET", get, ""), "password")
	}
	require.Contains(t, logged.String(), "SELECT password", "the operator is told")
}

func TestAuthorizeFailuresAreNotRights(t *testing.T) {
	t.Parallel()
	var fail error
	a := newAPI(t, &mlflow.Options{Authorize: func(*http.Request, mlflow.Action) error { return fail }})
	for _, tc := range []struct {
		fail   error
		status int
		code   string
	}{
		{mlflow.ErrUnauthenticated, 401, "UNAUTHENTICATED"},
		{mlflow.ErrDenied, 403, "PERMISSION_DENIED"},
		{errors.New("ldap: bind password"), 403, "PERMISSION_DENIED"},
		{fmt.Errorf("ldap: %w", tracking.ErrUnavailable), 503, "TEMPORARILY_UNAVAILABLE"},
	} {
		fail = tc.fail
		require.NotContains(t, a.fails(tc.status, tc.code, "POST", "experiments/search", `{}`), "password")
	}
}
