package semcache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/semcache"
)

// letters embeds a text by how often each letter is in it.
type letters struct{}

func (letters) Embed(_ context.Context, text string) ([]float32, error) {
	v := make([]float32, 32)
	for _, r := range strings.ToLower(text) {
		if r == '!' {
			return nil, errors.New("no")
		}
		v[r%32]++
	}
	return v, nil
}

const answer = `{"choices":[{"finish_reason":"stop","message":{"content":"42"}}]}`

// ask returns whether there was an answer; without, it keeps one.
func ask(c *semcache.Cache, tenant, body, with string) bool {
	x := &llm.Exchange{Operation: llm.Chat, Tenant: tenant}
	a, keep := c.Find(context.Background(), x, []byte(body))
	if keep != nil {
		keep(&llm.Answer{Body: []byte(with)})
	}
	return a != nil
}

func chat(text string) string {
	return `{"model":"m","temperature":0,"messages":[{"role":"system","content":"s"},{"role":"user","content":"` + text + `"}]}`
}

func TestWhatIsAlike(t *testing.T) {
	t.Parallel()
	c := semcache.New(letters{}, nil)
	require.False(t, ask(c, "a", chat("what is the answer"), answer))
	require.True(t, ask(c, "a", chat("What is the answer?"), answer))
	for name, body := range map[string]string{
		"another text":       chat("tell me of horses"),
		"another model":      strings.Replace(chat("what is the answer"), `"m"`, `"n"`, 1),
		"another parameter":  strings.Replace(chat("what is the answer"), `"model"`, `"seed":1,"model"`, 1),
		"another message":    strings.Replace(chat("what is the answer"), `"s"`, `"t"`, 1),
		"sampled":            strings.Replace(chat("what is the answer"), `"temperature":0`, `"temperature":0.7`, 1),
		"sampled by default": strings.Replace(chat("what is the answer"), `"temperature":0,`, ``, 1),
		"tools":              strings.Replace(chat("what is the answer"), `"model"`, `"tools":[],"model"`, 1),
		"an image":           strings.Replace(chat("x"), `"x"`, `[{"type":"text","text":"what is the answer"}]`, 1),
		"no embedding":       chat("what is the answer!"),
		"no messages":        `{"model":"m","temperature":0}`,
	} {
		require.False(t, ask(c, "a", body, `{}`), name)
	}
	require.False(t, ask(c, "b", chat("what is the answer"), answer), "another tenant")
	a, keep := c.Find(t.Context(), &llm.Exchange{Operation: llm.Chat, Stream: true}, []byte(chat("what is the answer")))
	require.Nil(t, a)
	require.Nil(t, keep)
	s := c.Stats()
	require.Equal(t, semcache.Stats{Hits: 1, Misses: 6, Skipped: 6, Failed: 1, Entries: 2, Bytes: s.Bytes}, s)

	for _, bad := range []string{`{"choices":[{"finish_reason":"length","message":{}}]}`, `{"choices":[{"finish_reason":"stop","message":{"tool_calls":[{}]}}]}`, `{}`, ``} {
		require.False(t, ask(c, "c", chat("what is the answer"), bad), "it was not kept: %s", bad)
	}
	shared := semcache.New(letters{}, &semcache.Options{Sampled: true, Threshold: 0.9, Share: func(*llm.Exchange) string { return "" }})
	require.False(t, ask(shared, "a", `{"messages":[{"role":"user","content":"hello"}]}`, answer))
	require.True(t, ask(shared, "b", `{"messages":[{"role":"user","content":"hello "}]}`, answer))
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := semcache.New(letters{}, &semcache.Options{MaxBytes: 10_000, Threshold: 0.9999})
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var b strings.Builder
		for range 30 {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		ask(c, "a", chat(b.String()), answer)
	}
	s := c.Stats()
	require.LessOrEqual(t, s.Bytes, 10_000)
	require.Greater(t, s.Entries, 5)
}

// Through a gateway: what the cache answers does not reach the upstream.
func TestGateway(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/embeddings") {
			_, _ = fmt.Fprintf(w, `{"data":[{"embedding":[1,%d]}]}`, strings.Count(string(body), "horse"))
			return
		}
		asked <- string(body)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(there.Close)
	c := semcache.New(semcache.OpenAI(there.URL+"/v1", "e", &semcache.OpenAIOptions{Key: "k"}), nil)
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a"}}}}, &llm.Options{Similar: c, Cache: llm.NewMemoryCache(1 << 20)})
	require.NoError(t, err)
	for _, text := range []string{"one", "one", "two", "a horse"} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(chat(text))))
		require.Equal(t, 200, w.Code)
		require.Equal(t, answer, w.Body.String())
	}
	require.Len(t, asked, 2)
	s := c.Stats()
	require.Equal(t, semcache.Stats{Hits: 1, Misses: 2, Entries: 2, Bytes: s.Bytes}, s)
}

// BenchmarkFind is a search among 10,000 entries of 768 numbers.
func BenchmarkFind(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	c := semcache.New(chance{r}, &semcache.Options{MaxBytes: 1 << 30, Threshold: 0.99})
	for range 10_000 {
		ask(c, "a", chat("x"), answer)
	}
	x, body := &llm.Exchange{Operation: llm.Chat, Tenant: "a"}, []byte(chat("x"))
	for b.Loop() {
		c.Find(b.Context(), x, body)
	}
}

type chance struct{ r *rand.Rand }

func (c chance) Embed(context.Context, string) ([]float32, error) {
	v := make([]float32, 768)
	for i := range v {
		v[i] = float32(c.r.NormFloat64())
	}
	return v, nil
}
