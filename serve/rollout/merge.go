package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// tries is how often a merge is tried against other replicas that merge at the
// same time, before it waits for the next turn.
const tries = 20

// exchange merges what was counted here into the store's state and judges it.
// Of the replicas that do so at once one is first, and the others see what it
// decided.
func (r *Rollout) exchange(ctx context.Context) (*state, error) {
	fresh := r.tallies.take()
	if r.mine == nil {
		r.mine = fresh
	} else {
		for i := range fresh {
			r.mine[i].add(fresh[i])
		}
	}
	for range tries {
		s, err := r.change(ctx, func(s *state, now time.Time) {
			if !s.Ended.IsZero() {
				return
			}
			if !empty(r.mine) {
				s.merge(&r.exp, r.mine)
			}
			s.judge(&r.exp, now)
		})
		if errors.Is(err, errRace) {
			continue
		}
		if err == nil {
			r.mine = nil
		}
		return s, err
	}
	return nil, errors.New("rollout: other replicas were always first")
}

// errRace says that another replica changed the state first.
var errRace = errors.New("rollout: the state was changed meanwhile")

// change loads the state, changes it and saves it, if there is a change.
func (r *Rollout) change(ctx context.Context, f func(s *state, now time.Time)) (*state, error) {
	text, revision, err := r.opts.Store.Load(ctx, r.exp.Name)
	now := time.Now().UTC()
	var s *state
	switch {
	case errors.Is(err, ErrNotFound):
		s, revision = newState(&r.exp, now), 0
		r.told = max(r.told, 0)
	case err != nil:
		return nil, fmt.Errorf("rollout: load %q: %w", r.exp.Name, passing(err))
	default:
		if s, err = parseState(&r.exp, text); err != nil {
			return nil, err
		}
		if r.told < 0 {
			r.told = len(s.Events)
		}
	}
	f(s, now)
	next, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("rollout: experiment %q: write its state: %w", r.exp.Name, err)
	}
	if revision > 0 && string(next) == string(text) {
		return s, nil
	}
	switch err := r.opts.Store.Save(ctx, r.exp.Name, next, revision); {
	case errors.Is(err, ErrConflict):
		return nil, errRace
	case err != nil:
		return nil, fmt.Errorf("rollout: save %q: %w", r.exp.Name, passing(err))
	}
	return s, nil
}

// passing hides the kind of a store's error, which is not the experiment's.
func passing(err error) error { return errors.New(err.Error()) }

// record calls Options.Record for the decisions that no replica has recorded,
// if this one is chosen to. An error is logged, and tried again.
func (r *Rollout) record(ctx context.Context, s *state) error {
	const lease = time.Minute
	if r.opts.Record == nil {
		return nil
	}
	for s.Recorded < len(s.Events) {
		chosen := false
		claimed, err := r.change(ctx, func(s *state, now time.Time) {
			chosen = s.Recorded < len(s.Events) && (s.Recorder == r.me || s.Until.Before(now))
			if chosen {
				s.Recorder, s.Until = r.me, now.Add(lease)
			}
		})
		if err != nil || !chosen {
			return r.unless(ctx, err)
		}
		e := claimed.Events[claimed.Recorded]
		if e.Kind == Decided {
			if err := r.call(ctx, e, lease/2); err != nil {
				r.opts.Logger.Error("rollout: record a decision", "experiment", e.Experiment, "challenger", e.Challenger, "verdict", e.Verdict, "error", err)
				return nil
			}
		}
		for range tries {
			s, err = r.change(ctx, func(s *state, _ time.Time) {
				s.Recorded = max(s.Recorded, e.Seq)
				if s.Recorder == r.me {
					s.Recorder, s.Until = "", time.Time{}
				}
			})
			if !errors.Is(err, errRace) {
				break
			}
		}
		if err != nil {
			return r.unless(ctx, err)
		}
		r.adopt(s)
	}
	return nil
}

// unless keeps the errors that end an experiment.
func (r *Rollout) unless(ctx context.Context, err error) error {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrInvalid) {
		return err
	}
	if err != nil && !errors.Is(err, errRace) && ctx.Err() == nil {
		r.opts.Logger.Warn("rollout: the store is out of reach", "experiment", r.exp.Name, "error", err)
	}
	return nil
}

// call contains a panic of Record.
func (r *Rollout) call(ctx context.Context, e Event, most time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the function Record panicked: %v", p)
		}
	}()
	return r.opts.Record(ctx, e)
}
