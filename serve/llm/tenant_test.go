package llm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// tenants lets the header X-Tenant say whose request it is.
func tenants(list ...*llm.Tenant) llm.Authenticator {
	return llm.AuthenticatorFunc(func(r *http.Request) (*llm.Tenant, error) {
		for _, t := range list {
			if t.Name == r.Header.Get("X-Tenant") {
				return t, nil
			}
		}
		return nil, &llm.Error{Status: 401, Type: "authentication_error", Message: "nobody"}
	})
}

func TestKeysAreHashes(t *testing.T) {
	t.Parallel()
	_, err := llm.NewKeys(map[string]*llm.Tenant{"sk-in-the-clear": {Name: "a"}, llm.HashKey("b"): nil, llm.HashKey("c"): {Tokens: -1}})
	require.ErrorIs(t, err, llm.ErrInvalid)
	require.NotContains(t, err.Error(), "sk-in-the-clear")
	require.ErrorContains(t, err, "not the hash of one")
	require.ErrorContains(t, err, "no tenant")
	require.ErrorContains(t, err, "below 0")

	keys, err := llm.NewKeys(map[string]*llm.Tenant{llm.HashKey("k1"): {Name: "a", Models: []string{"m"}}, llm.HashKey("k2"): {Name: "b", Models: []string{"other"}}})
	require.NoError(t, err)
	u := newUpstream(t, answers(200, whole))
	_, server, seen := gateway(t, &llm.Options{Auth: keys}, u)
	for key, want := range map[string]int{"Bearer k1": 200, "bearer k1": 200, "Bearer k2": 404, "Bearer k": 401, "Basic k1": 401, "": 401, "Bearer ": 401} {
		resp, body := post(t, server, chat, `{"model":"m"}`, "Authorization", key)
		require.Equal(t, want, resp.StatusCode, "%q: %s", key, body)
		x := <-seen
		require.NotContains(t, fmt.Sprintf("%+v", x), "k1")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/models", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer k2")
	w := newRecorder()
	server.Config.Handler.ServeHTTP(w, req)
	require.Equal(t, `{"object":"list","data":[]}`, w.String())
}

func TestLimitsAreTakenAndSettled(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answers(200, whole)) // It takes 10 tokens.
	_, server, _ := gateway(t, &llm.Options{Auth: tenants(&llm.Tenant{Name: "t", Tokens: 600}, &llm.Tenant{Name: "r", Requests: 2})}, u)
	ask := func(tenant string, most int) (*http.Response, string) {
		return post(t, server, chat, fmt.Sprintf(`{"model":"m","max_tokens":%d}`, most), "X-Tenant", tenant)
	}
	// 500 are taken and 490 given back, so that many requests find room.
	for range 20 {
		resp, body := ask("t", 500)
		if resp.StatusCode != 200 {
			break
		}
		require.Equal(t, "600", resp.Header.Get("X-Ratelimit-Limit-Tokens"))
		require.NotEmpty(t, body)
	}
	require.Greater(t, len(u.bodies), 5)
	// One that took far more than it was expected to is made up for by the next.
	greedy := newUpstream(t, answers(200, `{"usage":{"prompt_tokens":100000,"completion_tokens":100000}}`))
	_, other, _ := gateway(t, &llm.Options{Auth: tenants(&llm.Tenant{Name: "t", Tokens: 600})}, greedy)
	resp, _ := post(t, other, chat, `{"model":"m","max_tokens":5}`, "X-Tenant", "t")
	require.Equal(t, 200, resp.StatusCode)
	resp, body := post(t, other, chat, `{"model":"m","max_tokens":5}`, "X-Tenant", "t")
	require.Equal(t, 429, resp.StatusCode, body)
	require.Contains(t, body, `"type":"tokens"`)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	resp, body = ask("t", 6000)
	require.Equal(t, 429, resp.StatusCode)
	require.Contains(t, body, "ask for fewer")
	require.Empty(t, resp.Header.Get("Retry-After"), "it would never help")

	for i := range 3 {
		resp, body = ask("r", 5000)
		require.Equal(t, i == 2, resp.StatusCode == 429, body)
	}
	require.Contains(t, body, "the limit of 2 requests a minute is reached")
}

// Budgets hold under concurrency: with MaxTokens and a byte a token nothing is
// overspent at all.
func TestBudgetsAreNeverOverspent(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answers(200, `{"usage":{"prompt_tokens":20,"completion_tokens":100}}`))
	m := llm.Model{Name: "m", MaxTokens: 100, Price: llm.Price{Input: 1, Output: 10}} // 0.00102 a request.
	_, server, seen := gatewayOf(t, &llm.Options{Auth: tenants(&llm.Tenant{Name: "t", Budget: 0.02, Period: llm.Day}), BytesPerToken: 1, Observers: []llm.Observer{}}, m, u)
	var ok, refused atomic.Int64
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			resp, body := post(t, server, chat, `{"model":"m","messages":"`+strings.Repeat("x", 30)+`"}`, "X-Tenant", "t")
			switch resp.StatusCode {
			case 200:
				ok.Add(1)
			case 429:
				refused.Add(1)
				if !strings.Contains(body, "insufficient_quota") {
					t.Error(body)
				}
			}
		})
	}
	wg.Wait()
	var spent llm.Nanos
	for range 60 {
		spent += (<-seen).Cost
	}
	require.EqualValues(t, ok.Load()*1_020_000, spent)
	require.LessOrEqual(t, spent, llm.Nanos(20_000_000))
	require.NotZero(t, refused.Load())
	// What was given back can be spent.
	for {
		resp, _ := post(t, server, chat, `{"model":"m","messages":"`+strings.Repeat("x", 30)+`"}`, "X-Tenant", "t")
		spent += (<-seen).Cost
		if resp.StatusCode == 429 {
			break
		}
	}
	require.LessOrEqual(t, spent, llm.Nanos(20_000_000))
	require.Greater(t, spent, llm.Nanos(20_000_000-2*1_100_000))
}

// Who leaves before the answer pays what was reserved for it: the upstream worked.
func TestLeavingIsNotFree(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"false", "true"} {
		asked := make(chan struct{}, 1)
		u := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			asked <- struct{}{}
			<-r.Context().Done()
		})
		m := llm.Model{Name: "m", MaxTokens: 100, Price: llm.Price{Input: 1, Output: 10}}
		_, server, seen := gatewayOf(t, &llm.Options{Auth: tenants(&llm.Tenant{Name: "t", Budget: 0.0015, Period: llm.Month}), Observers: []llm.Observer{}}, m, u)
		ctx, leave := context.WithCancel(t.Context())
		body := `{"model":"m","stream":` + stream + `,"messages":"x"}`
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+chat, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-Tenant", "t")
		gone := make(chan error, 1)
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			gone <- err
		}()
		<-asked
		leave()
		require.Error(t, <-gone)
		x := <-seen
		require.Equal(t, 499, x.Status)
		require.True(t, x.Estimated)
		require.Equal(t, 100, x.Usage.Output)
		require.GreaterOrEqual(t, x.Cost, llm.Nanos(1_000_000))
		resp, _ := post(t, server, chat, body, "X-Tenant", "t")
		require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	}
}

func TestMemoryFillsUpAgain(t *testing.T) {
	t.Parallel()
	m := llm.NewMemory()
	one := []llm.Charge{{Key: "a", Amount: 90, Limit: 100, Per: 100 * time.Millisecond}, {Key: "b", Amount: 1, Limit: 1, Until: time.Now().Add(time.Hour)}}
	short, _, err := m.Take(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, -1, short)
	short, wait, err := m.Take(t.Context(), one[1:])
	require.NoError(t, err)
	require.Equal(t, 0, short)
	require.Greater(t, wait, 50*time.Minute)
	require.Eventually(t, func() bool {
		short, wait, err := m.Take(t.Context(), one[:1])
		return err == nil && (short == -1 || wait > time.Second)
	}, time.Minute, time.Millisecond)
}

// With five times as many requests as there is room for, tenants of the same
// priority get what their shares are, however much they ask for.
func TestSharesUnderOverload(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answers(200, whole)(w, r)
	})
	list := []*llm.Tenant{{Name: "loud"}, {Name: "quiet"}, {Name: "double", Share: 2}, {Name: "urgent", Priority: 1}}
	g, server, seen := gatewayOf(t, &llm.Options{Auth: tenants(list...), MaxWaiting: 200}, llm.Model{Name: "m", Concurrency: 4}, u)
	var wg sync.WaitGroup
	send := func(tenant string, n int) {
		for range n {
			wg.Go(func() { _, _ = post(t, server, chat, `{"model":"m"}`, "X-Tenant", tenant) })
		}
	}
	send("loud", 90) // Of these four run.
	require.Eventually(t, func() bool { return g.Waiting("m") == 86 }, time.Minute, time.Millisecond)
	send("quiet", 20)
	send("double", 20)
	send("urgent", 5)
	require.Eventually(t, func() bool { return g.Waiting("m") == 131 }, time.Minute, time.Millisecond)
	counts := make(map[string]int)
	for i := range 4 + 5 + 40 {
		release <- struct{}{}
		x := <-seen
		if i >= 4 {
			counts[x.Tenant]++
		}
		if i >= 4 && i < 9 {
			continue
		}
	}
	require.GreaterOrEqual(t, counts["urgent"], 5)
	require.InDelta(t, 10, counts["loud"], 4)
	require.InDelta(t, 10, counts["quiet"], 4)
	require.InDelta(t, 20, counts["double"], 5)
	close(release)
	wg.Wait()
}

func TestTooManyWait(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answers(200, whole)(w, r)
	})
	g, server, seen := gatewayOf(t, &llm.Options{Auth: tenants(&llm.Tenant{Name: "a"}, &llm.Tenant{Name: "b"}), MaxWaiting: 3}, llm.Model{Name: "m", Concurrency: 1}, u)
	var wg sync.WaitGroup
	send := func(tenant string) {
		wg.Go(func() { _, _ = post(t, server, chat, `{"model":"m"}`, "X-Tenant", tenant) })
	}
	for range 4 {
		send("a")
	}
	require.Eventually(t, func() bool { return g.Waiting("m") == 3 }, time.Minute, time.Millisecond)
	resp, body := post(t, server, chat, `{"model":"m"}`, "X-Tenant", "a")
	require.Equal(t, 429, resp.StatusCode, body)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.Equal(t, 429, (<-seen).Status)
	send("b")
	x := <-seen
	require.Equal(t, 429, x.Status, "the latest of who has the most makes room")
	require.Equal(t, "a", x.Tenant)
	close(release)
	wg.Wait()
}
