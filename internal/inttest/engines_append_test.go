package inttest_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// TestDeltaRSAppends has delta-rs and Millwright append to one table in turns and
// at once: what delta-rs appends is seen, adopted by the next commit, and lost by
// nobody.
func TestDeltaRSAppends(t *testing.T) {
	t.Parallel()
	inttest.EnginePython(t)
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		store, err := dirblob.Open(dir)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		appends(t, store, nil, dir)
	})
	for name, start := range inttest.S3Servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			bucket := server.NewBucket(t)
			store, err := s3blob.Open(t.Context(), "s3://"+bucket+"/lake", server.Options())
			require.NoError(t, err)
			appends(t, store, server, "s3://"+bucket+"/lake")
		})
	}
}

func appends(t *testing.T, store blob.Store, server *inttest.S3, root string) {
	ctx := t.Context()
	d, err := dataset.New(store, nil).Create(ctx, "shared", everyType, nil)
	require.NoError(t, err)
	ours := func(from, to int) *dataset.Version {
		v, err := d.Append(ctx, idRows{everyType, ids(from, to), nil}.reader(t), nil)
		require.NoError(t, err)
		return v
	}
	theirs := func(batches ...idRows) <-chan []int64 {
		args := []string{filepath.Join("testdata", "append_delta.py"), root + "/shared", write(t, "append", batches...)}
		if server != nil {
			args = append(args, "AWS_ENDPOINT_URL="+server.Endpoint, "AWS_REGION=us-east-1", "AWS_ALLOW_HTTP=true",
				"AWS_ACCESS_KEY_ID="+server.AccessKey, "AWS_SECRET_ACCESS_KEY="+server.SecretKey)
		}
		cmd := exec.CommandContext(ctx, inttest.EnginePython(t), args...)
		done := make(chan []int64, 1)
		go func() {
			defer close(done)
			var versions []int64
			if out, err := cmd.CombinedOutput(); err != nil || json.Unmarshal(out, &versions) != nil {
				t.Errorf("append_delta.py: %v\n%s", err, out)
			}
			done <- versions
		}()
		return done
	}

	first := ours(0, 100)
	require.Equal(t, []int64{2}, <-theirs(idRows{everyType, ids(100, 150), nil}))
	seen, err := d.Latest(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, seen.Number)
	require.EqualValues(t, 150, seen.Rows)
	require.Equal(t, ids(0, 150), readIDs(t, seen))
	require.Empty(t, seen.Digest, "files of another writer have no digest before they are adopted")

	adopted := ours(150, 200)
	require.NotEmpty(t, adopted.Digest)
	require.Equal(t, ids(0, 200), readIDs(t, adopted))
	for _, f := range adopted.Files {
		require.NotEmpty(t, f.SHA256)
	}
	_, err = d.CreateBranch(ctx, "after", adopted)
	require.NoError(t, err)

	// Both at once. Nobody's rows are lost, and nobody has to know of the other.
	var batches []idRows
	for i := range 5 {
		batches = append(batches, idRows{everyType, ids(200+i*10, 210+i*10), nil})
	}
	done := theirs(batches...)
	from := 250
	for running := true; running; from += 5 {
		ours(from, from+5)
		select {
		case versions := <-done:
			require.Len(t, versions, 5)
			running = false
		default:
		}
	}
	last := ours(from, from+5)
	want := ids(0, from+5)
	got := readIDs(t, last)
	slices.Sort(got)
	require.Equal(t, want, got)

	var reads []inttest.EngineRead
	for _, v := range []struct {
		*dataset.Version
		rows int
	}{{first, 100}, {seen, 150}, {adopted, 200}, {last, from + 5}} {
		n := v.Number
		reads = append(reads, inttest.EngineRead{
			Key: strconv.FormatInt(n, 10), Table: root + "/shared", Version: &n, Expect: idRows{everyType, ids(0, v.rows), nil}.write(t, "all"),
		})
	}
	for _, engine := range []string{"deltalake", "duckdb"} {
		_, answers := inttest.ReadWith(t, engine, server, reads)
		for _, read := range reads {
			require.Empty(t, answers[read.Key].Fault(), "%s: version %s", engine, read.Key)
		}
	}
}

func readIDs(t *testing.T, v *dataset.Version) []int {
	rr, err := v.Read(t.Context(), &dataset.ReadOptions{Columns: []string{"id"}})
	require.NoError(t, err)
	defer rr.Release()
	var out []int
	for rr.Next() {
		for _, id := range rr.Record().Column(0).(*array.Int64).Int64Values() {
			out = append(out, int(id))
		}
	}
	require.NoError(t, rr.Err())
	return out
}
