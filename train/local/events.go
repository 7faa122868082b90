package local

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// Events implements [train.Job]. They are the times of change of the job's
// files.
func (j *job) Events(ctx context.Context, opts *train.EventOptions) iter.Seq2[train.Event, error] {
	follow := opts != nil && opts.Follow
	return func(yield func(train.Event, error) bool) {
		seen := map[string]bool{}
		p := j.newPoller(0)
		for {
			s, err := j.look()
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && follow {
				err = j.adopt(ctx, s, false)
			}
			var events []train.Event
			if err == nil {
				events, err = j.events(s)
			}
			if err != nil {
				yield(train.Event{}, fmt.Errorf("train/local: events of %q: %w", j.rec.ID, err))
				return
			}
			for _, e := range events {
				key := e.Object + " " + e.Reason
				if seen[key] {
					continue
				}
				seen[key] = true
				p.reset()
				if !yield(e, nil) {
					return
				}
			}
			if !follow || s.stage == ended {
				return
			}
			if err := p.pauseAtMost(ctx, p.max); err != nil {
				yield(train.Event{}, fmt.Errorf("train/local: events of %q: %w", j.rec.ID, err))
				return
			}
		}
	}
}

// events lists what has happened so far, oldest first.
func (j *job) events(s state) ([]train.Event, error) {
	events := []train.Event{{Time: j.rec.Submitted, Object: "Job", Reason: "Submitted", Text: "submitted", Count: 1}}
	add := func(at time.Time, object, reason, text string, warning bool) {
		if !at.IsZero() {
			events = append(events, train.Event{Time: at, Object: object, Reason: reason, Text: text, Warning: warning, Count: 1})
		}
	}
	for a := range s.attempt + 1 {
		object := "attempt " + strconv.Itoa(a)
		times := map[string]time.Time{}
		for _, name := range []string{"claim", "began", "suspend", "resume"} {
			_, at, err := j.read(a, name)
			if err != nil {
				return nil, err
			}
			times[name] = at
		}
		add(times["resume"], object, "Resumed", "resume was called", false)
		if j.effective(a).GPU.Count > 0 {
			add(times["claim"], object, "Queued", "waits for GPUs", false)
		}
		add(times["began"], object, "Started", "its processes were started", false)
		add(times["suspend"], object, "SuspendRequested", "suspend was called", false)
		out, at, ok, err := j.readExit(a)
		if err != nil {
			return nil, err
		}
		if !ok || (a == s.attempt && s.stage == alive) {
			continue
		}
		e := j.ending(a, out, a == s.attempt && s.stage == ended)
		switch {
		case out.next == nextSuspend:
			add(at, object, "Suspended", "its processes have ended", false)
		case e.Cause == "":
			add(at, object, "Succeeded", "the command exited with status 0", false)
		default:
			add(at, object, "Ended", e.Err(j.rec.ID).Error(), e.Cause != train.CauseCancelled)
		}
		if out.next == nextInfra || out.next == nextUser {
			add(at, object, "Requeued", "another attempt follows", false)
		}
	}
	for name, reason := range map[string]string{"cancel": "CancelRequested", "deadline": "DeadlinePassed"} {
		if info, err := os.Stat(j.path(name)); err == nil {
			add(info.ModTime(), "Job", reason, "", name == "deadline")
		}
	}
	slices.SortStableFunc(events, func(a, b train.Event) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return events, nil
}

// Progress implements [train.Job]. It reads what rank 0 of the newest attempts
// printed.
func (j *job) Progress(ctx context.Context) (train.Progress, error) {
	s, err := j.look()
	if err != nil {
		return train.Progress{}, err
	}
	var p train.Progress
	for a := range s.attempt + 1 {
		if err := j.reports(ctx, a, func(r train.Report, at time.Time) { p.Add(r, at, a) }); err != nil {
			return train.Progress{}, fmt.Errorf("train/local: progress of %q: %w", j.rec.ID, err)
		}
	}
	return p, nil
}

// reports calls fn for each report of an attempt. Their time is that of the
// checkpoint where they have one, else the time of the file's last change, which
// is exact for the newest.
func (j *job) reports(ctx context.Context, attempt int, fn func(train.Report, time.Time)) error {
	f, err := os.Open(j.file(attempt, "0.out"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.LimitReader(f, info.Size()), 64<<10)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := r.ReadSlice('\n')
		whole := err == nil
		if bytes.HasPrefix(line, []byte("##")) && whole {
			if report, ok := train.ParseReport(strings.TrimRight(string(line), "\r\n")); ok {
				fn(report, info.ModTime())
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) { // no report is that long
			_, err = r.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Usage implements [train.Job].
func (j *job) Usage(ctx context.Context) (train.Usage, error) {
	s, err := j.look()
	if err != nil {
		return train.Usage{}, err
	}
	var attempts []train.Attempt
	queued := j.rec.Submitted
	for a := range s.attempt + 1 {
		spec := j.effective(a)
		_, resumed, err := j.read(a, "resume")
		if err != nil {
			return train.Usage{}, err
		}
		if !resumed.IsZero() {
			queued = resumed
		}
		data, began, err := j.read(a, "began")
		if err != nil {
			return train.Usage{}, err
		}
		out, finished, ok, err := j.readExit(a)
		if err != nil {
			return train.Usage{}, err
		}
		if a == s.attempt && s.stage == waiting && !resumed.IsZero() && !ok {
			finished = time.Time{}
		}
		nodes := spec.NodeCount()
		at := train.Attempt{
			GPU: j.gpuType(a, strings.Fields(string(data))), GPUs: nodes * spec.GPU.Count, CPU: float64(nodes) * spec.Resources.CPU,
			Memory: int64(nodes) * spec.Resources.Memory, Queued: queued, Started: began, Finished: finished,
			OK: ok && out.kind == "exit" && out.code == 0 && out.next == nextEnd && !j.has("cancel") && !j.has("deadline"),
		}
		err = j.reports(ctx, a, func(r train.Report, _ time.Time) {
			if r.Checkpoint != nil {
				at.Checkpoint = r.Checkpoint.Time
			}
		})
		if err != nil {
			return train.Usage{}, fmt.Errorf("train/local: usage of %q: %w", j.rec.ID, err)
		}
		attempts = append(attempts, at)
		queued = finished
	}
	return train.NewUsage(j.rec.ID, j.spec.Team, attempts, j.l.opts.Prices, s.stage != ended, time.Now()), nil
}
