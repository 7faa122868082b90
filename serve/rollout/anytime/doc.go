// Package anytime has the statistics of tests that are looked at while they
// run. A p-value may be read once, at a sample size that was fixed before: read
// it after each batch of requests and one comparison in three of two equal
// models comes out "significant". What is in this package holds at every moment
// at once, so that a test may be watched, stopped and acted on at any time.
//
// # E-values
//
// An e-process is a number that starts at 1 and, while the hypothesis that it
// tests is true, is at every stopping time at most 1 on average. By Ville's
// inequality the probability that it ever reaches 1/α is at most α: a test
// rejects when it does. [RateTest] compares two rates (errors, requests slower
// than a threshold, wrong answers), [MeansLogE] two means of bounded values,
// [MSPRT] two means of many values. Logarithms are natural.
//
// # Confidence sequences
//
// A confidence sequence is an interval for each sample size, all of which
// together hold what they bound with probability 1-α: [RateBounds] of a rate,
// [MeanBounds] of a mean, [RankBounds] of a quantile.
//
// # Sufficient statistics
//
// All is computed from sums that add up ([Counts], [Moments], the counts of a
// histogram): several processes that see parts of the traffic merge theirs and
// get what one process would have got.
//
// # What is assumed
//
// Requests are independent of each other, and which side a request went to has
// nothing to do with it. One user who sends thousands of requests that all fail
// is one observation, not thousands.
package anytime
