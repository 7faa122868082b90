package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// moment is when, at a call to a store, a process dies.
type moment string

const (
	before moment = "before" // the call never reached the store
	during moment = "during" // half of a body went over the wire
	after  moment = "after"  // the store did it, and nobody learned of it
)

// door is the way of one process to its stores. The process dies at one of its
// calls, and reaches nothing any more.
type door struct {
	mu    sync.Mutex
	calls int
	dies  int // at this call, counted from 1; 0: never
	when  moment
	dead  bool
}

func (d *door) enter() (dying, dead bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return false, true
	}
	d.calls++
	d.dead = d.calls == d.dies
	return d.dead, false
}

func pass[T any](d *door, call func() (T, error)) (out T, err error) {
	dying, dead := d.enter()
	if dead || dying && d.when != after {
		return out, errKilled
	}
	if out, err = call(); dying {
		var none T
		return none, errKilled
	}
	return out, err
}

func (d *door) pass(call func() error) error {
	_, err := pass(d, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// mortalStore is a store behind a door.
type mortalStore struct {
	*registrytest.Mem
	d *door
}

func (s mortalStore) CreateModel(ctx context.Context, m registry.Model) (registry.Model, error) {
	return pass(s.d, func() (registry.Model, error) { return s.Mem.CreateModel(ctx, m) })
}

func (s mortalStore) UpdateModel(ctx context.Context, name string, u registry.ModelUpdate) error {
	return s.d.pass(func() error { return s.Mem.UpdateModel(ctx, name, u) })
}

func (s mortalStore) CreateVersion(ctx context.Context, v *registry.Version, lease string) (*registry.Version, error) {
	return pass(s.d, func() (*registry.Version, error) { return s.Mem.CreateVersion(ctx, v, lease) })
}

func (s mortalStore) UpdateVersion(ctx context.Context, name string, number int, u registry.VersionUpdate) error {
	return s.d.pass(func() error { return s.Mem.UpdateVersion(ctx, name, number, u) })
}

func (s mortalStore) Version(ctx context.Context, name string, number int) (*registry.Version, error) {
	return pass(s.d, func() (*registry.Version, error) { return s.Mem.Version(ctx, name, number) })
}

func (s mortalStore) Record(ctx context.Context, e registry.Entry, expect int) (registry.Entry, error) {
	return pass(s.d, func() (registry.Entry, error) { return s.Mem.Record(ctx, e, expect) })
}

func (s mortalStore) Aliases(ctx context.Context, name, alias, after string, limit int) ([]registry.Alias, error) {
	return pass(s.d, func() ([]registry.Alias, error) { return s.Mem.Aliases(ctx, name, alias, after, limit) })
}

func (s mortalStore) Audit(ctx context.Context, q registry.AuditQuery) ([]registry.Entry, error) {
	return pass(s.d, func() ([]registry.Entry, error) { return s.Mem.Audit(ctx, q) })
}

func (s mortalStore) PurgeVersion(ctx context.Context, name string, number int, by string) error {
	return s.d.pass(func() error { return s.Mem.PurgeVersion(ctx, name, number, by) })
}

func (s mortalStore) PurgeModel(ctx context.Context, name, by string) error {
	return s.d.pass(func() error { return s.Mem.PurgeModel(ctx, name, by) })
}

func (s mortalStore) Lease(ctx context.Context, token string, digests []string, until time.Time) ([]string, error) {
	return pass(s.d, func() ([]string, error) { return s.Mem.Lease(ctx, token, digests, until) })
}

func (s mortalStore) Condemn(ctx context.Context, token string, digests []string, now, until time.Time) ([]string, error) {
	return pass(s.d, func() ([]string, error) { return s.Mem.Condemn(ctx, token, digests, now, until) })
}

func (s mortalStore) Cleared(ctx context.Context, token string, digests []string) error {
	return s.d.pass(func() error { return s.Mem.Cleared(ctx, token, digests) })
}

// mortalBlobs are files behind a door.
type mortalBlobs struct {
	*blob.Mem
	d *door
}

func (f mortalBlobs) write(key string, body io.Reader, size int64, to func(io.Reader) error) error {
	dying, dead := f.d.enter()
	switch {
	case dead || dying && f.d.when == before:
		return errKilled
	case dying && f.d.when == during:
		body = io.MultiReader(io.LimitReader(body, size/2), failing{})
	}
	if err := to(body); !dying {
		return err
	}
	return fmt.Errorf("%s: %w", key, errKilled)
}

func (f mortalBlobs) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	return f.write(key, body, size, func(r io.Reader) error { return f.Mem.Create(ctx, key, r, size) })
}

func (f mortalBlobs) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return f.write(key, body, size, func(r io.Reader) error { return f.Mem.Put(ctx, key, r, size) })
}

func (f mortalBlobs) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	return pass(f.d, func() (io.ReadCloser, error) { return f.Mem.Get(ctx, key, off, n) })
}

func (f mortalBlobs) Delete(ctx context.Context, key string) error {
	return f.d.pass(func() error { return f.Mem.Delete(ctx, key) })
}

func (f mortalBlobs) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := f.d.pass(func() error { return nil }); err != nil {
			yield(nil, err)
			return
		}
		f.Mem.List(ctx, prefix)(yield)
	}
}

// crashes are what a process may be at when it dies. Each can be done again by
// the next process, which does not know how far the first one came.
var crashes = map[string]func(ctx context.Context, r *registry.Registry) error{
	"upload": func(ctx context.Context, r *registry.Registry) error {
		d := challenger(0.8) // shares its files with the others, and adds two
		maps.Copy(d.Files.(fstest.MapFS), fstest.MapFS{"trees/1": {Data: []byte("first tree")}, "trees/2": {Data: []byte("second tree")}})
		d.Key = "run-2"
		_, err := r.Register(ctx, "fraud", d)
		return err
	},
	"upload over damage": func(ctx context.Context, r *registry.Registry) error {
		d := draft("shared", "damaged object", "own", "of this version")
		d.Key = "run-2"
		_, err := r.Register(ctx, "fraud", d)
		return err
	},
	"completion of a pending version": func(ctx context.Context, r *registry.Registry) error {
		err := r.Complete(ctx, "fraud", 3, draft("model", "came later", "shared", "damaged object").Files)
		if errors.Is(err, registry.ErrConflict) {
			return nil // it was done
		}
		return err
	},
	"promotion": func(ctx context.Context, r *registry.Registry) error {
		_, err := r.Promote(ctx, "fraud", "champion", 2, &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{registry.MetricAtLeast("auc", 0.5), registry.ProfilePresent()}})
		return err
	},
	"rollback": func(ctx context.Context, r *registry.Registry) error {
		_, err := r.Rollback(ctx, "fraud", "shadow", &registry.RollbackOptions{By: "ann", Expect: 2})
		if conflict, ok := errors.AsType[*registry.ConflictError](err); ok && conflict.Have == 1 {
			return nil // it was done
		}
		return err
	},
	"delete and purge": func(ctx context.Context, r *registry.Registry) error {
		yes := true
		err := r.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Deleted: &yes, By: "ann"})
		if err == nil || errors.Is(err, registry.ErrNotFound) {
			err = r.PurgeVersion(ctx, "fraud", 2, "ann")
		}
		if errors.Is(err, registry.ErrNotFound) {
			return nil
		}
		return err
	},
	"delete and rename the model": func(ctx context.Context, r *registry.Registry) error {
		err := r.UpdateModel(ctx, "fraud", registry.ModelUpdate{Rename: "fraud 2", By: "ann"})
		yes := true
		if err == nil || errors.Is(err, registry.ErrNotFound) {
			err = r.UpdateModel(ctx, "fraud 2", registry.ModelUpdate{Deleted: &yes, By: "ann"})
		}
		if errors.Is(err, registry.ErrNotFound) {
			return nil
		}
		return err
	},
	"collection": func(ctx context.Context, r *registry.Registry) error {
		_, err := r.Collect(ctx, &registry.CollectOptions{MinAge: -1})
		return err
	},
}

// world is what the processes share, and the head of its log when it was made.
type world struct {
	store *registrytest.Mem
	files *blob.Mem
	head  registry.AuditHead
}

func (w *world) process(d *door) *registry.Registry {
	return registry.New(mortalStore{w.store, d}, mortalBlobs{w.files, d}, nil)
}

// newWorld has two versions and a pending one, two aliases, a damaged object that a version
// needs, and objects that none needs.
func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, w := t.Context(), &world{store: new(registrytest.Mem), files: new(blob.Mem)}
	r := registry.New(w.store, w.files, nil)
	for n := 1; n <= 2; n++ {
		d := challenger(0.7)
		d.Key = fmt.Sprintf("first-%d", n)
		_, err := r.Register(ctx, "fraud", d)
		require.NoError(t, err)
		_, err = r.Promote(ctx, "fraud", "shadow", n, &registry.PromoteOptions{By: "ci"})
		require.NoError(t, err)
	}
	_, err := r.Promote(ctx, "fraud", "champion", 1, &registry.PromoteOptions{By: "ci"})
	require.NoError(t, err)
	for _, garbage := range []string{"one", "two", "three"} {
		require.NoError(t, w.files.Put(ctx, key(garbage), strings.NewReader(garbage), -1))
	}
	_, err = r.Declare(ctx, "fraud", registry.Draft{Source: "s3://bucket/model"}, true)
	require.NoError(t, err)
	require.NoError(t, w.files.Put(ctx, key("damaged object"), strings.NewReader("damagXd object"), -1))
	w.head, err = r.VerifyAudit(ctx)
	require.NoError(t, err)
	return w
}

// sound checks what must hold at any time, whoever died: the log is whole, the
// store follows it, and no version that can be seen misses a file.
func (w *world) sound(t *testing.T) {
	t.Helper()
	ctx, r := t.Context(), registry.New(w.store, w.files, nil)
	_, err := r.VerifyAudit(ctx, w.head)
	require.NoError(t, err)
	for v, err := range r.SearchVersions(ctx, registry.VersionQuery{View: registry.All}) {
		require.NoError(t, err)
		require.Equal(t, v.Status == registry.Pending, len(v.Files) == 0)
		if len(v.Files) == 0 {
			continue
		}
		fsys, err := r.Open(ctx, v)
		require.NoError(t, err)
		for _, f := range v.Files {
			_, err := fs.ReadFile(fsys, f.Path)
			require.NoError(t, err, "%s misses %s", v.Ref(), f.Path)
		}
	}
}

// state is all that lasts, without times.
func (w *world) state(t *testing.T) (out []string) {
	t.Helper()
	ctx, r := t.Context(), registry.New(w.store, w.files, nil)
	for m, err := range r.SearchModels(ctx, registry.ModelQuery{View: registry.All}) {
		require.NoError(t, err)
		out = append(out, fmt.Sprintf("model %s latest %d deleted %v", m.Name, m.Latest, m.Deleted))
		for _, a := range m.Aliases {
			out = append(out, fmt.Sprintf("alias %s@%s at %d", m.Name, a.Alias, a.Number))
		}
	}
	for v, err := range r.SearchVersions(ctx, registry.VersionQuery{View: registry.All, OrderBy: []string{"name", "version_number"}}) {
		require.NoError(t, err)
		out = append(out, fmt.Sprintf("version %s %s deleted %v", v.Ref(), v.Digest, v.Deleted))
	}
	log, err := w.store.Audit(ctx, registry.AuditQuery{From: 1, Limit: 1000})
	require.NoError(t, err)
	for _, e := range log {
		out = append(out, fmt.Sprintf("entry %d %s %s@%s %d to %d", e.Seq, e.Kind, e.Name, e.Alias, e.From, e.To))
	}
	for _, o := range objects(t, w.files) {
		out = append(out, "object "+o)
	}
	return out
}

// A process dies at every one of its calls to the stores, in each of three
// ways. What it leaves is sound, the next process can do the same again, and
// after a collection nothing tells that anybody died.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for name, work := range crashes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			finish := func(t *testing.T, w *world) []string {
				t.Helper()
				later(25 * time.Hour) // leases and marks of the dead end
				_, err := registry.New(w.store, w.files, nil).Collect(t.Context(), &registry.CollectOptions{MinAge: -1})
				require.NoError(t, err)
				w.sound(t)
				return w.state(t)
			}
			var want []string
			steps := 0
			synctest.Test(t, func(t *testing.T) {
				w, d := newWorld(t), new(door)
				require.NoError(t, work(t.Context(), w.process(d)))
				steps = d.calls
				want = finish(t, w)
			})
			require.GreaterOrEqual(t, steps, 2)
			for step := 1; step <= steps; step++ {
				for _, when := range []moment{before, during, after} {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						err := work(t.Context(), w.process(&door{dies: step, when: when}))
						require.ErrorIs(t, err, errKilled, "step %d, %s", step, when)
						w.sound(t)
						later(5 * time.Minute)
						if name != "collection" {
							// What a dead collector marked is for the next one.
							require.NoError(t, work(t.Context(), w.process(new(door))), "step %d, %s", step, when)
							w.sound(t)
						}
						require.Equal(t, want, finish(t, w), "step %d, %s", step, when)
					})
				}
			}
			t.Logf("%d calls, a death before, during and after each", steps)
		})
	}
}

// An upload that slept for days, while a collector took what it had stored,
// makes no version; done again it does.
func TestUploadThatSleptMakesNoBrokenVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, b := t.Context(), setup(t, nil)
		slow := registry.New(sleeper{b.store}, b.files, nil)
		go func() {
			later(30 * time.Hour)
			_, err := b.Collect(ctx, &registry.CollectOptions{MinAge: -1})
			if err != nil {
				t.Error(err)
			}
		}()
		_, err := slow.Register(ctx, "fraud", draft("model", "m"))
		require.ErrorIs(t, err, registry.ErrConflict)
		require.ErrorContains(t, err, `registry: register "fraud": `)
		_, err = b.Model(ctx, "fraud")
		require.ErrorIs(t, err, registry.ErrNotFound)
		require.Empty(t, objects(t, b.files))
		_, err = b.Register(ctx, "fraud", draft("model", "m"))
		require.NoError(t, err)
	})
}

// sleeper is a laptop that is shut before its version is made.
type sleeper struct{ *registrytest.Mem }

func (s sleeper) CreateVersion(ctx context.Context, v *registry.Version, lease string) (*registry.Version, error) {
	later(72 * time.Hour)
	return s.Mem.CreateVersion(ctx, v, lease)
}

// later lets time pass, in a synctest bubble where it costs none.
func later(d time.Duration) { <-time.After(d) }
