package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

const (
	// mainLog and refsLog name the two logs of a dataset.
	mainLog = "main"
	refsLog = "refs"

	logFolder  = "_delta_log/"
	refsFolder = "_refs/"

	// maxLogBytes bounds one log entry and maxCheckpointBytes one checkpoint.
	maxLogBytes        = 64 << 20
	maxCheckpointBytes = 1 << 30

	// checkpointEvery is how many entries lie between two checkpoints.
	checkpointEvery = 10
	// keptSnapshots and keptCommits bound what a logbook remembers besides the
	// newest state.
	keptSnapshots = 8
	keptCommits   = 4096
)

// logbook is one Delta log: main's, or the refs log in which the branches take
// turns. It remembers the newest state that it has seen, and a bounded number
// of older ones; log entries never change, so nothing it knows gets old.
type logbook struct {
	store blob.Store // Rooted at the dataset's folder.
	name  string     // mainLog or refsLog.
	root  string     // What the paths of the log are relative to: "" or refsFolder.

	gate chan struct{} // Holds one committer of this process at a time.

	mu      sync.Mutex
	head    *snapshot // nil until the log was read.
	recent  []*snapshot
	commits map[int64]*commit
	order   []int64 // Of the keys of commits, oldest first.
}

func newLogbook(store blob.Store, name, root string) *logbook {
	return &logbook{store: store, name: name, root: root, gate: make(chan struct{}, 1), commits: map[int64]*commit{}}
}

// key is the full key of a file of the log folder.
func (l *logbook) key(name string) string { return l.root + logFolder + name }

// enter waits for the other committers of this process: racing them through the
// store would only cost both.
func (l *logbook) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l.gate <- struct{}{}:
		return func() { <-l.gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// known is the newest state that was seen, nil before the first look.
func (l *logbook) known() *snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// learn keeps a state: as the head if it is newer, and among the recent ones.
func (l *logbook) learn(s *snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head != nil && l.head.erases() != s.erases() {
		// An erase has changed what lies before: s was made of entries that are old.
		l.drop()
		return
	}
	if l.head == nil || s.version > l.head.version {
		l.head = s
	}
	l.keep(s)
}

// keep remembers an older state, with the lock held.
func (l *logbook) keep(s *snapshot) {
	if s.commit != nil {
		l.note(s.commit)
	}
	for i, k := range l.recent {
		if k.version == s.version {
			l.recent = append(append(l.recent[:i:i], l.recent[i+1:]...), s)
			return
		}
	}
	l.recent = append(l.recent, s)
	if len(l.recent) > keptSnapshots {
		l.recent = append(l.recent[:0:0], l.recent[1:]...)
	}
}

func (l *logbook) note(c *commit) {
	if _, ok := l.commits[c.number]; !ok {
		l.order = append(l.order, c.number)
	}
	l.commits[c.number] = c
	for len(l.order) > keptCommits {
		delete(l.commits, l.order[0])
		l.order = l.order[1:]
	}
}

// base is the newest remembered state that is not after n.
func (l *logbook) base(n int64) *snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	var best *snapshot
	if l.head != nil && l.head.version <= n {
		best = l.head
	}
	for _, s := range l.recent {
		if s.version <= n && (best == nil || s.version > best.version) {
			best = s
		}
	}
	return best
}

// latest reads what is new. fs.ErrNotExist when there is no log.
func (l *logbook) latest(ctx context.Context) (*snapshot, error) {
	s := l.known()
	if s == nil {
		var err error
		if s, err = l.load(ctx); err != nil {
			return nil, err
		}
	}
	from := s.erases()
	s, err := l.advance(ctx, s)
	if err != nil {
		return nil, err
	}
	if s.erases() != from {
		l.forget()
		if s, err = l.load(ctx); err == nil {
			s, err = l.advance(ctx, s)
		}
		if err != nil {
			return nil, err
		}
	}
	l.learn(s)
	return s, nil
}

// advance follows the log from s to its end. The window grows while there is
// more, so that a reader that is current costs one request, and one that is far
// behind does not wait for each entry.
func (l *logbook) advance(ctx context.Context, s *snapshot) (*snapshot, error) {
	for window := 1; ; window = min(window*2, 4*fetchers) {
		found, faults, err := l.entries(ctx, s.version+1, window)
		if err != nil {
			return nil, err
		}
		for i, e := range found {
			s = l.apply(s, s.version+1, e, faults[i])
		}
		if len(found) < window {
			return s, nil
		}
	}
}

// entries reads the entries from n on, at most count, up to the first that is
// not there.
func (l *logbook) entries(ctx context.Context, n int64, count int) (found []*delta.Entry, faults []error, err error) {
	found, faults = make([]*delta.Entry, count), make([]error, count)
	missing := make([]bool, count)
	err = parallel(ctx, count, func(ctx context.Context, i int) error {
		var err error
		found[i], faults[i], err = l.entry(ctx, n+int64(i))
		if errors.Is(err, fs.ErrNotExist) {
			missing[i] = true
			return nil
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for i, m := range missing {
		if m {
			return found[:i], faults[:i], nil
		}
	}
	return found, faults, nil
}

// entry reads one log entry. fault says why its bytes are no entry, err that
// they could not be read. An entry that makes no sense is read again: a body
// that was cut on its way must not be taken for a damaged log.
func (l *logbook) entry(ctx context.Context, n int64) (e *delta.Entry, fault, err error) {
	var last []byte
	err = retry(ctx, func() error {
		fault = nil
		data, err := blob.ReadAll(ctx, l.store, l.key(delta.LogName(n)), maxLogBytes)
		if err != nil {
			return err
		}
		if e, err = delta.Parse(data); err == nil {
			return nil
		}
		fault = fmt.Errorf("log entry %s is damaged or not of this protocol: %w: %w", l.key(delta.LogName(n)), err, ErrUnsupported)
		if last != nil && bytes.Equal(last, data) {
			return nil
		}
		last = data
		return fault
	})
	if fault != nil && ctx.Err() == nil {
		return nil, fault, nil
	}
	return e, nil, err
}

// forget drops what was read, which turned out not to make sense.
func (l *logbook) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

// drop is forget with the lock held.
func (l *logbook) drop() {
	l.head, l.recent, l.commits, l.order = nil, nil, map[int64]*commit{}, nil
}

// at is the state of version n. ErrNotFound when there is none yet; a state
// whose bad is set when it cannot be read.
func (l *logbook) at(ctx context.Context, n int64) (*snapshot, error) {
	head := l.known()
	if head == nil || n > head.version {
		var err error
		if head, err = l.latest(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case n > head.version:
		return nil, fmt.Errorf("the latest is %d: %w", head.version, ErrNotFound)
	case n == head.version:
		return head, nil
	}
	base := l.base(n)
	if base == nil || n-base.version > 2*checkpointEvery {
		nearer, err := l.nearest(ctx, n, base)
		if err != nil {
			return nil, err
		}
		base = nearer
	}
	s, err := l.replay(ctx, base, n)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.keep(s)
	l.mu.Unlock()
	return s, nil
}

// replay follows the log from base, nil for the beginning, up to version n.
func (l *logbook) replay(ctx context.Context, base *snapshot, n int64) (*snapshot, error) {
	next := int64(0)
	if base != nil {
		next = base.version + 1
	}
	s := base
	for next <= n {
		count := int(min(n-next+1, 4*fetchers))
		found, faults, err := l.entries(ctx, next, count)
		if err != nil {
			return nil, err
		}
		for i, e := range found {
			s = l.apply(s, next, e, faults[i])
			next++
		}
		if len(found) < count {
			s = l.apply(s, next, nil, l.missing(next))
			next++
		}
	}
	return s, nil
}

func (l *logbook) missing(n int64) error {
	return fmt.Errorf("log entry %s is missing: a cleanup of the log removed it: %w", l.key(delta.LogName(n)), ErrUnsupported)
}

// commitAt is what entry n says about itself.
func (l *logbook) commitAt(ctx context.Context, n int64) (*commit, error) {
	l.mu.Lock()
	c := l.commits[n]
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	e, fault, err := l.entry(ctx, n)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, l.missing(n)
	case err != nil:
		return nil, err
	case fault != nil:
		c = &commit{number: n, fault: fault}
	default:
		c = commitOf(n, e)
	}
	l.mu.Lock()
	l.note(c)
	l.mu.Unlock()
	return c, nil
}

// parallel runs f for 0..n-1 on a few goroutines and returns the first error.
func parallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if n == 1 {
		return f(ctx, 0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	indexes := make(chan int)
	var wg sync.WaitGroup
	for range min(n, fetchers) {
		wg.Go(func() {
			for i := range indexes {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case indexes <- i:
		case <-ctx.Done():
		}
	}
	close(indexes)
	wg.Wait()
	return context.Cause(ctx)
}
