package judge

import (
	"math"
	"math/rand/v2"
	"slices"
)

// alpha is Krippendorff's with the ordinal metric, and its 95 % interval from
// drawing the samples again.
func alpha(ratings [][]int) (value, low, high float64) {
	var values []int
	for _, r := range ratings {
		if len(r) > 1 {
			values = append(values, r...)
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	// Each sample is what it adds to the coincidences.
	var units [][]float64
	for _, r := range ratings {
		if len(r) < 2 {
			continue
		}
		counts := make([]float64, len(values))
		for _, v := range r {
			at, _ := slices.BinarySearch(values, v)
			counts[at]++
		}
		units = append(units, counts)
	}
	m := &alphaOf{levels: len(values), units: units, coincidences: make([]float64, len(values)*len(values)), totals: make([]float64, len(values))}
	which := make([]int, len(units))
	for i := range which {
		which[i] = i
	}
	value = m.measure(which)
	r := rand.New(rand.NewPCG(1, 2))
	var drawn []float64
	for range bootstraps {
		for i := range which {
			which[i] = r.IntN(len(units))
		}
		if v := m.measure(which); !math.IsNaN(v) {
			drawn = append(drawn, v)
		}
	}
	low, high = middle(drawn)
	return value, low, high
}

type alphaOf struct {
	levels       int
	units        [][]float64
	coincidences []float64
	totals       []float64
}

func (m *alphaOf) measure(which []int) float64 {
	clear(m.coincidences)
	clear(m.totals)
	n := 0.0
	for _, i := range which {
		counts, size := m.units[i], 0.0
		for _, c := range counts {
			size += c
		}
		n += size
		for v, c := range counts {
			if c == 0 {
				continue
			}
			m.totals[v] += c
			for w, d := range counts {
				if v == w {
					d--
				}
				m.coincidences[v*m.levels+w] += c * d / (size - 1)
			}
		}
	}
	observed, expected := 0.0, 0.0
	for v := range m.levels {
		between := m.totals[v] / 2
		for w := v + 1; w < m.levels; w++ {
			// All verdicts from one level to the other, half of those at the ends.
			apart := between + m.totals[w]/2
			between += m.totals[w]
			observed += m.coincidences[v*m.levels+w] * apart * apart
			expected += m.totals[v] * m.totals[w] * apart * apart
		}
	}
	if expected == 0 {
		return math.NaN()
	}
	return 1 - (n-1)*observed/expected
}
