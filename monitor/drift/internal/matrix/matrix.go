// Package matrix holds the little linear algebra that drift detection needs.
package matrix

import (
	"slices"
)

// Dense is a matrix by rows.
type Dense struct {
	Rows, Cols int
	Data       []float64
}

// New returns a matrix of zeros.
func New(rows, cols int) Dense {
	return Dense{rows, cols, make([]float64, rows*cols)}
}

// At returns one element.
func (d Dense) At(i, j int) float64 { return d.Data[i*d.Cols+j] }

// Set sets one element.
func (d Dense) Set(i, j int, v float64) { d.Data[i*d.Cols+j] = v }

// Row returns one row, which is part of the matrix.
func (d Dense) Row(i int) []float64 { return d.Data[i*d.Cols : (i+1)*d.Cols] }

// Clone returns a copy.
func (d Dense) Clone() Dense { return Dense{d.Rows, d.Cols, slices.Clone(d.Data)} }
