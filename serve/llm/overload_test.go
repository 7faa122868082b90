package llm_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// slowly answers after a second.
type slowly struct{}

func (slowly) RoundTrip(*http.Request) (*http.Response, error) {
	time.Sleep(time.Second) //nolint:forbidigo // The time of synctest.
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(whole))}, nil
}

// counted is what became of the requests of each tenant.
type counted struct {
	mu              sync.Mutex
	served, refused map[string]int
}

func (c *counted) Observe(x *llm.Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch x.Status {
	case 200:
		c.served[x.Tenant]++
	case 429, 503:
		c.refused[x.Tenant]++
	}
}

// At five times the capacity, for two minutes: the capacity is used, who asks for less
// than a fair part of it gets everything, and the others share the rest by their
// shares, however much they ask for.
func TestFairnessAtFiveTimesTheCapacity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rates := map[string]int{"small": 2, "steady": 8, "double": 10, "loud": 30} // A second; the capacity is 10.
		var list []*llm.Tenant
		for name := range rates {
			list = append(list, &llm.Tenant{Name: name, Share: map[string]float64{"double": 2}[name]})
		}
		c := &counted{served: map[string]int{}, refused: map[string]int{}}
		g, err := llm.New([]llm.Upstream{{Name: "a", URL: "http://a", Transport: slowly{}}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a"}}, Concurrency: 10}},
			&llm.Options{Auth: tenants(list...), Observers: []llm.Observer{c}, MaxWaiting: 100, MaxWait: 10 * time.Second})
		require.NoError(t, err)
		const length = 120
		for name, rate := range rates {
			go func() {
				for range rate * length {
					go func() {
						r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, chat, strings.NewReader(`{"model":"m"}`))
						if err != nil {
							t.Error(err)
							return
						}
						r.Header.Set("X-Tenant", name)
						w := newRecorder()
						g.ServeHTTP(w, r)
						if w.status != 200 && w.header.Get("Retry-After") == "" {
							t.Errorf("refused with %d and no Retry-After", w.status)
						}
					}()
					time.Sleep(time.Second / time.Duration(rate)) //nolint:forbidigo // The time of synctest.
				}
			}()
		}
		time.Sleep((length + 30) * time.Second) //nolint:forbidigo // The time of synctest.
		synctest.Wait()
		t.Logf("served %v, refused %v", c.served, c.refused)
		total := 0
		for name, rate := range rates {
			total += c.served[name]
			require.Equal(t, rate*length, c.served[name]+c.refused[name], "each request has its answer")
		}
		require.GreaterOrEqual(t, total, 10*length-10)
		require.Zero(t, c.refused["small"])
		rest := total - c.served["small"]
		for name, want := range map[string]int{"steady": rest / 4, "double": rest / 2, "loud": rest / 4} {
			require.InEpsilon(t, want, c.served[name], 0.15, name)
		}
	})
}
