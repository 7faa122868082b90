package judge

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Agreement is how far several verdicts on the same samples agree.
type Agreement struct {
	// Samples is how many samples have at least two verdicts, and Pairs how
	// many pairs of verdicts they have.
	Samples, Pairs int
	// Raw is the share of pairs that agree.
	Raw, RawLow, RawHigh float64
	// Kappa is how much more they agree than by chance, from 1 for always down
	// to 0 for no more: Cohen's kappa (A coefficient of agreement for nominal
	// scales, 1960) where each sample has two verdicts, in their order; Fleiss'
	// (Measuring nominal scale agreement among many raters, 1971) where it has
	// more. NaN where all verdicts are the same one, so that chance explains
	// everything.
	Kappa, KappaLow, KappaHigh float64
	// Alpha is Krippendorff's alpha (Computing Krippendorff's alpha-reliability,
	// 2011) with the ordinal metric: a verdict that is off by one level
	// disagrees less than one at the other end. It takes lists of all lengths
	// from two on. 1 is always, 0 is chance; NaN as for Kappa.
	Alpha, AlphaLow, AlphaHigh float64
}

// bootstraps is how many times the samples are drawn again for the intervals.
const bootstraps = 500

// Agree measures the agreement of verdicts: one list of ratings a sample. Lists of
// other lengths than most samples have, and of less than two, are left out, but for
// Alpha, which leaves out those of less than two. The
// bounds are 95 % intervals from drawing the samples again (bootstrap, the same
// draws each time). With two lists of a human's and a judge's ratings it says how
// far the judge can be trusted.
func Agree(ratings [][]int) Agreement {
	lengths := map[int]int{}
	for _, r := range ratings {
		lengths[len(r)]++
	}
	width := 0
	for n, count := range lengths {
		if n >= 2 && (width == 0 || count > lengths[width] || count == lengths[width] && n < width) {
			width = n
		}
	}
	nan := math.NaN()
	a := Agreement{Raw: nan, RawLow: nan, RawHigh: nan, Kappa: nan, KappaLow: nan, KappaHigh: nan, Alpha: nan, AlphaLow: nan, AlphaHigh: nan}
	if width == 0 {
		return a
	}
	a.Alpha, a.AlphaLow, a.AlphaHigh = alpha(ratings)
	levels := map[int]int{}
	var kept [][]int
	for _, r := range ratings {
		if len(r) != width {
			continue
		}
		row := make([]int, width)
		for i, v := range r {
			if _, known := levels[v]; !known {
				levels[v] = len(levels)
			}
			row[i] = levels[v]
		}
		kept = append(kept, row)
	}
	a.Samples, a.Pairs = len(kept), len(kept)*width*(width-1)/2
	all := make([]int, len(kept))
	for i := range all {
		all[i] = i
	}
	m := &agreementOf{kept, width, len(levels)}
	a.Raw, a.Kappa = m.measure(all)
	var raws, kappas []float64
	r := rand.New(rand.NewPCG(1, 2))
	for range bootstraps {
		for i := range all {
			all[i] = r.IntN(len(kept))
		}
		raw, kappa := m.measure(all)
		raws = append(raws, raw)
		if !math.IsNaN(kappa) {
			kappas = append(kappas, kappa)
		}
	}
	a.RawLow, a.RawHigh = middle(raws)
	a.KappaLow, a.KappaHigh = middle(kappas)
	return a
}

// middle are the bounds of the 95 % in the middle.
func middle(list []float64) (low, high float64) {
	if len(list) == 0 {
		return math.NaN(), math.NaN()
	}
	slices.Sort(list)
	at := func(q float64) float64 { return list[min(len(list)-1, int(q*float64(len(list))))] }
	return at(0.025), at(0.975)
}

type agreementOf struct {
	rows          [][]int
	width, levels int
}

// measure is the agreement on some of the samples.
func (m *agreementOf) measure(which []int) (raw, kappa float64) {
	// Shares by place for Cohen, whose two raters need not be alike.
	places := min(m.width, 2)
	shares := make([]float64, places*m.levels)
	counts := make([]int, m.levels)
	agree := 0.0
	for _, i := range which {
		clear(counts)
		for place, v := range m.rows[i] {
			counts[v]++
			if m.width == 2 {
				shares[place*m.levels+v]++
			} else {
				shares[v]++
			}
		}
		for _, c := range counts {
			agree += float64(c * (c - 1))
		}
	}
	n := float64(len(which))
	raw = agree / (n * float64(m.width*(m.width-1)))
	chance := 0.0
	for v := range m.levels {
		if m.width == 2 {
			chance += shares[v] * shares[m.levels+v] / (n * n)
		} else {
			share := shares[v] / (n * float64(m.width))
			chance += share * share
		}
	}
	if 1-chance < 1e-12 {
		return raw, math.NaN()
	}
	return raw, (raw - chance) / (1 - chance)
}
