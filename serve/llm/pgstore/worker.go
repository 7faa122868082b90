package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
)

var errStale = fmt.Errorf("the database has heard later things from this replica: %w", ErrUnavailable)

// start begins the work in the background, once. The lock is held.
func (s *Store) start() {
	if s.started {
		return
	}
	s.started, s.swept = true, time.Now()
	go func() {
		defer close(s.stopped)
		ticker := time.NewTicker(s.o.Refresh)
		defer ticker.Stop()
		last := time.Now()
		for {
			select {
			case <-s.stop:
				return
			case <-ticker.C:
			}
			now := time.Now()
			if err := s.refresh(now, now.Sub(last), false); err != nil {
				s.o.OnError(fmt.Errorf("llm/pgstore: refresh: %w", err))
			}
			last = now
			if err := s.sweepNow(now); err != nil {
				s.o.OnError(fmt.Errorf("llm/pgstore: sweep: %w", err))
			}
		}
	}()
}

// refresh tells what changed, renews leases and gives back what nobody needs, or
// all of it.
func (s *Store) refresh(now time.Time, passed time.Duration, all bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acquire()
	defer func() {
		s.release()
		if len(s.waiting) > 0 {
			s.ask()
		}
	}()
	var lots []map[string]*wish
	for key, a := range s.accounts {
		// Half of the new and half of the old.
		a.rate = (a.rate + float64(a.taken)/max(passed.Seconds(), 1e-3)) / 2
		a.taken = 0
		if a.rate < 1e-3 {
			a.rate = 0
		}
		keep := a.ahead(s.o.Ahead)
		if all {
			keep = 0
		}
		if a.have > keep {
			a.have, a.dirty = keep, true
		}
		holds := a.have != 0 || a.out != 0
		switch {
		case a.dirty || holds && a.lease.Sub(now) < s.o.Lease/2:
			if len(lots) == 0 || len(lots[len(lots)-1]) == batch {
				lots = append(lots, make(map[string]*wish))
			}
			lots[len(lots)-1][key] = &wish{a: a}
		case !holds && now.Sub(a.used) > s.o.Lease:
			// All was told, so that it can be forgotten.
			delete(s.accounts, key)
		}
	}
	if len(lots) == 0 && s.away != nil {
		return s.ping()
	}
	for _, wishes := range lots {
		if err := s.exchange(wishes); err != nil {
			return err
		}
	}
	return nil
}

// ping looks whether the database is there again. The lock is held, and not
// meanwhile; the turn is the caller's.
func (s *Store) ping() error {
	s.serial++
	serial := s.serial
	s.mu.Unlock()
	_, err := s.call(serial, nil, nil, make([][]int64, 9))
	s.mu.Lock()
	s.away = err
	return err
}

// sweepEvery is how often rows that nobody needs are looked for.
const sweepEvery = 10 * time.Minute

func (s *Store) sweepNow(now time.Time) error {
	if now.Sub(s.swept) < sweepEvery {
		return nil
	}
	s.swept = now
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
	defer cancel()
	return s.Sweep(ctx)
}

// Sweep deletes what is not needed any more: accounts of periods that ended, and
// those that are full again, and what replicas told that are gone for a day. The
// store does it by itself every ten minutes.
func (s *Store) Sweep(ctx context.Context) error {
	return s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		// Rows that others are at can wait, so that nothing waits for this.
		_, err := tx.ExecContext(ctx, `DELETE FROM mw_llm_account WHERE key IN
			(SELECT key FROM mw_llm_account WHERE keep < now() ORDER BY key LIMIT 10000 FOR UPDATE SKIP LOCKED)`)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM mw_llm_lease AS l USING
			(SELECT a.key FROM mw_llm_account AS a WHERE EXISTS (SELECT FROM mw_llm_lease AS o WHERE o.key = a.key AND o.expires < now() - interval '1 day') ORDER BY a.key LIMIT 10000 FOR NO KEY UPDATE SKIP LOCKED) AS k
			WHERE l.key = k.key AND l.expires < now() - interval '1 day'`)
		return err
	})
}

// Shutdown tells the database what was used, gives back what is held, and ends
// the store. Shut the gateway down first, so that no request is left.
func (s *Store) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	started, ended := s.started, s.ended
	s.mu.Unlock()
	if started {
		select {
		case <-s.stopped:
		case <-ctx.Done():
			return fmt.Errorf("llm/pgstore: shut down: %w", context.Cause(ctx))
		}
	}
	if ended {
		return nil
	}
	err := s.refresh(time.Now(), time.Second, true)
	if err != nil {
		err = fmt.Errorf("llm/pgstore: shut down: what was used last is not told: %w", err)
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	return errors.Join(err, s.db.Close())
}
