package dataset

import (
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Side is one of the two sides of a merge.
type Side string

// The sides of a merge: the branch that takes the changes, and the version that
// they come from.
const (
	Ours   Side = "ours"
	Theirs Side = "theirs"
)

const (
	defaultConflicts = 100
	maxConflicts     = 100_000
)

// MergeOptions say how two lines of versions are brought together.
type MergeOptions struct {
	// Key names the columns that tell rows apart, without repeats in any
	// version. With a key, changes of the same file are merged row by row, and
	// rows that both sides added or changed are found wherever they are. The
	// default is no key: files are merged whole, and a file that both sides
	// replaced is a conflict.
	Key []string
	// Prefer decides the rows that both sides changed differently. The default
	// "" makes them a *MergeConflict.
	Prefer Side
	// Cells merges a row that both sides changed column by column. A column that
	// both changed differently is still a conflict. It needs a Key.
	Cells bool
	// Commit describes the version that the merge makes. The default is a message
	// that names both sides.
	Commit *CommitOptions
	// MaxConflicts is how many conflicting rows a *MergeConflict lists, at most
	// 100000. The default is 100.
	MaxConflicts int
	// Memory is how many bytes of rows are held to sort them. More goes to
	// temporary files. A quarter more holds the rows that change. The default is 256 MiB, the least 8 MiB.
	Memory int64
	// TempDir is where the temporary files go, as they are: not encrypted. The
	// default is the system's folder for them.
	TempDir string
}

func (o *MergeOptions) resolve(subject string) (MergeOptions, error) {
	var out MergeOptions
	if o != nil {
		out = *o
	}
	var f errs.Faults
	f.Check(out.Prefer == "" || out.Prefer == Ours || out.Prefer == Theirs, "prefer is %q, want %q, %q or nothing", out.Prefer, Ours, Theirs)
	f.Check(!out.Cells || len(out.Key) > 0, "cells cannot be merged without a key")
	f.Check(out.MaxConflicts >= 0 && out.MaxConflicts <= maxConflicts, "max conflicts are %d, want at most %d", out.MaxConflicts, maxConflicts)
	if out.MaxConflicts == 0 {
		out.MaxConflicts = defaultConflicts
	}
	if out.Memory == 0 {
		out.Memory = defaultSortMemory
	}
	f.Check(out.Memory >= leastSortMemory, "memory is %d bytes, want at least %d", out.Memory, leastSortMemory)
	return out, f.Err(subject)
}

// MergeConflict reports changes of both sides that do not go together. It is an
// ErrConflict, and nothing was committed.
type MergeConflict struct {
	Dataset string
	// Base, Ours and Theirs name the versions: the common ancestor and the two
	// sides.
	Base, Ours, Theirs string
	// Columns says, a sentence each, which columns both sides changed.
	Columns []string
	// Files are the files of the common ancestor that both sides replaced. They
	// are a conflict only without a key.
	Files []string
	// Count is the number of rows that both sides changed differently, and Rows
	// the first of them by key.
	Count int64
	Rows  []RowConflict
}

// RowConflict is one row that both sides changed differently. The values are
// as JSON shows them; those of a row are in the order of the columns.
type RowConflict struct {
	Key                []any
	Base, Ours, Theirs []any // nil where the side does not have the row.
}

// Error says what is in conflict and what may help.
func (e *MergeConflict) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dataset: merge %s into %s of %q, from %s on: ", e.Theirs, e.Ours, e.Dataset, e.Base)
	switch {
	case len(e.Columns) > 0:
		b.WriteString(strings.Join(e.Columns, "; "))
	case len(e.Rows) > 0:
		fmt.Fprintf(&b, "both sides changed %d rows, the first with the key %v: set Prefer to decide", e.Count, e.Rows[0].Key)
	default:
		fmt.Fprintf(&b, "both sides replaced %d files, the first %s: name a Key to merge them row by row", len(e.Files), e.Files[0])
	}
	b.WriteString(": conflict")
	return b.String()
}

// Is reports that a MergeConflict is an ErrConflict.
func (e *MergeConflict) Is(target error) bool { return target == ErrConflict }
