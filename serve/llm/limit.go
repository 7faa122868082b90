package llm

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
)

// accounts charges tenants.
type accounts struct{ store Store }

func newAccounts(s Store) *accounts {
	if s == nil {
		s = NewMemory()
	}
	return &accounts{s}
}

// admit takes from the tenant's accounts what the request may cost.
func (c *call) admit() error {
	t := c.tenant
	if t.Requests == 0 && t.Tokens == 0 && t.Budget == 0 {
		return nil
	}
	list := c.charges[:0]
	if t.Requests > 0 {
		list = append(list, Charge{Key: t.Name + "/requests", Amount: 1, Limit: t.Requests, Per: time.Minute})
	}
	if t.Tokens > 0 {
		list = append(list, Charge{Key: t.Name + "/tokens", Amount: int64(c.expected + c.reserved), Limit: t.Tokens, Per: time.Minute})
	}
	if t.Budget > 0 {
		window, until := t.Period.window(c.x.Began)
		list = append(list, Charge{Key: t.Name + "/money/" + window, Amount: int64(c.mayCost()), Limit: int64(min(t.Budget, mostMoney) * 1e9), Until: until})
	}
	c.charges = list
	short, wait, err := c.g.accounts.store.Take(c.r.Context(), list)
	if err != nil {
		c.charges = c.charges[:0]
		return &Error{Status: http.StatusServiceUnavailable, Type: typeServer, Code: "limits_unavailable", Message: "the limits cannot be checked now", RetryAfter: time.Second, cause: err}
	}
	c.limitHeader(list)
	if short < 0 {
		return nil
	}
	charge := list[short]
	c.charges = c.charges[:0]
	if charge.Per <= 0 {
		return &Error{Status: http.StatusTooManyRequests, Type: typeQuota, Code: typeQuota, Message: "the budget is used up", RetryAfter: wait}
	}
	what := "requests"
	if t.Requests == 0 || short > 0 {
		what = "tokens"
	}
	e := &Error{Status: http.StatusTooManyRequests, Type: what, Code: "rate_limit_exceeded", Message: fmt.Sprintf("the limit of %d %s a minute is reached", charge.Limit, what), RetryAfter: max(wait, time.Millisecond)}
	if charge.Amount > charge.Limit {
		e.Message = fmt.Sprintf("the request may take %d tokens, more than the limit of %d a minute: ask for fewer", charge.Amount, charge.Limit)
		e.RetryAfter = 0
	}
	return e
}

// mayCost is the price of the request at its most, over the models that may
// answer it.
func (c *call) mayCost() Nanos {
	u := Usage{Input: c.expected, Output: c.reserved}
	most := c.model.Price.Of(u)
	for _, m := range c.model.fallbacks {
		if c.tenant.may(m.Name) {
			most = max(most, m.Price.Of(u))
		}
	}
	return most
}

// limitHeader tells the client what is left, by the names of OpenAI.
func (c *call) limitHeader(list []Charge) {
	h := c.w.Header()
	for i, charge := range list {
		if charge.Per <= 0 {
			continue
		}
		limit, left := "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens"
		if c.tenant.Requests > 0 && i == 0 {
			limit, left = "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests"
		}
		h[limit] = []string{strconv.FormatInt(charge.Limit, 10)}
		h[left] = []string{strconv.FormatInt(max(charge.Left, 0), 10)}
	}
}

// settle corrects what was taken by what the request did cost.
func (c *call) settle() {
	x := &c.x
	if x.Status == httperr.StatusClientClosed && x.Attempts > 0 && x.Usage == (Usage{}) {
		// The upstream was at work and nobody counted: given back, what a client
		// has others compute and then leaves would be free.
		x.Usage, x.Estimated = Usage{Input: c.expected, Output: c.reserved}, true
	}
	if m := c.g.models[x.Served]; m != nil && x.Usage != (Usage{}) {
		x.Cost = m.Price.Of(x.Usage)
	}
	for i := range c.charges {
		charge := &c.charges[i]
		charge.Taken = charge.Amount
		switch {
		case charge.Per <= 0:
			charge.Amount = int64(x.Cost) - charge.Amount
		case c.tenant.Requests > 0 && i == 0:
			charge.Amount = 0 // It was one request, whatever became of it.
		default:
			charge.Amount = int64(x.Usage.Total()) - charge.Amount
		}
	}
	if len(c.charges) == 0 {
		return
	}
	// Also when the client has left.
	ctx := context.WithoutCancel(c.r.Context())
	if _, ok := c.g.accounts.store.(*Memory); !ok { // Which never waits.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
	}
	if err := c.g.accounts.store.Settle(ctx, c.charges); err != nil && x.Err == nil {
		// What was taken stays taken, which errs on the side of the limit.
		x.Err = fmt.Errorf("llm: settle the usage: %w", err)
	}
}
