package multi

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid marks rows that cannot be compared.
var ErrInvalid = errs.ErrInvalid

// Scale brings columns to mean 0 and standard deviation 1.
type Scale struct {
	Mean      []float64 `json:"mean"`
	Deviation []float64 `json:"deviation"`
}

// furthest is how many standard deviations a value may be away: beyond that,
// squares would overflow.
const furthest = 1e100

// FitScale returns the scale of the rows. The deviation is that of the rows
// themselves (with n in the denominator), and 1 for a constant.
func FitScale(rows [][]float64) (Scale, error) {
	if err := check("scale", rows, 0); err != nil {
		return Scale{}, err
	}
	cols := len(rows[0])
	s := Scale{make([]float64, cols), make([]float64, cols)}
	for j := range cols {
		n, first, sum, square := 0.0, 0.0, 0.0, 0.0
		for pass := range 2 {
			for _, r := range rows {
				v := min(max(r[j], -furthest), furthest)
				switch {
				case r[j]-r[j] != 0:
				case pass == 1:
					square += (v - s.Mean[j]) * (v - s.Mean[j])
				default:
					if n++; n == 1 {
						first = v
					}
					sum += v - first // A constant has no variance then.
				}
			}
			if pass == 0 && n > 0 {
				s.Mean[j] = first + sum/n
			}
		}
		if s.Deviation[j] = math.Sqrt(square / max(n, 1)); s.Deviation[j] == 0 {
			s.Deviation[j] = 1
		}
	}
	return s, nil
}

// Apply writes the scaled row to out, which must be as long, and returns it.
func (s Scale) Apply(row, out []float64) []float64 {
	for j, v := range row {
		if v-v != 0 {
			out[j] = 0
			continue
		}
		out[j] = min(max((v-s.Mean[j])/s.Deviation[j], -furthest), furthest)
	}
	return out
}

// valid says whether a scale of so many columns can have been fitted.
func (s Scale) valid(cols int) bool {
	if cols == 0 || len(s.Mean) != cols || len(s.Deviation) != cols {
		return false
	}
	for j, m := range s.Mean {
		if d := s.Deviation[j]; m-m != 0 || !(d > 0) || math.IsInf(d, 1) {
			return false
		}
	}
	return true
}

// check wants rows of cols numbers, or of any one length for 0.
func check(op string, rows [][]float64, cols int) error {
	if len(rows) == 0 {
		return fmt.Errorf("multi: %s: no rows: %w", op, ErrInvalid)
	}
	if cols == 0 {
		cols = len(rows[0])
	}
	for i, r := range rows {
		if len(r) != cols || cols == 0 {
			return fmt.Errorf("multi: %s: row %d has %d columns, want %d: %w", op, i, len(r), max(cols, 1), ErrInvalid)
		}
	}
	return nil
}
