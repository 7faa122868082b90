package dataset_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// claimedLog makes a table of so many versions, of which each adds a file and every
// fourth takes one out again. The files are only claimed to be there.
func claimedLog(t testing.TB, s blob.Store, versions int) {
	ctx := context.Background()
	create(t, s, "n", small)
	file := func(n int) string { return fmt.Sprintf("_refs/data/%x.parquet", sha256.Sum256(fmt.Append(nil, n))) }
	for n := 1; n <= versions; n++ {
		b := fmt.Appendf(nil, `{"commitInfo":{"timestamp":%d,"operation":"WRITE","engineInfo":"test"}}`+"\n", 1795249423357+int64(n))
		b = fmt.Appendf(b, `{"add":{"path":%q,"partitionValues":{},"size":1,"modificationTime":7,"dataChange":true,"stats":"{\"numRecords\":1}"}}`+"\n", file(n))
		if n%4 == 0 {
			b = fmt.Appendf(b, `{"remove":{"path":%q,"dataChange":true}}`+"\n", file(n-2))
		}
		require.NoError(t, s.Create(ctx, fmt.Sprintf("n/_delta_log/%020d.json", n), bytes.NewReader(b), -1))
	}
}

// BenchmarkCollect10000 is a dry run over a log of ten thousand versions that are
// all kept.
func BenchmarkCollect10000(b *testing.B) {
	s := &blob.Mem{}
	claimedLog(b, s, 10_000)
	for range b.N {
		b.StopTimer()
		d, err := dataset.New(s, nil).Open(context.Background(), "n")
		require.NoError(b, err)
		b.StartTimer()
		r, err := d.Collect(context.Background(), nil)
		require.NoError(b, err)
		require.EqualValues(b, 10_001, r.Kept)
	}
}
