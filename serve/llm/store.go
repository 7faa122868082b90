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
	// Amount is taken from it. Settle may give back, with less than 0.
	Amount int64
	// Limit is the most that the account has. With Per it fills up again by Limit
	// in that time; without, it is what may be taken until Until, and then the
	// account can be forgotten.
	Limit int64
	Per   time.Duration
	Until time.Time
	// Left is set by Take to what is left.
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

// Memory is a Store in memory.
type Memory struct {
	mu       sync.Mutex
	accounts map[string]*account
	swept    time.Time
}

// account is what one Key has.
type account struct {
	used  float64
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
		a := m.account(c, now)
		left := float64(c.Limit) - a.used
		c.Left = int64(math.Floor(left))
		if float64(c.Amount) <= left {
			continue
		}
		if c.Per <= 0 {
			return i, max(c.Until.Sub(now), 0), nil
		}
		lack := math.Min(float64(c.Amount), float64(c.Limit)) - left
		return i, time.Duration(lack / float64(c.Limit) * float64(c.Per)), nil
	}
	for i := range charges {
		c := &charges[i]
		m.accounts[c.Key].used += float64(c.Amount)
		c.Left -= c.Amount
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
		a.used = max(a.used+float64(charges[i].Amount), 0)
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
	if c.Per > 0 {
		if passed := now.Sub(a.at); passed > 0 {
			a.used = max(a.used-float64(c.Limit)*float64(passed)/float64(c.Per), 0)
			a.at = now
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
		if a.per > 0 && now.Sub(a.at) > 2*a.per && a.used <= float64(a.limit) || a.per <= 0 && now.After(a.until) {
			delete(m.accounts, key)
		}
	}
}
