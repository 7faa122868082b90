package llm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

func candidates(tokens ...int64) []llm.Candidate {
	var list []llm.Candidate
	for i, n := range tokens {
		list = append(list, llm.Candidate{Upstream: fmt.Sprintf("u%d", i), Model: "m", Tokens: n, Weight: 1, Signals: &llm.Signals{}})
	}
	return list
}

func TestLeastTokensNeverPicksTheBusiest(t *testing.T) {
	t.Parallel()
	c := candidates(5, 1000, 10)
	counts := make([]int, 3)
	for range 1000 {
		counts[llm.LeastTokens{}.Pick(&llm.Query{}, c)]++
	}
	require.Zero(t, counts[1])
	require.NotZero(t, counts[0])
	require.NotZero(t, counts[2])
	// What others keep it busy with counts, and so does its size.
	c[0].Signals = &llm.Signals{Waiting: 100}
	c[1].Weight = 1e6
	require.Equal(t, 1, llm.LeastTokens{}.Pick(&llm.Query{}, c[:2]))
}

func TestSessionsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	r := llm.SessionAffinity{}
	five := candidates(0, 0, 0, 0, 0)
	moved, counts := 0, make([]int, 5)
	for i := range 5000 {
		q := &llm.Query{Session: fmt.Sprint(i)}
		at := r.Pick(q, five)
		counts[at]++
		require.Equal(t, at, r.Pick(q, five))
		if at != r.Pick(q, five[:4]) {
			moved++
		}
	}
	for _, n := range counts {
		require.InDelta(t, 1000, n, 150)
	}
	require.Equal(t, counts[4], moved, "only the sessions of the one that went")
	require.Equal(t, r.Pick(&llm.Query{User: "a"}, five), r.Pick(&llm.Query{User: "a"}, five))
	require.Equal(t, 0, r.Pick(&llm.Query{}, five[:1]))
}

func TestAdaptersAreFound(t *testing.T) {
	t.Parallel()
	c := candidates(0, 0, 0)
	c[2].Signals = &llm.Signals{Adapters: []string{"x", "m"}}
	for range 20 {
		require.Equal(t, 2, llm.AdapterAffinity{}.Pick(&llm.Query{}, c))
	}
	require.Less(t, llm.AdapterAffinity{Then: llm.SessionAffinity{}}.Pick(&llm.Query{}, c[:2]), 2)
}

func TestPrefixesGoWhereTheyWereRead(t *testing.T) {
	t.Parallel()
	p := llm.NewPrefixAffinity(&llm.PrefixOptions{BlockBytes: 16})
	c := candidates(0, 0, 0, 0)
	talk := strings.Repeat("a conversation that grows. ", 20)
	q := &llm.Query{Prompt: []byte(talk), Tokens: 10}
	first := p.Pick(q, c)
	for i := range 10 {
		q.Prompt = append(q.Prompt, fmt.Sprintf("turn %d of it, with more to say.", i)...)
		require.Equal(t, first, p.Pick(q, c))
	}
	// One that is far too busy does not get it.
	c[first].Tokens = 1000
	require.NotEqual(t, first, p.Pick(q, c))
	// Another tenant's prompt is another one, and a short one goes by load.
	c[first].Tokens = 0
	c[(first+1)%4].Tokens = 1 << 40
	for range 50 {
		require.NotEqual(t, (first+1)%4, p.Pick(&llm.Query{Prompt: []byte("short"), Tokens: 1}, c))
	}
}

func TestPrefixesAreForgotten(t *testing.T) {
	t.Parallel()
	p := llm.NewPrefixAffinity(&llm.PrefixOptions{BlockBytes: 8, Blocks: 64, MaxBlocks: 8})
	c := candidates(0)
	for i := range 1000 {
		p.Pick(&llm.Query{Prompt: fmt.Appendf(nil, "%08d%s", i, strings.Repeat("x", 100))}, c)
	}
	require.LessOrEqual(t, p.Remembered(), 64)
}

// A fleet with caches of their own: conversations of several turns, some with the
// same long beginning. By prefix the fleet reads far less than by load alone.
func TestPrefixRoutingSavesReading(t *testing.T) {
	t.Parallel()
	run := func(r llm.Router) (hits, total int) {
		rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // A trace that is the same each time.
		caches := make([]*llm.PrefixAffinity, 8)
		c := candidates(make([]int64, 8)...)
		for i := range caches {
			caches[i] = llm.NewPrefixAffinity(&llm.PrefixOptions{BlockBytes: 64, Blocks: 2000})
		}
		systems := make([]string, 20)
		for i := range systems {
			systems[i] = strings.Repeat(fmt.Sprintf("the rules of the house %d. ", i), 40)
		}
		talks := make([]string, 100)
		for range 4000 {
			k := rng.IntN(len(talks))
			if len(talks[k]) > 6000 || talks[k] == "" {
				talks[k] = systems[rng.IntN(len(systems))]
			}
			talks[k] += strings.Repeat(fmt.Sprintf("turn %d. ", rng.IntN(1000)), 30)
			q := &llm.Query{Prompt: []byte(talks[k]), Tokens: len(talks[k]) / 4}
			at := r.Pick(q, c)
			// Each is busy for the time of about thirty requests.
			c[at].Tokens += int64(q.Tokens)
			for i := range c {
				c[i].Tokens = c[i].Tokens * 9 / 10
			}
			n, of := caches[at].Matched(q)
			hits, total = hits+n, total+of
			caches[at].Pick(q, candidates(0))
		}
		return hits, total
	}
	next := 0
	round := llm.RouterFunc(func(_ *llm.Query, c []llm.Candidate) int { next++; return next % len(c) })
	byPrefix, total := run(llm.NewPrefixAffinity(&llm.PrefixOptions{BlockBytes: 64, Blocks: 2000}))
	byLoad, _ := run(llm.LeastTokens{})
	byTurn, _ := run(round)
	t.Logf("blocks in the cache: by prefix %.1f %%, by load %.1f %%, in turn %.1f %%", percent(byPrefix, total), percent(byLoad, total), percent(byTurn, total))
	require.Greater(t, byPrefix, byTurn*13/10)
	require.Greater(t, byPrefix, byLoad*13/10)
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }

const metricsPage = `# HELP vllm:num_requests_running Number of requests
vllm:num_requests_running{engine="0",model_name="a} b"} 3.0
vllm:num_requests_running{engine="1",model_name="a"} 4
vllm:num_requests_waiting{engine="0"} 2 1700000000
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old"} 1.0
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql, chat"} 2.0
vllm:num_requests_waiting_total NaN
garbage
`

func TestWatchReadsTheSignals(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down.Load():
			w.WriteHeader(500)
		case r.URL.Path == "/metrics":
			_, _ = w.Write([]byte(metricsPage))
		case r.Header.Get("Authorization") != "Bearer k":
			w.WriteHeader(401)
		}
	}))
	t.Cleanup(server.Close)
	g, err := llm.New([]llm.Upstream{{Name: "u", URL: server.URL + "/v1", Metrics: server.URL + "/metrics", Key: "k"}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "u"}}}}, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Watch(ctx, &llm.WatchOptions{Every: 5 * time.Millisecond, Timeout: time.Minute}) }()
	status := func() llm.UpstreamStatus { return g.Upstreams()[0] }
	require.Eventually(t, func() bool { return !status().Signals.At.IsZero() }, time.Minute, time.Millisecond)
	s := status().Signals
	s.At = time.Time{}
	require.Equal(t, llm.Signals{Running: 7, Waiting: 2, Cache: 0.75, Adapters: []string{"sql", "chat"}}, s)
	require.True(t, status().Ready)
	down.Store(true)
	require.Eventually(t, func() bool { return status().Down }, time.Minute, time.Millisecond)
	web := httptest.NewServer(g)
	t.Cleanup(web.Close)
	resp, _ := post(t, web, chat, `{"model":"m"}`)
	require.Equal(t, 503, resp.StatusCode)
	down.Store(false)
	require.Eventually(t, func() bool { return status().Ready }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func FuzzSignals(f *testing.F) {
	f.Add(metricsPage)
	f.Add("vllm:kv_cache_usage_perc 1e309\nvllm:num_requests_running{ 1\nvllm:num_requests_waiting -1")
	f.Fuzz(func(t *testing.T, page string) {
		s, err := llm.ReadSignals(strings.NewReader(page))
		if err == nil {
			require.GreaterOrEqual(t, s.Running, 0.0)
			require.GreaterOrEqual(t, s.Cache, 0.0)
		}
	})
}
