package dataset_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

// clocked is a store with a clock that a test turns.
type clocked struct {
	blob.Store

	mu    sync.Mutex
	now   time.Time
	times map[string]time.Time
	door  func(op, key string)
}

func newClocked(s blob.Store) *clocked {
	return &clocked{Store: s, now: time.Now().Add(-100 * day), times: map[string]time.Time{}}
}

func (c *clocked) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

func (c *clocked) enter(op, key string) {
	c.mu.Lock()
	door := c.door
	c.mu.Unlock()
	if door != nil {
		door(op, key)
	}
}

func (c *clocked) wrote(key string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.times[key] = c.now
	}
	return err
}

func (c *clocked) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	c.enter("create", key)
	return c.wrote(key, c.Store.Create(ctx, key, body, size))
}

func (c *clocked) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	c.enter("put", key)
	return c.wrote(key, c.Store.Put(ctx, key, body, size))
}

func (c *clocked) Delete(ctx context.Context, key string) error {
	c.enter("delete", key)
	return c.Store.Delete(ctx, key)
}

func (c *clocked) info(fi fs.FileInfo) fs.FileInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return blob.NewInfo(fi.Name(), fi.Size(), c.times[fi.Name()])
}

func (c *clocked) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	fi, err := c.Store.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	return c.info(fi), nil
}

func (c *clocked) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for fi, err := range c.Store.List(ctx, prefix) {
			if err == nil {
				fi = c.info(fi)
			}
			if !yield(fi, err) {
				return
			}
		}
	}
}

func apply(keepLast int) *dataset.CollectOptions {
	return &dataset.CollectOptions{Apply: true, KeepLast: keepLast}
}

func countFiles(t *testing.T, s blob.Store, prefix string) int {
	n := 0
	for _, err := range s.List(context.Background(), prefix) {
		require.NoError(t, err)
		n++
	}
	return n
}

const day = 25 * time.Hour

func TestCollectTakesADay(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		c := newClocked(s)
		d := create(t, c, "n", small)
		var versions []*dataset.Version
		for i := range int64(6) {
			v, err := d.Overwrite(ctx, numbers(t, i, i+1), nil)
			require.NoError(t, err)
			versions = append(versions, v)
		}
		require.NoError(t, d.Tag(ctx, "first", versions[0], nil))
		dev, err := d.CreateBranch(ctx, "dev", versions[1])
		require.NoError(t, err)
		c.pass(day)
		d.ForgetCondemned()

		// A dry run writes nothing.
		before := countFiles(t, s, "")
		r, err := d.Collect(ctx, &dataset.CollectOptions{KeepLast: 2})
		require.NoError(t, err)
		require.Equal(t, before, countFiles(t, s, ""))
		require.True(t, r.DryRun)
		require.EqualValues(t, 2, r.Condemned, "the files of versions 3 and 4")
		require.Positive(t, r.CondemnedBytes)
		require.EqualValues(t, 8, r.Versions)
		require.EqualValues(t, 4, r.Kept, "two of main, a tag, and the head of the branch")

		// The default keeps every version.
		r, err = d.Collect(ctx, nil)
		require.NoError(t, err)
		require.Zero(t, r.Condemned)

		r, err = d.Collect(ctx, apply(2))
		require.NoError(t, err)
		require.EqualValues(t, 2, r.Condemned)
		require.Zero(t, r.Deleted)
		require.Len(t, readNumbers(t, versions[2]), 2, "nothing is gone yet")
		r, err = d.Collect(ctx, apply(2))
		require.NoError(t, err)
		require.EqualValues(t, 2, r.Waiting)
		require.WithinDuration(t, c.now.Add(24*time.Hour), r.Next, time.Minute)

		// One of the two is restored in time, under another name.
		d.ForgetCondemned()
		_, err = dev.Restore(ctx, versions[3], nil)
		require.NoError(t, err)
		require.ErrorIs(t, d.Tag(ctx, "late", versions[2], nil), dataset.ErrNotFound)
		c.pass(day)
		r, err = d.Collect(ctx, apply(2))
		require.NoError(t, err)
		require.EqualValues(t, 2, r.Deleted)
		require.Positive(t, r.DeletedBytes)

		for i, v := range versions {
			gone := i == 2 || i == 3
			rr, err := v.Read(ctx, nil)
			require.NoError(t, err)
			for rr.Next() {
			}
			require.Equal(t, gone, rr.Err() != nil, "version %d", v.Number)
			rr.Release()
		}
		v, err := dev.Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, []int64{3, 4}, readNumbers(t, v))
		d.ForgetCondemned()
		_, err = d.Restore(ctx, versions[2], nil)
		require.ErrorIs(t, err, dataset.ErrNotFound)

		// The same content comes back under another name, and the list goes.
		v, err = d.Append(ctx, numbers(t, 2, 3), nil)
		require.NoError(t, err)
		require.Contains(t, v.Files[1].Path, "-2.parquet")
		require.Positive(t, countFiles(t, s, "n/_mlops/gc/"))
		c.pass(day)
		_, err = d.Collect(ctx, apply(2))
		require.NoError(t, err)
		for info, err := range s.List(ctx, "n/_mlops/gc/") {
			require.NoError(t, err)
			require.False(t, strings.HasSuffix(info.Name(), ".swept"), "the list was forgotten")
		}
	})
}

func TestCollectKeepsByAge(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	for i := range int64(3) {
		_, err := d.Overwrite(ctx, numbers(t, i), nil)
		require.NoError(t, err)
	}
	r, err := d.Collect(ctx, &dataset.CollectOptions{KeepLast: -1, KeepFor: time.Hour})
	require.NoError(t, err)
	require.EqualValues(t, 4, r.Kept, "all were the newest within the hour")
	r, err = d.Collect(ctx, &dataset.CollectOptions{KeepLast: -1})
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Kept)
	require.EqualValues(t, 2, r.Young, "what is not kept is too young to be condemned")

	for _, bad := range []*dataset.CollectOptions{{KeepLast: -2}, {KeepFor: time.Hour}, {KeepLast: 1, KeepFor: -1}, {MaxObjects: -1}, {Keep: []*dataset.Version{nil}}} {
		_, err := d.Collect(ctx, bad)
		require.ErrorIs(t, err, dataset.ErrInvalid)
	}
}

// TestCollectBesideWriters runs random operations of two writers, while
// collections happen between them and in the middle of them, and are killed.
func TestCollectBesideWriters(t *testing.T) {
	t.Parallel()
	for seed := range uint64(fewer(6, 2)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			collectRandomly(t, rand.New(rand.NewPCG(seed, 5)))
		})
	}
}

func collectRandomly(t *testing.T, r *rand.Rand) {
	ctx := context.Background()
	c := newClocked(&blob.Mem{})
	create(t, c, "n", small)
	open := func() *dataset.Dataset {
		d, err := dataset.New(c, nil).Open(ctx, "n")
		require.NoError(t, err)
		return d
	}
	handles := []*dataset.Dataset{open(), open()}
	var versions []*dataset.Version
	rows := map[string][]int64{} // By branch and number.
	tags := map[string]*dataset.Version{}
	keep := r.IntN(3)
	if keep == 0 {
		keep = -1
	}
	id := func(v *dataset.Version) string { return fmt.Sprint(v.Branch, v.Number) }
	collect := func() { _, _ = open().Collect(ctx, apply(keep)) }
	// A collection that dies at one of its deletes or writes.
	killed := func() {
		kit := faults.New(c, nil)
		kit.Inject(faults.Rule{Op: []faults.Op{faults.Create, faults.Delete}[r.IntN(2)], Key: "_", Skip: r.IntN(3), Times: -1, Fault: faults.LostRequest()})
		d, err := dataset.New(kit, nil).Open(ctx, "n")
		require.NoError(t, err)
		_, _ = d.Collect(ctx, apply(keep))
	}
	var calls atomic.Int64
	for range 60 {
		d := handles[r.IntN(2)]
		// In the middle of the operation somebody collects, up to half a day later.
		at := calls.Load() + int64(r.IntN(12))
		c.mu.Lock()
		c.door = func(string, string) {
			if calls.Add(1) == at {
				c.mu.Lock()
				door := c.door
				c.door = nil
				c.mu.Unlock()
				c.pass(time.Duration(r.IntN(12)) * time.Hour)
				collect()
				c.mu.Lock()
				c.door = door
				c.mu.Unlock()
			}
		}
		c.mu.Unlock()
		content := []int64{int64(r.IntN(4))} // The same rows come again and again.
		var v *dataset.Version
		var err error
		switch op := r.IntN(8); {
		case op < 2:
			if v, err = d.Overwrite(ctx, numbers(t, content...), nil); err == nil {
				rows[id(v)] = content
			}
			require.NoError(t, err)
		case op == 2:
			if v, err = d.Append(ctx, numbers(t, content...), nil); err == nil {
				before, err := d.Version(ctx, v.Number-1)
				require.NoError(t, err)
				rows[id(v)] = append(append([]int64{}, rows[id(before)]...), content...)
			}
			require.NoError(t, err)
		case op == 3 && len(versions) > 0:
			of := versions[r.IntN(len(versions))]
			if v, err = d.Restore(ctx, of, nil); err == nil {
				rows[id(v)] = rows[id(of)]
			} else {
				require.True(t, strings.Contains(err.Error(), "gone"), err)
			}
		case op == 4 && len(versions) > 0:
			name := fmt.Sprintf("t%d", len(tags))
			of := versions[r.IntN(len(versions))]
			if err = d.Tag(ctx, name, of, nil); err == nil {
				tags[name] = of
			}
		case op == 5:
			for name := range tags {
				require.NoError(t, d.DeleteTag(ctx, name))
				delete(tags, name)
				break
			}
		case op == 6:
			killed()
		default:
			c.pass(time.Duration(r.IntN(30)) * time.Hour)
			for _, d := range handles {
				d.ForgetCondemned()
			}
			collect()
		}
		if err == nil && v != nil {
			versions = append(versions, v)
		}
		c.mu.Lock()
		c.door = nil
		c.mu.Unlock()
		latest, err := open().Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, rows[id(latest)], readNumbers(t, latest))
		for _, v := range tags {
			require.Equal(t, rows[id(v)], readNumbers(t, v))
		}
	}
	// When it gets quiet, everything that is unused goes.
	for range 6 {
		c.pass(day)
		collect()
	}
	report, err := open().Collect(ctx, apply(keep))
	require.NoError(t, err)
	require.Equal(t, report.Used, report.Objects)
	require.Equal(t, report.UsedBytes, report.Bytes)
}

// TestCollectThinsCheckpoints: of the checkpoints one stays for every hundred
// versions, and those that kept versions start from.
func TestCollectThinsCheckpoints(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := newClocked(&blob.Mem{})
	d := create(t, c, "n", small)
	for i := range int64(133) {
		require.NoError(t, d.ReplaceAll(ctx, fmt.Sprintf("%064x", i), i+1))
	}
	tagged := v2(t, d, 57)
	rows := map[int64]int64{}
	for n := range int64(134) {
		rows[n] = v2(t, d, n).Rows
	}
	checkpoints := func() (list []int64) {
		for info, err := range c.List(ctx, "n/_delta_log/") {
			require.NoError(t, err)
			var n int64
			if _, err := fmt.Sscanf(info.Name(), "n/_delta_log/%d.checkpoint.parquet", &n); err == nil && strings.HasSuffix(info.Name(), ".parquet") {
				list = append(list, n)
			}
		}
		return list
	}
	require.Len(t, checkpoints(), 13)
	r, err := d.Collect(ctx, apply(0))
	require.NoError(t, err)
	require.Zero(t, r.Checkpoints, "they are young")
	c.pass(day)
	r, err = d.Collect(ctx, &dataset.CollectOptions{Keep: []*dataset.Version{tagged}})
	require.NoError(t, err)
	require.EqualValues(t, 8, r.Checkpoints)
	require.Positive(t, r.CheckpointBytes)
	require.Len(t, checkpoints(), 13, "a dry run")

	// The newest twelve versions start from 120 and 130.
	r, err = d.Collect(ctx, &dataset.CollectOptions{Apply: true, KeepLast: 12, Keep: []*dataset.Version{tagged}})
	require.NoError(t, err)
	require.EqualValues(t, 8, r.Checkpoints)
	require.Equal(t, []int64{10, 50, 100, 120, 130}, checkpoints())
	for n := range int64(134) {
		d, err := dataset.New(c, nil).Open(ctx, "n")
		require.NoError(t, err)
		require.Equal(t, rows[n], v2(t, d, n).Rows)
	}

	// With an entry gone only the checkpoints know what came after it.
	require.NoError(t, c.Store.Delete(ctx, "n/_delta_log/00000000000000000005.json"))
	d, err = dataset.New(c, nil).Open(ctx, "n")
	require.NoError(t, err)
	_, err = d.Collect(ctx, apply(-1))
	require.ErrorIs(t, err, dataset.ErrUnsupported)
	require.Len(t, checkpoints(), 5)
}

func FuzzList(f *testing.F) {
	f.Add([]byte(`{"format":1,"list":"x","heads":{"main":3},"files":["` + strings.Repeat("a", 64) + `-2"]}`))
	f.Add([]byte(`{"format":1,"id":"00112233445566778899aabbccddeeff","objects":["_refs/data/` + strings.Repeat("a", 64) + `.parquet"],"sizes":[5]}`))
	f.Add([]byte(`{"format":1,"objects":["_delta_log/00000000000000000000.json"]}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = dataset.ParseList(data)
		_ = dataset.ParseSweep(data)
	})
}
