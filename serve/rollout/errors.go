package rollout

import "github.com/millwright-ml/millwright/internal/errs"

// The kinds of error this package returns; test with errors.Is.
var (
	// ErrInvalid: an experiment that is wrong, or a state that is damaged.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: a Store has no state of that name; no such guard or version.
	ErrNotFound = errs.ErrNotFound
	// ErrConflict: a Store's state was changed by another replica, or the
	// replicas run different experiments under one name.
	ErrConflict = errs.ErrConflict
)
