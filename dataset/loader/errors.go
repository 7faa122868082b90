package loader

import "github.com/millwright-ml/millwright/internal/errs"

// The kinds of errors of this package, for errors.Is. Errors of the dataset
// come through as they are.
var (
	// ErrInvalid: an option, a rank or a token is not acceptable; the text lists
	// every fault.
	ErrInvalid = errs.ErrInvalid
	// ErrConflict: a token belongs to another version or to other settings.
	ErrConflict = errs.ErrConflict
	// ErrUnsupported: a column has a type whose rows cannot be shuffled.
	ErrUnsupported = errs.ErrUnsupported
)
