package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// Launcher runs jobs as processes and keeps their state in a folder. It is
// plain: there is nothing to close, and its jobs outlive it.
type Launcher struct {
	dir  string
	poll time.Duration

	mu       sync.Mutex
	children map[string]chan struct{} // by job id; closed when this process has reaped the supervisor
}

var (
	_ train.Launcher = (*Launcher)(nil)
	_ train.Job      = (*job)(nil)
)

// Options changes a Launcher. nil is the zero value.
type Options struct {
	// Poll is the longest time between two looks at a job's files, by Logs and by
	// a Wait of a process that did not start the job. Looks start at 1 ms apart
	// and get rarer while nothing changes. Default 0: 200 ms.
	Poll time.Duration
}

const (
	tempPrefix = ".tmp-"
	tempMaxAge = time.Hour
)

// Open returns a launcher that keeps its jobs in dir, which is created if need
// be. Jobs that are there already can be attached to.
func Open(dir string, opts *Options) (*Launcher, error) {
	if err := supported(); err != nil {
		return nil, fmt.Errorf("train/local: open %q: %w", dir, err)
	}
	if opts == nil {
		opts = &Options{}
	}
	poll := opts.Poll
	if poll <= 0 {
		poll = 200 * time.Millisecond
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("train/local: open %q: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("train/local: open: %w", err)
	}
	l := &Launcher{dir: abs, poll: poll, children: map[string]chan struct{}{}}
	if err := l.sweep(); err != nil {
		return nil, fmt.Errorf("train/local: open: %w", err)
	}
	return l, nil
}

// sweep removes what a Submit or Delete that was killed half-way left behind.
func (l *Launcher) sweep() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), tempPrefix) || time.Since(info.ModTime()) < tempMaxAge {
			continue
		}
		if err := os.RemoveAll(filepath.Join(l.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Submit implements [train.Launcher]. It returns once the supervisor has taken
// the job.
func (l *Launcher) Submit(ctx context.Context, spec train.Spec, opts *train.SubmitOptions) (train.Job, error) {
	if opts == nil {
		opts = &train.SubmitOptions{}
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	id := "job-" + hex.EncodeToString(randomBytes())
	if opts.Key != "" {
		sum := sha256.Sum256([]byte(opts.Key))
		id = "job-" + hex.EncodeToString(sum[:10])
		// A repeated Submit finds its job also when the program is gone since.
		if j, err := l.join(ctx, id, opts.Key, spec); !errors.Is(err, train.ErrNotFound) {
			return j, err
		}
	}
	rec, err := newRecord(id, opts.Key, spec)
	if err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	err = l.create(rec, spec)
	if errors.Is(err, fs.ErrExist) && opts.Key != "" { // another Submit was faster
		return l.join(ctx, id, opts.Key, spec)
	}
	if err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	j := &job{l: l, dir: filepath.Join(l.dir, id), rec: rec, spec: spec}
	if err := j.begin(ctx); err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	return j, nil
}

func randomBytes() []byte {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // documented to never fail
	return b
}

// join returns the job that has the key already, if it runs the same spec. If
// the process that submitted it died before the job began, it begins now.
func (l *Launcher) join(ctx context.Context, id, key string, spec train.Spec) (train.Job, error) {
	j, err := l.load(id)
	if err != nil {
		return nil, err
	}
	if j.rec.Hash != spec.Hash() {
		return nil, &train.ConflictError{Job: id, Key: key, Want: spec.Hash(), Have: j.rec.Hash}
	}
	if err := j.begin(ctx); err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	return j, nil
}

// create makes the job's folder appear complete and at once: of any number of
// racing processes one succeeds, the others get fs.ErrExist.
func (l *Launcher) create(rec record, spec train.Spec) error {
	temp, err := os.MkdirTemp(l.dir, tempPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // gone already after the rename
	if err := writeRecord(temp, rec, spec); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(l.dir, rec.ID)); err != nil {
		return err
	}
	return syncDir(l.dir)
}

// Attach implements [train.Launcher].
func (l *Launcher) Attach(ctx context.Context, id string) (train.Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("train/local: attach %q: %w", id, err)
	}
	j, err := l.load(id)
	if err != nil {
		return nil, err
	}
	return j, nil
}

// List implements [train.Launcher].
func (l *Launcher) List(ctx context.Context, _ *train.ListOptions) iter.Seq2[train.Job, error] {
	return func(yield func(train.Job, error) bool) {
		entries, err := os.ReadDir(l.dir)
		if err != nil {
			yield(nil, fmt.Errorf("train/local: list: %w", err))
			return
		}
		var jobs []*job
		for _, e := range entries {
			if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(nil, fmt.Errorf("train/local: list: %w", err))
				return
			}
			j, err := l.load(e.Name())
			switch {
			case errors.Is(err, train.ErrNotFound): // deleted meanwhile
			case err != nil:
				if !yield(nil, err) {
					return
				}
			default:
				jobs = append(jobs, j)
			}
		}
		slices.SortFunc(jobs, func(a, b *job) int {
			if c := a.rec.Submitted.Compare(b.rec.Submitted); c != 0 {
				return c
			}
			return strings.Compare(a.rec.ID, b.rec.ID)
		})
		for _, j := range jobs {
			if !yield(j, nil) {
				return
			}
		}
	}
}

// load reads a job's folder.
func (l *Launcher) load(id string) (*job, error) {
	if !validID(id) {
		return nil, fmt.Errorf("train/local: job %q: not an id: %w", id, train.ErrNotFound)
	}
	dir := filepath.Join(l.dir, id)
	rec, spec, err := readRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("train/local: job %q: not in %s: %w", id, l.dir, train.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("train/local: job %q: its folder is damaged: %w", id, err)
	}
	return &job{l: l, dir: dir, rec: rec, spec: spec}, nil
}

// child returns a channel that is closed once the job's supervisor was reaped by
// this process, or nil when another process started it.
func (l *Launcher) child(id string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.children[id]; ok {
		return c
	}
	return nil
}
