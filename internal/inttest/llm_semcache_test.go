package inttest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/semcache"
)

// The semantic cache goes by the embeddings of llama.cpp. The model has random
// weights, so that only the same text is near for certain.
func TestSemanticCacheByEmbeddingsOfLlama(t *testing.T) {
	t.Parallel()
	embeds := inttest.Llama(t, "embeddings")
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"choices":[{"finish_reason":"stop","message":{"content":"42"}}]}`))
	}))
	t.Cleanup(there.Close)
	c := semcache.New(semcache.OpenAI(embeds+"/v1", "noise", nil), &semcache.Options{Timeout: inttest.Patience, Threshold: 0.99999})
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a"}}}}, &llm.Options{Similar: c})
	require.NoError(t, err)
	for _, text := range []string{"What is the answer?", "What is the answer?", "Tell me of horses, please."} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m","temperature":0,"messages":[{"role":"user","content":"`+text+`"}]}`)))
		require.Equal(t, http.StatusOK, w.Code)
	}
	s := c.Stats()
	require.Equal(t, semcache.Stats{Hits: 1, Misses: 2, Entries: 2, Bytes: s.Bytes}, s)
}
