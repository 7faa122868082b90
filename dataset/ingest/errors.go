package ingest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors of this package, for errors.Is.
var (
	// ErrNotFound: no file matches.
	ErrNotFound = errs.ErrNotFound
	// ErrInvalid: an option, a file or a value in it cannot be used; the text
	// lists every fault.
	ErrInvalid = errs.ErrInvalid
	// ErrUnsupported: the file is sound, and of a format or a type that is not
	// read.
	ErrUnsupported = errs.ErrUnsupported
)

// RowError is a row that cannot be read. It is an ErrInvalid.
type RowError struct {
	File   string
	Row    int64  // Counted from 1 in its file, without the header.
	Line   int64  // Where the row starts, counted from 1; 0 in binary files.
	Column string // "" when the row as a whole is at fault.
	Value  string // The start of the value as it stands in the file; may be "".
	Reason string
}

// Error names the place, the value and what is wrong with it.
func (e *RowError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ingest: read %q: row %d", e.File, e.Row)
	if e.Line > 0 {
		fmt.Fprintf(&b, " (line %d)", e.Line)
	}
	if e.Column != "" {
		fmt.Fprintf(&b, ", column %q", e.Column)
	}
	b.WriteString(": ")
	if e.Value != "" {
		b.WriteString(strconv.Quote(e.Value))
		b.WriteByte(' ')
	}
	b.WriteString(e.Reason)
	b.WriteString(": invalid")
	return b.String()
}

// Is reports that a RowError is an ErrInvalid.
func (e *RowError) Is(target error) bool { return target == ErrInvalid }

// maxValueText is how much of a value an error shows.
const maxValueText = 64

// excerpt is the start of a value, for an error.
func excerpt(b []byte) string {
	if len(b) <= maxValueText {
		return string(b)
	}
	cut := maxValueText
	for cut > maxValueText-utf8.UTFMax && !utf8.RuneStart(b[cut]) {
		cut--
	}
	return string(b[:cut]) + "…"
}
