package llm_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

var someDay = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func spent(tenant, model string, at time.Time, cost llm.Nanos, err error) *llm.Exchange {
	return &llm.Exchange{Tenant: tenant, Served: model, Began: at, Usage: llm.Usage{Input: 7, CachedInput: 4, Output: 3}, Cost: cost, Err: err}
}

// The report of what tenants spent, as CSV.
func ExampleCosts() {
	costs := llm.NewCosts(nil)
	costs.Observe(spent("shop", "chat", someDay, 1_020_000, nil))
	costs.Observe(spent("shop", "chat", someDay, 1_020_000, errors.New("the client left")))
	costs.Observe(spent("lab", "chat", someDay.AddDate(0, 0, 1), 5, nil))
	r, err := costs.Report(context.Background(), llm.CostQuery{From: "2026-11-01", To: "2026-11-30"})
	if err == nil {
		err = r.WriteCSV(os.Stdout)
	}
	fmt.Println(r.Total.Cost, err)
	// Output:
	// day,tenant,model,requests,errors,input_tokens,cached_input_tokens,output_tokens,cost
	// 2026-11-22,shop,chat,2,1,14,8,6,0.002040000
	// 2026-11-23,lab,chat,1,0,7,4,3,0.000000005
	// 0.002040005 <nil>
}

func TestCostsAreBounded(t *testing.T) {
	t.Parallel()
	costs := llm.NewCosts(&llm.CostsOptions{MaxLines: 10, Days: 2})
	for i := range 100 {
		costs.Observe(spent(fmt.Sprint("tenant-", i), "chat", someDay, 10, nil))
	}
	q := llm.CostQuery{From: "2026-11-01", To: "2026-11-30"}
	r, err := costs.Report(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, r.Lines, 11)
	require.EqualValues(t, 100, r.Total.Requests)
	require.EqualValues(t, 1000, r.Total.Cost)
	require.Equal(t, llm.Other, r.Lines[0].Tenant)
	// Days that are too old make room for new ones.
	costs.Observe(spent("new", "chat", someDay.AddDate(0, 0, 5), math.MaxInt64, nil))
	costs.Observe(spent("new", "chat", someDay.AddDate(0, 0, 5), math.MaxInt64, nil))
	r, err = costs.Report(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, r.Lines, 1)
	require.Equal(t, llm.Nanos(9e18), r.Lines[0].Cost, "as much as there is, and not less than nothing")
}

// broken is a store that fails when it is told to.
type broken struct {
	mu    sync.Mutex
	fail  error
	lines []llm.CostLine
}

func (b *broken) AddCosts(_ context.Context, lines []llm.CostLine) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		b.lines = append(b.lines, lines...)
	}
	return b.fail
}

func (b *broken) Costs(context.Context, string, string, int) ([]llm.CostLine, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines, b.fail
}

func TestCostsSurviveAStoreThatFails(t *testing.T) {
	t.Parallel()
	b := &broken{fail: fmt.Errorf("postgres://secret: %w", llm.ErrUnavailable)}
	costs := llm.NewCosts(&llm.CostsOptions{Store: b, Every: time.Millisecond})
	for range 50 {
		costs.Observe(spent("shop", "chat", someDay, 1, nil))
		require.ErrorIs(t, costs.Flush(t.Context()), llm.ErrUnavailable)
	}
	w := httptest.NewRecorder()
	costs.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?from=2026-11-01&to=2026-11-30", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
	b.mu.Lock()
	b.fail = nil
	b.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, costs.Run(ctx), "it brings what is left")
	r, err := costs.Report(t.Context(), llm.CostQuery{From: "2026-11-01", To: "2026-11-30"})
	require.NoError(t, err)
	require.EqualValues(t, 50, r.Total.Cost)
	require.Len(t, b.lines, 1)
}

func TestCostsHandler(t *testing.T) {
	t.Parallel()
	costs := llm.NewCosts(nil)
	costs.Observe(spent("=cmd()", "chat", someDay, 1, nil))
	costs.Observe(spent("shop", "chat", someDay, 1, nil))
	get := func(method, query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		costs.Handler().ServeHTTP(w, httptest.NewRequest(method, "/costs?"+query, nil))
		return w
	}
	var r llm.CostReport
	w := get(http.MethodGet, "from=2026-11-22&to=2026-11-22&tenant=shop")
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &r))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.EqualValues(t, 1, r.Total.Requests)
	rows, err := csv.NewReader(get(http.MethodGet, "to=2026-11-30&format=csv").Body).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, "'=cmd()", rows[1][1])
	require.Equal(t, http.StatusOK, get(http.MethodGet, "").Code, "the month so far")
	for query, want := range map[string]string{"from=yesterday": "want a day", "from=2026-11-02&to=2026-11-01": "behind", "format=xlsx": "json or csv"} {
		w := get(http.MethodGet, query)
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		require.Contains(t, w.Body.String(), want)
	}
	require.Equal(t, http.StatusMethodNotAllowed, get(http.MethodPost, "").Code)
	require.Contains(t, strings.Join(rows[0], ","), "cost")
}
