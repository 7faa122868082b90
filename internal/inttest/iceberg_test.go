package inttest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/iceberg"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// TestIcebergExport has PyIceberg and DuckDB read exports of tags, in a folder and
// on S3, and compares every value.
func TestIcebergExport(t *testing.T) {
	t.Parallel()
	inttest.EnginePython(t)
	dir := t.TempDir()
	folder, err := dirblob.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	server := inttest.StartVersityGW(t)
	bucket := server.NewBucket(t)
	remote, err := s3blob.Open(t.Context(), "s3://"+bucket+"/lake", server.Options())
	require.NoError(t, err)
	reads := append(exports(t, folder, dir), exports(t, remote, "s3://"+bucket+"/lake")...)
	for _, engine := range []string{"pyiceberg", "duckdb-iceberg"} {
		version, answers := inttest.ReadWith(t, engine, server, reads)
		for _, read := range reads {
			require.Empty(t, answers[read.Key].Fault(), "%s: %s", version, read.Key)
		}
	}
}

// exports makes a dataset with tags, exports them and says what must be read.
func exports(t *testing.T, store blob.Store, location string) (reads []inttest.EngineRead) {
	ctx := t.Context()
	d, err := dataset.New(store, nil).Create(ctx, "all", everyType, nil)
	require.NoError(t, err)
	export := func(tag string, want idRows) {
		v, err := d.Resolve(ctx, tag)
		require.NoError(t, err)
		url, err := iceberg.Export(ctx, store, location, v, tag)
		require.NoError(t, err)
		reads = append(reads, inttest.EngineRead{Key: location + " " + tag, Table: url, Expect: want.write(t, tag)})
	}
	tag := func(name string) {
		v, err := d.Latest(ctx)
		require.NoError(t, err)
		require.NoError(t, d.Tag(ctx, name, v, nil))
	}
	tag("empty")
	for _, part := range [][]int{ids(0, 300), ids(300, 400)} {
		_, err := d.Append(ctx, idRows{everyType, part, nil}.reader(t), nil)
		require.NoError(t, err)
	}
	tag("first")
	_, err = d.Evolve(ctx, widened, nil)
	require.NoError(t, err)
	noted := func(id int) bool { return id >= 400 }
	_, err = d.Append(ctx, idRows{widened, ids(400, 450), noted}.reader(t), nil)
	require.NoError(t, err)
	_, err = d.Delete(ctx, filter.Lt("id", 50), nil)
	require.NoError(t, err)
	tag("evolved")

	export("empty", idRows{everyType, nil, nil})
	export("first", idRows{everyType, ids(0, 400), nil})
	export("evolved", idRows{widened, ids(50, 450), noted})
	last := reads[len(reads)-1]
	reads = append(reads, inttest.EngineRead{
		Key: last.Key + " filtered", Table: last.Table, Where: []any{"id", ">=", 425},
		Expect: idRows{widened, ids(425, 450), noted}.write(t, "filtered"),
	})
	return reads
}
