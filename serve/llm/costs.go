package llm

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// CostLine is what a tenant used of a model on a day.
type CostLine struct {
	// Day is the day in UTC, "2026-11-22".
	Day string `json:"day"`
	// Tenant and Model are their names. Model is the one that answered, "" where
	// none did, and Other where there were too many lines.
	Tenant string `json:"tenant"`
	Model  string `json:"model"`
	// Requests are those that were answered or refused, Errors those of them that
	// went wrong for whatever reason.
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors"`
	// Input, Cached and Output are tokens; Cached are part of Input.
	Input  int64 `json:"input_tokens"`
	Cached int64 `json:"cached_input_tokens"`
	Output int64 `json:"output_tokens"`
	// Cost is exact: the sum of what each request did cost.
	Cost Nanos `json:"cost_nanos"`
}

// Other is the tenant and the model of lines that are not kept apart.
const Other = "(other)"

func (l *CostLine) add(o *CostLine) {
	for _, sum := range [...]struct {
		to   *int64
		from int64
	}{{&l.Requests, o.Requests}, {&l.Errors, o.Errors}, {&l.Input, o.Input}, {&l.Cached, o.Cached}, {&l.Output, o.Output}, {(*int64)(&l.Cost), int64(o.Cost)}} {
		*sum.to = addInts(*sum.to, sum.from)
	}
}

// addInts is the sum of two numbers that are not below 0, within 64 bits.
func addInts(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return mostNanos
}

// CostStore keeps cost lines beyond a process, such as pgstore.Store.
type CostStore interface {
	// AddCosts adds to the lines of the same day, tenant and model, all or nothing.
	AddCosts(ctx context.Context, lines []CostLine) error
	// Costs returns the lines from a day to another, both included, in the order
	// of days, tenants and models, and at most limit of them.
	Costs(ctx context.Context, from, to string, limit int) ([]CostLine, error)
}

// CostsOptions are the settings of Costs. Nil is the defaults.
type CostsOptions struct {
	// Store keeps the lines over restarts and for all replicas: Run brings them
	// there. Nil keeps them in this process.
	Store CostStore
	// MaxLines bounds the lines in memory. Those of a day beyond it are counted
	// under the tenant and the model Other, so that sums stay right. Default
	// 10,000.
	MaxLines int
	// Days is how many days are kept in memory, without a Store. Default 62.
	Days int
	// Every is how often Run brings lines to the store. Default 15 s.
	Every time.Duration
	// OnError learns of a store that failed; the lines are kept and brought
	// later. Nil ignores it.
	OnError func(error)
}

// Costs is an Observer that sums up what requests cost by day, tenant and model.
// It has no goroutine: with a store, Run has to run.
type Costs struct {
	o CostsOptions

	mu    sync.Mutex
	lines map[costKey]*CostLine
	day   string    // Of the request that came last, and the seconds it is valid for.
	from  time.Time //
	until time.Time

	saving sync.Mutex
}

type costKey struct{ day, tenant, model string }

// NewCosts returns sums of nothing yet.
func NewCosts(o *CostsOptions) *Costs {
	c := &Costs{lines: make(map[costKey]*CostLine)}
	if o != nil {
		c.o = *o
	}
	if c.o.MaxLines <= 0 {
		c.o.MaxLines = 10_000
	}
	if c.o.Days <= 0 {
		c.o.Days = 62
	}
	if c.o.Every <= 0 {
		c.o.Every = 15 * time.Second
	}
	if c.o.OnError == nil {
		c.o.OnError = func(error) {}
	}
	return c
}

// Observe implements Observer. A request belongs to the day on which it came.
func (c *Costs) Observe(x *Exchange) {
	line := CostLine{
		Requests: 1, Input: int64(max(x.Usage.Input, 0)), Cached: int64(max(x.Usage.CachedInput, 0)), Output: int64(max(x.Usage.Output, 0)), Cost: max(x.Cost, 0),
	}
	if x.Err != nil {
		line.Errors = 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line(c.dayOf(x.Began), x.Tenant, x.Served).add(&line)
}

// dayOf is the name of a day, which is the same for many requests. The lock is
// held.
func (c *Costs) dayOf(at time.Time) string {
	if at.Before(c.from) || !at.Before(c.until) {
		at = at.UTC()
		c.from = time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
		c.until = c.from.AddDate(0, 0, 1)
		c.day = c.from.Format(time.DateOnly)
	}
	return c.day
}

// line is the line for a key, or the one for all that are too many. The lock is
// held.
func (c *Costs) line(day, tenant, model string) *CostLine {
	key := costKey{day, tenant, model}
	if l := c.lines[key]; l != nil {
		return l
	}
	if len(c.lines) >= c.o.MaxLines {
		if c.o.Store == nil {
			c.forget(day)
		}
		if len(c.lines) >= c.o.MaxLines {
			key = costKey{day, Other, Other}
			if l := c.lines[key]; l != nil {
				return l
			}
		}
	}
	l := &CostLine{Day: key.day, Tenant: key.tenant, Model: key.model}
	c.lines[key] = l
	return l
}

// forget drops days that are too old. The lock is held.
func (c *Costs) forget(today string) {
	last, err := time.Parse(time.DateOnly, today)
	if err != nil {
		return
	}
	oldest := last.AddDate(0, 0, 1-c.o.Days).Format(time.DateOnly)
	for key := range c.lines {
		if key.day < oldest {
			delete(c.lines, key)
		}
	}
}

// Run brings the lines to the store until ctx ends, and then what is left.
func (c *Costs) Run(ctx context.Context) error {
	if c.o.Store == nil {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(c.o.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := c.Flush(ctx); err != nil && ctx.Err() == nil {
				c.o.OnError(err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			return c.Flush(last)
		}
	}
}

// Flush brings the lines to the store now. Where that fails they are kept.
func (c *Costs) Flush(ctx context.Context) error {
	if c.o.Store == nil {
		return nil
	}
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	lines := c.sorted("", "9999")
	c.lines = make(map[costKey]*CostLine)
	c.mu.Unlock()
	if len(lines) == 0 {
		return nil
	}
	err := c.o.Store.AddCosts(ctx, lines)
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range lines {
		c.line(lines[i].Day, lines[i].Tenant, lines[i].Model).add(&lines[i])
	}
	return fmt.Errorf("llm: keep the costs: %w", err)
}

// sorted are copies of the lines from a day to another. The lock is held.
func (c *Costs) sorted(from, to string) []CostLine {
	var list []CostLine
	for key, l := range c.lines {
		if key.day >= from && key.day <= to {
			list = append(list, *l)
		}
	}
	slices.SortFunc(list, compareLines)
	return list
}

func compareLines(a, b CostLine) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Model, b.Model))
}
