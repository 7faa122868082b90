package llm

import (
	"context"
	"math"
	"sync"
	"time"
)

// Charge is an amount on an account of a tenant.
type Charge struct {
	// Key names the account.
	Key string
	// Amount is taken from it, 0 or more. Settle may give back, with less than 0.
	Amount int64
	// Limit is the most that the account has. With Per it fills up again by Limit
	// in that time; without, it is what may be taken until Until, and then the
	// account can be forgotten.
	Limit int64
	Per   time.Duration
	Until time.Time
	// Taken is, for Settle, the amount that Take took for the same request, and
	// that is not outstanding any more.
	Taken int64
	// Left is set by Take to what is left, about.
	Left int64
}

// Store keeps the accounts of tenants. Its methods are used by many requests at
// once, and of several processes if they are to share limits.
type Store interface {
	// Take takes all of the charges or, where one is too much, nothing, and then
	// returns its index and how long it will be until there is enough. The index
	// is -1 when all were taken.
	Take(ctx context.Context, charges []Charge) (short int, wait time.Duration, err error)
	// Settle corrects what was taken, whatever is left.
	Settle(ctx context.Context, charges []Charge) error
}

// Memory is a Store in memory. Nothing is ever taken beyond a limit; what Settle
// adds for requests that cost more than was taken for them may exceed it, and is
// made up for before anything else is taken.
type Memory struct {
	mu       sync.Mutex
	accounts map[string]*account
	swept    time.Time
}

// account is what one Key has.
type account struct {
	used  int64
	at    time.Time // Of used.
	limit int64
	per   time.Duration
	until time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{accounts: make(map[string]*account)} }

// Take implements Store.
func (m *Memory) Take(_ context.Context, charges []Charge) (int, time.Duration, error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now)
	for i := range charges {
		c := &charges[i]
		c.Left = c.Limit - m.account(c, now).used
		if max(c.Amount, 0) <= c.Left {
			continue
		}
		if c.Per <= 0 {
			return i, max(c.Until.Sub(now), 0), nil
		}
		lack := float64(min(c.Amount, c.Limit)) - float64(c.Left)
		return i, time.Duration(lack / float64(c.Limit) * float64(c.Per)), nil
	}
	for i := range charges {
		c := &charges[i]
		amount := max(c.Amount, 0)
		m.accounts[c.Key].used += amount
		c.Left -= amount
	}
	return -1, 0, nil
}

// Settle implements Store.
func (m *Memory) Settle(_ context.Context, charges []Charge) error {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range charges {
		a := m.account(&charges[i], now)
		if charges[i].Amount > math.MaxInt64-a.used {
			a.used = math.MaxInt64
			continue
		}
		a.used = max(a.used+charges[i].Amount, 0)
	}
	return nil
}

// account is the account of a charge as it is now. The lock is held.
func (m *Memory) account(c *Charge, now time.Time) *account {
	a := m.accounts[c.Key]
	if a == nil {
		a = &account{at: now}
		m.accounts[c.Key] = a
	}
	a.limit, a.per, a.until = c.Limit, c.Per, c.Until
	if passed := now.Sub(a.at); c.Per > 0 && passed > 0 {
		// Whole units: the rest of the time counts when it has made one.
		units := math.Floor(float64(c.Limit) * (float64(passed) / float64(c.Per)))
		if units >= float64(a.used) {
			a.used, a.at = 0, now
		} else {
			a.used -= int64(units)
			a.at = a.at.Add(time.Duration(units / float64(c.Limit) * float64(c.Per)))
		}
	}
	return a
}

// sweep forgets, now and then, accounts that are as new. The lock is held.
func (m *Memory) sweep(now time.Time) {
	if now.Sub(m.swept) < time.Minute {
		return
	}
	m.swept = now
	for key, a := range m.accounts {
		if a.per > 0 && now.Sub(a.at) > 2*a.per && a.used <= a.limit || a.per <= 0 && now.After(a.until) {
			delete(m.accounts, key)
		}
	}
}
