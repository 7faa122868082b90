package dataset_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// counting counts what is asked of a store.
type counting struct {
	blob.Store
	reads, misses, writes, lists atomic.Int64
}

func (c *counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := c.Store.Get(ctx, key, off, n)
	if err != nil {
		c.misses.Add(1)
	} else {
		c.reads.Add(1)
	}
	return r, err
}

func (c *counting) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	c.writes.Add(1)
	return c.Store.Create(ctx, key, body, size)
}

func (c *counting) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	c.writes.Add(1)
	return c.Store.Put(ctx, key, body, size)
}

func (c *counting) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	c.lists.Add(1)
	return c.Store.List(ctx, prefix)
}

func (c *counting) reset() {
	c.reads.Store(0)
	c.misses.Store(0)
	c.writes.Store(0)
	c.lists.Store(0)
}

// longLog makes a table with many versions.
func longLog(t testing.TB, s blob.Store, versions int) {
	ctx := context.Background()
	d := create(t, s, "n", small)
	for i := 1; i <= versions; i++ {
		require.NoError(t, d.ReplaceAll(ctx, fmt.Sprintf("%064x", i), int64(i)))
	}
}

func TestLongLogIsOpenedFromItsEnd(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &counting{Store: &blob.Mem{}}
	// Ten thousand versions where the real components are met: a tenth costs a
	// tenth of the time and shows the same.
	versions, middle := int64(1_007), int64(432)
	if os.Getenv("REQUIRE_REAL") == "1" {
		versions, middle = 10_007, 4_321
	}
	longLog(t, s, int(versions))
	s.reset()

	d, err := dataset.New(s, nil).Open(ctx, "n")
	require.NoError(t, err)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	require.EqualValues(t, versions, v.Number)
	require.EqualValues(t, versions, v.Rows)
	require.Zero(t, s.lists.Load(), "the log is not listed")
	require.Less(t, s.reads.Load(), int64(20))
	require.Less(t, s.misses.Load(), int64(20))

	// So is a version in the middle.
	s.reset()
	v, err = d.Version(ctx, middle)
	require.NoError(t, err)
	require.EqualValues(t, middle, v.Rows)
	require.Equal(t, fmt.Sprintf("%064x", middle), v.Files[0].SHA256)
	require.Zero(t, s.lists.Load())
	require.Less(t, s.reads.Load(), int64(20))

	// And one by its time: a few looks at the log.
	s.reset()
	at, err := d.At(ctx, v.Time)
	require.NoError(t, err)
	require.Equal(t, v.Number, at.Number)
	require.Less(t, s.reads.Load(), int64(40))
	_, err = d.At(ctx, time.Unix(0, 0))
	require.ErrorIs(t, err, dataset.ErrNotFound)

	// The history is read as far as it is wanted.
	s.reset()
	n := versions
	for v, err := range d.Log(ctx) {
		require.NoError(t, err)
		require.Equal(t, n, v.Number)
		require.Equal(t, n, v.Rows)
		require.Nil(t, v.Files)
		if n--; n == versions-17 {
			break
		}
	}
	require.Less(t, s.reads.Load(), int64(40))
	full := int64(0)
	for _, err := range d.Log(ctx) {
		require.NoError(t, err)
		full++
	}
	require.Equal(t, versions+1, full)
}

func TestLogWithoutItsCheckpoints(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, spoil := range map[string]func(s blob.Store, key string) error{
		"deleted": func(s blob.Store, key string) error { return s.Delete(ctx, key) },
		"cut":     func(s blob.Store, key string) error { return s.Put(ctx, key, strings.NewReader("PAR1"), -1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &blob.Mem{}
			longLog(t, s, 57)
			want, err := open(t, s).Latest(ctx)
			require.NoError(t, err)

			// The newest checkpoint, then all, then the pointer as well: only speed is lost.
			require.NoError(t, spoil(s, "n/_delta_log/00000000000000000050.checkpoint.parquet"))
			got, err := open(t, s).Latest(ctx)
			require.NoError(t, err)
			require.Equal(t, want.Digest, got.Digest)
			for i := 10; i < 50; i += 10 {
				require.NoError(t, spoil(s, fmt.Sprintf("n/_delta_log/%020d.checkpoint.parquet", i)))
			}
			d := open(t, s)
			got, err = d.Latest(ctx)
			require.NoError(t, err)
			require.Equal(t, want.Digest, got.Digest)
			require.NoError(t, spoil(s, "n/_delta_log/_last_checkpoint"))
			for _, n := range []int64{0, 9, 10, 33, 57} {
				v, err := open(t, s).Version(ctx, n)
				require.NoError(t, err)
				require.Equal(t, n, v.Rows)
			}
		})
	}
}

func TestLogWhoseBeginningIsGone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	longLog(t, s, 57)
	for i := range 50 {
		require.NoError(t, s.Delete(ctx, fmt.Sprintf("n/_delta_log/%020d.json", i)))
	}
	d := open(t, s)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 57, v.Rows)
	v, err = d.Version(ctx, 50)
	require.NoError(t, err)
	require.EqualValues(t, 50, v.Rows)
	_, err = d.Version(ctx, 47)
	require.ErrorIs(t, err, dataset.ErrUnsupported)
	require.ErrorContains(t, err, "0041.json is missing")

	// A damaged checkpoint, without the entries it stands for, is named.
	require.NoError(t, s.Put(ctx, "n/_delta_log/00000000000000000050.checkpoint.parquet", bytes.NewReader([]byte("PAR1PAR1")), -1))
	for i := 10; i < 50; i += 10 {
		require.NoError(t, s.Delete(ctx, fmt.Sprintf("n/_delta_log/%020d.checkpoint.parquet", i)))
	}
	_, err = open(t, s).Latest(ctx)
	require.ErrorIs(t, err, dataset.ErrUnsupported)
	require.ErrorContains(t, err, "00000000000000000050.checkpoint.parquet is damaged")
}

func TestTamperedLogIsNoticed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	longLog(t, s, 12)
	// Somebody replaces the file that an entry adds: the entry's own account of
	// the content does not fit any more.
	key := "n/_delta_log/00000000000000000012.json"
	data, err := blob.ReadAll(ctx, s, key, 1<<20)
	require.NoError(t, err)
	data = bytes.ReplaceAll(data, []byte(fmt.Sprintf("%064x", 12)), []byte(fmt.Sprintf("%064x", 99)))
	require.NoError(t, s.Put(ctx, key, bytes.NewReader(data), -1))
	_, err = open(t, s).Latest(ctx)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, "was damaged")
}

func TestCommitIsTwoWrites(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &counting{Store: &blob.Mem{}}
	d := create(t, s, "n", small)
	_, err := d.Append(ctx, numbers(t, 1), nil)
	require.NoError(t, err)
	s.reset()
	_, err = d.Append(ctx, numbers(t, 2), nil)
	require.NoError(t, err)
	require.EqualValues(t, 3, s.writes.Load(), "the rows, the record, the log entry")
	require.EqualValues(t, 0, s.reads.Load())
	require.EqualValues(t, 1, s.misses.Load(), "one look for news")
	require.Zero(t, s.lists.Load())
}

func TestTimeGrowsWithTheVersions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	// A writer whose clock is an hour ahead.
	ahead := time.Now().Add(time.Hour).UnixMilli()
	entry := fmt.Sprintf(`{"commitInfo":{"timestamp":%d,"operation":"X"}}`, ahead)
	require.NoError(t, s.Create(ctx, "n/_delta_log/00000000000000000001.json", strings.NewReader(entry), -1))
	v, err := d.Append(ctx, numbers(t, 1), nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, v.Number)
	require.Greater(t, v.Time.UnixMilli(), ahead)
	at, err := d.At(ctx, v.Time)
	require.NoError(t, err)
	require.EqualValues(t, 2, at.Number)
	at, err = d.At(ctx, v.Time.Add(-time.Millisecond))
	require.NoError(t, err)
	require.EqualValues(t, 1, at.Number)
}
