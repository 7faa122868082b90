package drift

import "math"

// Scores are the measures of one feature that a monitor shows.
type Scores struct {
	PSI, KL, JensenShannon, Hellinger Result
	TotalVariation, LInf, ChiSquare   Result
	// KolmogorovSmirnov and Wasserstein are only for ordered bins with
	// positions, and else the zero Result.
	KolmogorovSmirnov, Wasserstein Result
}

// All returns the measures of two counts at once, for about half of what they
// cost one by one, as they share their logarithms. positions and scale are
// those of Wasserstein; nil positions are bins without order. The results are
// those of the functions of the same names, as are the errors.
func All(ref, cur []uint64, positions []float64, scale float64) (Scores, error) {
	s, err := measure("all", ref, cur)
	if err != nil {
		return Scores{}, err
	}
	var out Scores
	if positions != nil {
		if out.Wasserstein, err = Wasserstein(ref, cur, positions, scale); err != nil {
			return Scores{}, err
		}
		if out.KolmogorovSmirnov, err = KolmogorovSmirnov(ref, cur); err != nil {
			return Scores{}, err
		}
	}
	var psi, kl, js, hellinger, variation, noise, worst, worstNoise float64
	add, n, m := s.smooth()
	for i, r := range ref {
		a, b := float64(r), float64(cur[i])
		if a+b == 0 {
			continue
		}
		p, q := a/s.n, b/s.m
		gap := q - p
		variation += math.Abs(gap)
		worst = max(worst, math.Abs(gap))
		mean := s.meanGap(a + b)
		noise += mean
		worstNoise = max(worstNoise, mean)
		root := math.Sqrt(q) - math.Sqrt(p)
		hellinger += root * root
		if a == 0 || b == 0 {
			// One side alone: p ln(p/(p/2)).
			js += (p + q) * math.Ln2
			p, q = (a+add)/n, (b+add)/m
			ratio := math.Log(q / p)
			psi += (q - p) * ratio
			kl += q * ratio
			continue
		}
		ratio := math.Log(q / p)
		// ln(p/mid) is -ln((1+q/p)/2), and ln(q/mid) is that plus ln(q/p).
		js += q*ratio - (p+q)*math.Log1p(gap/(2*p))
		if add > 0 {
			p, q = (a+add)/n, (b+add)/m
			ratio = math.Log(q / p)
		}
		psi += (q - p) * ratio
		kl += q * ratio
	}
	out.PSI, out.KL = s.linear(psi, 1), s.linear(kl, 2)
	out.JensenShannon = s.root(min(js/2/math.Ln2, 1), 8*math.Ln2)
	out.Hellinger = s.root(min(hellinger/2, 1), 8)
	out.TotalVariation = distance(min(variation/2, 1), noise/2, math.NaN())
	out.LInf = distance(worst, worstNoise, s.unionTail(ref, cur, worst))
	out.ChiSquare = merged(s, ref, cur, s.contingency, cell.pearson, s.k())
	return out, nil
}
