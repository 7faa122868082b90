package inferlog_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

// cpu is the processor time of this process so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLogRows takes 65536 rows of 32 numbers from a monitor's blocks to a
// Parquet file in a folder, in processor time.
func BenchmarkLogRows(b *testing.B) {
	const width, block, rows = 32, 128, 1 << 16
	rng := rand.New(rand.NewPCG(1, 1))
	features := make([]profile.Feature, width)
	for j := range features {
		var c profile.Column
		for range 1000 {
			c.AddFloat(rng.NormFloat64())
		}
		features[j] = profile.Feature{Name: fmt.Sprintf("f%02d", j), Bins: c.Bins(0)}
	}
	ref := profile.NewReference(features, nil)
	var blocks []monitor.Rows
	for n := range rows / block {
		r := monitor.Rows{Model: "m", Version: "1", Time: time.Unix(1_700_000_000, int64(n)*1e6), Reference: ref}
		for i := range block {
			for range width {
				r.Values = append(r.Values, rng.NormFloat64())
			}
			r.Scores = append(r.Scores, rng.Float64())
			r.IDs = append(r.IDs, monitor.NewID("r", n*block+i))
		}
		blocks = append(blocks, r)
	}
	for name, overflow := range map[string]inferlog.Overflow{"drop": inferlog.Drop, "spill": inferlog.Spill} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			s, err := dirblob.Open(dir)
			require.NoError(b, err)
			opts := &inferlog.Options{FlushEvery: -1, Overflow: overflow}
			if overflow == inferlog.Spill {
				opts.SpillDir = b.TempDir()
			}
			l, err := inferlog.Open(b.Context(), dataset.New(s, nil), "log", inferlog.SchemaOf(ref), opts)
			require.NoError(b, err)
			before := cpu(b)
			for n := 0; b.Loop(); n++ {
				for _, rows := range blocks {
					// Rows that were logged before would be found in the store.
					rows.Time = rows.Time.Add(time.Duration(n) * time.Second)
					l.LogRows(rows)
				}
				require.NoError(b, l.Flush(b.Context()))
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N)/rows, "cpu-ns/row")
			require.EqualValues(b, uint64(b.N)*rows, l.Stats().Written)
			require.NoError(b, l.Shutdown(b.Context()))
			require.NoError(b, s.Close())
		})
	}
}
