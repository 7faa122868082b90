package local

import (
	"context"
	"time"
)

// poller spaces the looks at a job's files: close together at first and after a
// change, rarer while nothing happens. Where this process is the supervisor's
// parent, the end of the job cuts the pause short.
type poller struct {
	child <-chan struct{}
	step  time.Duration
	max   time.Duration
}

const minPoll = time.Millisecond

func (j *job) newPoller(attempt int) *poller {
	return &poller{child: j.l.child(j.rec.ID, attempt), step: minPoll, max: j.l.opts.Poll}
}

// reset makes the next pause short again.
func (p *poller) reset() { p.step = minPoll }

// pause waits a step, or until the end of ctx or of the child. poll keeps it to
// the step also where the end of the child would be the only news.
func (p *poller) pause(ctx context.Context, poll bool) error {
	if p.child != nil && !poll {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.child:
			p.child = nil // reaped: what is left takes moments
			p.reset()
			return nil
		}
	}
	return p.pauseAtMost(ctx, p.max)
}

// pauseAtMost is pause with a limit; a limit below the shortest step is ignored.
func (p *poller) pauseAtMost(ctx context.Context, limit time.Duration) error {
	d := p.step
	if limit > minPoll {
		d = min(d, limit)
	}
	p.step = min(2*p.step, p.max)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.child:
		p.child = nil
		p.reset()
		return nil
	case <-timer.C:
		return nil
	}
}
