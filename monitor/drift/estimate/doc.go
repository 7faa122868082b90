// Package estimate says how good a classifier probably is before labels
// arrive, and how far to trust such a number.
//
// Confidence-based performance estimation (CBPE, as NannyML has it) takes the
// model at its word: of predictions with probability 0.8, eight in ten are
// right, if the probabilities are calibrated. So the expected confusion matrix
// of a window is a sum over its probabilities, and every metric of that matrix
// follows. [CBPE] keeps the sums, which add up over replicas and windows.
//
//	calibrated?    ECE  NeedsCalibration
//	make it so     FitIsotonic, on rows that the model was not trained on
//	estimate       CBPE.Add, CBPE.Confusion, CBPE.AUC
//	how certain    Confusion.StandardError, AUCStandardError, Bounds
//
// The estimate follows a change of the inputs. It is blind to a change of what
// the inputs mean (concept drift): only labels show that.
//
// # Values that are no numbers
//
// A probability that is NaN is counted in CBPE.Left and else left out; one
// outside of 0 to 1 is cut off. A metric whose denominator is 0 is NaN.
package estimate
