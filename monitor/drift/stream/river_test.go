package stream_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/stream"
)

// river is testdata/river.json, which testdata/oracle.py makes.
type river struct {
	Series []struct {
		Name    string
		Bits    string
		Numbers []float64
		Results map[string]marks
	}
}

// marks are the places at which a detector says drift, and the number and the
// sum of those at which it warns.
type marks struct {
	Drifts   []int
	Warnings [2]int
}

func loadRiver(t *testing.T) river {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "river.json"))
	require.NoError(t, err)
	var r river
	require.NoError(t, json.Unmarshal(raw, &r))
	for i := range r.Series {
		for _, b := range r.Series[i].Bits {
			r.Series[i].Numbers = append(r.Series[i].Numbers, float64(b-'0'))
		}
	}
	return r
}

func run(d stream.Detector, series []float64) marks {
	m := marks{Drifts: []int{}}
	for i, x := range series {
		switch d.Update(x) {
		case stream.Drift:
			m.Drifts = append(m.Drifts, i)
		case stream.Warning:
			m.Warnings[0]++
			m.Warnings[1] += i
		}
	}
	return m
}

func made[D stream.Detector](t *testing.T) func(d D, err error) stream.Detector {
	return func(d D, err error) stream.Detector {
		require.NoError(t, err)
		return d
	}
}

// detectors are those that River's file names.
func detectors(t *testing.T) map[string]stream.Detector {
	two := &stream.HDDMOptions{Drift: 0.01, Warning: 0.05, Lambda: 0.1, TwoSided: true}
	return map[string]stream.Detector{
		"ddm":               made[*stream.DDM](t)(stream.NewDDM(nil)),
		"ddm tight":         made[*stream.DDM](t)(stream.NewDDM(&stream.DDMOptions{WarmStart: 100, Warning: 1, Drift: 2})),
		"eddm":              made[*stream.EDDM](t)(stream.NewEDDM(nil)),
		"eddm loose":        made[*stream.EDDM](t)(stream.NewEDDM(&stream.EDDMOptions{WarmStart: 10, Warning: 0.8, Drift: 0.75})),
		"hddm_a":            made[*stream.HDDMA](t)(stream.NewHDDMA(nil)),
		"hddm_a two":        made[*stream.HDDMA](t)(stream.NewHDDMA(two)),
		"hddm_w":            made[*stream.HDDMW](t)(stream.NewHDDMW(nil)),
		"hddm_w two":        made[*stream.HDDMW](t)(stream.NewHDDMW(two)),
		"adwin":             made[*stream.ADWIN](t)(stream.NewADWIN(nil)),
		"adwin eager":       made[*stream.ADWIN](t)(stream.NewADWIN(&stream.ADWINOptions{Delta: 0.05, Clock: 4, Buckets: 3, MinWindow: 2, Grace: 40})),
		"page_hinkley":      made[*stream.PageHinkley](t)(stream.NewPageHinkley(nil)),
		"page_hinkley up":   made[*stream.PageHinkley](t)(stream.NewPageHinkley(&stream.PageHinkleyOptions{Direction: stream.Up, Threshold: 20, Delta: 0.1, Forget: 0.99, MinValues: 10})),
		"page_hinkley down": made[*stream.PageHinkley](t)(stream.NewPageHinkley(&stream.PageHinkleyOptions{Direction: stream.Down, Threshold: 30})),
		"kswin":             made[*stream.KSWIN](t)(stream.NewKSWIN(&stream.KSWINOptions{Window: 60, Recent: 30})),
	}
}

// TestAgainstRiver wants the same answer at every value.
func TestAgainstRiver(t *testing.T) {
	t.Parallel()
	series := loadRiver(t).Series
	require.NotEmpty(t, series)
	drifts := map[string]int{}
	for _, s := range series {
		all := detectors(t)
		for name, want := range s.Results {
			require.Contains(t, all, name)
			got := run(all[name], s.Numbers)
			require.Equal(t, want, got, "%s on %s", name, s.Name)
			drifts[name] += len(want.Drifts)
		}
	}
	for name := range detectors(t) {
		require.Positive(t, drifts[name], name)
	}
	t.Log(drifts)
}

// TestVectors are the series of River's own tests.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, s := range loadRiver(t).Series {
		all := detectors(t)
		switch s.Name {
		case "vector a":
			// Page's sum that starts again at 0.
			c, err := stream.NewCUSUM(&stream.PageHinkleyOptions{Direction: stream.Up})
			require.NoError(t, err)
			require.Equal(t, []int{1020, 1991}, run(c, s.Numbers).Drifts)
			// River 0.21 left out the newest bucket of each size and was
			// one check later, at 1055.
			require.Equal(t, []int{1023}, run(all["adwin"], s.Numbers).Drifts)
		case "vector b":
			require.Equal(t, []int{1049}, run(all["ddm"], s.Numbers).Drifts)
			require.Equal(t, []int{1047}, run(all["hddm_a"], s.Numbers).Drifts)
		}
	}
}
