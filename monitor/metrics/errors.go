package metrics

import "github.com/millwright-ml/millwright/internal/errs"

// ErrInvalid marks counts that do not belong together.
var ErrInvalid = errs.ErrInvalid
