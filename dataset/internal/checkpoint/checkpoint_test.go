package checkpoint_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/checkpoint"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

func state(files int) *checkpoint.State {
	s := &checkpoint.State{
		Protocol: &delta.Protocol{MinReader: 1, MinWriter: 7, WriterFeatures: []string{"a", "b"}},
		MetaData: &delta.MetaData{
			ID: "x", Name: "n", Description: "größe", Format: delta.Format{Provider: "parquet", Options: map[string]string{}},
			SchemaString: `{"type":"struct"}`, PartitionColumns: []string{}, Configuration: map[string]string{"k": "v", "l": ""}, CreatedTime: 7,
		},
		Txns: []delta.Txn{{AppID: "etl", Version: 3, LastUpdated: 9}, {AppID: "other", Version: -1}},
	}
	for i := range files {
		a := delta.Add{Path: fmt.Sprintf("_refs/data/a b%%%d.parquet", i), Size: int64(i), ModificationTime: int64(i * 2), Stats: fmt.Sprintf(`{"numRecords":%d}`, i)}
		if i%2 == 0 {
			a.Tags = map[string]string{"t": "1", "u": "2"}
		}
		s.Adds = append(s.Adds, a)
	}
	return s
}

func TestStateComesBackExactly(t *testing.T) {
	t.Parallel()
	for _, files := range []int{0, 1, 10, 100_000} {
		want := state(files)
		body, err := checkpoint.Write(want)
		require.NoError(t, err)
		got, err := checkpoint.Read(body)
		require.NoError(t, err)
		require.Equal(t, want.Protocol, got.Protocol)
		require.Equal(t, want.MetaData, got.MetaData)
		require.Equal(t, want.Txns, got.Txns)
		require.Equal(t, want.Adds, got.Adds)
		again, err := checkpoint.Write(got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, again), "equal states give equal bytes")
	}
}

// Checkpoints of other engines are written with other properties: each form comes
// back the same, read by us or, where we say that it is foreign, by the library.
func TestEveryFormReadsTheSame(t *testing.T) {
	t.Parallel()
	body, err := checkpoint.Write(state(5000))
	require.NoError(t, err)
	want, err := checkpoint.Read(body)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		props   []parquet.WriterProperty
		foreign bool
	}{
		"plain":        {props: []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Uncompressed), parquet.WithDictionaryDefault(false)}},
		"dictionaries": {props: []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDictionaryDefault(true)}},
		"zstd":         {props: []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDataPageSize(1000), parquet.WithBatchSize(100)}},
		"gzip":         {props: []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Gzip)}, foreign: true},
		"pages 2":      {props: []parquet.WriterProperty{parquet.WithDataPageVersion(parquet.DataPageV2)}, foreign: true},
		"row groups":   {props: []parquet.WriterProperty{parquet.WithMaxRowGroupLength(70)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again := rewritten(t, body, c.props...)
			got, err := checkpoint.Read(again)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got, err = checkpoint.ReadByLibrary(again)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got, err = checkpoint.ReadByOurs(again)
			if c.foreign {
				require.ErrorIs(t, err, pqfile.ErrForeign)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// rewritten is the checkpoint written again with other properties.
func rewritten(t *testing.T, body []byte, props ...parquet.WriterProperty) []byte {
	t.Helper()
	table, err := pqarrow.ReadTable(t.Context(), bytes.NewReader(body), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	defer table.Release()
	var out bytes.Buffer
	require.NoError(t, pqarrow.WriteTable(table, &out, 1<<20, parquet.NewWriterProperties(props...), pqarrow.DefaultWriterProps()))
	return out.Bytes()
}

func TestPartsMakeOneState(t *testing.T) {
	t.Parallel()
	whole := state(10)
	first, err := checkpoint.Write(&checkpoint.State{Protocol: whole.Protocol, MetaData: whole.MetaData, Adds: whole.Adds[:4]})
	require.NoError(t, err)
	second, err := checkpoint.Write(&checkpoint.State{Txns: whole.Txns, Adds: whole.Adds[4:]})
	require.NoError(t, err)
	got, err := checkpoint.Read(first, second)
	require.NoError(t, err)
	require.Equal(t, whole.Adds, got.Adds)
	require.Equal(t, whole.Txns, got.Txns)

	_, err = checkpoint.Read(second)
	require.ErrorContains(t, err, "lacks the protocol")
	_, err = checkpoint.Read(first, first)
	require.ErrorContains(t, err, "part 2")
}

func TestDamageIsAnError(t *testing.T) {
	t.Parallel()
	s := state(3)
	s.Adds[1].Path = "../out.parquet"
	body, err := checkpoint.Write(s)
	require.NoError(t, err)
	_, err = checkpoint.Read(body)
	require.ErrorContains(t, err, "action 5")
	require.ErrorContains(t, err, "dotted segment")

	good, err := checkpoint.Write(state(20))
	require.NoError(t, err)
	for _, n := range []int{0, 4, 11, len(good) / 2, len(good) - 1} {
		_, err = checkpoint.Read(good[:n])
		require.Error(t, err, "cut at %d", n)
	}
	for i := 0; i < len(good); i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		_, _ = checkpoint.Read(bad) // No panic, whatever byte is wrong.
	}
}

func FuzzRead(f *testing.F) {
	for _, n := range []int{0, 1, 5} {
		body, err := checkpoint.Write(state(n))
		require.NoError(f, err)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, err := checkpoint.ReadByOurs(data)
		if err == nil {
			// What we take for a checkpoint says the same to the library, unless that
			// finds a fault in it.
			if theirs, err := checkpoint.ReadByLibrary(data); err == nil {
				require.Equal(t, theirs, ours)
			}
		}
		s, err := checkpoint.Read(data)
		if err != nil {
			return
		}
		body, err := checkpoint.Write(s)
		require.NoError(t, err)
		again, err := checkpoint.Read(body)
		require.NoError(t, err)
		require.Len(t, again.Adds, len(s.Adds))
	})
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			body, err := checkpoint.Write(state(n))
			require.NoError(b, err)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := checkpoint.Read(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	s := state(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := checkpoint.Write(s); err != nil {
			b.Fatal(err)
		}
	}
}
