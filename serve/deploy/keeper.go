package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// The kinds of error this package returns; test with errors.Is.
var (
	// ErrInvalid: options, or a version, that cannot be used.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: a model that the keeper does not keep.
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable: the keeper does not run, or the alias has no version.
	ErrUnavailable = errs.ErrUnavailable
)

// Source is where versions come from. A registry.Registry is one.
type Source interface {
	// Follow yields the number of the version that the alias of a model is
	// at, 0 for none, at once and after each move, until ctx ends. An error
	// that does not end it is told and waited out.
	Follow(ctx context.Context, name, alias string) iter.Seq2[int, error]
	// Bundle returns a version's files and the facts about it, JSON with the
	// members "digest", "files" (each with "path", "size" and "sha256"),
	// "signature", "golden" (the path of a file of golden cases),
	// "framework", "run" and "datasets", of which all may be missing.
	Bundle(ctx context.Context, name string, number int) (fs.FS, json.RawMessage, error)
}

// Model is a model to keep.
type Model struct {
	// Name is the model's name in the registry and in the server.
	Name string
	// Runtime loads its files.
	Runtime serve.Runtime
	// Alias is at the version that answers. Default "champion".
	Alias string
	// Beside are aliases of versions that are deployed beside it, for a
	// Router and for clients that name a version. Default none.
	Beside []string
	// Batching is that of the deployments. Default none.
	Batching *serve.Batching
	// Tolerance is how close a version has to come to its golden answers.
	// Default: the same bits.
	Tolerance serve.Tolerance
	// Lazy leaves the model unloaded until it is asked for.
	Lazy bool
}

// Options configure a Keeper. Nil means the defaults.
type Options struct {
	// Dir is the folder in which the versions in use are kept, for a restart
	// without the registry. Default none: nothing is kept, and the source
	// vouches for the digests of the files, as registry.Registry does.
	Dir string
	// Memory is the most bytes that the models may hold, by serve.Sizer, or
	// the size of their files for models that do not say. Default 0: no
	// bound.
	Memory int64
	// Retry is the time after which a version that could not be loaded is
	// tried again, doubled after each failure up to a minute. Default 1 s.
	Retry time.Duration
	// OnError is told of each failure, from the keeper's goroutines. Default
	// none.
	OnError func(error)
	// Logger is told what was deployed. Default none.
	Logger *slog.Logger
}

// Keeper keeps models deployed. It is a Run value: New, then Run once. It
// implements serve.Repository, for its own models.
type Keeper struct {
	source Source
	opts   Options
	models []*kept

	mu     sync.Mutex
	server *serve.Server // Set by Run.
}

// kept is the state of one model.
type kept struct {
	Model
	kick chan struct{} // Tells that want or idle have changed.

	mu     sync.Mutex
	want   map[string]int // Where the aliases are.
	loaded map[int]int64  // The deployed versions with their sizes.
	bad    map[int]error  // Versions that are themselves at fault.
	idle   bool           // Unloaded for want of room, or not asked for yet.
	reason string         // Why it is not as wanted.

	failure error // What OnDemand found last, and when.
	failed  time.Time
}

var _ serve.Repository = (*Keeper)(nil)

// New returns a keeper. ErrInvalid lists all that is wrong with the models.
func New(source Source, models []Model, opts *Options) (*Keeper, error) {
	var f errs.Faults
	f.Check(source != nil, "the source is nil")
	f.Check(len(models) > 0, "there is no model")
	k := &Keeper{source: source}
	if opts != nil {
		k.opts = *opts
	}
	if k.opts.Retry <= 0 {
		k.opts.Retry = time.Second
	}
	if k.opts.Logger == nil {
		k.opts.Logger = slog.New(slog.DiscardHandler)
	}
	for i, m := range models {
		f.Check(m.Name != "", "model %d has no name", i)
		f.Check(m.Runtime != nil, "model %q has no Runtime", m.Name)
		f.Check(!slices.ContainsFunc(models[:i], func(o Model) bool { return o.Name == m.Name }), "model %q is there twice", m.Name)
		if m.Alias == "" {
			m.Alias = "champion"
		}
		f.Check(!slices.Contains(m.Beside, m.Alias), "model %q: alias %q is in Beside as well", m.Name, m.Alias)
		k.models = append(k.models, &kept{
			Model: m, kick: make(chan struct{}, 1), idle: m.Lazy,
			want: make(map[string]int), loaded: make(map[int]int64), bad: make(map[int]error),
		})
	}
	if err := f.Err("deploy: new"); err != nil {
		return nil, err
	}
	return k, nil
}

// Run keeps the models of the server until ctx ends, and returns nil then. It
// begins with what Options.Dir holds, before the source is asked. The server and
// its models are left as they are. Run can be called once.
func (k *Keeper) Run(ctx context.Context, server *serve.Server) error {
	k.mu.Lock()
	if k.server != nil {
		k.mu.Unlock()
		return fmt.Errorf("deploy: run: it was called before: %w", ErrInvalid)
	}
	k.server = server
	k.mu.Unlock()
	var wg sync.WaitGroup
	for _, m := range k.models {
		k.restore(ctx, m)
		for _, alias := range append([]string{m.Alias}, m.Beside...) {
			wg.Go(func() { k.follow(ctx, m, alias) })
		}
		wg.Go(func() { k.keep(ctx, m) })
	}
	wg.Wait()
	return nil
}

// restore deploys what was in use before the restart.
func (k *Keeper) restore(ctx context.Context, m *kept) {
	if k.opts.Dir == "" {
		return
	}
	want, err := readState(k.opts.Dir, m.Name)
	if err != nil {
		k.report(fmt.Errorf("deploy: restore %q: %w", m.Name, err))
	}
	if len(want) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want = want
	if !m.idle {
		// What is not on disk is left for the source.
		if err := k.reconcile(ctx, m, true); err != nil {
			k.report(err)
		}
	}
}

// follow notes where an alias is.
func (k *Keeper) follow(ctx context.Context, m *kept, alias string) {
	for number, err := range k.source.Follow(ctx, m.Name, alias) {
		if err != nil {
			k.report(fmt.Errorf("deploy: follow %q alias %q: %w", m.Name, alias, err))
			continue
		}
		m.mu.Lock()
		if number == 0 && alias == m.Alias && m.want[alias] != 0 {
			// An alias that is gone takes no model down.
			m.reason = fmt.Sprintf("alias %q is gone", alias)
			m.mu.Unlock()
			k.report(fmt.Errorf("deploy: %q: alias %q is gone, its last version goes on: %w", m.Name, alias, ErrNotFound))
			continue
		}
		m.want[alias] = number
		m.mu.Unlock()
		m.poke()
	}
}

// poke has keep look again.
func (m *kept) poke() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// keep makes the server have what is wanted.
func (k *Keeper) keep(ctx context.Context, m *kept) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	for pause := k.opts.Retry; ; {
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-m.kick:
			pause = k.opts.Retry
		case <-timer.C:
		}
		m.mu.Lock()
		var err error
		if !m.idle {
			err = k.reconcile(ctx, m, false)
		}
		m.mu.Unlock()
		if err == nil || ctx.Err() != nil {
			timer.Stop()
			continue
		}
		k.report(err)
		timer.Reset(pause)
		pause = min(2*pause, time.Minute)
	}
}

func (k *Keeper) report(err error) {
	k.opts.Logger.Warn("deploy: trouble", "error", err)
	if k.opts.OnError != nil {
		k.opts.OnError(err)
	}
}

// reconcile loads what is wanted and not there, makes the alias's version the
// default, and removes what is wanted no more. With local it takes versions from
// disk only. The model's lock is held. An error asks to be called again.
func (k *Keeper) reconcile(ctx context.Context, m *kept, local bool) error {
	var again error
	m.reason = ""
	for i, alias := range append([]string{m.Alias}, m.Beside...) {
		number := m.want[alias]
		if number == 0 {
			continue
		}
		if i > 0 && len(m.loaded) == 0 {
			break // The first one to be deployed would be the default.
		}
		if _, ok := m.loaded[number]; !ok {
			if err := k.load(ctx, m, number, local); err != nil {
				err = fmt.Errorf("deploy: %q version %d (%s): %w", m.Name, number, alias, err)
				m.reason = err.Error()
				if errors.Is(err, ErrInvalid) {
					// It would be the same again.
					if m.bad[number] == nil && !local {
						m.bad[number] = err
						k.report(err)
					}
				} else {
					again = err
				}
				continue
			}
		}
		if i == 0 {
			if err := k.server.SetDefault(m.Name, version(number)); err != nil {
				return err
			}
		}
	}
	k.sweep(ctx, m)
	if k.opts.Dir != "" && again == nil && !local {
		if err := writeState(k.opts.Dir, m.Name, m.want, m.loaded); err != nil {
			k.report(fmt.Errorf("deploy: %q: keep the state: %w", m.Name, err))
		}
	}
	return again
}

// sweep removes the versions that no alias is at, once the default is in place.
func (k *Keeper) sweep(ctx context.Context, m *kept) {
	if _, ok := m.loaded[m.want[m.Alias]]; !ok {
		return
	}
	for number := range m.loaded {
		wanted := false
		for _, n := range m.want {
			wanted = wanted || n == number
		}
		if wanted {
			continue
		}
		delete(m.loaded, number)
		// A request that hangs on it holds up nothing else: the server closes
		// it after the last one.
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := k.server.Remove(gone, m.Name, version(number)); err != nil && !errors.Is(err, context.Canceled) {
			k.report(fmt.Errorf("deploy: %q version %d: %w", m.Name, number, err))
		}
	}
	for number := range m.bad {
		if !slices.Contains(values(m.want), number) {
			delete(m.bad, number)
		}
	}
}

func values(want map[string]int) []int {
	list := make([]int, 0, len(want))
	for _, n := range want {
		list = append(list, n)
	}
	return list
}

// model returns what the keeper knows of a name.
func (k *Keeper) model(name string) (*kept, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.models {
		if m.Name == name {
			if k.server == nil {
				return nil, fmt.Errorf("deploy: %q: the keeper does not run: %w", name, ErrUnavailable)
			}
			return m, nil
		}
	}
	return nil, fmt.Errorf("deploy: %q is not one of the models: %w", name, ErrNotFound)
}

// OnDemand loads a model that was unloaded for want of room, or is Lazy: it is
// for serve.Options.OnDemand. What failed is tried again after Options.Retry.
func (k *Keeper) OnDemand(ctx context.Context, name string) error {
	m, err := k.model(name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.loaded) > 0 {
		return nil // Another request was faster.
	}
	if m.failure == nil || time.Since(m.failed) > k.opts.Retry {
		m.failure, m.failed = k.wake(ctx, m), time.Now()
	}
	if m.failure != nil {
		// Whatever is wrong with the version, the request is not.
		return fmt.Errorf("%v: %w", m.failure, ErrUnavailable)
	}
	return nil
}

// Load implements serve.Repository: the model is loaded at the version that its
// alias names, and at others again if they have failed.
func (k *Keeper) Load(ctx context.Context, name string, _ map[string]any) error {
	m, err := k.model(name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.bad)
	return k.wake(ctx, m)
}

// wake loads a model that may be idle. The lock is held.
func (k *Keeper) wake(ctx context.Context, m *kept) error {
	m.idle = false
	if m.want[m.Alias] == 0 {
		return fmt.Errorf("deploy: %q: alias %q is at no version yet: %w", m.Name, m.Alias, ErrUnavailable)
	}
	if err := k.reconcile(ctx, m, false); err != nil {
		return err
	}
	return m.bad[m.want[m.Alias]]
}

// Unload implements serve.Repository: the model is taken away until it is loaded
// again.
func (k *Keeper) Unload(ctx context.Context, name string, _ map[string]any) error {
	m, err := k.model(name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle, m.reason = true, "unloaded"
	clear(m.loaded)
	return k.server.Undeploy(ctx, name)
}

// Index implements serve.Repository.
func (k *Keeper) Index(context.Context) ([]oip.ModelIndex, error) {
	var list []oip.ModelIndex
	for _, m := range k.models {
		m.mu.Lock()
		for _, alias := range append([]string{m.Alias}, m.Beside...) {
			number := m.want[alias]
			if number == 0 || slices.ContainsFunc(list, func(e oip.ModelIndex) bool { return e.Name == m.Name && e.Version == version(number) }) {
				continue
			}
			entry := oip.ModelIndex{Name: m.Name, Version: version(number), State: oip.StateReady}
			if _, ok := m.loaded[number]; !ok {
				entry.State, entry.Reason = oip.StateUnavailable, m.reason
			}
			list = append(list, entry)
		}
		m.mu.Unlock()
	}
	return list, nil
}
