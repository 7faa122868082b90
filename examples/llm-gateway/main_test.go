package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// The configuration works, and the tenant in it is let in with its key.
func TestGateway(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked.Store(string(body))
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
	s, err := load(t.Context(), path, registry, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for key, want := range map[string]int{"key": 200, "another": 401} {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"chat","messages":[{"role":"user","content":"I am anna@example.com"}]}`))
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		s.gateway.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, w.Body)
	}
	found, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, found)
	require.NotContains(t, asked.Load(), "anna@example.com")
	w := httptest.NewRecorder()
	s.costs.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/costs?format=csv", nil))
	require.Contains(t, w.Body.String(), "shop,chat,1,")

	for file, want := range map[string]string{
		`{"model":[]}`:              "unknown field",
		`{"redact":["shoe size"]}`:  "none of [card email iban ipv4 key phone]",
		`{"databaseFile":"nofile"}`: "nofile",
	} {
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
		_, err = load(t.Context(), path, registry, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, want)
	}
}
