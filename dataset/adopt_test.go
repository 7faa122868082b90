package dataset_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// foreignAppend appends a Parquet file of numbers as another engine would: under
// a name of its own, with what its log entry says.
func foreignAppend(t testing.TB, s blob.Store, version int64, name, encoded, stats string, values ...int64) {
	ctx := context.Background()
	scratch := &blob.Mem{}
	v := fill(t, create(t, scratch, "x", small), values)
	body, err := blob.ReadAll(ctx, scratch, "x/"+v.Files[0].Path, 1<<20)
	require.NoError(t, err)
	require.NoError(t, s.Create(ctx, "n/"+name, bytes.NewReader(body), -1))
	entry := fmt.Sprintf(`{"commitInfo":{"timestamp":%d,"operation":"WRITE","engineInfo":"delta-rs:1"}}
{"add":{"path":%q,"partitionValues":{},"size":%d,"modificationTime":7,"dataChange":true,"stats":%q}}`, 1795249423357+version, encoded, len(body), stats)
	require.NoError(t, s.Create(ctx, fmt.Sprintf("n/_delta_log/%020d.json", version), bytes.NewReader([]byte(entry)), -1))
}

func TestAppendsOfOthersAreSeenAndAdopted(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		fill(t, d, []int64{1, 2})
		foreignAppend(t, s, 2, "part 0.parquet", "part%200.parquet", `{"numRecords":2}`, 3, 4)
		foreignAppend(t, s, 3, "p/part-1.parquet", "p/part-1.parquet", `{"numRecords":1}`, 5)

		v, err := d.Latest(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 3, v.Number)
		require.EqualValues(t, 5, v.Rows)
		require.Empty(t, v.Digest, "files without a digest")
		require.Equal(t, "main:3", v.Commit)
		require.Equal(t, []string{"main:2"}, v.Parents)
		require.Equal(t, "delta-rs:1", v.Producer)
		require.Equal(t, "part 0.parquet", v.Files[1].Path)
		require.Equal(t, []int64{1, 2, 3, 4, 5}, readNumbers(t, v))

		// The next write adopts them first.
		v, err = d.Append(ctx, numbers(t, 6), nil)
		require.NoError(t, err)
		require.EqualValues(t, 5, v.Number)
		require.Equal(t, []int64{1, 2, 3, 4, 5, 6}, readNumbers(t, v))
		require.NotEmpty(t, v.Digest)
		adopted, err := d.Version(ctx, 4)
		require.NoError(t, err)
		require.Equal(t, "ADOPT", adopted.Operation)
		for _, f := range adopted.Files {
			require.Equal(t, "_refs/data/"+f.SHA256+".parquet", f.Path)
		}
		p, err := v.Profile(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 6, p.Rows)
		require.EqualValues(t, 6, p.Column("n").Max())

		// Equal content has an equal digest, whoever wrote it.
		other := fill(t, create(t, &blob.Mem{}, "m", small), []int64{1, 2}, []int64{3, 4}, []int64{5}, []int64{6})
		require.Equal(t, other.Digest, v.Digest)

		n := 0
		for v, err := range open(t, s).Log(ctx) {
			require.NoError(t, err)
			require.EqualValues(t, 5-n, v.Number)
			n++
		}
		require.Equal(t, 6, n)
		again, err := d.Adopt(ctx, nil)
		require.NoError(t, err)
		require.Equal(t, v.Number, again.Number, "there is nothing left to adopt")
	})
}

func TestAdoptCountsRowsThatTheLogDoesNot(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	foreignAppend(t, s, 1, "a.parquet", "a.parquet", "", 3, 4)
	_, err := d.Latest(ctx)
	require.ErrorIs(t, err, dataset.ErrUnsupported)
	require.ErrorContains(t, err, "a.parquet: the statistics do not say how many rows")
	v, err := d.Adopt(ctx, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, v.Rows)
	require.Equal(t, []int64{3, 4}, readNumbers(t, v))

	foreignAppend(t, s, 3, "b.parquet", "b.parquet", `{"numRecords":7}`, 3, 4)
	_, err = d.Append(ctx, numbers(t, 1), nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, "b.parquet of another writer: the log promises 7 rows and the file has 2")
}

func TestAdoptRefusesWhatAFileAloneDoesNotSay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for want, extra := range map[string]string{
		"belongs to a partition":            `"partitionValues":{"day":"1"},"stats":"{\"numRecords\":1}"`,
		"deletion vectors are not read":     `"partitionValues":{},"stats":"{\"numRecords\":1}","deletionVector":{"storageType":"u"}`,
		"want at most 1073741824":           `"partitionValues":{},"stats":"{\"numRecords\":1}","size":1073741825`,
		"file a.parquet of another writer:": `"partitionValues":{},"stats":"{\"numRecords\":1}"`, // Not even there.
	} {
		s := &blob.Mem{}
		d := create(t, s, "n", small)
		entry := `{"add":{"path":"a.parquet","size":1,"modificationTime":7,"dataChange":true,` + extra + `}}`
		require.NoError(t, s.Create(ctx, "n/_delta_log/00000000000000000001.json", bytes.NewReader([]byte(entry)), -1))
		_, err := d.Append(ctx, numbers(t, 1), nil)
		require.ErrorContains(t, err, want)
		v, err := d.Version(ctx, 0)
		require.NoError(t, err)
		require.Empty(t, v.Files)
	}
}

func TestSchemaOfAnotherWriterIsFollowed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	fill(t, d, []int64{1})
	entry := `{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"n\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}},{\"name\":\"m\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"configuration":{}}}`
	require.NoError(t, s.Create(ctx, "n/_delta_log/00000000000000000002.json", bytes.NewReader([]byte(entry)), -1))
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	require.Len(t, v.Schema().Fields(), 2)
	require.EqualValues(t, 1, v.Rows)
	require.NotEmpty(t, v.Digest)
}
