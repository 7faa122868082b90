package k8s

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/phase"
	"github.com/millwright-ml/millwright/train"
)

// Logs implements train.Job. What is there now comes first, merged by time within
// each attempt; then, with Follow, lines come as they are printed.
func (j *job) Logs(ctx context.Context, opts *train.LogOptions) iter.Seq2[train.Line, error] {
	return func(yield func(train.Line, error) bool) {
		if opts == nil {
			opts = &train.LogOptions{}
		}
		cursor, err := train.ParseCursor(opts.After)
		if err != nil {
			yield(train.Line{}, err)
			return
		}
		r := &reader{j: j, ctx: ctx, opts: opts, cursor: cursor, yield: yield, done: map[string]bool{}}
		err = r.backlog()
		if err == nil && opts.Follow && !r.stopped {
			err = r.follow()
		}
		if kept := j.archived(ctx, err); kept != nil && !r.stopped {
			o := *opts
			o.After = cursor.String()
			for line, err := range kept.Logs(ctx, &o) {
				if !yield(line, err) {
					return
				}
			}
			return
		}
		if err != nil && !r.stopped {
			yield(train.Line{}, err)
		}
	}
}

// archived is the archive's job when the cluster no longer has it.
func (j *job) archived(ctx context.Context, err error) train.Job {
	if j.l.opts.Keep == nil || !errors.Is(err, train.ErrNotFound) {
		return nil
	}
	kept, err := j.l.opts.Keep.Attach(ctx, j.id)
	if err != nil {
		return nil
	}
	return kept
}

// reader is one reading of a job's logs. All of it happens in the reader's
// goroutine but for the streams, which only send lines.
type reader struct {
	j       *job
	ctx     context.Context //nolint:containedctx // Of the one call that the reader is for.
	opts    *train.LogOptions
	cursor  *train.Cursor
	yield   func(train.Line, error) bool
	stopped bool            // by yield
	done    map[string]bool // pods that were read to their end, by UID
}

// wants reports whether a pod's lines are asked for and may be there.
func (r *reader) wants(p *phase.Pod) bool {
	if p.Gone || r.done[p.UID] || p.Attempt < r.cursor.Attempt || (r.opts.Rank != nil && *r.opts.Rank != p.Rank) {
		return false
	}
	return !p.Started.IsZero() || p.Phase == corev1.PodRunning
}

func source(p *phase.Pod) string {
	return (train.Line{Attempt: p.Attempt, Rank: p.Rank, Stream: stream}).Source()
}

// stream is what all lines are tagged with: a kubelet does not tell the two apart.
const stream = "stdout"

// backlog yields what is there now.
func (r *reader) backlog() error {
	root, pods, err := r.j.read(r.ctx)
	if err != nil {
		return err
	}
	var tail []train.Line
	give := func(l train.Line) bool {
		if r.opts.Tail <= 0 {
			return r.give(l)
		}
		l.Cursor = r.cursor.String()
		if tail = append(tail, l); len(tail) > 2*r.opts.Tail {
			tail = slices.Clone(tail[len(tail)-r.opts.Tail:])
		}
		return true
	}
	_, end := phase.Assess(root, pods)
	newest := 0
	attempts := map[int][]*phase.Pod{}
	for i := range pods {
		p := &pods[i]
		newest = max(newest, p.Attempt)
		if r.wants(p) {
			attempts[p.Attempt] = append(attempts[p.Attempt], p)
		}
	}
	var fault error
	numbers := make([]int, 0, len(attempts))
	for n := range attempts {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if err := r.merge(attempts[n], give); err != nil && fault == nil {
			fault = err // the other attempts are worth reading all the same
		}
		if r.stopped {
			return nil
		}
		if fault == nil && r.opts.Rank == nil && (end != nil || n < newest) {
			r.cursor.Finish(n)
		}
	}
	if len(tail) > r.opts.Tail {
		tail = tail[len(tail)-r.opts.Tail:]
	}
	for _, l := range tail {
		if !r.yield(l, nil) {
			r.stopped = true
			return nil
		}
	}
	return fault
}

// give yields one line.
func (r *reader) give(l train.Line) bool {
	l.Cursor = r.cursor.String()
	if !r.yield(l, nil) {
		r.stopped = true
	}
	return !r.stopped
}

// take decides whether a line is to be yielded, and counts it as read.
func (r *reader) take(l *train.Line) bool {
	if !r.cursor.Pass(l.Source(), l.Time) || (!r.opts.Since.IsZero() && l.Time.Before(r.opts.Since)) {
		return false
	}
	_, report := train.ParseReport(l.Text)
	return !report
}

// merge reads the pods of one attempt beside each other and yields their lines in
// the order of their times.
func (r *reader) merge(pods []*phase.Pod, give func(train.Line) bool) error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	type head struct {
		lines chan train.Line
		err   chan error
		line  train.Line
		pod   *phase.Pod
	}
	heads := make([]*head, 0, len(pods))
	var fault error
	next := func(h *head) bool {
		line, ok := <-h.lines
		if !ok {
			if err := <-h.err; err != nil && fault == nil {
				fault = err
			} else if err == nil && !h.pod.Live() {
				r.done[h.pod.UID] = true
			}
		}
		h.line = line
		return ok
	}
	for _, p := range pods {
		h := &head{lines: make(chan train.Line, 64), err: make(chan error, 1), pod: p}
		since := r.cursor.Reopen(source(p))
		go func() {
			defer close(h.lines)
			h.err <- r.j.open(ctx, p, r.since(since), false, func(l train.Line) bool {
				select {
				case h.lines <- l:
					return true
				case <-ctx.Done():
					return false
				}
			})
		}()
		heads = append(heads, h)
	}
	live := heads[:0]
	for _, h := range heads {
		if next(h) {
			live = append(live, h)
		}
	}
	for len(live) > 0 {
		first := 0
		for i, h := range live {
			if h.line.Time.Before(live[first].line.Time) {
				first = i
			}
		}
		h := live[first]
		if r.take(&h.line) && !give(h.line) {
			return nil
		}
		if !next(h) {
			live = slices.Delete(live, first, first+1)
		}
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	return fault
}

// since is from when on lines are asked for.
func (r *reader) since(cursor time.Time) time.Time {
	if r.opts.Since.After(cursor) {
		return r.opts.Since
	}
	return cursor
}

// said is what a stream sends: a line, or its end.
type said struct {
	pod  phase.Pod
	line train.Line
	end  bool
	err  error
}

const reopenDelay = 200 * time.Millisecond

// follow yields lines as they come. A stream that breaks off while its container
// runs is opened again, from the last line on; a pod that is not there yet is
// waited for.
func (r *reader) follow() error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	sub, err := r.j.l.space.Subscribe(r.j.id, r.j.backend.source)
	if err != nil {
		return fault(err)
	}
	defer sub.Close()
	lines, open := make(chan said), map[string]bool{}
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	ended := false
	for {
		root, pods, ok, err := sub.State()
		switch {
		case err != nil:
			return fault(err)
		case ok && root == nil:
			return gone(r.j.id)
		case ok:
			phase.Number(root, pods)
			_, end := phase.Assess(root, pods)
			ended = end != nil
			for i := range pods {
				if p := pods[i]; r.wants(&p) && !open[p.UID] {
					open[p.UID] = true
					since := r.since(r.cursor.Reopen(source(&p)))
					go r.tail(ctx, p, since, lines)
				}
			}
			if ended && len(open) == 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sub.C:
		case <-again.C:
		case s := <-lines:
			if !s.end {
				if r.take(&s.line) && !r.give(s.line) {
					return nil
				}
				continue
			}
			delete(open, s.pod.UID)
			switch {
			case errors.Is(s.err, kube.ErrForbidden), errors.Is(s.err, kube.ErrUnauthorized):
				return fault(s.err)
			case errors.Is(s.err, kube.ErrNotFound), s.err == nil && r.over(s.pod.UID, pods), s.err != nil && ended:
				r.done[s.pod.UID] = true
			default:
				again.Reset(reopenDelay)
			}
		}
	}
}

// over reports whether a pod that was read to the end of its stream has ended, by
// the picture from before that end was known.
func (r *reader) over(uid string, pods []phase.Pod) bool {
	i := slices.IndexFunc(pods, func(p phase.Pod) bool { return p.UID == uid })
	return i < 0 || !pods[i].Live()
}

func (r *reader) tail(ctx context.Context, p phase.Pod, since time.Time, to chan<- said) {
	send := func(s said) bool {
		select {
		case to <- s:
			return true
		case <-ctx.Done():
			return false
		}
	}
	err := r.j.open(ctx, &p, since, true, func(l train.Line) bool { return send(said{pod: p, line: l}) })
	send(said{pod: p, end: true, err: err})
}

// open reads a pod's output and calls give with each line until the output ends.
func (j *job) open(ctx context.Context, p *phase.Pod, since time.Time, follow bool, give func(train.Line) bool) error {
	params := map[string]string{"container": j.backend.container, "timestamps": "true"}
	if !since.IsZero() {
		params["sinceTime"] = since.UTC().Format(time.RFC3339)
	}
	if follow {
		params["follow"] = "true"
	}
	body, err := j.l.client.Logs(ctx, j.l.opts.Namespace, p.Name, params)
	if errors.Is(err, kube.ErrInvalid) {
		return nil // the container is about to start
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // nothing was written
	return lines(body, func(at time.Time, text string, cut bool) bool {
		return give(train.Line{Time: at, Rank: p.Rank, Attempt: p.Attempt, Stream: stream, Text: text, Cut: cut})
	})
}

// lines splits output with time stamps into lines of at most train.MaxLine bytes.
// What has no stamp goes with the line before, as when a kubelet reports a fault.
func lines(body io.Reader, give func(at time.Time, text string, cut bool) bool) error {
	in := bufio.NewReaderSize(body, train.MaxLine+64)
	var last time.Time
	inside := false // of a line that was cut
	for {
		piece, err := in.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if len(piece) > 0 {
			text := strings.TrimSuffix(string(piece), "\n")
			if !inside {
				if stamp, rest, ok := strings.Cut(text, " "); ok || len(text) > 0 {
					if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
						last, text = at, rest
					}
				}
			}
			inside = full
			for len(text) > train.MaxLine {
				if !give(last, text[:train.MaxLine], true) {
					return nil
				}
				text = text[train.MaxLine:]
			}
			if !give(last, text, full) {
				return nil
			}
		}
		switch {
		case full, err == nil:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}
