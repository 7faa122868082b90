package serve_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// capacity is a model that answers four requests at a time, in ten
// milliseconds each: 400 a second.
func capacity() *model {
	m := adder()
	places := make(chan struct{}, 4)
	m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		places <- struct{}{}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // The time of a bubble.
		<-places
		return add(ctx, req, resp)
	}
	return m
}

// outcome is what became of the requests of a tenant.
type outcome struct {
	sent, answered, shares int
	times                  []time.Duration
}

// flood sends requests of tenants at rates a second for some
// seconds, each at a
// random time, whether or not those before were answered.
func flood(t *testing.T, s *serve.Server, seconds int, rates map[string]int, header http.Header) map[string]*outcome {
	var mu sync.Mutex
	var wg sync.WaitGroup
	all := make(map[string]*outcome)
	for tenant, rate := range rates {
		out := &outcome{}
		all[tenant] = out
		h := header.Clone()
		if h == nil {
			h = http.Header{}
		}
		h.Set("Tenant", tenant)
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(rate), 1))
			for begin := time.Now(); time.Since(begin) < time.Duration(seconds)*time.Second; {
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(time.Second) / float64(rate))) //nolint:forbidigo // The time of a bubble.
				out.sent++
				wg.Go(func() {
					start := time.Now()
					_, err := s.Do(t.Context(), &serve.Call{Model: "adder", Request: rows(1, 2), Header: h})
					mu.Lock()
					defer mu.Unlock()
					if o, ok := errors.AsType[*serve.OverloadError](err); ok {
						if o.RetryAfter < time.Second || o.Tenant != tenant {
							t.Errorf("refused with %+v", o)
						}
						if o.Share {
							out.shares++
						}
						return
					}
					if err != nil {
						if !errors.Is(err, context.DeadlineExceeded) {
							t.Error(err)
						}
						return
					}
					out.answered++
					out.times = append(out.times, time.Since(start))
				})
			}
		})
	}
	wg.Wait()
	for _, o := range all {
		slices.Sort(o.times)
	}
	return all
}

func tenantOf(c *serve.Call) string { return c.HeaderValue("Tenant") }

// Five times more requests than the model can answer: it answers as many as at
// its peak, and soon.
func TestOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(&serve.Options{Tenant: tenantOf})
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: capacity()}))
		peak := flood(t, s, 5, map[string]int{"a": 380}, nil)["a"]
		require.Greater(t, peak.answered, peak.sent*99/100)
		over := flood(t, s, 5, map[string]int{"a": 2000}, nil)["a"]
		require.Greater(t, over.answered, 2000*95/100, "of 2,000 that could be")
		p99 := over.times[len(over.times)*99/100]
		require.Less(t, p99, 1200*time.Millisecond)
		require.Zero(t, over.shares)

		// With a deadline nobody is answered late, and the work is not wasted
		// on those who are gone.
		short := flood(t, s, 5, map[string]int{"a": 2000}, http.Header{"Millwright-Timeout": {"150ms"}})["a"]
		require.Greater(t, short.answered, 2000*90/100)
		require.LessOrEqual(t, short.times[len(short.times)-1], 200*time.Millisecond)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// A tenant that floods takes nothing from one that keeps to its share.
func TestFairShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(&serve.Options{Tenant: tenantOf})
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: capacity()}))
		got := flood(t, s, 5, map[string]int{"loud": 3000, "quiet": 50, "greedy": 300}, nil)
		quiet, greedy, loud := got["quiet"], got["greedy"], got["loud"]
		require.Greater(t, quiet.answered, quiet.sent*99/100)
		require.Less(t, quiet.times[len(quiet.times)*99/100], 300*time.Millisecond)
		// The rest of 350 a second is shared by the other two.
		require.Greater(t, greedy.answered, 600)
		require.Greater(t, loud.answered, 600)
		require.Positive(t, loud.shares)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// Batches are as large as they can be: the bound makes room for them.
func TestOverloadOfBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := adder()
		m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
			n := len(req.Input("x").FP64()) / 2
			time.Sleep(2*time.Millisecond + time.Duration(n)*50*time.Microsecond) //nolint:forbidigo // The time of a bubble.
			return add(ctx, req, resp)
		}
		s := serve.New(&serve.Options{Tenant: tenantOf})
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: m, Batching: &serve.Batching{MaxRows: 32}}))
		// 32 rows in 3.6 ms: 8,900 a second.
		got := flood(t, s, 1, map[string]int{"a": 20000}, nil)["a"]
		require.Greater(t, got.answered, 7_900)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// A model that is faster with more at once gets more at once.
func TestConcurrencyGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := adder()
		m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // The time of a bubble.
			return add(ctx, req, resp)
		}
		s := serve.New(&serve.Options{Tenant: tenantOf})
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: m}))
		got := flood(t, s, 4, map[string]int{"a": 5000}, nil)["a"]
		require.Greater(t, got.answered, got.sent*80/100, "it needs 500 at once")
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// A model that hangs: what waits is refused in time, what comes at once, and a
// model beside it is as before.
func TestHungModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve.New(&serve.Options{Admission: &serve.Admission{Min: 2, Max: 2, MaxWaiting: 2}, Tenant: tenantOf})
		m, entered, release := blocked()
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "hung", Version: "1", Model: m}))
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: adder()}))
		out := make(chan error, 10)
		send := func() { _, _, err := s.Infer(t.Context(), "hung", "", rows(1, 2)); out <- err }
		go send()
		go send()
		<-entered
		<-entered
		go send()
		go send()
		synctest.Wait()
		_, _, err := s.Infer(t.Context(), "hung", "", rows(1, 2))
		require.ErrorIs(t, err, serve.ErrUnavailable)
		require.ErrorContains(t, err, "2 requests wait already")
		_, err = s.Do(t.Context(), &serve.Call{Model: "hung", Request: rows(1, 2), Shadow: true})
		require.ErrorContains(t, err, "a shadow's")
		for range 2 {
			require.ErrorContains(t, <-out, "it was not answered within 1s")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _, err := s.Infer(ctx, "hung", "", rows(1, 2)); out <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-out, context.Canceled)
		_, _, err = s.Infer(t.Context(), "adder", "", rows(1, 2))
		require.NoError(t, err)
		close(release)
		require.NoError(t, <-out)
		require.NoError(t, <-out)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestOverloadOverHTTP(t *testing.T) {
	t.Parallel()
	s, url := start(t, &serve.Options{Admission: &serve.Admission{Min: 1, Max: 1, MaxWaiting: 1, MaxWait: time.Hour}, Tenant: tenantOf}, nil)
	m, entered, release := blocked()
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: m}))
	out := make(chan error, 10)
	send := func() { _, _, err := s.Infer(t.Context(), "adder", "", rows(1, 2)); out <- err }
	go send()
	<-entered
	go send()
	for s.Waiting("adder") == 0 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // Nothing tells that it waits.
	}
	resp, body := post(t, url+"/v2/models/adder/infer", good, "Tenant", "b")
	require.Equal(t, 503, resp.StatusCode, body)
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
	require.Contains(t, errorText(t, body), `serve: infer "adder": 1 requests wait already: unavailable`)
	resp, _ = post(t, url+"/v2/models/adder/generate", `{}`, "Tenant", "b")
	require.Equal(t, 503, resp.StatusCode)
	close(release)
	require.NoError(t, <-out)
	require.NoError(t, <-out)
}

func TestClientDeadlines(t *testing.T) {
	t.Parallel()
	m := adder()
	m.infer = func(ctx context.Context, _ *oip.InferRequest, _ *oip.InferResponse) error {
		<-ctx.Done()
		return ctx.Err()
	}
	_, url := start(t, &serve.Options{Timeout: -1}, m)
	resp, _ := post(t, url+"/v2/models/adder/infer", good, "Millwright-Timeout", "5ms")
	require.Equal(t, 504, resp.StatusCode)
	resp, _ = post(t, url+"/v2/models/adder/infer", strings.Replace(good, `"inputs"`, `"parameters":{"timeout":5000},"inputs"`, 1))
	require.Equal(t, 504, resp.StatusCode)
	for _, text := range []string{"soon", "-1s", "5"} {
		resp, body := post(t, url+"/v2/models/adder/infer", good, "Millwright-Timeout", text)
		require.Equal(t, 400, resp.StatusCode, body)
		require.Contains(t, body, "want a duration such as 250ms")
	}
	for _, text := range []string{`"1"`, `-1`, `1.5`} {
		resp, body := post(t, url+"/v2/models/adder/infer", strings.Replace(good, `"inputs"`, `"parameters":{"timeout":`+text+`},"inputs"`, 1))
		require.Equal(t, 400, resp.StatusCode, body)
		require.Contains(t, body, "want a number of microseconds")
	}
}
