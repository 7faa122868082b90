package checkpoint

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/train"
)

//go:embed millwright_checkpoint.py
var python []byte

// PythonName is the file name under which [Python] is imported.
const PythonName = "millwright_checkpoint.py"

// Python is the same helper as a Python module of one file. The caller owns the
// slice.
func Python() []byte { return slices.Clone(python) }

// ExitStopped is the exit status of a process that ended after SIGTERM and is to
// be resumed: 128 and the signal's number.
const ExitStopped = 143

// Keeper keeps a process's checkpoints and reports. Its methods may be called
// from many goroutines; there is nothing to close.
type Keeper struct {
	dir     string // empty: no checkpoints
	resume  string
	job     string
	attempt int
	restart int
	rank    int
	start   string    // train.EnvStart
	node    int       // of the process's machine
	began   time.Time // roughly when the process did
	opts    Options

	mu      sync.Mutex
	printed time.Time
	skipped []Skipped
	from    string // the manifest's name of what was resumed from
}

// Options changes a Keeper. nil is the zero value.
type Options struct {
	// URI is the folder, or its file: URI. Default "": train.EnvCheckpointURI;
	// without one nothing is kept, and reports are printed all the same.
	URI string
	// Keep is how many of the newest checkpoints are kept, beside the one that
	// was resumed from, which ranks that start late are yet to read. Default 0: 3;
	// -1: all.
	Keep int
	// ReportEvery is the least time between two printed reports. Default 0: one
	// second; -1: each is printed.
	ReportEvery time.Duration
	// Output gets the reports. Default nil: standard output, where launchers look
	// for them.
	Output io.Writer
	// Tracker gets all metrics, such as a *tracking.Run. Default nil: nobody.
	Tracker Tracker
}

// Tracker takes metrics. *tracking.Run is one.
type Tracker interface {
	Metric(name string, value float64, step int64)
}

// New returns a Keeper for the process that getenv, such as os.Getenv, describes
// (see the constants of package train).
func New(getenv func(string) string, opts *Options) (*Keeper, error) {
	k := &Keeper{
		job: getenv(train.EnvJobID), attempt: number(getenv(train.EnvAttempt)) + number(getenv(train.EnvResumes)),
		start: getenv(train.EnvStart), node: number(cmp.Or(getenv("GROUP_RANK"), getenv("PET_NODE_RANK"))), began: time.Now(),
		restart: number(getenv("TORCHELASTIC_RESTART_COUNT")), rank: number(getenv("RANK")),
		resume: cmp.Or(getenv(train.EnvCheckpointResume), train.ResumeLatest),
	}
	if opts != nil {
		k.opts = *opts
	}
	if k.opts.Keep == 0 {
		k.opts.Keep = 3
	}
	if k.opts.ReportEvery == 0 {
		k.opts.ReportEvery = time.Second
	}
	if k.opts.Output == nil {
		k.opts.Output = os.Stdout
	}
	uri := cmp.Or(k.opts.URI, getenv(train.EnvCheckpointURI))
	if uri == "" {
		return k, nil
	}
	var err error
	if k.dir, err = folder(uri); err != nil {
		return nil, err
	}
	if k.rank == 0 {
		if err := os.MkdirAll(k.dir, 0o755); err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
		k.sweep()
	}
	return k, nil
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(0, n)
}

func folder(uri string) (string, error) {
	if !strings.Contains(uri, "://") && !strings.HasPrefix(uri, "file:") {
		return filepath.Abs(uri)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "", fmt.Errorf("checkpoint: URI %q: %w: %w", uri, err, ErrInvalid)
	}
	if u.Scheme != "file" || u.Path == "" {
		return "", fmt.Errorf("checkpoint: URI %q is no folder: mount the store, as a volume or a file system: %w", uri, ErrUnsupported)
	}
	return filepath.FromSlash(u.Path), nil
}

// Notify returns a context that ends at SIGTERM, on rank 0. The other ranks
// ignore the signal until rank 0 has left, which ends them.
func (k *Keeper) Notify(ctx context.Context) (context.Context, context.CancelFunc) {
	if k.rank == 0 {
		return signal.NotifyContext(ctx, syscall.SIGTERM)
	}
	signal.Ignore(syscall.SIGTERM)
	return context.WithCancel(ctx)
}

// Checkpoint is one that was found intact, or saved.
type Checkpoint struct {
	Manifest

	Dir    string // its folder
	Digest string // of its manifest, "sha256:…"
}

// Ref is what is reported of it.
func (c *Checkpoint) Ref() train.CheckpointRef {
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(c.Dir)}
	return train.CheckpointRef{Step: c.Step, URI: uri.String(), Digest: c.Digest, Time: c.Time}
}

// Skipped is a checkpoint that Latest passed over.
type Skipped struct {
	Name string // of its manifest
	Err  error  // why
}

// Latest is the newest intact checkpoint that this attempt may resume from, nil
// when there is none. With train.EnvCheckpointResume a digest, that one or
// ErrNotFound.
func (k *Keeper) Latest(ctx context.Context) (*Checkpoint, error) {
	if k.dir == "" || k.resume == train.ResumeNone {
		return nil, nil //nolint:nilnil // the documented answer for none
	}
	var skipped []Skipped
	defer func() {
		k.mu.Lock()
		k.skipped = skipped
		k.mu.Unlock()
	}()
	names, err := k.manifests()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("checkpoint: latest: %w", err)
		}
		c, err := k.load(name)
		if err == nil && k.resume != train.ResumeLatest && c.Digest != k.resume {
			continue
		}
		if err == nil && k.running(&c.Manifest) {
			continue // rank 0 may be faster than the others
		}
		if err == nil {
			err = c.verify(c.Dir)
		}
		if err == nil {
			k.mu.Lock()
			k.from = name
			k.mu.Unlock()
			k.resumed(c)
			return c, nil
		}
		skipped = append(skipped, Skipped{Name: name, Err: err})
	}
	if k.resume != train.ResumeLatest {
		return nil, fmt.Errorf("checkpoint: no intact one in %s is %s: %w", k.dir, k.resume, ErrNotFound)
	}
	return nil, nil //nolint:nilnil // the documented answer for none
}

// resumed reports what the process goes on from: by it the launcher knows how much
// of an attempt was worth its time, also when all that attempt said is gone.
func (k *Keeper) resumed(c *Checkpoint) {
	if k.rank != 0 {
		return
	}
	ref := c.Ref()
	_ = k.print(train.Report{Step: c.Step, Checkpoint: &ref}) // without it the training goes on all the same
}

// running reports whether a checkpoint is of the attempt that runs.
func (k *Keeper) running(c *Manifest) bool {
	if k.job == "" || c.Job != k.job || c.Attempt < k.attempt {
		return false
	}
	if k.start == "" || c.Start == k.start {
		return c.Attempt > k.attempt || c.Restart >= k.restart
	}
	// Where a queue takes the machines back and gives others, the attempts may be
	// counted from the same number again. Rank 0 saves, so on its own machine what
	// another start saved is older; elsewhere it is if it was there before this
	// process, because the ranks of an attempt start together.
	return k.node != 0 && !c.Time.Before(k.began)
}

// Skipped is what the last Latest passed over, and why.
func (k *Keeper) Skipped() []Skipped {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.skipped)
}

func (k *Keeper) load(name string) (*Checkpoint, error) {
	f, err := os.Open(filepath.Join(k.dir, name))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	m, digest, err := ParseManifest(data)
	if err != nil {
		return nil, err
	}
	if m.Folder+suffix != name {
		return nil, fmt.Errorf("checkpoint: its manifest is of %q: %w", m.Folder, ErrDamaged)
	}
	return &Checkpoint{Manifest: *m, Dir: filepath.Join(k.dir, m.Folder), Digest: digest}, nil
}

// manifests lists the manifests, newest first: by step, then attempt, then time.
func (k *Keeper) manifests() ([]string, error) {
	entries, err := os.ReadDir(k.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	type dated struct {
		name          string
		step, attempt int64
		at            int64
	}
	var list []dated
	for _, e := range entries {
		parts := strings.Split(strings.TrimSuffix(e.Name(), suffix), "-")
		if !strings.HasSuffix(e.Name(), suffix) || len(parts) != 4 || parts[0] != "step" {
			continue
		}
		step, err := strconv.ParseInt(parts[1], 10, 64)
		attempt, err2 := strconv.ParseInt(strings.TrimPrefix(parts[2], "a"), 10, 64)
		info, err3 := e.Info()
		if err != nil || err2 != nil || err3 != nil {
			continue // another program's, or removed meanwhile
		}
		list = append(list, dated{e.Name(), step, attempt, info.ModTime().UnixNano()})
	}
	slices.SortFunc(list, func(a, b dated) int {
		return cmp.Or(cmp.Compare(b.step, a.step), cmp.Compare(b.attempt, a.attempt), cmp.Compare(b.at, a.at))
	})
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.name
	}
	return names, nil
}
