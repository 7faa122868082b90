// Package multi finds drift of many columns together: a change of how they go
// with each other that no single column shows.
//
//	PCA         what a row has outside of the main directions of the reference
//	Fourier     MMD by random features: sums that merge, with a closed law
//	MMD         MMD of two samples of rows, with a permutation test
//	Classifier  how well a model tells the window from the reference, and by what
//
// PCA and Fourier are fitted once to the reference and can be stored as JSON
// beside it; then a window is a few sums that replicas add up. MMD and Classify
// take rows of both sides.
//
// All are for a sample of the rows off the hot path: one row in 16 loses
// little, as their power grows with the root of the rows.
//
// # Values that are no numbers
//
// A NaN or an infinity counts as the mean of its column in the reference, so
// missing values are no drift here: count those by themselves. A column without
// variance in the reference is left in its units. Rows of different lengths,
// and no rows, are ErrInvalid.
package multi
