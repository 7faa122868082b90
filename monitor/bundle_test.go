package monitor_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// source draws rows of numeric features, standard normal, and one categorical
// feature at the end when there is one.
type source struct {
	rng      *rand.Rand
	numeric  int
	category bool
	shift    []float64 // Added to the first numeric features.
}

func newSource(seed uint64, numeric int, category bool) *source {
	return &source{rng: rand.New(rand.NewPCG(seed, 1)), numeric: numeric, category: category}
}

func (s *source) row(dst []float64) []float64 {
	dst = dst[:0]
	for i := range s.numeric {
		v := s.rng.NormFloat64()
		if i < len(s.shift) {
			v += s.shift[i]
		}
		dst = append(dst, v)
	}
	if s.category {
		dst = append(dst, math.Floor(3*s.rng.Float64()*s.rng.Float64()))
	}
	return dst
}

func (s *source) score() float64 { return s.rng.Float64() }

// reference draws a reference of rows from the source.
func (s *source) reference(t testing.TB, rows int) *profile.Reference {
	t.Helper()
	columns := make([]profile.Column, s.numeric)
	var score profile.Column
	data, scores := make([][]float64, rows), make([]float64, rows)
	for i := range data {
		data[i], scores[i] = s.row(nil), s.score()
		for j := range columns {
			columns[j].AddFloat(data[i][j])
		}
		score.AddFloat(scores[i])
	}
	var features []profile.Feature
	for j := range columns {
		features = append(features, profile.Feature{Name: fmt.Sprintf("f%02d", j), Bins: columns[j].Bins(0)})
	}
	if s.category {
		var colour profile.Column
		for i, name := range []string{"red", "green", "blue"} {
			for range 3 - i {
				colour.AddString(name)
			}
		}
		features = append(features, profile.Feature{Name: "colour", Bins: colour.Bins(0)})
	}
	ref := profile.NewReference(features, score.Bins(0))
	for i, row := range data {
		require.NoError(t, ref.Observe(row, scores[i]))
	}
	return ref
}

func newMonitor(t testing.TB, ref *profile.Reference, opts *monitor.Options) *monitor.Monitor {
	t.Helper()
	m, err := monitor.New(ref, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}
