// Package drift measures how far a window of live data is from a reference,
// and how likely chance alone would have put it there.
//
// Everything is a pure function over counts: how many rows fell into each of
// the same bins, in the reference and in the window. Each measure returns a
// [Result]: the score, how large the effect is whatever the number of rows, the
// score that chance alone would give at these sample sizes, and where a law is
// known, the p-value. No number is enough by itself. On a large window
// everything is significant, on a small one every score is high: an alarm
// should need both a corrected p-value below its level and an effect above what
// matters in practice.
//
//	categories      PSI  KL  JensenShannon  Hellinger  TotalVariation  LInf
//	                ChiSquare  G  ChiSquareFit  GFit
//	ordered bins    also KolmogorovSmirnov  CramerVonMises  AndersonDarling
//	                MannWhitney  Wasserstein  Energy
//	two bins        Fisher  TwoProportions
//	moments         Student  Welch
//
// [All] computes what a monitor shows at once. [Method] names the measures for
// settings, and knows their practical limits, critical values and the window
// that an effect needs. [Permutation] finds the p-value of any of them.
// [BenjaminiHochberg], [BenjaminiYekutieli], [Holm] and [Bonferroni] correct the
// p-values of many features, [ChiSquareTail], [KolmogorovTail] and the others
// are the laws themselves, and [AUC] measures a model once labels have arrived.
//
// Below: monitor/drift/column has the tests of two columns of numbers,
// monitor/drift/stream the detectors of changes in a series,
// monitor/drift/multi those of many columns together, monitor/drift/estimate
// what a model is worth before labels arrive. docs/drift.md has what all of them
// find and miss.
//
// # Empty windows and empty bins
//
// Counts of different lengths, no bins at all, or no rows on one side are
// ErrInvalid: there is nothing to compare. A bin that is empty on both sides
// is left out. A bin that is empty on one side makes PSI and KL infinite;
// these two then add half a row to every bin on both sides and renormalise.
// All other measures are finite by definition and take the counts as they are.
// One bin is no drift: score 0, p-value 1.
//
// # Notation
//
// N and M are the rows of the reference and of the window, p and q their
// shares by bin, B the bins that are not empty on both sides, F and G the
// cumulative shares, and k = N*M/(N+M). Two samples of one population make
// k*PSI, 2k*KL, 8k*JS and 8k*H^2 follow a chi-square law with B-1 degrees of
// freedom (all four are the same quadratic form to second order); it holds
// from about ten rows a bin, and errs towards silence below.
package drift
