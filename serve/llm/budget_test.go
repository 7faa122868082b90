package llm_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// What does not fit in 64 bits is as much as there is, and nothing is less than
// nothing: neither gives a tenant money.
func TestPricesDoNotOverflow(t *testing.T) {
	t.Parallel()
	const most = llm.Nanos(9e18)
	for _, c := range []struct {
		price llm.Price
		usage llm.Usage
		want  llm.Nanos
	}{
		{llm.Price{Input: 0.2, Output: 0.8}, llm.Usage{Input: 100, Output: 10}, 28_000},
		{llm.Price{Input: 10, CachedInput: -1}, llm.Usage{Input: 10, CachedInput: 4}, 60_000},
		{llm.Price{Input: 10, CachedInput: 1}, llm.Usage{Input: 10, CachedInput: 40}, 10_000},
		{llm.Price{Request: 0.5}, llm.Usage{}, 500_000_000},
		{llm.Price{Input: 1e9}, llm.Usage{Input: math.MaxInt}, most},
		{llm.Price{Input: math.MaxFloat64, Output: math.MaxFloat64}, llm.Usage{Input: 5, Output: 5}, most},
		{llm.Price{Input: math.Inf(1)}, llm.Usage{Input: 1}, most},
		{llm.Price{Input: math.Inf(1)}, llm.Usage{}, most},
		{llm.Price{Input: math.NaN()}, llm.Usage{Input: 1}, most},
		{llm.Price{Input: 10, Output: 10}, llm.Usage{Input: -100, Output: math.MinInt, CachedInput: -5}, 0},
		{llm.Price{Input: -10}, llm.Usage{Input: 10}, 0},
	} {
		require.Equal(t, c.want, c.price.Of(c.usage), "%+v %+v", c.price, c.usage)
	}
}

func TestLimitsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, tenant := range []llm.Tenant{
		{Requests: -1}, {Tokens: math.MinInt64}, {Budget: -1}, {Budget: math.NaN()}, {Budget: math.Inf(1)}, {Budget: 1e10}, {Share: -1}, {Share: math.NaN()},
	} {
		tenant.Name = "t"
		_, err := llm.NewKeys(map[string]*llm.Tenant{llm.HashKey("k"): &tenant})
		require.ErrorIs(t, err, llm.ErrInvalid, "%+v", tenant)
	}
	for _, price := range []llm.Price{{Input: -1}, {Output: math.NaN()}, {Request: math.Inf(-1)}, {CachedInput: -2}, {Input: math.Inf(1)}, {Output: 1e10}, {Request: 1e10}, {CachedInput: math.Inf(1)}} {
		_, err := llm.New([]llm.Upstream{{Name: "u", URL: "http://u"}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "u"}}, Price: price}}, nil)
		require.ErrorIs(t, err, llm.ErrInvalid, "%+v", price)
	}
}

// A request that may cost more than there is money is refused, and asks for
// nothing less because its price overflowed; so is one of a tenant whose budget
// does not fit, which an Authenticator of one's own may have made.
func TestHugeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answers(200, whole))
	m := llm.Model{Name: "m", Price: llm.Price{Input: 1e9, Output: 9e9}}
	list := []*llm.Tenant{{Name: "rich", Budget: 1e300}, {Name: "poor", Budget: 1}, {Name: "tokens", Tokens: math.MaxInt64}}
	_, server, _ := gatewayOf(t, &llm.Options{Auth: tenants(list...)}, m, u)
	for _, body := range []string{`{"model":"m","max_tokens":1000000000}`, `{"model":"m","max_tokens":1000000000,"n":1024}`, `{"model":"m","max_tokens":2147483647,"n":1024}`} {
		resp, text := post(t, server, chat, body, "X-Tenant", "poor")
		require.Equal(t, 429, resp.StatusCode, text)
		resp, text = post(t, server, chat, body, "X-Tenant", "tokens")
		require.Equal(t, 200, resp.StatusCode, text)
	}
	resp, text := post(t, server, chat, `{"model":"m","max_tokens":1000000}`, "X-Tenant", "rich")
	require.Equal(t, 200, resp.StatusCode, text)
	resp, text = post(t, server, chat, `{"model":"m","max_tokens":10000000000}`, "X-Tenant", "rich")
	require.Contains(t, []int{400, 429}, resp.StatusCode, text)
}

// Whatever many take, settle and ask for at once, what is reserved and spent stays
// within the limit, and what is left in the end is what was not spent.
func TestMemoryIsNeverOverspent(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	m := llm.NewMemory()
	until := time.Now().Add(time.Hour)
	var held, spent atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				amount := rand.Int64N(2000) - 5 // Some are below 0, which takes nothing.
				charge := []llm.Charge{{Key: "a", Amount: amount, Limit: limit, Until: until}}
				short, _, err := m.Take(t.Context(), charge)
				if err != nil {
					t.Error(err)
				}
				amount = max(amount, 0)
				if short >= 0 {
					continue
				}
				if now := held.Add(amount); now > limit {
					t.Errorf("%d are reserved and spent", now)
				}
				cost := rand.Int64N(amount + 1)
				spent.Add(cost)
				held.Add(cost - amount)
				charge[0].Taken, charge[0].Amount = amount, cost-amount
				if err := m.Settle(t.Context(), charge); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	left := limit - spent.Load()
	for i, amount := range []int64{left + 1, left} {
		short, _, err := m.Take(t.Context(), []llm.Charge{{Key: "a", Amount: amount, Limit: limit, Until: until}})
		require.NoError(t, err)
		require.Equal(t, i == 1, short < 0)
	}
	// Sums that do not fit do not begin anew.
	huge := []llm.Charge{{Key: "a", Amount: math.MaxInt64, Limit: limit, Until: until}}
	require.NoError(t, m.Settle(t.Context(), huge))
	require.NoError(t, m.Settle(t.Context(), huge))
	for _, amount := range []int64{1, math.MaxInt64} {
		short, _, err := m.Take(t.Context(), []llm.Charge{{Key: "a", Amount: amount, Limit: limit, Until: until}})
		require.NoError(t, err)
		require.Zero(t, short, fmt.Sprint(amount))
	}
}
