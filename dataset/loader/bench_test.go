//go:build unix

package loader_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/loader"
)

// features makes a version of 1 M rows of 12 numbers and a text, 110 MB of
// Arrow in 8 groups.
func features(b *testing.B) *dataset.Version {
	b.Helper()
	fields := []arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String}}
	for i := range 12 {
		fields = append(fields, arrow.Field{Name: string(rune('a' + i)), Type: arrow.PrimitiveTypes.Float64})
	}
	schema := arrow.NewSchema(fields, nil)
	d, err := dataset.New(&blob.Mem{}, nil).Create(context.Background(), "f", schema, nil)
	require.NoError(b, err)
	var v *dataset.Version
	const rows = 1 << 17
	for group := range 8 {
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range rows {
			rb.Field(0).(*array.Int64Builder).Append(int64(group*rows + i))
			rb.Field(1).(*array.StringBuilder).Append([]string{"SFO", "LAX", "JFK", "AMS"}[i*7919%4])
			for c := range 12 {
				rb.Field(2 + c).(*array.Float64Builder).Append(float64(i*7919%1000) / 8)
			}
		}
		rr, err := array.NewRecordReader(schema, []arrow.Record{rb.NewRecord()})
		require.NoError(b, err)
		v, err = d.Append(context.Background(), rr, nil)
		require.NoError(b, err)
	}
	return v
}

// cpu is the time that all processors have spent on this process.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkEpoch(b *testing.B) {
	v := features(b)
	for name, opts := range map[string]*loader.Options{
		"ordered":      {BatchRows: 4096},
		"shuffled":     {BatchRows: 4096, Shuffle: true},
		"shuffled-256": {BatchRows: 256, Shuffle: true},
		"split":        {BatchRows: 4096, Shuffle: true, Split: &loader.Split{Key: []string{"id"}, To: 800_000}},
	} {
		b.Run(name, func(b *testing.B) {
			l, err := loader.New(context.Background(), v, opts)
			require.NoError(b, err)
			b.SetBytes(v.Rows * (13*8 + 4 + 3))
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				s, err := l.Shard(loader.Shard{})
				require.NoError(b, err)
				for _, err := range s.Records(context.Background()) {
					require.NoError(b, err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(v.Rows*(13*8+4+3))/1e6/(cpu(b)-began).Seconds(), "MB/cpu-s")
		})
	}
}

func BenchmarkResume(b *testing.B) {
	v := features(b)
	l, err := loader.New(context.Background(), v, &loader.Options{Shuffle: true, Window: 1, Prefetch: -1})
	require.NoError(b, err)
	s, err := l.Shard(loader.Shard{})
	require.NoError(b, err)
	var tokens []loader.Token
	for _, err := range s.Records(context.Background()) {
		require.NoError(b, err)
		tokens = append(tokens, s.Token())
	}
	for name, token := range map[string]loader.Token{"early": tokens[3], "late": tokens[len(tokens)-5]} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s, err := l.Resume(token)
				require.NoError(b, err)
				for _, err := range s.Records(context.Background()) {
					require.NoError(b, err)
					break
				}
			}
		})
	}
}
