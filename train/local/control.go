package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// Cancel implements [train.Job].
func (j *job) Cancel(ctx context.Context) error {
	s, err := j.look()
	if err != nil || s.stage == ended {
		return err
	}
	_, err = j.stop(ctx, "cancel", func(state) string { return "cancel" }, func(s state) bool { return s.stage == ended })
	return err
}

// Suspend implements [train.Job].
func (j *job) Suspend(ctx context.Context) error {
	s, err := j.look()
	if err != nil || s.stage == suspended {
		return err
	}
	if s.stage != ended {
		s, err = j.stop(ctx, "suspend",
			func(s state) string { return strconv.Itoa(s.attempt) + ".suspend" },
			func(s state) bool { return s.stage == ended || s.stage == suspended })
	}
	if err == nil && s.stage == ended {
		err = fmt.Errorf("train/local: suspend %q: it has ended: %w", j.rec.ID, train.ErrConflict)
	}
	return err
}

// stop leaves a mark that says what is wanted, and ends the processes.
func (j *job) stop(ctx context.Context, what string, mark func(state) string, done func(state) bool) (state, error) {
	fail := func(err error) (state, error) {
		return state{}, fmt.Errorf("train/local: %s %q: %w", what, j.rec.ID, err)
	}
	p := j.newPoller(0)
	type sent struct {
		attempt      int
		term, killed bool
	}
	var last sent
	for {
		s, err := j.look()
		if err != nil || done(s) {
			return s, err
		}
		asked, err := j.mark(mark(s))
		if err != nil {
			return fail(err)
		}
		left := j.spec.GracePeriod() - time.Since(asked)
		if s.attempt != last.attempt {
			last = sent{attempt: s.attempt}
		}
		switch {
		case s.stage == waiting:
			if err := j.claimDead(s.attempt); err != nil {
				return fail(err)
			}
		case s.stage == alive && left <= 0 && !last.killed:
			last.killed = true
			signalGroup(s.claim, true)
		case s.stage == alive && left > 0 && !last.term:
			// A signal that comes before the process is made reaches nobody.
			last.term = j.hasFile(s.attempt, "0.pid")
			signalGroup(s.claim, false)
		}
		if err := p.pauseAtMost(ctx, left); err != nil {
			return fail(err)
		}
	}
}

// mark records a wish durably, and returns when that was done first.
func (j *job) mark(name string) (time.Time, error) {
	if info, err := os.Stat(j.path(name)); err == nil {
		return info.ModTime(), nil
	}
	err := writeFile(j.path(name), nil)
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return time.Time{}, err
	}
	info, err := os.Stat(j.path(name))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// claimDead takes an attempt that no supervisor has taken, so that none ever
// will.
func (j *job) claimDead(attempt int) error {
	err := writeFile(j.file(attempt, "claim"), []byte(deadClaim))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Resume implements [train.Job]. Each option replaces what the job had.
func (j *job) Resume(ctx context.Context, opts *train.ResumeOptions) error {
	fail := func(err error) error { return fmt.Errorf("train/local: resume %q: %w", j.rec.ID, err) }
	s, err := j.look()
	switch {
	case err != nil:
		return err
	case s.stage == ended:
		return fail(fmt.Errorf("it has ended: %w", train.ErrConflict))
	case s.stage != suspended:
		return nil
	}
	if opts == nil {
		opts = &train.ResumeOptions{}
	}
	next := s.attempt + 1
	spec := apply(j.effective(s.attempt), *opts)
	if opts.Nodes < 0 {
		return fail(fmt.Errorf("nodes is %d, want 0 (as before) or more: %w", opts.Nodes, train.ErrInvalid))
	}
	if err := spec.Validate(); err != nil {
		return fail(err)
	}
	if c := j.l.check(ctx, spec); len(c.faults) > 0 {
		return fail(joinFaults(c.faults))
	}
	data, err := json.Marshal(train.ResumeOptions{GPU: &spec.GPU, Resources: &spec.Resources, Nodes: spec.Nodes})
	if err != nil {
		return fail(err)
	}
	if err := linkFile(j.file(next, "resume"), append(data, '\n')); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	if err := j.begin(ctx, next); err != nil {
		return fail(err)
	}
	return nil
}

// Delete implements [train.Job].
func (j *job) Delete(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("train/local: delete %q: %w", j.rec.ID, err)
	}
	s, err := j.look()
	if err != nil {
		return err
	}
	if s.stage != ended {
		return fmt.Errorf("train/local: delete %q: it has not ended, cancel it first: %w", j.rec.ID, train.ErrConflict)
	}
	if err := j.settle(s); err != nil {
		return err
	}
	if j.l.opts.Keep != nil {
		if err := j.l.opts.Keep.Keep(ctx, j); err != nil {
			return fmt.Errorf("train/local: delete %q: %w", j.rec.ID, err)
		}
	}
	// One rename makes it gone; what a crash leaves of it Open sweeps.
	trash, err := os.MkdirTemp(j.l.dir, tempPrefix)
	if err == nil {
		err = os.Rename(j.dir, filepath.Join(trash, j.rec.ID))
		if errors.Is(err, fs.ErrNotExist) {
			err = train.ErrNotFound
		} else if err == nil {
			err = syncDir(j.l.dir)
		}
		err = errors.Join(err, os.RemoveAll(trash))
	}
	if err != nil {
		return fmt.Errorf("train/local: delete %q: %w", j.rec.ID, err)
	}
	return nil
}

// expire deletes an ended job whose time to live is over.
func (j *job) expire(ctx context.Context) (bool, error) {
	if j.spec.TTL == 0 {
		return false, nil
	}
	s, err := j.look()
	if err != nil || s.stage != ended || time.Since(s.finished) < j.spec.TTL {
		return false, err
	}
	if err := j.Delete(ctx); err != nil && !errors.Is(err, train.ErrNotFound) {
		return false, err
	}
	return true, nil
}
