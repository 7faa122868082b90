package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// job is a handle; the truth is in the files of dir.
type job struct {
	l    *Launcher
	dir  string
	rec  record
	spec train.Spec

	newest atomic.Int64 // an attempt that is known to be claimed, to look from there on
}

// stage is what the files say about the newest attempt.
type stage int

const (
	waiting   stage = iota // no supervisor has taken the attempt (yet)
	alive                  // its supervisor runs
	suspended              // it was ended by Suspend
	ended                  // so has the job
)

type state struct {
	stage    stage
	attempt  int
	since    time.Time // while waiting: when the attempt could have begun
	coming   bool      // while waiting: someone else is likely about to begin it
	claim    claim
	claimed  time.Time
	began    time.Time // of the attempt; zero before its processes are made
	gpus     []string
	outcome  outcome
	finished time.Time
}

// orphanAge is how long a job may be without a supervisor before whoever was to
// begin it is taken for dead.
const orphanAge = 2 * time.Second

func (j *job) path(name string) string { return filepath.Join(j.dir, name) }

// file is the path of an attempt's file.
func (j *job) file(attempt int, name string) string {
	return j.path(strconv.Itoa(attempt) + "." + name)
}

func (j *job) has(name string) bool {
	_, err := os.Lstat(j.path(name))
	return err == nil
}

func (j *job) hasFile(attempt int, name string) bool {
	_, err := os.Lstat(j.file(attempt, name))
	return err == nil
}

// ID implements [train.Job].
func (j *job) ID() string { return j.rec.ID }

// Spec implements [train.Job].
func (j *job) Spec() train.Spec { return j.spec }

// look reads the job's state. It writes only when it finds that a supervisor
// was killed: then it ends what is left of the attempt and records that.
func (j *job) look() (state, error) {
	for pass := 0; ; pass++ {
		s, done, err := j.glance()
		if err != nil || done {
			return s, err
		}
		if pass == 0 {
			continue // dead without an exit file, unless that was written between the two looks
		}
		if pass > 3 {
			return state{}, fmt.Errorf("train/local: job %q: its exit file can not be written: %w", j.rec.ID, train.ErrUnavailable)
		}
		killOrphans(s.claim, j.rec.ID)
		out := outcome{kind: "lost", code: -1}
		if rebooted(s.claim) {
			out.kind = "reboot"
		}
		if err := j.writeExit(s.attempt, out); err != nil {
			return state{}, fmt.Errorf("train/local: job %q: %w", j.rec.ID, err)
		}
	}
}

// glance reads the state, and false for an attempt that is dead and has no exit
// file.
func (j *job) glance() (state, bool, error) {
	a := int(j.newest.Load())
	for j.hasFile(a+1, "claim") {
		a++
	}
	c, claimed, ok, err := j.readClaim(a)
	if err != nil {
		return state{}, false, err
	}
	if !ok {
		if a == 0 {
			return state{since: j.rec.Submitted, coming: true}, true, nil
		}
		return state{stage: waiting, attempt: a, since: claimed, coming: true}, true, nil // the claim is being written
	}
	j.newest.Store(int64(a))
	s := state{attempt: a, claim: c, claimed: claimed}
	exit, finished, isEnd, err := j.readExit(a)
	if err != nil {
		return state{}, false, err
	}
	s.outcome, s.finished = exit, finished
	if data, at, err := j.read(a, "began"); err != nil {
		return state{}, false, err
	} else if data != nil {
		s.began, s.gpus = at, strings.Fields(string(data))
	}
	if isAlive(c) || j.l.child(j.rec.ID, a) != nil {
		s.stage = alive // also after the exit file, until the group is gone and reaped
		return s, true, nil
	}
	if !isEnd {
		return s, false, nil
	}
	switch s.outcome.next {
	case nextEnd:
		s.stage = ended
	case nextSuspend:
		s.stage = suspended
		if _, at, err := j.read(a+1, "resume"); err != nil {
			return state{}, false, err
		} else if !at.IsZero() {
			s = state{stage: waiting, attempt: a + 1, since: at, coming: true}
		} else if j.has("cancel") {
			s.stage = ended
		}
	default:
		s = state{
			stage: waiting, attempt: a + 1, since: finished, outcome: exit,
			// A supervisor begins the next attempt by itself where it can.
			coming: exit.kind == "exit" && j.rec.Tools.Setsid != "",
		}
	}
	return s, true, nil
}

func (j *job) readExit(attempt int) (outcome, time.Time, bool, error) {
	data, changed, err := j.read(attempt, "exit")
	if data == nil || err != nil {
		return outcome{}, time.Time{}, false, err
	}
	out, ok := parseExit(data)
	if !ok {
		return outcome{}, time.Time{}, false, nil // being written, or cut off by a power cut
	}
	return out, changed, true, nil
}

func (j *job) readClaim(attempt int) (claim, time.Time, bool, error) {
	data, changed, err := j.read(attempt, "claim")
	if data == nil || err != nil {
		return claim{}, time.Time{}, false, err
	}
	c, ok := parseClaim(data)
	if !ok && time.Since(changed) < orphanAge {
		return claim{}, changed, false, nil // being written
	}
	return c, changed, true, nil // a claim that stays incomplete is that of a dead supervisor
}

// read returns nil and a zero time without an error for a file that is not
// there, unless the whole job is gone.
func (j *job) read(attempt int, name string) ([]byte, time.Time, error) {
	path := j.file(attempt, name)
	info, err := os.Stat(path)
	if err == nil {
		var data []byte
		if data, err = readFile(path, maxStateFile); err == nil {
			return data, info.ModTime(), nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, fmt.Errorf("train/local: job %q: %w", j.rec.ID, err)
	}
	if !j.has(recordFile) {
		return nil, time.Time{}, fmt.Errorf("train/local: job %q: was deleted: %w", j.rec.ID, train.ErrNotFound)
	}
	return nil, time.Time{}, nil
}

// writeExit records how an attempt ended whose supervisor could not, with what
// that leads to. Of several writers one is heard.
func (j *job) writeExit(attempt int, out outcome) error {
	out.next = j.decide(attempt, out)
	path := j.file(attempt, "exit")
	err := linkFile(path, []byte(out.String()))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, _, ok, err := j.readExit(attempt); ok || err != nil {
		return err
	}
	return replaceFile(path, []byte(out.String()))
}

// decide says what the end of an attempt leads to, as the supervisor does.
func (j *job) decide(attempt int, out outcome) next {
	switch {
	case j.has("cancel") || j.has("deadline"):
		return nextEnd
	case j.hasFile(attempt, "suspend"):
		return nextSuspend
	case out.kind == "exit" && out.code == 0:
		return nextEnd
	}
	infra := out.infra()
	if _, explicit := j.spec.Retry.ExitCodes[out.code]; explicit && out.kind == "exit" {
		infra = false // the text of the exit code's action decides
	}
	spent := j.spent(attempt)
	after, again := j.spec.Retry.Decide(out.code, infra, spent)
	switch {
	case !again:
		return nextEnd
	case after.Infra > spent.Infra:
		return nextInfra
	default:
		return nextUser
	}
}

// spent counts what led to the attempts before one.
func (j *job) spent(attempt int) train.Tries {
	var t train.Tries
	for a := range attempt {
		out, _, _, _ := j.readExit(a) // what can not be read was not counted
		switch out.next {
		case nextInfra:
			t.Infra++
		case nextUser:
			t.User++
		}
	}
	return t
}

// settle makes the end durable before anyone is told of it. A mark saves the
// next ones the two flushes of the disk: it is made after them, so where it is
// there, they were done.
func (j *job) settle(s state) error {
	if j.hasFile(s.attempt, "settled") {
		return nil
	}
	if err := errors.Join(syncDir(j.file(s.attempt, "exit")), syncDir(j.dir)); err != nil {
		return fmt.Errorf("train/local: job %q: %w", j.rec.ID, err)
	}
	if j.limited() {
		removeGroups(j.l.opts.Cgroup, j.rec.ID)
	}
	_ = writeEmpty(j.file(s.attempt, "settled")) // without it the next one flushes again
	return nil
}

// ending says how an ended job, or an attempt of it, ended.
func (j *job) ending(attempt int, out outcome, final bool) train.Ending {
	e := train.Ending{ExitCode: out.code, Rank: out.rank, Attempt: attempt}
	switch {
	case final && j.has("cancel"):
		e.Cause = train.CauseCancelled
	case final && j.has("deadline"):
		e.Cause, e.Deadline = train.CauseDeadline, j.rec.Deadline
	case out.kind == "exit" && out.code == 0:
		return train.Ending{Attempt: attempt}
	case out.oom:
		e.Cause, e.Signal = train.CauseOOM, signalName(out.signal)
		e.Text = fmt.Sprintf("the kernel killed it at the memory limit of %d bytes: ask for more in Resources.Memory", j.effective(attempt).Resources.Memory)
	case out.signal != 0:
		e.Cause, e.Signal, e.Text = train.CauseKilled, signalName(out.signal), signalCause(out.signal)
	case out.kind == "reboot":
		e.Cause, e.Text = train.CauseNodeLost, "the machine restarted"
	case out.kind == "lost":
		e.Cause = train.CauseKilled
		e.Text = "its supervisor is gone and left no exit status: the disk was full, or all its processes were killed"
	default:
		e.Cause = train.CauseUser
	}
	e.LastLines = j.lastLines(attempt, out.rank)
	return e
}

// adopt begins an attempt that nobody else will begin. now is for those who can
// not wait to see whether somebody does: several may try, one succeeds.
func (j *job) adopt(ctx context.Context, s state, now bool) error {
	if s.stage != waiting || (s.coming && !now && time.Since(s.since) < orphanAge) {
		return nil
	}
	return j.begin(ctx, s.attempt)
}
