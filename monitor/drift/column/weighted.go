package column

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// WassersteinWeighted is the distance of order 1 of two columns whose values
// have weights, divided by scale: the area between the two cumulative shares
// (Vallender 1974). Weights are not negative, one a value, with a finite sum
// above 0; else, or when a value is no finite number, it returns ErrInvalid.
func WassersteinWeighted(ref, refWeights, cur, curWeights []float64, scale float64) (float64, error) {
	return weighted("wasserstein", ref, refWeights, cur, curWeights, scale, func(gap, width float64) float64 {
		return math.Abs(gap) * width
	})
}

// EnergyWeighted is the energy distance of such columns, the square root of
// twice the area of (F-G)^2, of values divided by scale (Székely 2003).
func EnergyWeighted(ref, refWeights, cur, curWeights []float64, scale float64) (float64, error) {
	sum, err := weighted("energy", ref, refWeights, cur, curWeights, scale, func(gap, width float64) float64 {
		return 2 * gap * gap * width
	})
	return math.Sqrt(sum), err
}

type heavy struct{ value, ref, cur float64 }

func weighted(op string, ref, refWeights, cur, curWeights []float64, scale float64, area func(gap, width float64) float64) (float64, error) {
	var rows []heavy
	totals := [2]float64{}
	for side, c := range [][2][]float64{{ref, refWeights}, {cur, curWeights}} {
		if len(c[0]) != len(c[1]) {
			return 0, fmt.Errorf("drift: %s: %d values and %d weights: %w", op, len(c[0]), len(c[1]), ErrInvalid)
		}
		for i, v := range c[0] {
			w := c[1][i]
			if v-v != 0 || !(w >= 0) {
				return 0, fmt.Errorf("drift: %s: value %g with weight %g: %w", op, v, w, ErrInvalid)
			}
			row := heavy{value: v, ref: w}
			if side == 1 {
				row = heavy{value: v, cur: w}
			}
			rows = append(rows, row)
			totals[side] += w
		}
	}
	if !(totals[0] > 0) || !(totals[1] > 0) || math.IsInf(totals[0]+totals[1], 0) {
		return 0, fmt.Errorf("drift: %s: weights of %g and %g in all, want some of both: %w", op, totals[0], totals[1], ErrInvalid)
	}
	if !(scale > 0) {
		scale = 1
	}
	slices.SortFunc(rows, func(a, b heavy) int { return cmp.Compare(a.value, b.value) })
	var f, g, sum float64
	for i, r := range rows[:len(rows)-1] {
		f += r.ref / totals[0]
		g += r.cur / totals[1]
		sum += area(f-g, rows[i+1].value/scale-r.value/scale)
	}
	return sum, nil
}
