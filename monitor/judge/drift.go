package judge

import (
	"math"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Inputs are the columns of a reference of scores, for [profile.NewBuilder]: one
// number a scorer. A monitor with such a reference is an Online's Observer.
func Inputs(scorers []Scorer) []profile.Input {
	out := make([]profile.Input, len(scorers))
	for i, s := range scorers {
		out[i] = profile.Input{Name: s.Name(), Kind: profile.Numeric}
	}
	return out
}

// Record is the result as a row of the reference.
func (r *Result) Record() *profile.Record {
	row := r.row()
	return &profile.Record{Numbers: row, Score: row[0], Outcome: math.NaN()}
}

// row is the values of the scorers, NaN where there is none.
func (r *Result) row() []float64 {
	row := make([]float64, len(r.Scores))
	for i := range r.Scores {
		row[i] = r.Scores[i].Value
		if r.Scores[i].Err != nil {
			row[i] = math.NaN()
		}
	}
	return row
}
