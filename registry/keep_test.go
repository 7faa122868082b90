package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// counting counts the reads of objects.
type counting struct {
	*blob.Mem
	mu   sync.Mutex
	gets int
}

func (c *counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	c.mu.Lock()
	c.gets++
	c.mu.Unlock()
	return c.Mem.Get(ctx, key, off, n)
}

func TestCache(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	files := &counting{Mem: new(blob.Mem)}
	store := new(registrytest.Mem)
	open := func(size int64) *registry.Registry {
		return registry.New(store, files, &registry.Options{CacheDir: dir, CacheSize: size})
	}
	v, err := open(0).Register(ctx, "fraud", draft("a", "first", "b/c", strings.Repeat("x", 1000)))
	require.NoError(t, err)
	files.gets = 0
	read := func(r *registry.Registry, path string) string {
		fsys, err := r.Open(ctx, v)
		require.NoError(t, err)
		b, err := fs.ReadFile(fsys, path)
		require.NoError(t, err)
		f, err := fsys.Open(path)
		require.NoError(t, err)
		again, err := io.ReadAll(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, b, again)
		return string(b)
	}
	// Several processes at once, then a warm one: each object is read from the
	// store by those that found the cache empty, and by nobody later.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _ = read(open(0), "a") })
	}
	wg.Wait()
	warm := files.gets
	require.Equal(t, "first", read(open(0), "a"))
	require.Equal(t, warm, files.gets)

	// A file cut by a failing disk is not taken for the object.
	cached := filepath.Join(dir, "sha256", hexSum("first")[:2], hexSum("first"))
	require.NoError(t, os.Truncate(cached, 2))
	require.Equal(t, "first", read(open(0), "a"))

	// Damage in the store does not get in.
	require.NoError(t, os.Remove(cached))
	require.NoError(t, files.Put(ctx, key("first"), strings.NewReader("wrong"), 5))
	fsys, err := open(0).Open(ctx, v)
	require.NoError(t, err)
	_, err = fs.ReadFile(fsys, "a")
	var damaged *registry.DigestError
	require.ErrorAs(t, err, &damaged)
	require.NoFileExists(t, cached)

	// The least recently used goes first; leftovers of the dead go with it.
	require.NoError(t, files.Put(ctx, key("first"), strings.NewReader("first"), 5))
	old := time.Now().Add(-48 * time.Hour)
	leftover := filepath.Join(dir, "tmp-dead")
	require.NoError(t, os.WriteFile(leftover, []byte("x"), 0o600))
	require.NoError(t, os.Chtimes(leftover, old, old))
	read(open(0), "a")
	require.NoError(t, os.Chtimes(cached, old, old))
	read(open(1000), "b/c")
	require.NoFileExists(t, cached)
	require.NoFileExists(t, leftover)
}

func BenchmarkWarmOpen(b *testing.B) {
	ctx := b.Context()
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), &registry.Options{CacheDir: b.TempDir()})
	v, err := reg.Register(ctx, "fraud", draft("model", strings.Repeat("x", 64<<20)))
	require.NoError(b, err)
	for b.Loop() {
		fsys, err := reg.Open(ctx, v)
		require.NoError(b, err)
		f, err := fsys.Open("model")
		require.NoError(b, err)
		require.NoError(b, f.Close())
	}
}

// mortal is a store whose collectors die now and then, at each of their steps.
type mortal struct {
	*registrytest.Mem
	mu  sync.Mutex
	rng *rand.Rand
}

var errKilled = errors.New("killed")

func (m *mortal) dies() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(6) == 0
}

func (m *mortal) Cleared(ctx context.Context, token string, digests []string) error {
	if m.dies() { // before it cleared anything
		return errKilled
	}
	return m.Mem.Cleared(ctx, token, digests)
}

// mortalFiles lets deletions fail, before and after they happened.
type mortalFiles struct {
	*blob.Mem
	*mortal
}

func (f mortalFiles) Delete(ctx context.Context, key string) error {
	if f.dies() {
		return errKilled
	}
	if err := f.Mem.Delete(ctx, key); err != nil || f.dies() {
		return errors.Join(err, errKilled)
	}
	return nil
}

// Random uploads, deletions, purges and collections, many of them killed: no
// version ever misses a file, and at the end nothing is left over.
func TestCollectNeverTakesWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testCollect(t, seed) })
		})
	}
}

func testCollect(t *testing.T, seed uint64) {
	ctx, files := t.Context(), new(blob.Mem)
	store := &mortal{Mem: new(registrytest.Mem), rng: rand.New(rand.NewPCG(seed, 2))}
	b := registry.New(store, struct {
		registry.Files
		registry.FileLister
	}{files, mortalFiles{files, store}}, nil)
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg, uploads sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for stop.Err() == nil {
				_, err := b.Collect(ctx, &registry.CollectOptions{MinAge: -1})
				if err != nil && !errors.Is(err, errKilled) {
					t.Error(err)
				}
				later(time.Second)
			}
		})
	}
	for w := range 3 {
		uploads.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(10+w)))
			name, yes := fmt.Sprintf("m%d", w), true
			for range 60 {
				v, err := b.Register(ctx, name, draft("shared", fmt.Sprint(rng.IntN(3)), "own", fmt.Sprint(rng.IntN(100))))
				if err != nil {
					t.Error(err)
					return
				}
				fsys, err := b.Open(ctx, v)
				if err == nil {
					_, err = fs.ReadFile(fsys, "shared")
				}
				if err != nil {
					t.Errorf("a registered version misses a file: %v", err)
					return
				}
				if rng.IntN(4) > 0 {
					err := errors.Join(b.UpdateVersion(ctx, name, v.Number, registry.VersionUpdate{Deleted: &yes}),
						b.PurgeVersion(ctx, name, v.Number, "test"))
					if err != nil {
						t.Error(err)
					}
				}
				later(time.Duration(rng.IntN(3000)) * time.Millisecond)
			}
		})
	}
	uploads.Wait()
	cancel()
	wg.Wait()
	// When all marks have ended one collection that lives finishes the work.
	later(time.Hour)
	_, err := registry.New(store.Mem, files, nil).Collect(ctx, &registry.CollectOptions{MinAge: -1})
	require.NoError(t, err)
	needed := map[string]bool{}
	for v, err := range b.SearchVersions(ctx, registry.VersionQuery{View: registry.All}) {
		require.NoError(t, err)
		for _, f := range v.Files {
			needed["sha256/"+f.SHA256[:2]+"/"+f.SHA256] = true
		}
	}
	left := objects(t, files)
	for _, object := range left {
		require.True(t, needed[object], "left over: %s", object)
	}
	require.Len(t, left, len(needed))
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := setup(t, nil)
		for range 3 {
			_, err := b.Register(ctx, "fraud", challenger(0.7))
			require.NoError(t, err)
		}
		places := make(chan int)
		go func() {
			defer close(places)
			for a, err := range b.Watch(ctx, "fraud", "champion") {
				if err != nil {
					t.Error(err)
				}
				places <- a.Number
			}
		}()
		require.Equal(t, 0, <-places)
		for _, n := range []int{1, 3, 2} {
			began := time.Now()
			_, err := b.Promote(ctx, "fraud", "champion", n, &registry.PromoteOptions{By: "ci"})
			require.NoError(t, err)
			require.Equal(t, n, <-places)
			require.LessOrEqual(t, time.Since(began), time.Second)
		}
		require.NoError(t, b.DeleteAlias(ctx, "fraud", "champion", &registry.AliasOptions{Expect: 2}))
		require.Equal(t, 0, <-places)
		cancel()
		_, more := <-places
		require.False(t, more)
	})
	for _, err := range setup(t, nil).Watch(t.Context(), "a/b", "latest") {
		require.ErrorIs(t, err, registry.ErrInvalid)
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	d := challenger(0.75)
	d.Run, d.Framework = "0123456789abcdef0123456789abcdef", "boosting 1"
	d.Datasets = append(d.Datasets, registry.Dataset{Name: `odd "name" <b>`, Digest: "x", Context: "training"})
	d.Code = registry.Code{Commit: "c0ffee", Dirty: true, Repository: "git.example/fraud"}
	_, err := b.Register(ctx, "fraud", d)
	require.NoError(t, err)
	_, err = b.Promote(ctx, "fraud", "champion", 1, &registry.PromoteOptions{By: "ci"})
	require.NoError(t, err)
	v, err := b.Resolve(ctx, "fraud@champion")
	require.NoError(t, err)
	deployments := func(_ context.Context, n registry.Node) ([]registry.Node, []registry.Edge, error) {
		if n.Kind != registry.NodeAlias {
			return nil, nil, nil
		}
		pod := registry.NewNode(registry.NodeDeployment, "eu-1", map[string]string{"since": "today"})
		return []registry.Node{pod}, []registry.Edge{{From: n.ID, To: pod.ID, Label: "serves"}}, nil
	}
	g, err := b.Lineage(ctx, v, &registry.LineageOptions{Sources: []registry.LineageSource{deployments}})
	require.NoError(t, err)
	var edges []string
	for _, e := range g.Edges {
		edges = append(edges, e.From+" -"+e.Label+"> "+e.To)
	}
	require.Equal(t, []string{
		"alias:fraud@champion -serves> deployment:eu-1",
		"code:c0ffee -code> run:0123456789abcdef0123456789abcdef",
		"dataset:flights@2 -evaluation> run:0123456789abcdef0123456789abcdef",
		"dataset:odd \"name\" <b> -training> run:0123456789abcdef0123456789abcdef",
		"model_version:fraud/1 -named> alias:fraud@champion",
		"run:0123456789abcdef0123456789abcdef -produced> model_version:fraud/1",
	}, edges)

	require.Contains(t, g.Mermaid(), `["dataset<br/>odd #34;name#34; #60;b#62;"]`)
	svg := string(g.SVG())
	require.Contains(t, svg, "odd &#34;name&#34; &lt;b&gt;")
	require.NotContains(t, svg, "<b>")
	events := g.OpenLineage(registry.OpenLineageOptions{Namespace: "mill", Producer: "https://example.org", Time: time.Unix(0, 0)})
	require.Len(t, events, 1)
	require.Equal(t, "01234567-89ab-cdef-0123-456789abcdef", events[0].Run.RunID)
	require.Equal(t, "train fraud", events[0].Job.Name)
	require.Len(t, events[0].Inputs, 2)
	require.Equal(t, "fraud/1", events[0].Outputs[0].Name)
	again, err := b.Lineage(ctx, v, &registry.LineageOptions{Sources: []registry.LineageSource{deployments}})
	require.NoError(t, err)
	one, _ := json.Marshal(g)
	two, _ := json.Marshal(again)
	require.True(t, bytes.Equal(one, two))

	endless := func(_ context.Context, n registry.Node) ([]registry.Node, []registry.Edge, error) {
		return []registry.Node{registry.NewNode(registry.NodeReport, n.Name+"x", nil)}, nil, nil
	}
	_, err = b.Lineage(ctx, v, &registry.LineageOptions{Sources: []registry.LineageSource{endless}})
	require.ErrorContains(t, err, "more than 1000 nodes")
}
