package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
)

// batch is how many accounts one exchange has at most: their rows are locked
// until it ends.
const batch = 500

// ask has an exchange made for those that wait, unless one is under way, which
// then looks again. The lock is held.
func (s *Store) ask() {
	if s.busy {
		return
	}
	s.busy = true
	go func() {
		s.mu.Lock()
		for len(s.waiting) > 0 {
			waiting := s.waiting
			s.waiting = nil
			s.serve(waiting)
		}
		s.release()
		s.mu.Unlock()
	}()
}

// release ends the turn of who made exchanges. The lock is held.
func (s *Store) release() {
	s.busy = false
	if s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// acquire waits for the turn to make exchanges. The lock is held, and not
// meanwhile.
func (s *Store) acquire() {
	for s.busy {
		if s.idle == nil {
			s.idle = make(chan struct{})
		}
		idle := s.idle
		s.mu.Unlock()
		<-idle
		s.mu.Lock()
	}
	s.busy = true
}

// wish is what one account asks for.
type wish struct {
	a           *account
	need, least int64 // In all, and for the smallest request.
	have        int64 // When it was asked.
	dirty       bool
}

// serve asks for what waiters need, and tells them. The lock is held, and not
// while the database is asked.
func (s *Store) serve(waiting []*waiter) {
	now := time.Now()
	wishes := make(map[string]*wish)
	for _, w := range waiting {
		if w.gone {
			continue
		}
		for i := range w.charges {
			c := &w.charges[i]
			amount := bounded(c.Amount)
			if amount == 0 {
				continue
			}
			if wishes[c.Key] == nil {
				wishes[c.Key] = &wish{a: s.account(c, now), least: amount}
			}
			to := wishes[c.Key]
			to.need = min(to.need+amount, mostAmount)
			to.least = min(to.least, amount)
		}
	}
	err := s.exchange(wishes)
	now = time.Now()
	for _, w := range waiting {
		if w.gone {
			continue
		}
		w.short = -1
		if err != nil {
			w.err = s.without(w.charges, now, err)
		} else if i := s.takeHere(w.charges, now); i >= 0 {
			c := &w.charges[i]
			a := s.account(c, now)
			w.short, w.wait = i, a.wait(bounded(c.Amount))
			c.Left = max(a.left, 0) + max(a.have, 0)
			a.short, a.dry = bounded(c.Amount), now.Add(min(w.wait, s.o.Refresh, 200*time.Millisecond))
		}
		close(w.done)
	}
}

// exchange tells the database of accounts and gets what may be held, in one round
// trip. The lock is held, and not while the database is asked; the turn is the
// caller's.
func (s *Store) exchange(wishes map[string]*wish) error {
	if len(wishes) == 0 {
		return s.away
	}
	now := time.Now()
	list := make([]*wish, 0, len(wishes))
	for _, w := range wishes {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *wish) int { return strings.Compare(a.a.key, b.a.key) })
	n := len(list)
	keys, replicas := make([]string, n), make([]string, n)
	numbers := make([][]int64, 9)
	for i := range numbers {
		numbers[i] = make([]int64, n)
	}
	for i, w := range list {
		a := w.a
		if now.After(a.lease) {
			a.have = min(a.have, 0) // Others may have it by now.
		}
		w.have, w.dirty, a.dirty = a.have, a.dirty, false
		until := int64(0)
		if a.per <= 0 {
			until = a.until.UnixMicro()
		}
		keys[i], replicas[i] = a.key, a.replica
		// Of what runs may be less than nothing, when a settlement had no Take.
		for k, v := range [...]int64{a.limit, max(a.per.Microseconds(), 0), until, a.spent, max(a.out, 0), w.have, w.need, w.least, a.ahead(s.o.Ahead)} {
			numbers[k][i] = v
		}
	}
	s.serial++
	serial := s.serial
	s.mu.Unlock()
	got, err := s.call(serial, keys, replicas, numbers)
	s.mu.Lock()
	s.away = err
	if err != nil {
		for _, w := range list {
			w.a.dirty = w.a.dirty || w.dirty
		}
		return err
	}
	for i, w := range list {
		a, g := w.a, got[i]
		a.have = saturate(a.have, g.granted-w.have)
		a.left, a.dry = g.left, time.Time{}
		// Begun before the database's, and a tenth shorter.
		a.lease = now.Add(s.o.Lease - s.o.Lease/10)
		if a.per <= 0 {
			a.ending = time.Duration(a.until.UnixMicro()-g.now) * time.Microsecond
		}
	}
	return nil
}

// grant is the database's answer for an account.
type grant struct{ granted, left, now int64 }

// call is the round trip.
func (s *Store) call(serial int64, keys, replicas []string, numbers [][]int64) ([]grant, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
	defer cancel()
	got := make([]grant, 0, len(keys))
	args := []any{serial, s.o.Lease.Microseconds(), s.o.KeepLost, sqldb.Postgres.Texts(keys), sqldb.Postgres.Texts(replicas)}
	for _, list := range numbers {
		args = append(args, sqldb.Postgres.Ints(list))
	}
	err := s.db.Single(ctx, func(tx *sqldb.Tx) error {
		got = got[:0]
		rows, err := tx.QueryContext(ctx, `SELECT o_granted, o_left, o_now FROM mw_llm_exchange(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // It was read to its end.
		for rows.Next() {
			var g grant
			if err := rows.Scan(&g.granted, &g.left, &g.now); err != nil {
				return err
			}
			got = append(got, g)
		}
		return rows.Err()
	})
	if err == nil && len(got) != len(keys) {
		err = errStale
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: the database did not answer, or not in time: %w", err, ErrUnavailable)
	}
	return got, err
}
