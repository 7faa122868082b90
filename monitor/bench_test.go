package monitor_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// rows draws some rows, so that a benchmark does not measure one row's cache.
func (s *source) rows(n int) [][]float64 {
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = s.row(nil)
	}
	return rows
}

// BenchmarkObserve is the cost of one row of 32 features to its caller; on one
// processor the folding behind it is in the figure, too.
func BenchmarkObserve(b *testing.B) {
	src := newSource(1, 32, false)
	ref := src.reference(b, 20_000)
	rows := src.rows(256)
	for _, ids := range []bool{false, true} {
		name := "ids=false"
		if ids {
			name = "ids=true"
		}
		b.Run("serial/"+name, func(b *testing.B) {
			m := newMonitor(b, ref, nil)
			b.ReportAllocs()
			var id monitor.ID
			for i := 0; b.Loop(); i++ {
				if ids {
					binary.LittleEndian.PutUint64(id[:], uint64(i)+1)
				}
				m.Observe(rows[i&255], 0.5, id)
			}
			drain(b, m)
		})
		b.Run("parallel/"+name, func(b *testing.B) {
			m := newMonitor(b, ref, nil)
			b.ReportAllocs()
			var next atomic.Uint64
			b.RunParallel(func(pb *testing.PB) {
				var id monitor.ID
				n := next.Add(1) << 40
				for i := 0; pb.Next(); i++ {
					if ids {
						binary.LittleEndian.PutUint64(id[:], n+uint64(i))
					}
					m.Observe(rows[i&255], 0.5, id)
				}
			})
			drain(b, m)
		})
	}
}

// BenchmarkHot separates the two halves of the cost of a row: putting it into
// a block, and counting the block. The figures are the least of many rounds;
// copy is the plain copy of the same rows, which is what a machine can do.
func BenchmarkHot(b *testing.B) {
	const round = 120 // One block takes them, so that nothing is folded meanwhile.
	src := newSource(1, 32, false)
	rows := src.rows(256)
	flat, scores, ids := make([]float64, 0, round*32), make([]float64, round), make([]monitor.ID, round)
	for _, row := range rows[:round] {
		flat = append(flat, row...)
	}
	sink := make([]float64, round*32)
	for name, observe := range map[string]func(m *monitor.Monitor){
		"copy": func(*monitor.Monitor) {
			for i := range round {
				copy(sink[i*32:], rows[i&255])
			}
		},
		"row": func(m *monitor.Monitor) {
			for i := range round {
				m.Observe(rows[i&255], 0.5, monitor.ID{})
			}
		},
		"batch": func(m *monitor.Monitor) {
			m.ObserveBatch(flat, scores, ids)
		},
	} {
		b.Run(name, func(b *testing.B) {
			m := newMonitor(b, src.reference(b, 20_000), &monitor.Options{MaxPending: -1})
			in, fold := time.Hour, time.Hour
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				observe(m)
				in = min(in, time.Since(start))
				start = time.Now()
				if m.Snapshot(); name != "copy" {
					fold = min(fold, time.Since(start))
				}
			}
			b.ReportMetric(float64(in.Nanoseconds())/round, "in-ns/row")
			if name != "copy" {
				b.ReportMetric(float64(fold.Nanoseconds())/round, "fold-ns/row")
			}
		})
	}
}

// drain checks that no row was lost.
func drain(b *testing.B, m *monitor.Monitor) {
	b.Helper()
	b.StopTimer()
	r, err := m.Cut(context.Background())
	require.NoError(b, err)
	require.Equal(b, uint64(b.N), r.Rows)
}

// BenchmarkObserveHandler is the cost of a row in a handler that does some
// microseconds of work between two rows, as a server does.
func BenchmarkObserveHandler(b *testing.B) {
	src := newSource(1, 32, false)
	ref := src.reference(b, 20_000)
	rows := src.rows(256)
	var sink uint64
	work := func() {
		for range 2_000 {
			sink = sink*6364136223846793005 + 1442695040888963407
		}
	}
	b.Run("work", func(b *testing.B) {
		for b.Loop() {
			work()
		}
	})
	b.Run("work+observe", func(b *testing.B) {
		m := newMonitor(b, ref, nil)
		for i := 0; b.Loop(); i++ {
			work()
			m.Observe(rows[i&255], 0.5, monitor.ID{})
		}
		drain(b, m)
	})
}

// BenchmarkCompare is the cost of a decision; BenchmarkCut adds closing the
// window and opening the next.
func BenchmarkCompare(b *testing.B) {
	for _, features := range []int{32, 256} {
		b.Run(fmt.Sprintf("features=%d", features), func(b *testing.B) {
			src := newSource(1, features, false)
			ref := src.reference(b, 5_000)
			cur := ref.Empty()
			for range 1_000 {
				require.NoError(b, cur.Observe(src.row(nil), 0.5))
			}
			b.ReportAllocs()
			for b.Loop() {
				_, err := monitor.Compare(ref, cur, nil)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*features), "ns/feature")
		})
	}
}

func BenchmarkCut(b *testing.B) {
	src := newSource(1, 32, false)
	m := newMonitor(b, src.reference(b, 5_000), nil)
	row := src.row(nil)
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(row, 0.5, monitor.ID{})
		_, err := m.Cut(b.Context())
		require.NoError(b, err)
	}
}

func BenchmarkLabel(b *testing.B) {
	src := newSource(1, 4, false)
	m := newMonitor(b, src.reference(b, 5_000), nil)
	row := src.row(nil)
	var id monitor.ID
	for i := range 1 << 18 {
		binary.LittleEndian.PutUint64(id[:], uint64(i)+1)
		m.Observe(row, 0.5, id)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		binary.LittleEndian.PutUint64(id[:], uint64(i&(1<<18-1))+1)
		m.Label(id, float64(i&1))
	}
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_ = monitor.NewID("9f86d081884c7d659a2feaa0c55ad015", i)
	}
}
