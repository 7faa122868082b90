package local

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// Logs implements [train.Job].
func (j *job) Logs(ctx context.Context, opts *train.LogOptions) iter.Seq2[train.Line, error] {
	if opts == nil {
		opts = &train.LogOptions{}
	}
	return func(yield func(train.Line, error) bool) {
		r := logReader{j: j, opts: *opts, yield: yield}
		defer r.close()
		if err := r.run(ctx); err != nil && !errors.Is(err, errStopped) {
			yield(train.Line{}, fmt.Errorf("train/local: logs of %q: %w", j.rec.ID, err))
		}
	}
}

// errStopped is the end of a reading that its reader broke off.
var errStopped = errors.New("stopped")

// logReader reads one attempt after the other, and the streams of all its
// processes side by side.
type logReader struct {
	j     *job
	opts  train.LogOptions
	yield func(train.Line, error) bool

	after   *train.Cursor
	attempt int
	streams []*tail
	bounded bool
	last    []train.Line // with Tail: the last lines of what is there now
	ring    bool
	scratch []byte
}

func (r *logReader) close() {
	for _, t := range r.streams {
		t.close()
	}
	r.streams = nil
}

func (r *logReader) run(ctx context.Context) error {
	var err error
	if r.after, err = train.ParseCursor(r.opts.After); err != nil {
		return err
	}
	r.attempt = r.after.Attempt
	r.ring = r.opts.Tail > 0
	r.bounded = !r.opts.Follow || r.ring
	p := r.j.newPoller(0)
	for {
		// The state first: what the files hold after the end is everything.
		s, err := r.j.look()
		if err != nil {
			return err
		}
		_, _, over, err := r.j.readExit(r.attempt)
		if err != nil {
			return err
		}
		over = over && (r.attempt < s.attempt || s.stage != alive)
		progress, err := r.read(ctx, over)
		if err != nil {
			return err
		}
		if progress {
			p.reset()
		}
		if over && r.attempt < s.attempt {
			r.close()
			r.attempt++
			continue
		}
		if r.ring { // everything that is there now was read
			if err := r.flush(); err != nil {
				return err
			}
			if r.opts.Follow {
				r.unbound()
				continue
			}
		}
		if !r.opts.Follow || s.stage == ended {
			return nil
		}
		if err := r.j.adopt(ctx, s, false); err != nil {
			return err
		}
		if err := p.pauseAtMost(ctx, p.max); err != nil {
			return err
		}
	}
}

// read yields what the attempt's files hold more than before.
func (r *logReader) read(ctx context.Context, over bool) (bool, error) {
	if r.streams == nil {
		r.prepare()
	}
	found := false
	for _, t := range r.streams {
		if err := t.open(r.bounded); err != nil {
			return found, err
		}
	}
	for progress := true; progress; {
		progress = false
		for _, t := range r.streams {
			if err := ctx.Err(); err != nil {
				return found, err
			}
			n, goOn, err := t.read(over, r.line)
			if err != nil {
				return found, err
			}
			if !goOn {
				return found, errStopped
			}
			progress = progress || n > 0
		}
		found = found || progress
	}
	return found, nil
}

// prepare lists the attempt's streams, each from where the cursor left it.
func (r *logReader) prepare() {
	spec := r.j.effective(r.attempt)
	r.streams = []*tail{}
	for rank := range spec.NodeCount() * spec.CommandsPerNode() {
		if r.opts.Rank != nil && *r.opts.Rank != rank {
			continue
		}
		for _, name := range []string{"stdout", "stderr"} {
			t := &tail{
				line: train.Line{Rank: rank, Attempt: r.attempt, Stream: name},
				path: r.j.file(r.attempt, strconv.Itoa(rank)+"."+name[3:]),
			}
			t.source = t.line.Source()
			t.offset = r.after.Offset(t.source)
			info, err := os.Stat(t.path)
			if err == nil && !r.opts.Since.IsZero() && info.ModTime().Before(r.opts.Since) && r.ended(r.attempt) {
				t.offset = max(t.offset, info.Size()) // all its lines are older
			}
			if r.ring {
				t.offset = max(t.offset, lastOffset(t.path, r.opts.Tail))
			}
			r.streams = append(r.streams, t)
		}
	}
}

func (r *logReader) ended(attempt int) bool {
	_, _, ok, err := r.j.readExit(attempt)
	return ok && err == nil
}

// line yields one line, unless it is a report.
func (r *logReader) line(t *tail, text string, cut bool, at time.Time) bool {
	if t.line.Rank == 0 && len(text) > 2 && text[:2] == "##" && t.line.Stream == "stdout" {
		if _, ok := train.ParseReport(text); ok {
			return true
		}
	}
	l := t.line
	l.Time, l.Text, l.Cut, l.Cursor = at, text, cut, r.cursor()
	if r.ring {
		r.last = train.KeepTail(r.last, l, r.opts.Tail)
		return true
	}
	return r.yield(l, nil)
}

// cursor is the text of the train.Cursor that says what was yielded.
func (r *logReader) cursor() string {
	b := strconv.AppendInt(r.scratch[:0], int64(r.attempt), 10)
	for _, t := range r.streams {
		if t.offset > 0 {
			b = append(append(append(b, ';'), t.source...), '=')
			b = strconv.AppendInt(b, t.offset, 10)
		}
	}
	r.scratch = b
	return string(b)
}

// flush yields the last lines of what was there.
func (r *logReader) flush() error {
	for _, l := range r.last[max(0, len(r.last)-r.opts.Tail):] {
		if !r.yield(l, nil) {
			return errStopped
		}
	}
	r.last, r.ring = nil, false
	return nil
}

// unbound goes on to what was written since.
func (r *logReader) unbound() {
	r.bounded = false
	for _, t := range r.streams {
		t.unbound()
	}
}
