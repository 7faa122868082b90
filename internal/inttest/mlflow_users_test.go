package inttest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// TestMLflowUsers plays a session about users and permissions, by the client of
// MLflow's basic-auth app, against upstream's server and ours. The rows "auth"
// of docs/mlflow-differences.md list what may differ, and that must.
func TestMLflowUsers(t *testing.T) {
	t.Parallel()
	inttest.NeedMLflowAuth(t)
	allowed := slices.DeleteFunc(inttest.AllowedDifferences(t), func(a *inttest.Allowed) bool {
		return !slices.Contains(a.Servers, "auth")
	})
	const admin, password = "admin", "correct horse battery"
	dir := t.TempDir()
	config := filepath.Join(dir, "basic_auth.ini")
	require.NoError(t, os.WriteFile(config, []byte("[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///"+filepath.Join(dir, "basic_auth.db")+
		"\nadmin_username = "+admin+"\nauth_cache_ttl_seconds = 60\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"), 0o600))
	env := []string{"MLFLOW_AUTH_ADMIN_USERNAME=" + admin, "MLFLOW_AUTH_ADMIN_PASSWORD=" + password}
	var theirs, ours *inttest.Transcript
	t.Run("play", func(t *testing.T) {
		t.Run("theirs", func(t *testing.T) {
			t.Parallel()
			server := inttest.StartMLflowAuth(t, slices.Concat(env, []string{"MLFLOW_AUTH_CONFIG_PATH=" + config, "MLFLOW_FLASK_SERVER_SECRET_KEY=of this test"}))
			theirs = inttest.PlayUsers(t, server.URL, admin, password)
		})
		t.Run("ours", func(t *testing.T) {
			t.Parallel()
			server := inttest.StartServerWith(t, env, "", "--app-name", "basic-auth", "--users", filepath.Join(dir, "users.json"))
			ours = inttest.PlayUsers(t, server.URL, admin, password)
		})
	})
	if t.Failed() {
		return
	}
	require.Greater(t, len(theirs.Steps), 240)
	check := newDifferences(allowed)
	check.compare(t, "auth", theirs, ours)
	check.stale(t)
}

// TestUsersSurviveKill kills our server while permissions change: whatever was
// answered is there when it comes back.
func TestUsersSurviveKill(t *testing.T) {
	t.Parallel()
	const token = "the token of an admin"
	dir := t.TempDir()
	users := filepath.Join(dir, "users.json")
	config := mlflow.AuthConfig{Users: []mlflow.AuthUser{{Name: "admin", Admin: true, Tokens: []string{mlflow.HashToken(token)}}}}
	data, err := json.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(users, data, 0o600))
	server := inttest.StartServer(t, "", "--app-name", "basic-auth", "--users", users)
	call := func(method, path, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, ""
		}
		return resp.StatusCode, string(text)
	}
	const workers, rounds, enough = 4, 3, 15
	var mu sync.Mutex
	granted := map[string]bool{} // model → whether its grant was the last thing that was answered
	for round := range rounds {
		var wg sync.WaitGroup
		ready := make(chan struct{}, workers)
		for w := range workers {
			wg.Go(func() {
				for i := 0; ; i++ {
					if i == enough {
						ready <- struct{}{}
					}
					model := fmt.Sprintf("m-%d-%d-%d", round, w, i)
					body := fmt.Sprintf(`{"username":"admin","name":%q,"permission":"READ"}`, model)
					if status, _ := call(http.MethodPost, "/api/2.0/mlflow/registered-models/permissions/create", body); status != http.StatusOK {
						return
					}
					mu.Lock()
					granted[model] = true
					mu.Unlock()
					if i%3 != 0 {
						continue
					}
					mu.Lock()
					delete(granted, model) // from here on nobody knows, until the answer
					mu.Unlock()
					if status, _ := call(http.MethodDelete, "/api/2.0/mlflow/registered-models/permissions/delete", body); status != http.StatusOK {
						return
					}
					mu.Lock()
					granted[model] = false
					mu.Unlock()
				}
			})
		}
		for range workers {
			<-ready
		}
		server.Kill()
		wg.Wait()
		server.Restart(t)
		status, text := call(http.MethodGet, "/api/3.0/mlflow/users/current/permissions", "")
		require.Equal(t, http.StatusOK, status, text)
		for model, there := range granted {
			require.Equal(t, there, strings.Contains(text, `"`+model+`"`), "round %d, %s", round, model)
		}
	}
	require.Greater(t, len(granted), workers*rounds*enough-1)
}
