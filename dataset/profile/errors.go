package profile

import "github.com/millwright-ml/millwright/internal/errs"

var (
	// ErrInvalid marks a value that cannot be used: a damaged profile, or two
	// summaries that cannot be combined.
	ErrInvalid = errs.ErrInvalid
	// ErrUnsupported marks a profile written by a newer version of the library.
	ErrUnsupported = errs.ErrUnsupported
)

// maxRows bounds every counter read from outside, so that sums of counters
// neither wrap around nor lose a unit when they become a float64.
const maxRows = 1 << 53
