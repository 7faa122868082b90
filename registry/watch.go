package registry

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// watchPoll is how often a store is asked that cannot wake a waiter.
const watchPoll = 500 * time.Millisecond

// Watch yields where an alias is, and again each time it moves: at once the
// present place, then every change. A Number of 0 is an alias that does not
// exist (yet). Moves that follow each other quickly may be told as one: the
// last place is always told.
//
// It ends when ctx does, which yields nothing more, or the loop breaks. An
// error of the store is yielded and does not end it, so that a server outlives
// a restart of its database; it tries again after a second. A move is told
// within milliseconds where the store is a Notifier (PostgreSQL), within a
// second elsewhere.
func (r *Registry) Watch(ctx context.Context, name, alias string) iter.Seq2[Alias, error] {
	return func(yield func(Alias, error) bool) {
		var faults errs.Faults
		checkName(&faults, name)
		checkAlias(&faults, alias)
		if err := faults.Err("registry: watch"); err != nil {
			yield(Alias{}, err)
			return
		}
		last, first := Alias{}, true
		for after := int64(0); ; {
			// The end of the log is read before the alias: a move between the
			// two is told now, and then wakes the wait once in vain.
			seq, err := r.lastSeq(ctx, after)
			var list []Alias
			if err == nil {
				list, err = r.store.Aliases(ctx, name, alias, "", 1)
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				if !yield(Alias{}, err) || !sleep(ctx, time.Second) {
					return
				}
				continue
			}
			now := Alias{Alias: alias}
			if len(list) > 0 {
				now = list[0]
			}
			if first || now.Number != last.Number || !now.Moved.Equal(last.Moved) {
				if !yield(now, nil) {
					return
				}
				last, first = now, false
			}
			after = seq
			if err := r.wait(ctx, after); err != nil {
				if ctx.Err() != nil || errors.Is(err, ErrClosed) || !yield(Alias{}, err) || !sleep(ctx, time.Second) {
					return
				}
			}
		}
	}
}

// lastSeq is the Seq of the newest entry, at least after.
func (r *Registry) lastSeq(ctx context.Context, after int64) (int64, error) {
	newest, err := r.store.Audit(ctx, AuditQuery{Backward: true, Limit: 1})
	if err != nil || len(newest) == 0 {
		return after, err
	}
	return max(after, newest[0].Seq), nil
}

// wait returns when there may be an entry after the given one.
func (r *Registry) wait(ctx context.Context, after int64) error {
	if n, ok := r.store.(Notifier); ok {
		_, err := n.Wait(ctx, after)
		return err
	}
	for {
		if !sleep(ctx, watchPoll) {
			return ctx.Err()
		}
		seq, err := r.lastSeq(ctx, after)
		if err != nil || seq > after {
			return err
		}
	}
}

// sleep waits, and reports false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
