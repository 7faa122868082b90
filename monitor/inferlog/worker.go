package inferlog

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
)

// run is the worker: it writes sealed chunks, oldest first. A write that fails
// keeps its chunk, which is tried again with the next reason to wake.
func (l *Log) run() {
	defer close(l.done)
	// The worker belongs to no request: Shutdown ends it.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var tick <-chan time.Time
	if l.opts.FlushEvery > 0 {
		t := time.NewTicker(l.opts.FlushEvery)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-l.wake:
		case <-tick:
			l.mu.Lock()
			l.seal()
			l.mu.Unlock()
		case <-l.stop:
			l.reportDrops()
			return
		}
		l.reportDrops()
		l.drain(ctx)
	}
}

// drain writes sealed chunks until there is none or one fails.
func (l *Log) drain(ctx context.Context) {
	for {
		l.mu.Lock()
		if len(l.sealed) == 0 {
			l.mu.Unlock()
			return
		}
		c := l.sealed[0]
		l.mu.Unlock()
		err := l.write(ctx, c)
		l.settle(c, err)
		if err != nil {
			l.opts.OnError(fmt.Errorf("inferlog: write %d rows to %q, to be tried again: %w", c.rows, l.name, err))
			return
		}
	}
}

// write commits one chunk. The app version makes a repeat after an error that
// said nothing harmless: the rows are there once.
func (l *Log) write(ctx context.Context, c *chunk) error {
	rec := c.record(l.columns)
	defer rec.Release()
	rr, err := array.NewRecordReader(l.columns, []arrow.Record{rec})
	if err != nil {
		return err
	}
	defer rr.Release()
	_, err = l.data.Append(ctx, rr, &dataset.CommitOptions{Message: "inference log", App: l.app, AppVersion: c.seq})
	return err
}

// settle moves a written chunk out of the pending ones and answers those who
// wait: all of them when the write failed.
func (l *Log) settle(c *chunk, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.sealed[0] = nil
		l.sealed = l.sealed[1:]
		l.stats.Written += uint64(c.rows)
		l.stats.Pending -= uint64(c.rows)
		l.size -= c.size
	}
	left := l.waiters[:0]
	for _, w := range l.waiters {
		if err != nil || w.seq <= c.seq {
			w.done <- err
		} else {
			left = append(left, w)
		}
	}
	clear(l.waiters[len(left):])
	l.waiters = left
}

func (l *Log) reportDrops() {
	l.mu.Lock()
	d := l.dropped
	l.dropped = dropReport{}
	l.mu.Unlock()
	if d.rows > 0 {
		l.opts.OnError(fmt.Errorf("inferlog: %d rows for %q were dropped: %s", d.rows, l.name, d.reason))
	}
}
