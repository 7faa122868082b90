package stream_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/stream"
)

// every has all detectors with their defaults, and some with other settings.
func every(t *testing.T) map[string]stream.Detector {
	all := detectors(t)
	all["cusum"] = made[*stream.CUSUM](t)(stream.NewCUSUM(&stream.PageHinkleyOptions{Threshold: 5}))
	all["adwin keep"] = made[*stream.ADWIN](t)(stream.NewADWIN(&stream.ADWINOptions{Keep: true}))
	all["kswin default"] = made[*stream.KSWIN](t)(stream.NewKSWIN(nil))
	return all
}

// changing is a series from 0 to 1 whose level moves.
func changing(n int) []float64 {
	r := rand.New(rand.NewPCG(5, 0))
	out := make([]float64, n)
	level := 0.1
	for i := range out {
		if i%700 == 0 {
			level = 0.05 + 0.9*r.Float64()
		}
		if r.Float64() < level {
			out[i] = 1
		}
	}
	return out
}

// TestRestore saves and restores in the middle of a series, again and again.
func TestRestore(t *testing.T) {
	t.Parallel()
	series := changing(4000)
	again := every(t)
	for name, d := range every(t) {
		want := run(again[name], series)
		require.NotEmpty(t, want.Drifts, name)
		got := marks{Drifts: []int{}}
		for from := 0; from < len(series); from += 37 {
			saved, err := json.Marshal(d)
			require.NoError(t, err, name)
			d, err = stream.Restore(saved)
			require.NoError(t, err, "%s: %s", name, saved)
			twice, err := json.Marshal(d)
			require.NoError(t, err)
			require.JSONEq(t, string(saved), string(twice), name)
			for i := from; i < min(from+37, len(series)); i++ {
				switch d.Update(series[i]) {
				case stream.Drift:
					got.Drifts = append(got.Drifts, i)
				case stream.Warning:
					got.Warnings[0]++
					got.Warnings[1] += i
				}
			}
		}
		require.Equal(t, want, got, name)
		d.Reset()
		require.Equal(t, want, run(d, series), "%s after Reset", name)
	}
}

func TestValuesThatAreNoNumbers(t *testing.T) {
	t.Parallel()
	series := changing(3000)
	plain := every(t)
	for name, d := range every(t) {
		var want, got []stream.State
		for _, x := range series {
			want = append(want, plain[name].Update(x))
			got = append(got, d.Update(x))
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				s := d.Update(bad)
				if got[len(got)-1] == stream.Drift {
					require.Equal(t, stream.Stable, s, name)
				} else {
					require.Equal(t, got[len(got)-1], s, name)
				}
			}
		}
		require.True(t, slices.Equal(want, got), name)
	}
}

// TestHugeValues wants finite states, which JSON can hold.
func TestHugeValues(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 0))
	for name, d := range every(t) {
		for range 500 {
			d.Update(math.MaxFloat64 * (2*r.Float64() - 1))
			d.Update(-math.MaxFloat64)
			d.Update(math.SmallestNonzeroFloat64)
		}
		saved, err := json.Marshal(d)
		require.NoError(t, err, name)
		_, err = stream.Restore(saved)
		require.NoError(t, err, "%s: %s", name, saved)
	}
}

func TestConstantIsStable(t *testing.T) {
	t.Parallel()
	for name, d := range every(t) {
		for _, x := range []float64{0, 1, 0.3} {
			d.Reset()
			for range 3000 {
				require.Equal(t, stream.Stable, d.Update(x), "%s at %g", name, x)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	d, err := stream.NewADWIN(nil)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(7, 0))
	for range 300_000 {
		d.Update(r.Float64())
	}
	saved, err := json.Marshal(d)
	require.NoError(t, err)
	require.Less(t, len(saved), 8000)
	require.Equal(t, 300_000, d.Width())
	require.InDelta(t, 0.5, d.Mean(), 0.005)
	series := changing(5000)
	for name, d := range every(t) {
		run(d, series)
		i := 0
		require.Zero(t, testing.AllocsPerRun(2000, func() {
			d.Update(series[i%len(series)])
			i++
		}), name)
	}
}

func TestKeepAndMean(t *testing.T) {
	t.Parallel()
	d, err := stream.NewADWIN(&stream.ADWINOptions{Keep: true})
	require.NoError(t, err)
	require.Zero(t, d.Mean())
	r := rand.New(rand.NewPCG(8, 0))
	for range 1000 {
		d.Update(r.NormFloat64())
	}
	for range 1000 {
		d.Update(3 + r.NormFloat64())
	}
	require.InDelta(t, 3, d.Mean(), 0.2)
	require.InDelta(t, 1000, d.Width(), 100)
}

// TestSettings wants all faults of an option struct at once.
func TestSettings(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	_, err := stream.NewADWIN(&stream.ADWINOptions{Delta: 2, Clock: -1, Buckets: 1, MinWindow: -1, Grace: -1})
	require.EqualError(t, err, "stream: adwin: Delta is 2, want a number between 0 and 1; Clock is -1, want 1 or more; Buckets is 1, want 2 to 1000; MinWindow is -1, want 1 or more; Grace is -1, want 1 or more: invalid")
	_, err = stream.NewPageHinkley(&stream.PageHinkleyOptions{Delta: nan, Threshold: nan, Forget: 2, MinValues: -1, Direction: 3})
	require.ErrorIs(t, err, stream.ErrInvalid)
	_, err = stream.NewCUSUM(&stream.PageHinkleyOptions{Threshold: -1})
	require.ErrorIs(t, err, stream.ErrInvalid)
	_, err = stream.NewKSWIN(&stream.KSWINOptions{Alpha: nan, Window: 1, Recent: 200})
	require.ErrorIs(t, err, stream.ErrInvalid)
	_, err = stream.NewDDM(&stream.DDMOptions{WarmStart: -1, Warning: 4, Drift: 3})
	require.ErrorIs(t, err, stream.ErrInvalid)
	_, err = stream.NewEDDM(&stream.EDDMOptions{WarmStart: -1, Warning: 2, Drift: 3})
	require.ErrorIs(t, err, stream.ErrInvalid)
	_, err = stream.NewHDDMA(&stream.HDDMOptions{Drift: 0.5, Warning: 0.1})
	require.ErrorIs(t, err, stream.ErrInvalid)
	_, err = stream.NewHDDMW(&stream.HDDMOptions{Lambda: 1})
	require.ErrorIs(t, err, stream.ErrInvalid)
	d, err := stream.NewPageHinkley(&stream.PageHinkleyOptions{Delta: -1})
	require.NoError(t, err)
	require.Equal(t, stream.Stable, d.Update(1))
	require.Equal(t, "stable warning drift State(7)", stream.Stable.String()+" "+stream.Warning.String()+" "+stream.Drift.String()+" "+stream.State(7).String())
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		``, `[]`, `{}`, `{"detector":"adwin","version":2,"options":{},"state":{}}`,
		`{"detector":"sherlock","version":1,"options":{},"state":{}}`,
		`{"detector":"adwin","version":1,"options":{"delta":7},"state":{}}`,
		`{"detector":"adwin","version":1,"options":{},"state":{"width":3}}`,
		`{"detector":"adwin","version":1,"options":{},"state":{"rows":[[{"t":1,"s":-1}]],"width":1}}`,
		`{"detector":"adwin","version":1,"options":{},"state":{"rows":[[],[]],"width":0}}`,
		`{"detector":"adwin","version":1,"options":{},"state":{"hat":1}}`,
		`{"detector":"ddm","version":1,"options":{},"state":{"rate":{"n":-1,"mean":0}}}`,
		`{"detector":"ddm","version":1,"options":{},"state":{"last":9}}`,
		`{"detector":"eddm","version":1,"options":{},"state":{"n":3,"last_error":5}}`,
		`{"detector":"hddm_a","version":1,"options":{},"state":{"all":{"n":3,"mean":0.5}}}`,
		`{"detector":"hddm_w","version":1,"options":{},"state":{"all":{"some":true,"mean":7,"squares":1}}}`,
		`{"detector":"kswin","version":1,"options":{},"state":{"values":[1],"random":""}}`,
		`{"detector":"page_hinkley","version":1,"options":{},"state":{"mean":{"n":0,"mean":3}}}`,
		`{"detector":"cusum","version":1,"options":{},"state":{"rise":-3}}`,
	} {
		_, err := stream.Restore([]byte(data))
		require.ErrorIs(t, err, stream.ErrInvalid, data)
	}
}

// FuzzRestore wants that whatever is accepted can be used, and saves to what it
// restores from.
func FuzzRestore(f *testing.F) {
	t := &testing.T{}
	series := changing(500)
	for _, d := range every(t) {
		run(d, series)
		saved, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(saved)
	}
	f.Add([]byte(`{"detector":"adwin","version":1,"options":{},"state":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := stream.Restore(data)
		if err != nil {
			require.ErrorIs(t, err, stream.ErrInvalid)
			return
		}
		for _, x := range series[:100] {
			d.Update(x)
		}
		saved, err := json.Marshal(d)
		require.NoError(t, err)
		_, err = stream.Restore(saved)
		require.NoError(t, err, "%s", saved)
	})
}

func BenchmarkUpdate(b *testing.B) {
	series := changing(1 << 12)
	t := &testing.T{}
	for name, d := range every(t) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				d.Update(series[i&(1<<12-1)])
				i++
			}
		})
	}
}
