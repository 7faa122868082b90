package judge

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Limits are what a budget allows in all. A field of 0 has no limit.
type Limits struct {
	// Calls bounds the requests, the repeated ones among them.
	Calls int64
	// Tokens bounds the tokens of questions and answers together.
	Tokens int64
	// Money bounds the cost by the prices.
	Money float64
	// InputPrice and OutputPrice are what a million tokens cost, in the
	// currency of Money. Default 0.
	InputPrice, OutputPrice float64
	// Per is how long the limits are for: what was spent is forgotten after so
	// much time, counted from the first call on. Calls that run at the end of a
	// period count in the next one, too. Default 0: the limits are for ever.
	Per time.Duration
}

// Budget is what judges may spend together. It is safe for concurrent use. Before
// a call the most that it can take is set aside; after it, what it has not taken is
// given back. So the sum of what is spent and set aside never passes a limit, as
// long as the server keeps to the number of tokens that it is asked for and counts
// no more tokens than bytes in a question, apart from 16 for each message. What a
// server counts beyond that is known when it answers: a limit is then passed by no
// more than this excess of the calls that ran at once, and no further call is made.
type Budget struct {
	limits Limits

	mu     sync.Mutex
	total  Usage // Ever.
	spent  Usage // In this period.
	held   Usage
	period time.Time // When it began.
}

// NewBudget makes a budget.
func NewBudget(limits Limits) (*Budget, error) {
	var f errs.Faults
	f.Check(limits.Calls >= 0 && limits.Tokens >= 0, "calls %d and tokens %d must not be negative", limits.Calls, limits.Tokens)
	for _, v := range []float64{limits.Money, limits.InputPrice, limits.OutputPrice} {
		f.Check(v >= 0 && !math.IsInf(v, 0), "money and prices must be finite and not negative, not %v", v)
	}
	f.Check(limits.Per >= 0, "the period is %s", limits.Per)
	f.Check(limits.Money == 0 || limits.InputPrice+limits.OutputPrice > 0, "a limit of money needs prices")
	if err := f.Err("judge: budget"); err != nil {
		return nil, err
	}
	return &Budget{limits: limits}, nil
}

// Spent is what has been spent so far, in all periods, without what is set aside.
func (b *Budget) Spent() Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// Charge counts what was spent elsewhere, like by a process before this one. Its
// Money is not looked at: tokens cost what the limits say.
func (b *Budget) Charge(u Usage) {
	if b == nil {
		return
	}
	u.Money = b.cost(u.Input, u.Output)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn()
	b.spent.add(u)
	b.total.add(u)
}

// turn begins a new period where the last one is over. The caller holds mu.
func (b *Budget) turn() {
	if b.limits.Per == 0 {
		return
	}
	now := time.Now()
	switch over := now.Sub(b.period); {
	case b.period.IsZero():
		b.period = now
	case over >= b.limits.Per:
		b.period = b.period.Add(over.Truncate(b.limits.Per))
		b.spent = Usage{}
	}
}

// reserve sets aside a call of at most so many tokens. A budget of nil has no
// limits.
func (b *Budget) reserve(input, output int64) (Usage, error) {
	u := Usage{Calls: 1, Input: input, Output: output}
	if b == nil {
		return u, nil
	}
	u.Money = b.cost(input, output)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn()
	all := b.spent
	all.add(b.held)
	all.add(u)
	l := &b.limits
	switch {
	case l.Calls > 0 && all.Calls > l.Calls:
		return Usage{}, fmt.Errorf("judge: %d calls: %w", l.Calls, ErrBudget)
	case l.Tokens > 0 && all.Input+all.Output > l.Tokens:
		return Usage{}, fmt.Errorf("judge: %d tokens: %w", l.Tokens, ErrBudget)
	case l.Money > 0 && all.Money > l.Money:
		return Usage{}, fmt.Errorf("judge: %v of money: %w", l.Money, ErrBudget)
	}
	b.held.add(u)
	return u, nil
}

// settle takes back what was set aside and counts what was used.
func (b *Budget) settle(held, used Usage) Usage {
	if b == nil {
		return used
	}
	used.Money = b.cost(used.Input, used.Output)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held.Calls -= held.Calls
	b.held.Input -= held.Input
	b.held.Output -= held.Output
	if b.held.Money -= held.Money; b.held.Calls == 0 {
		b.held.Money = 0 // What rounding has left.
	}
	b.spent.add(used)
	b.total.add(used)
	return used
}

func (b *Budget) cost(input, output int64) float64 {
	return (float64(input)*b.limits.InputPrice + float64(output)*b.limits.OutputPrice) / 1e6
}
