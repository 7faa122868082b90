package pgstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/millwright-ml/millwright/serve/llm"
)

// account is what this replica knows and holds of one. What the database has for
// it is spent + out + have; only an exchange changes that sum.
type account struct {
	key, replica string
	limit        int64
	per          time.Duration
	until        time.Time

	have  int64 // For requests that may come; below 0 it was let through without.
	out   int64 // Of requests that run.
	spent int64
	lease time.Time // Until then have may be used.
	dirty bool      // The database does not know all.

	taken int64   // Since the last refresh.
	rate  float64 // A second, lately.
	used  time.Time

	left   int64 // In the database, when it was last asked.
	ending time.Duration
	// Until dry as much as short is not there, as the database just said.
	dry   time.Time
	short int64
}

// waiter is a Take that waits for the database.
type waiter struct {
	charges []llm.Charge
	done    chan struct{}
	gone    bool // Nobody waits any more.

	short int
	wait  time.Duration
	err   error
}

// mostAmount bounds what one request takes, so that sums fit.
const mostAmount = 1 << 59

// Take implements llm.Store.
func (s *Store) Take(ctx context.Context, charges []llm.Charge) (int, time.Duration, error) {
	now := time.Now()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return -1, 0, fmt.Errorf("llm/pgstore: take: %w", ErrClosed)
	}
	s.start()
	if s.takeHere(charges, now) < 0 {
		s.mu.Unlock()
		return -1, 0, nil
	}
	if i, wait := s.knownShort(charges, now); i >= 0 {
		s.mu.Unlock()
		return i, wait, nil
	}
	if s.away != nil {
		defer s.mu.Unlock()
		return -1, 0, s.without(charges, now, s.away)
	}
	w := &waiter{charges: charges, done: make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.ask()
	s.mu.Unlock()
	select {
	case <-w.done:
		return w.short, w.wait, w.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.done:
		// It was taken at the same time, and the caller may have it.
		return w.short, w.wait, w.err
	default:
	}
	w.gone = true
	return -1, 0, fmt.Errorf("llm/pgstore: take: %w", context.Cause(ctx))
}

// Settle implements llm.Store. It needs no round trip: what it changes is told
// with the next one, within Options.Refresh.
func (s *Store) Settle(_ context.Context, charges []llm.Charge) error {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("llm/pgstore: settle: %w", ErrClosed)
	}
	s.start()
	for i := range charges {
		c := &charges[i]
		a := s.account(c, now)
		taken, amount := bounded(c.Taken), max(min(c.Amount, mostAmount), -mostAmount)
		a.out -= taken
		a.spent = saturate(a.spent, taken+amount)
		a.have = saturate(a.have, -amount)
		a.dirty, a.dry = true, time.Time{}
	}
	return nil
}

func bounded(n int64) int64 { return max(min(n, mostAmount), 0) }

// saturate adds an amount or two, within what the database takes.
func saturate(a, b int64) int64 {
	const most = 8e18
	return max(min(a+b, most), -most)
}

// account is that of a charge. The lock is held.
func (s *Store) account(c *llm.Charge, now time.Time) *account {
	a := s.accounts[c.Key]
	if a == nil {
		// A name of its own for each, as the sums begin anew.
		s.serial++
		a = &account{key: c.Key, replica: fmt.Sprintf("%s-%d", s.replica, s.serial)}
		s.accounts[c.Key] = a
	}
	a.limit, a.per, a.until, a.used = max(c.Limit, 0), c.Per, c.Until, now
	return a
}

// here is what may be used without asking.
func (a *account) here(now time.Time) int64 {
	if now.After(a.lease) {
		return 0
	}
	// What requests give back makes up for what is overdrawn first.
	return max(a.have+min(a.left, 0), 0)
}

// takeHere takes the charges from what is held, or returns the index of the first
// that is not. The lock is held.
func (s *Store) takeHere(charges []llm.Charge, now time.Time) int {
	for i := range charges {
		c := &charges[i]
		a := s.account(c, now)
		if bounded(c.Amount) > a.here(now) {
			return i
		}
	}
	s.takeAnyway(charges, now)
	return -1
}

// takeAnyway takes the charges. The lock is held.
func (s *Store) takeAnyway(charges []llm.Charge, now time.Time) {
	for i := range charges {
		c := &charges[i]
		a := s.account(c, now)
		amount := bounded(c.Amount)
		a.have -= amount
		a.out += amount
		a.taken += amount
		c.Left = max(a.left, 0) + max(a.have, 0)
	}
}

// without is a Take while the database is away. The lock is held.
func (s *Store) without(charges []llm.Charge, now time.Time, why error) error {
	if !s.o.FailOpen {
		return fmt.Errorf("llm/pgstore: take: %w", why)
	}
	s.takeAnyway(charges, now)
	for i := range charges {
		s.account(&charges[i], now).dirty = true
	}
	return nil
}

// knownShort is the index of a charge that the database has just refused as
// much as, -1 without: a tenant at its limit does not keep the database busy.
func (s *Store) knownShort(charges []llm.Charge, now time.Time) (int, time.Duration) {
	for i := range charges {
		a := s.account(&charges[i], now)
		if amount := bounded(charges[i].Amount); now.Before(a.dry) && amount >= a.short {
			charges[i].Left = max(a.left, 0)
			return i, a.wait(amount)
		}
	}
	return -1, 0
}

// wait is how long it will be until there is an amount.
func (a *account) wait(amount int64) time.Duration {
	if a.per <= 0 {
		return max(a.ending, 0)
	}
	lack := float64(min(amount, a.limit)) - float64(a.left) - float64(max(a.have, 0))
	return max(time.Duration(math.Min(lack/float64(max(a.limit, 1))*float64(a.per), math.MaxInt64/2)), time.Millisecond)
}

// ahead is how much is held for requests that may come in a time.
func (a *account) ahead(d time.Duration) int64 {
	n := int64(math.Min(a.rate*d.Seconds(), mostAmount))
	if a.per > 0 {
		n = min(n, a.limit/16)
	}
	return n
}
