package inferlog

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
)

// The time between two tries of a write that failed grows from one to the
// other.
const (
	shortestRetry = 100 * time.Millisecond
	longestRetry  = 30 * time.Second
)

// run is the worker: it writes sealed chunks, oldest first. A write that fails
// keeps its chunk, which is tried again after a while or with the next reason
// to wake.
func (l *Log) run() {
	// The worker belongs to no request: Shutdown ends it.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var tick <-chan time.Time
	if l.opts.FlushEvery > 0 {
		t := time.NewTicker(l.opts.FlushEvery)
		defer t.Stop()
		tick = t.C
	}
	pause := shortestRetry
	retry := time.NewTimer(longestRetry)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-l.wake:
		case <-retry.C:
		case <-tick:
			l.mu.Lock()
			l.sealAll()
			l.mu.Unlock()
		case <-l.stop:
			l.tell()
			return
		}
		l.tell()
		if l.drain(ctx) {
			pause = shortestRetry
			retry.Stop()
			continue
		}
		retry.Reset(pause)
		pause = min(2*pause, longestRetry)
	}
}

// drain writes sealed chunks until there is none, or one fails, which is false.
func (l *Log) drain(ctx context.Context) bool {
	for {
		l.mu.Lock()
		if len(l.sealed) == 0 {
			l.mu.Unlock()
			return true
		}
		c := l.sealed[0]
		l.writing = c
		l.mu.Unlock()
		lost, err := l.write(ctx, c)
		l.settle(c, lost, err)
		if err != nil {
			l.opts.OnError(fmt.Errorf("inferlog: write %d rows to %q, to be tried again: %w", c.rows, l.name, err))
			return false
		}
	}
}

// write commits one chunk. App and number make a repeat after an error that
// said nothing harmless: the rows are there once. It returns how many rows the
// disk has lost.
func (l *Log) write(ctx context.Context, c *chunk) (lost int, err error) {
	if c.parked {
		loaded, err := c.load()
		if err != nil {
			return 0, err
		}
		lost = c.rows - loaded.rows
		c = loaded
	}
	rec := c.record(l.columns)
	defer rec.Release()
	rr, err := array.NewRecordReader(l.columns, []arrow.Record{rec})
	if err != nil {
		return 0, err
	}
	defer rr.Release()
	_, err = l.data.Append(ctx, rr, &dataset.CommitOptions{Message: "inference log", App: c.app, AppVersion: c.number, NoProfile: true})
	return lost, err
}

// settle moves a written chunk out of the pending ones and answers those who
// wait: all of them when the write failed.
func (l *Log) settle(c *chunk, lost int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = nil
	if err == nil {
		l.sealed[0] = nil
		l.sealed = l.sealed[1:]
		l.stats.Written += uint64(c.rows - lost)
		l.stats.Pending -= uint64(c.rows)
		if !c.parked {
			l.memory -= c.rows
			l.size -= c.size
		}
		if lost > 0 {
			l.drop(lost, "they were damaged on disk")
		}
		l.unspill(c)
		l.room.Broadcast()
	} else {
		// It will stay for a while: also through a power cut.
		for _, s := range l.sealed {
			if s.segment != nil {
				if err := s.segment.sync(); err != nil {
					l.fault(err)
				}
			}
		}
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

// tell reports drops and faults.
func (l *Log) tell() {
	l.mu.Lock()
	d, faults := l.dropped, l.faults
	l.dropped, l.faults = dropReport{}, nil
	l.mu.Unlock()
	if d.rows > 0 {
		l.opts.OnError(fmt.Errorf("inferlog: %d rows for %q were dropped: %s", d.rows, l.name, d.reason))
	}
	for _, err := range faults {
		l.opts.OnError(err)
	}
}
