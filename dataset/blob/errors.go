package blob

import "github.com/millwright-ml/millwright/internal/errs"

// Errors of the optional operations, beside those of package fs.
var (
	// ErrConflict is a lost [Swap]: the object is not the expected one any more.
	ErrConflict = errs.ErrConflict
	// ErrUnsupported is an operation that the store does not have.
	ErrUnsupported = errs.ErrUnsupported
)
