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

// FuzzOpen opens a table whose newest log entry, pointer and checkpoint come
// from anybody. Whatever they are, there is no panic, version 1 is what it was
// and a commit either works or is refused.
func FuzzOpen(f *testing.F) {
	ctx := context.Background()
	base := &blob.Mem{}
	d := create(f, base, "n", small)
	fill(f, d, []int64{1, 2})
	for i := range int64(9) {
		fill(f, d, []int64{i})
	}
	read := func(name string) []byte {
		data, err := blob.ReadAll(ctx, base, "n/_delta_log/"+name, 1<<20)
		require.NoError(f, err)
		return data
	}
	pointer, checkpoint := read("_last_checkpoint"), read("00000000000000000010.checkpoint.parquet")
	f.Add(read("00000000000000000010.json"), pointer, checkpoint)
	f.Add([]byte(`{"commitInfo":{"millwright":{"format":1,"commit":"x","rows":-1}}}`), []byte(`{"version":10,"parts":3}`), checkpoint[:100])
	f.Add([]byte(`{"commitInfo":{"millwright":{"format":1,"parents":[{"log":"refs","version":-5}]}}}`), []byte(`{"version":99}`), []byte("PAR1"))
	f.Add([]byte(`{"add":{"path":"a%20b","size":1,"stats":"{\"numRecords\":1}","tags":{"millwright.order":"-1"}}}`), []byte(`{}`), checkpoint)
	f.Add([]byte(`{"txn":{"appId":"millwright.branch/x","version":3}}`+"\n"+`{"remove":{"path":"nope"}}`), pointer, checkpoint)
	f.Add([]byte(`{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`+"\n"+`{"metaData":{"schemaString":"{}","format":{"provider":"parquet"}}}`), pointer, checkpoint)
	f.Fuzz(func(t *testing.T, entry, pointer, checkpoint []byte) {
		s := clone(t, base)
		put := func(name string, data []byte) {
			require.NoError(t, s.Put(ctx, "n/_delta_log/"+name, bytes.NewReader(data), -1))
		}
		put("00000000000000000011.json", entry)
		put("_last_checkpoint", pointer)
		put("00000000000000000010.checkpoint.parquet", checkpoint)
		d, err := dataset.New(s, nil).Open(ctx, "n")
		if err != nil {
			return
		}
		for v, err := range d.Log(ctx) {
			if err != nil {
				break
			}
			_, _ = v.Load(ctx)
		}
		_, _ = d.Latest(ctx)
		_, _ = d.ByDigest(ctx, "sha256:"+fmt.Sprintf("%064x", 1))
		_, _ = d.Append(ctx, numbers(t, 7), nil)
		v, err := d.Version(ctx, 1)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2}, readNumbers(t, v))
	})
}
