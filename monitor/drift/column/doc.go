// Package column compares two columns of numbers: the tests and distances of
// package drift, on the values themselves instead of on counts.
//
// Both columns are put on one grid of their distinct values, where the measures
// of package drift are exact, and so the definitions, the scores and the laws
// are the same ones. A monitor keeps counts, because they are small, merge and
// subtract; columns are for a notebook, a gate in a build, and a window that is
// too small for bins.
//
//	order only   KolmogorovSmirnov  CramerVonMises  AndersonDarling  MannWhitney
//	distances    Wasserstein  Energy
//	means        Student  Welch
//	any change   EppsSingleton
//	bins         Bin makes counts for PSI, ChiSquare and the others
//
// # Values that are no numbers, and none at all
//
// A NaN is a missing value and left out; Bin counts them. Infinities are the
// lowest and the highest value to the tests that know only the order; where
// values are subtracted they are ErrInvalid. A column without values is
// ErrInvalid. Two constant columns with one value are no drift: score 0,
// p-value 1. Values up to the largest float64 do not overflow.
package column
