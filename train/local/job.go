package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// job is a handle; the truth is in the files of dir.
type job struct {
	l    *Launcher
	dir  string
	rec  record
	spec train.Spec
}

// stage is what the files say about the supervisor.
type stage int

const (
	unclaimed stage = iota // no supervisor has taken the job (yet)
	alive                  // its supervisor runs
	ended                  // the exit file says how
)

type state struct {
	stage    stage
	claim    claim
	outcome  outcome
	started  time.Time
	finished time.Time
}

// orphanAge is how old a job without a supervisor must be before its submitter
// is taken for dead.
const orphanAge = 2 * time.Second

func (j *job) path(name string) string { return filepath.Join(j.dir, name) }

func (j *job) has(name string) bool {
	_, err := os.Lstat(j.path(name))
	return err == nil
}

// ID implements [train.Job].
func (j *job) ID() string { return j.rec.ID }

// Spec implements [train.Job].
func (j *job) Spec() train.Spec { return j.spec }

// look reads the job's state. It writes only when it finds that the supervisor
// was killed: then it ends what is left of the job and records that.
func (j *job) look() (state, error) {
	var s state
	for range 2 {
		out, finished, ok, err := j.readExit()
		if err != nil {
			return state{}, err
		}
		c, started, claimed, err := j.readClaim()
		if err != nil {
			return state{}, err
		}
		s = state{claim: c, outcome: out, started: started, finished: finished}
		if c.pid == 0 {
			s.started = time.Time{}
		}
		switch {
		case !claimed:
			return s, nil
		case isAlive(c) || j.l.child(j.rec.ID) != nil:
			s.stage = alive // also after the exit file, until the group is gone and reaped
			return s, nil
		case ok:
			s.stage = ended
			return s, nil
		}
		// Dead without an exit file, unless that was written between the two
		// looks: look once more.
	}
	killOrphans(s.claim, j.rec.ID)
	if err := replaceFile(j.path("exit"), []byte("lost\n")); err != nil {
		return state{}, err
	}
	s.stage, s.outcome, s.finished = ended, outcome{code: -1}, time.Now()
	return s, nil
}

func (j *job) readExit() (outcome, time.Time, bool, error) {
	data, changed, err := j.read("exit")
	if data == nil || err != nil {
		return outcome{}, time.Time{}, false, err
	}
	out, ok := parseExit(data)
	if !ok {
		return outcome{}, time.Time{}, false, nil // being written, or cut off by a power cut
	}
	return out, changed, true, nil
}

func (j *job) readClaim() (claim, time.Time, bool, error) {
	data, changed, err := j.read("claim")
	if data == nil || err != nil {
		return claim{}, time.Time{}, false, err
	}
	c, ok := parseClaim(data)
	if !ok && time.Since(changed) < orphanAge {
		return claim{}, time.Time{}, false, nil // being written
	}
	return c, changed, true, nil // a claim that stays incomplete is that of a dead supervisor
}

// read returns nil without an error for a file that is not there, unless the
// whole job is gone.
func (j *job) read(name string) ([]byte, time.Time, error) {
	info, err := os.Stat(j.path(name))
	if err == nil {
		var data []byte
		if data, err = readFile(j.path(name), maxStateFile); err == nil {
			return data, info.ModTime(), nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, fmt.Errorf("train/local: job %q: %w", j.rec.ID, err)
	}
	if !j.has("job.json") {
		return nil, time.Time{}, fmt.Errorf("train/local: job %q: was deleted: %w", j.rec.ID, train.ErrNotFound)
	}
	return nil, time.Time{}, nil
}

// Status implements [train.Job].
func (j *job) Status(ctx context.Context) (train.Status, error) {
	if err := ctx.Err(); err != nil {
		return train.Status{}, fmt.Errorf("train/local: status of %q: %w", j.rec.ID, err)
	}
	s, err := j.look()
	if err != nil {
		return train.Status{}, err
	}
	st := train.Status{Phase: train.Starting, Submitted: j.rec.Submitted, Started: s.started}
	switch s.stage {
	case unclaimed:
		if time.Since(j.rec.Submitted) > orphanAge {
			st.Reason = "its submitter died before it began: Submit with the same key, Wait or a following Logs begins it"
		}
	case alive:
		st.Phase = train.Running
		if j.has("cancel") {
			st.Reason = "cancel was called"
		} else if j.has("deadline") {
			st.Reason = "the deadline has passed"
		}
	case ended:
		if err := j.settle(); err != nil {
			return train.Status{}, err
		}
		st.Finished = s.finished
		st.Phase = train.Succeeded
		if err := j.failure(s); errors.Is(err, train.ErrCancelled) {
			st.Phase = train.Cancelled
		} else if err != nil {
			st.Phase, st.Reason = train.Failed, err.Error()
		}
	}
	return st, nil
}

// settle makes the end durable before anyone is told of it.
func (j *job) settle() error {
	if err := errors.Join(syncDir(j.path("exit")), syncDir(j.dir)); err != nil {
		return fmt.Errorf("train/local: job %q: %w", j.rec.ID, err)
	}
	return nil
}

// failure is how an ended job failed, or nil.
func (j *job) failure(s state) error {
	switch {
	case j.has("cancel"):
		return fmt.Errorf("train: job %q: %w", j.rec.ID, train.ErrCancelled)
	case j.has("deadline"):
		return &train.DeadlineError{Job: j.rec.ID, Deadline: j.spec.Deadline}
	case s.outcome.code == 0:
		return nil
	case s.outcome.signal != 0:
		return &train.KilledError{
			Job: j.rec.ID, Signal: signalName(s.outcome.signal),
			Cause: signalCause(s.outcome.signal), LastLines: j.lastLines(),
		}
	case s.outcome.code < 0:
		return &train.KilledError{
			Job: j.rec.ID, LastLines: j.lastLines(),
			Cause: "its supervisor is gone and left no exit status: the machine restarted, the disk was full, or all its processes were killed",
		}
	default:
		return &train.UserError{Job: j.rec.ID, ExitCode: s.outcome.code, LastLines: j.lastLines()}
	}
}

// Wait implements [train.Job].
func (j *job) Wait(ctx context.Context) (*train.Result, error) {
	p := j.newPoller()
	for {
		s, err := j.look()
		if err != nil {
			return nil, err
		}
		if s.stage == ended {
			if err := j.settle(); err != nil {
				return nil, err
			}
			return &train.Result{
				ExitCode: s.outcome.code, Started: s.started, Finished: s.finished, Output: j.spec.Output,
			}, j.failure(s)
		}
		if err := j.adopt(ctx, s); err != nil {
			return nil, err
		}
		if err := p.pause(ctx, s.stage == unclaimed); err != nil {
			return nil, fmt.Errorf("train/local: wait for %q: %w", j.rec.ID, err)
		}
	}
}

// adopt begins a job whose submitter died too early to do so.
func (j *job) adopt(ctx context.Context, s state) error {
	if s.stage != unclaimed || time.Since(j.rec.Submitted) < orphanAge {
		return nil
	}
	return j.begin(ctx)
}

// Cancel implements [train.Job].
func (j *job) Cancel(ctx context.Context) error {
	s, err := j.look()
	if err != nil || s.stage == ended {
		return err
	}
	asked, err := j.mark()
	if err != nil {
		return fmt.Errorf("train/local: cancel %q: %w", j.rec.ID, err)
	}
	p := j.newPoller()
	for termed, killed := false, false; ; {
		s, err := j.look()
		if err != nil || s.stage == ended {
			return err
		}
		if s.stage == unclaimed {
			if err := j.claimDead(); err != nil {
				return fmt.Errorf("train/local: cancel %q: %w", j.rec.ID, err)
			}
		}
		left := j.spec.GracePeriod() - time.Since(asked)
		switch {
		case s.stage == alive && left <= 0 && !killed:
			killed = true
			signalGroup(s.claim, true)
		case s.stage == alive && left > 0 && !termed:
			termed = true
			signalGroup(s.claim, false)
		}
		if err := p.pauseAtMost(ctx, left); err != nil {
			return fmt.Errorf("train/local: cancel %q: %w", j.rec.ID, err)
		}
	}
}

// mark records that the job is to be cancelled, and returns when that was done
// first.
func (j *job) mark() (time.Time, error) {
	err := writeFile(j.path("cancel"), nil)
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return time.Time{}, err
	}
	info, err := os.Stat(j.path("cancel"))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// claimDead takes a job that no supervisor has taken, so that none ever will.
func (j *job) claimDead() error {
	err := writeFile(j.path("claim"), []byte(deadClaim))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
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
