package local

import (
	"cmp"
	"context"
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
	opts Options

	mu       sync.Mutex
	children map[attemptKey]chan struct{} // closed when this process has reaped the supervisor
}

type attemptKey struct {
	job     string
	attempt int
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
	// Secrets is the folder that Spec.Secrets are read from, as files named
	// <name>/<key>; one line break at the end is not part of the value. Default
	// "": jobs with secrets are refused.
	Secrets string
	// NvidiaSMI is the program that lists the GPUs. Default "": nvidia-smi in
	// PATH; "-": this machine's GPUs are not used.
	NvidiaSMI string
	// GPULocks is the folder with the locks by which GPUs are allotted. Launchers
	// with different folders of jobs on one machine must share it. Default "":
	// ".gpus" in the folder of jobs.
	GPULocks string
	// Cgroup is an empty control group that was delegated to this process, as an
	// absolute path below a cgroup2 mount; jobs' groups with the limits are made
	// in it. Default "": the process's own group, where the system allows.
	Cgroup string
	// Prices are for Plan, Usage and Spec.MaxCost. Default: nothing has a price.
	Prices train.Prices
	// Keep is where jobs go when they are deleted, or removed after Spec.TTL.
	// Default nil: they are gone then.
	Keep *train.Archive
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
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("train/local: open %q: %w", dir, err)
	}
	l := &Launcher{dir: abs, opts: *opts, children: map[attemptKey]chan struct{}{}}
	if l.opts.Poll <= 0 {
		l.opts.Poll = 200 * time.Millisecond
	}
	if l.opts.GPULocks == "" {
		l.opts.GPULocks = filepath.Join(abs, ".gpus")
	}
	if l.opts.GPULocks, err = filepath.Abs(l.opts.GPULocks); err != nil {
		return nil, fmt.Errorf("train/local: open %q: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("train/local: open: %w", err)
	}
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
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < tempMaxAge {
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
	id := train.NewJobID()
	if opts.Key != "" {
		id = train.JobID(opts.Key)
		// A repeated Submit finds its job also when the program is gone since.
		if j, err := l.join(ctx, id, opts.Key, spec); !errors.Is(err, train.ErrNotFound) {
			return j, err
		}
	}
	c := l.check(ctx, spec)
	if len(c.faults) > 0 {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, joinFaults(c.faults))
	}
	rec := record{
		Format: format, ID: id, Key: opts.Key, Hash: spec.Hash(), Submitted: time.Now().UTC().Truncate(time.Microsecond),
		Program: c.program, Dir: c.dir, Port: freePort(), Deadline: c.cost.Deadline, Tools: c.tools, Spec: spec,
	}
	err := l.create(rec)
	if errors.Is(err, fs.ErrExist) && opts.Key != "" { // another Submit was faster
		return l.join(ctx, id, opts.Key, spec)
	}
	if err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	j := &job{l: l, dir: filepath.Join(l.dir, id), rec: rec, spec: spec}
	if err := j.begin(ctx, 0); err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	return j, nil
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
	s, err := j.look()
	if err == nil {
		err = j.adopt(ctx, s, true)
	}
	if err != nil {
		return nil, fmt.Errorf("train/local: submit %q: %w", spec.Name, err)
	}
	return j, nil
}

// create makes the job's folder appear complete and at once: of any number of
// racing processes one succeeds, the others get fs.ErrExist.
func (l *Launcher) create(rec record) error {
	temp, err := os.MkdirTemp(l.dir, tempPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // gone already after the rename
	if err := writeRecord(temp, rec); err != nil {
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
	if err == nil {
		var expired bool
		if expired, err = j.expire(ctx); expired {
			err = train.ErrNotFound
		}
	}
	switch {
	case err == nil:
		return j, nil
	case errors.Is(err, train.ErrNotFound) && l.opts.Keep != nil && train.ValidJobID(id):
		return l.opts.Keep.Attach(ctx, id)
	default:
		return nil, err
	}
}

// List implements [train.Launcher]. It holds the names of all jobs, and reads
// one job after the other. Jobs that only the archive has are not in it.
func (l *Launcher) List(ctx context.Context, opts *train.ListOptions) iter.Seq2[train.Job, error] {
	if opts == nil {
		opts = &train.ListOptions{}
	}
	return func(yield func(train.Job, error) bool) {
		ids, err := l.ids(ctx)
		if err != nil {
			yield(nil, fmt.Errorf("train/local: list: %w", err))
			return
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				yield(nil, fmt.Errorf("train/local: list: %w", err))
				return
			}
			j, ok, err := l.pick(ctx, id, opts)
			if err != nil {
				if !yield(nil, err) {
					return
				}
			} else if ok && !yield(j, nil) {
				return
			}
		}
	}
}

// ids returns the jobs in the order of their submission, which is their
// record's time of change.
func (l *Launcher) ids(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	type dated struct {
		id string
		at int64
	}
	var jobs []dated
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d := dated{id: e.Name()}
		if info, err := os.Stat(filepath.Join(l.dir, e.Name(), recordFile)); err == nil {
			d.at = info.ModTime().UnixNano()
		}
		jobs = append(jobs, d)
	}
	slices.SortFunc(jobs, func(a, b dated) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.id, b.id)) })
	ids := make([]string, len(jobs))
	for i, d := range jobs {
		ids[i] = d.id
	}
	return ids, nil
}

// pick loads a job and says whether the options ask for it.
func (l *Launcher) pick(ctx context.Context, id string, opts *train.ListOptions) (*job, bool, error) {
	j, err := l.load(id)
	if err == nil {
		var expired bool
		if expired, err = j.expire(ctx); expired {
			return nil, false, err
		}
	}
	if errors.Is(err, train.ErrNotFound) { // deleted meanwhile
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !opts.Match(j.spec) {
		return nil, false, nil
	}
	if opts.Active {
		s, err := j.look()
		if err != nil || s.stage == ended {
			return nil, false, err
		}
	}
	return j, true, nil
}

// load reads a job's folder.
func (l *Launcher) load(id string) (*job, error) {
	if !train.ValidJobID(id) {
		return nil, fmt.Errorf("train/local: job %q: not an id: %w", id, train.ErrNotFound)
	}
	dir := filepath.Join(l.dir, id)
	rec, err := readRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("train/local: job %q: not in %s: %w", id, l.dir, train.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("train/local: job %q: its folder is damaged: %w", id, err)
	}
	return &job{l: l, dir: dir, rec: rec, spec: rec.Spec}, nil
}

// child returns a channel that is closed once the attempt's supervisor was
// reaped by this process, or nil when another process started it.
func (l *Launcher) child(id string, attempt int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.children[attemptKey{id, attempt}]; ok {
		return c
	}
	return nil
}
