// Package stream finds changes in a series of numbers while it arrives: an
// error bit a prediction, a loss, the mean of a window, a share.
//
// Every detector takes one value after the other and answers with a [State]:
//
//	any number   ADWIN  PageHinkley  CUSUM  KSWIN
//	error bits   DDM  EDDM  HDDMA  HDDMW
//
// A detector is for a series; the tests of package drift are for two samples.
// It finds a change soon after it happened, without being told where to look,
// and pays with false alarms that only its own settings bound: the defaults are
// those of the River library, whose decisions these repeat value by value.
//
// Memory is bounded: a few numbers, for ADWIN some hundred for any length of
// the series, for KSWIN its window. Update does not allocate once the detector
// has grown.
//
// # Restarts
//
// A detector is JSON (encoding/json writes it, [Restore] reads it): a restored
// one gives the answers that the first would have given.
//
// # Values that are no numbers
//
// A NaN or an infinity is left out: the state stays what it was, or is Stable
// after a drift. Numbers beyond 1e150 count as 1e150. To DDM and EDDM anything
// but 0 is an error; HDDMA and HDDMW take numbers from 0 to 1 and cut off the
// others.
//
// After Drift a detector starts anew with the next value: what it knew is of
// the time before the change.
package stream
