// Package profile summarises columns of data so that two moments in time can
// be compared without keeping the data.
//
// # A dataset's profile
//
// A [Column] is a streaming summary: feed it values, ask it for its range,
// moments, quantiles, distinct values and most frequent categories. It holds
// a bounded amount of memory however long the stream is, and columns of parts
// of a dataset merge into the column of the whole. A [Table] names the
// columns of one dataset version.
//
// A Column is exact while it has seen few different values (64 numbers, 1024
// categories) and estimates from there on, with these errors:
//
//   - Quantile: the rank of the answer is off by at most some 0.1 % of the rows
//     (the tests hold it below 0.2 %), at any length of the stream.
//   - Distinct: 1.6 % standard error.
//   - Top: each count is at most rows/513 too low ([Column.TopError] says how
//     much at most), and no value more frequent than that is missing.
//   - Counts, Min and Max are always exact; Mean and Variance are exact up to
//     rounding.
//
// Nothing in here draws random numbers: the same values in the same order give
// the same bytes on every machine.
//
// # A model's reference
//
// [Column.Bins] fixes a partition of one feature: 64 quantile bins, one bin a
// value where there are few, or one bin a category. [Bins] then holds exact
// integer counts over it, at a few nanoseconds a value, and two Bins of one
// layout merge and subtract exactly. A [Reference] is one Bins for each input
// of a model, counted on rows the model was not trained on; it travels with
// the model version, and a monitor counts live traffic over the same bins.
//
// All types are plain values: no goroutine, nothing to close. They are not
// safe for concurrent writes; concurrent reads are fine.
package profile
