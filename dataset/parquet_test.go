package dataset_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// parquetBytes is a Parquet file with 300 rows of every type.
func parquetBytes(t testing.TB) []byte {
	ctx := context.Background()
	s := &blob.Mem{}
	v, err := create(t, s, "all", everyType).Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, 0, 300)), nil)
	require.NoError(t, err)
	data, err := blob.ReadAll(ctx, s, "all/"+v.Files[0].Path, 1<<20)
	require.NoError(t, err)
	return data
}

func TestImportOfAParquetFile(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "in.parquet")
	require.NoError(t, os.WriteFile(path, parquetBytes(t), 0o600))
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)

	in, err := dataset.OpenParquet(path, &dataset.ParquetOptions{BatchRows: 32, Allocator: mem})
	require.NoError(t, err)
	require.EqualValues(t, 300, in.NumRows())
	c := dataset.New(&blob.Mem{}, nil)
	d, err := c.Create(ctx, "copy", in.Schema(), nil)
	require.NoError(t, err)
	v, err := d.Append(ctx, in, nil)
	require.NoError(t, err)
	require.EqualValues(t, 300, v.Rows)
	require.NoError(t, in.Close())
	require.NoError(t, in.Close())
	require.False(t, in.Next())
	mem.AssertSize(t, 0)

	in, err = dataset.OpenParquet(path, &dataset.ParquetOptions{Columns: []string{"text", "id"}})
	require.NoError(t, err)
	require.True(t, in.Next())
	require.EqualValues(t, 299, in.Record().Column(1).(*array.Int64).Value(299))
	require.False(t, in.Next())
	require.NoError(t, in.Err())
	require.NoError(t, in.Close())

	_, err = dataset.OpenParquet(path, &dataset.ParquetOptions{Columns: []string{"nope"}})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, `no column "nope"`)
	_, err = dataset.OpenParquet(filepath.Dir(path), nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	_, err = dataset.OpenParquet(path+".not", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = dataset.NewParquetReader(nil, 1, nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
}

// readAll drains a Parquet file and returns the first error.
func readAll(data []byte) (rows int64, err error) {
	in, err := dataset.NewParquetReader(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		return 0, err
	}
	for in.Next() {
		rows += in.Record().NumRows()
	}
	if err := in.Err(); err != nil {
		return rows, err
	}
	return rows, in.Close()
}

func TestDamagedParquetFilesAreErrors(t *testing.T) {
	t.Parallel()
	good := parquetBytes(t)
	rows, err := readAll(good)
	require.NoError(t, err)
	require.EqualValues(t, 300, rows)
	for _, bad := range [][]byte{nil, []byte("PAR1"), good[:len(good)-1], good[:len(good)/2], good[len(good)/2:], bytes.Repeat([]byte("csv,"), 999)} {
		_, err := readAll(bad)
		require.ErrorIs(t, err, dataset.ErrInvalid)
		require.ErrorContains(t, err, "damaged")
	}
}

func FuzzOpenParquet(f *testing.F) {
	good := parquetBytes(f)
	f.Add(good, 0, byte(0))
	for at := 100; at < len(good); at += len(good) / 8 {
		f.Add(good, at, byte(0xff))
		f.Add(good, len(good)-at/16-9, byte(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		data = bytes.Clone(data)
		if at >= 0 && at < len(data) {
			data[at] ^= flip
		}
		// No panic, whatever it holds.
		_, _ = readAll(data)
	})
}
