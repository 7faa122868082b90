package monitor

import "github.com/millwright-ml/millwright/internal/errs"

var (
	// ErrInvalid marks a reference, an option or a comparison that cannot be
	// used, and the cut of a window without a row.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound marks a window that never was or is no longer kept.
	ErrNotFound = errs.ErrNotFound
	// ErrConflict marks a state of another reference than the monitor's.
	ErrConflict = errs.ErrConflict
	// ErrClosed marks a call after Shutdown.
	ErrClosed = errs.ErrClosed
)
