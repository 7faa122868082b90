package pgstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/pgstore"
)

// What several replicas count is one report, also for one that starts later.
func TestCostsOfReplicas(t *testing.T) {
	t.Parallel()
	url := pgtest.SchemaURL(t)
	day := time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC)
	x := llm.Exchange{Tenant: "shop", Served: "chat", Began: day, Usage: llm.Usage{Input: 10, CachedInput: 4, Output: 5}, Cost: 1_000_001}
	var wg sync.WaitGroup
	for range 3 {
		costs := llm.NewCosts(&llm.CostsOptions{Store: open(t, url, pgstore.Options{})})
		wg.Go(func() {
			for range 20 {
				costs.Observe(&x)
				if err := costs.Flush(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	last := llm.NewCosts(&llm.CostsOptions{Store: open(t, url, pgstore.Options{})})
	next := x
	next.Began = day.Add(time.Second)
	last.Observe(&next) // It is not brought to the store.
	r, err := last.Report(t.Context(), llm.CostQuery{From: "2026-11-01", To: "2026-11-30"})
	require.NoError(t, err)
	require.Equal(t, []llm.CostLine{
		{Day: "2026-11-22", Tenant: "shop", Model: "chat", Requests: 60, Input: 600, Cached: 240, Output: 300, Cost: 60_000_060},
		{Day: "2026-11-23", Tenant: "shop", Model: "chat", Requests: 1, Input: 10, Cached: 4, Output: 5, Cost: 1_000_001},
	}, r.Lines)
	require.Equal(t, llm.Nanos(61_000_061), r.Total.Cost)
}
