package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sort"
	"time"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// Branch is one line of versions. Main is the table that other engines find at
// the dataset's folder; the versions of every other branch are versions of the
// table in its folder _refs (see Version.Table). It is a plain value, safe for
// concurrent use.
type Branch struct {
	dataset *Dataset
	name    string
	log     *logbook
}

// Name is "main", or the name that CreateBranch gave.
func (b *Branch) Name() string { return b.name }

// isMain tells whether the branch has a log of its own.
func (b *Branch) isMain() bool { return b.log.root == "" }

// headTxn is the application under which the refs log keeps the newest version
// of a branch: an action that checkpoints carry, so that the newest state of
// the log knows the heads of all branches. -1 stands for a deleted branch.
func headTxn(branch string) string { return "millwright.branch/" + branch }

// appTxn is the application under which a producer's writes are counted: those
// to main are visible to other engines under the producer's own name.
func (b *Branch) appTxn(app string) string {
	if b.isMain() {
		return app
	}
	return "millwright.app/" + b.name + "/" + app
}

// lineKey names a branch for the whole history: a name can be used again after
// a branch was deleted, the entry of the refs log that made it cannot.
func (b *Branch) lineKey(line int64) string {
	if b.isMain() {
		return mainLog
	}
	return fmt.Sprintf("%s:%d", b.name, line)
}

// headOf is the number of a branch's newest version in the refs log.
func (s *snapshot) headOf(branch string) (n int64, ok bool) {
	t, ok := s.txns[headTxn(branch)]
	return t.Version, ok && t.Version >= 0
}

// tip is the newest state of the branch, given that of its log. ErrNotFound when
// there is no such branch.
func (b *Branch) tip(ctx context.Context, head *snapshot) (*snapshot, error) {
	if b.isMain() {
		return head, nil
	}
	if head.bad != nil {
		return nil, head.bad
	}
	n, ok := head.headOf(b.name)
	if !ok {
		return nil, fmt.Errorf("there is no branch %q: %w", b.name, ErrNotFound)
	}
	return b.log.at(ctx, n)
}

// current reads what is new and returns the newest state of the branch.
func (b *Branch) current(ctx context.Context) (*snapshot, error) {
	head, err := b.log.latest(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no branch %q: %w", b.name, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return b.tip(ctx, head)
}

// subject starts the text of an error: `dataset: append to "flights"`.
func (b *Branch) subject(operation string) string {
	if b.isMain() {
		return fmt.Sprintf("dataset: %s %q", operation, b.dataset.name)
	}
	return fmt.Sprintf("dataset: %s %q branch %q", operation, b.dataset.name, b.name)
}

// Latest returns the newest version.
func (b *Branch) Latest(ctx context.Context) (*Version, error) {
	v, err := b.newest(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.subject("latest version of"), err)
	}
	return v, nil
}

func (b *Branch) newest(ctx context.Context) (*Version, error) {
	s, err := b.current(ctx)
	if err != nil {
		return nil, err
	}
	return b.dataset.version(ctx, b.log, s)
}

// At returns the newest version that is not after t, by the clocks of the
// committers: a commit of this package is always later than the one before it,
// so that an older version is never taken for a newer one. ErrNotFound when the
// branch is younger than t.
func (b *Branch) At(ctx context.Context, t time.Time) (*Version, error) {
	v, err := b.at(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.subject("version at "+t.UTC().Format(time.RFC3339Nano)+" of"), err)
	}
	return v, nil
}

func (b *Branch) at(ctx context.Context, t time.Time) (*Version, error) {
	s, err := b.current(ctx)
	if err != nil {
		return nil, err
	}
	l, n := b.log, s.version
	for l.root != "" {
		c, err := l.commitAt(ctx, n)
		if err != nil {
			return nil, err
		}
		if c.fault != nil {
			return nil, c.fault
		}
		if !c.time.After(t) {
			return b.dataset.versionIn(ctx, l, n)
		}
		if len(c.summary.Parents) == 0 {
			return nil, fmt.Errorf("the branch starts at %s: %w", c.time.Format(time.RFC3339), ErrNotFound)
		}
		l, n = b.dataset.place(c.summary.Parents[0])
	}
	// Times grow along main, so that a few looks find the version.
	var failed error
	first := sort.Search(int(n)+1, func(i int) bool {
		if failed != nil {
			return true
		}
		when, err := l.time(ctx, int64(i))
		failed = err
		return when.After(t)
	})
	if failed != nil {
		return nil, failed
	}
	if first == 0 {
		return nil, fmt.Errorf("version 0 is younger: %w", ErrNotFound)
	}
	return b.dataset.versionIn(ctx, l, int64(first)-1)
}

// time is when entry n was written: by its own account, else by that of the
// store.
func (l *logbook) time(ctx context.Context, n int64) (time.Time, error) {
	c, err := l.commitAt(ctx, n)
	if err != nil {
		return time.Time{}, err
	}
	if c.fault == nil && c.time.UnixMilli() > 0 {
		return c.time, nil
	}
	info, err := l.store.Stat(ctx, l.key(delta.LogName(n)))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// place finds the log and the number of a parent.
func (d *Dataset) place(p parent) (*logbook, int64) {
	if p.Log == refsLog {
		return d.refs, p.Version
	}
	return d.log, p.Version
}

// Log yields the versions newest first: those of the branch, then those of the
// branch it was made from, along the first parents. They are read as they are
// asked for, a few log entries ahead, in bounded memory.
//
// These versions are light: they have no Files and no Schema until
// [Version.Load] reads them. Version 0 of main comes last. An error ends the
// sequence.
func (b *Branch) Log(ctx context.Context) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("%s: %w", b.subject("log of"), err)) }
		s, err := b.current(ctx)
		if err != nil {
			fail(err)
			return
		}
		l, n := b.log, s.version
		for l.root != "" {
			c, err := l.commitAt(ctx, n)
			if err != nil {
				fail(err)
				return
			}
			v, err := b.dataset.light(ctx, l, c)
			if err != nil {
				fail(err)
				return
			}
			if !yield(v, nil) || len(c.summary.Parents) == 0 {
				return
			}
			l, n = b.dataset.place(c.summary.Parents[0])
		}
		for c, err := range l.history(ctx, n) {
			var v *Version
			if err == nil {
				v, err = b.dataset.light(ctx, l, c)
			}
			if err != nil {
				fail(err)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// history yields the commits of the log from entry n back to the first, reading
// some ahead.
func (l *logbook) history(ctx context.Context, n int64) iter.Seq2[*commit, error] {
	return func(yield func(*commit, error) bool) {
		for window := int64(1); n >= 0; window = min(window*2, 4*fetchers) {
			count := min(window, n+1)
			commits := make([]*commit, count)
			err := parallel(ctx, int(count), func(ctx context.Context, i int) error {
				var err error
				commits[i], err = l.commitAt(ctx, n-int64(i))
				return err
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, c := range commits {
				if !yield(c, nil) {
					return
				}
			}
			n -= count
		}
	}
}

// notThere tells whether a log, or a branch in it, does not exist.
func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound)
}
