package inttest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/internal/pgtest"
)

// TestMLflowWebhooks has the unmodified Python client make webhooks on
// upstream's server and on ours. Their requests go to a receiver that checks
// the signatures and payloads with upstream's own code, and are the same.
func TestMLflowWebhooks(t *testing.T) {
	t.Parallel()
	inttest.MLflowPython(t)
	// Both servers may reach the receiver, which is on this machine; upstream is
	// told so by its environment.
	env := []string{"MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https", "MLFLOW_WEBHOOK_CACHE_TTL=0"}
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte(strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600))
	ours := []string{"--webhook-keys", keys, "--webhook-allow-http", "--webhook-allow-networks", "127.0.0.0/8"}

	var theirs, sqlite, postgres string
	t.Run("play", func(t *testing.T) {
		t.Run("theirs", func(t *testing.T) {
			t.Parallel()
			theirs = playWebhooks(t, inttest.StartMLflowWith(t, env, "").URL)
		})
		t.Run("sqlite", func(t *testing.T) {
			t.Parallel()
			sqlite = playWebhooks(t, inttest.StartServer(t, "", ours...).URL)
		})
		t.Run("postgres", func(t *testing.T) {
			t.Parallel()
			postgres = playWebhooks(t, inttest.StartServer(t, pgtest.URL(t), ours...).URL)
		})
	})
	if t.Failed() {
		return
	}
	require.JSONEq(t, theirs, sqlite)
	require.JSONEq(t, theirs, postgres)
}

// playWebhooks returns what the client and the receiver got.
func playWebhooks(t *testing.T, url string) string {
	t.Helper()
	result := filepath.Join(t.TempDir(), "result.json")
	out, err := inttest.RunMLflowScript(t, "mlflow_webhooks.py", url, result)
	require.NoError(t, err, "%s", out)
	text, err := os.ReadFile(result)
	require.NoError(t, err)
	require.True(t, json.Valid(text))
	return string(text)
}
