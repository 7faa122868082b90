package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// The configuration works, and the tenant in it is let in with its key.
func TestGateway(t *testing.T) {
	t.Parallel()
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":100,"completion_tokens":10}}`)
	}))
	t.Cleanup(there.Close)
	text, err := os.ReadFile("config.json")
	require.NoError(t, err)
	for _, address := range []string{"http://127.0.0.1:8000", "http://127.0.0.1:8001"} {
		text = []byte(strings.ReplaceAll(string(text), address, there.URL))
	}
	path := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	registry := prometheus.NewRegistry()
	g, err := load(path, registry, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for key, want := range map[string]int{"key": 200, "another": 401} {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"chat","messages":[]}`))
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, w.Body)
	}
	found, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, found)

	require.NoError(t, os.WriteFile(path, []byte(`{"model":[]}`), 0o600))
	_, err = load(path, registry, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "unknown field")
}
