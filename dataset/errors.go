package dataset

import (
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors of this package, for errors.Is.
var (
	// ErrNotFound: there is no such dataset, version or digest.
	ErrNotFound = errs.ErrNotFound
	// ErrExists: Create met a dataset of that name.
	ErrExists = errs.ErrExists
	// ErrConflict: an idempotent producer asked for an older write that the
	// table does not have.
	ErrConflict = errs.ErrConflict
	// ErrInvalid: an argument, a schema, the rows, or a foreign file are not
	// acceptable; the text lists every fault.
	ErrInvalid = errs.ErrInvalid
	// ErrUnavailable: the store failed and the commit may or may not have
	// landed; an Append with App and AppVersion can be repeated safely.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the table uses a Delta feature, or holds files of another
	// writer, that this package does not read.
	ErrUnsupported = errs.ErrUnsupported
)

// SchemaError reports records that do not fit the table: wrong, missing or
// additional columns, or values that a column does not take. It is an
// ErrInvalid, and nothing was committed.
type SchemaError struct {
	Dataset    string
	Violations []string // One sentence a fault.
}

// Error lists every violation.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("dataset: append to %q: the records do not fit the table: %s: invalid", e.Dataset, strings.Join(e.Violations, "; "))
}

// Is reports that a SchemaError is an ErrInvalid.
func (e *SchemaError) Is(target error) bool { return target == ErrInvalid }

// CorruptError reports a data file that is not the one that was committed. The
// rows before it were delivered; of its own none were when it is read whole, and
// else those of the row groups before the damaged part.
type CorruptError struct {
	Dataset string
	Version int64
	Path    string // The file, relative to the dataset's folder.
	Part    string // What of it was read ("bytes 4 to 900"); "" for the whole file.
	Want    string // SHA-256 that was committed, in hex.
	Have    string // SHA-256 of what is there, in hex; "" when nothing is.
	Err     error  // Why there is nothing; fs.ErrNotExist for a missing file.
}

// Error names the file, both digests and the likely cause.
func (e *CorruptError) Error() string {
	if e.Have == "" {
		return fmt.Sprintf("dataset: read %q version %d: file %s (sha256 %s) is gone: it was deleted, or moved by a cleanup of the store: %v", e.Dataset, e.Version, e.Path, e.Want, e.Err)
	}
	part := ""
	if e.Part != "" {
		part = ", " + e.Part + ","
	}
	return fmt.Sprintf("dataset: read %q version %d: file %s%s has sha256 %s, want %s: the file was damaged or replaced after it was committed", e.Dataset, e.Version, e.Path, part, e.Have, e.Want)
}

// Unwrap gives the error of the store, nil when the file could be read.
func (e *CorruptError) Unwrap() error { return e.Err }

// ConflictError reports that another writer was faster: what a commit was
// computed from is not there any more. Nothing was committed; the operation can
// be repeated on the newest version. It is an ErrConflict.
type ConflictError struct {
	Dataset   string
	Branch    string
	Operation string   // Of the commit that was refused, in Delta's words.
	Version   int64    // The newest version, which the commit does not fit.
	Reason    string   // What is different.
	Files     []string // Files that were replaced or removed meanwhile.
}

// Error says what stands in the way, and names the first files.
func (e *ConflictError) Error() string {
	files := ""
	if n := len(e.Files); n > 0 {
		files = fmt.Sprintf(" (%s", e.Files[0])
		if n > 1 {
			files += fmt.Sprintf(" and %d more", n-1)
		}
		files += ")"
	}
	return fmt.Sprintf("dataset: %s on %q branch %q, now at version %d: %s%s: conflict", e.Operation, e.Dataset, e.Branch, e.Version, e.Reason, files)
}

// Is reports that a ConflictError is an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
