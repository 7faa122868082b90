package monitor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor/drift"
)

// stream draws windows of rows whose numbers are standard normal. rho is how
// much a row resembles the one before it, slow how much of the variance is a
// level that lasts for a window and fades over a few.
type stream struct {
	rng       *rand.Rand
	rho, slow float64
	last      []float64
	level     []float64
}

func newStream(seed uint64, features int, rho, slow float64) *stream {
	s := &stream{rng: rand.New(rand.NewPCG(seed, 7)), rho: rho, slow: slow, last: make([]float64, features), level: make([]float64, features)}
	for i := range s.last {
		s.last[i], s.level[i] = s.rng.NormFloat64(), s.rng.NormFloat64()
	}
	return s
}

// fill counts a window of rows, the first feature moved by shift.
func (s *stream) fill(w *profile.Reference, rows int, shift float64) {
	col := make([]float64, rows)
	keep, level := math.Sqrt(1-s.rho*s.rho), math.Sqrt(s.slow)
	for j := range w.Features {
		s.level[j] = 0.5*s.level[j] + math.Sqrt(0.75)*s.rng.NormFloat64()
		x := s.last[j]
		for i := range col {
			x = s.rho*x + keep*s.rng.NormFloat64()
			col[i] = math.Sqrt(1-s.slow)*x + level*s.level[j]
			if j == 0 {
				col[i] += shift
			}
		}
		s.last[j] = x
		w.Features[j].Bins.AddFloats(col)
	}
	w.Rows += uint64(rows)
}

func (s *stream) reference(t testing.TB, rows int) *profile.Reference {
	t.Helper()
	features := make([]profile.Feature, len(s.last))
	for j := range features {
		var c profile.Column
		for range 20_000 {
			c.AddFloat(s.rng.NormFloat64())
		}
		features[j] = profile.Feature{Name: fmt.Sprintf("f%02d", j), Bins: c.Bins(0)}
	}
	ref := profile.NewReference(features, nil)
	// The builder of references looks at chunks, too.
	ref.Chunks = &profile.Chunks{Rows: 1000, Features: make([]profile.ChunkSums, len(features))}
	for i := range features {
		ref.Chunks.Features[i] = profile.ChunkSums{Sum: make([]float64, 1), SumSq: make([]float64, 1)}
	}
	for range rows / 1000 {
		w := ref.Window()
		s.fill(w, 1000, 0)
		w.Chunks = &profile.Chunks{Rows: 1000, Features: make([]profile.ChunkSums, len(features))}
		for i := range features {
			w.Chunks.Features[i] = profile.ChunkSums{Sum: make([]float64, 1), SumSq: make([]float64, 1)}
		}
		w.Chunks.Add(w)
		require.NoError(t, ref.Merge(w))
	}
	return ref
}

// simulate reports windows of a clean stream as a monitor would, and returns
// how many of them show a drift, and how many triggers opened.
func simulate(t testing.TB, windows int, rho, slow float64, p Policy) (alarms, triggers int) {
	t.Helper()
	const features, rows = 8, 600
	s := newStream(uint64(windows), features, rho, slow)
	m, err := New(s.reference(t, 200_000), &Options{Policy: p, WindowTime: 5 * time.Minute})
	require.NoError(t, err)
	at := time.Unix(1e9, 0)
	e := m.epoch.Load()
	for i := range windows {
		w := m.newWindow(e, i+1, at)
		w.from, w.to, w.newest = at, at.Add(5*time.Minute), at
		at = w.to
		s.fill(w.cur, rows, 0)
		r := m.report(w)
		if r.Verdict == Drift {
			alarms++
		}
		if r.Trigger != nil && r.Trigger.New {
			triggers++
		}
	}
	return alarms, triggers
}

// clean are streams without a drift.
var clean = []struct {
	name      string
	rho, slow float64
}{
	{"independent", 0, 0},
	{"autocorrelated", 0.9, 0},
	{"levels", 0, 0.02}, // Which is ten times the variance of a window's mean.
}

// TestCleanStreamsStayInTheirBudget has no effect floors, so that significance
// alone decides, and a budget of 2 alarms in 1,000 windows. The benchmark of
// the same name is the long form.
func TestCleanStreamsStayInTheirBudget(t *testing.T) {
	t.Parallel()
	for _, c := range clean {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const windows = 1000
			alarms, triggers := simulate(t, windows, c.rho, c.slow, budget(windows, 3))
			// Three standard deviations of Poisson's law above three.
			require.LessOrEqual(t, alarms, 3+6)
			require.LessOrEqual(t, triggers, alarms)
		})
	}
}

// budget allows for so many alarms in so many windows of five minutes.
func budget(windows int, alarms float64) Policy {
	return Policy{
		FalseAlarms: alarms, Per: time.Duration(windows) * 5 * time.Minute, Numeric: -1, OutOfRangeShare: -1, MinRows: 500,
	}
}

// BenchmarkCleanStreams is the false alarms of 100,000 windows, of a budget of
// 100: go test -run - -bench CleanStreams -benchtime 100000x ./monitor.
func BenchmarkCleanStreams(b *testing.B) {
	for _, c := range clean {
		b.Run(c.name, func(b *testing.B) {
			alarms, _ := simulate(b, b.N, c.rho, c.slow, budget(b.N, float64(b.N)/1000))
			b.ReportMetric(float64(alarms)/float64(b.N)*1e5, "alarms/100k-windows")
		})
	}
}

// TestPower compares what is found of a shift in one of 32 features, at one
// false alarm a month with windows of five minutes, with what fixed limits
// find, and with how often those alarm on clean windows.
func TestPower(t *testing.T) {
	t.Parallel()
	const features, repeats = 32, 20
	s := newStream(1, features, 0, 0)
	ref := s.reference(t, 50_000)
	policy := Policy{Alpha: 1.2e-4, MinRows: 100, OutOfRangeShare: -1}
	rates := func(rows int, shift float64) (ours, ks, psi float64) {
		for range repeats {
			w := ref.Window()
			s.fill(w, rows, shift)
			r, err := Compare(ref, w, &policy)
			require.NoError(t, err)
			if r.Verdict == Drift {
				ours++
			}
			anyKS, anyPSI := 0.0, 0.0
			for j, f := range ref.Features {
				test, err := drift.KolmogorovSmirnov(f.Bins.Counts, w.Features[j].Bins.Counts)
				require.NoError(t, err)
				if test.PValue <= 0.05 {
					anyKS = 1
				}
				index, err := drift.PSI(f.Bins.Counts, w.Features[j].Bins.Counts)
				require.NoError(t, err)
				if index.Score >= 0.1 {
					anyPSI = 1
				}
			}
			ks, psi = ks+anyKS, psi+anyPSI
		}
		return ours / repeats, ks / repeats, psi / repeats
	}
	for _, c := range []struct {
		rows    int
		shift   float64
		atLeast float64
		atMost  float64
	}{
		{300, 0, 0, 0},
		{3000, 0, 0, 0},
		{1000, 0.3, 0.9, 1},
		{10_000, 0.15, 0.9, 1},
		{10_000, 0.05, 0, 0.05}, // Below the floor: significant, and of no matter.
	} {
		ours, ks, psi := rates(c.rows, c.shift)
		t.Logf("rows %d, shift %.2f: %.2f found, KS at 0.05 %.2f, PSI at 0.1 %.2f", c.rows, c.shift, ours, ks, psi)
		require.GreaterOrEqual(t, ours, c.atLeast, "rows %d, shift %v", c.rows, c.shift)
		require.LessOrEqual(t, ours, c.atMost, "rows %d, shift %v", c.rows, c.shift)
		if c.shift == 0 && c.rows == 300 {
			require.Greater(t, ks, 0.25, "the test is no test without something to beat")
			require.Greater(t, psi, 0.5)
		}
	}
}
