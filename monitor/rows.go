package monitor

import (
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Rows are some of the rows that a monitor has counted, on their way to a
// RowLog. What they point to is borrowed, but for the reference.
type Rows struct {
	// Model and Version are those that the rows were counted for.
	Model, Version string
	// Time is when the first of the rows was observed, about.
	Time time.Time
	// Reference says what the slots of a row are. It must not be changed.
	Reference *profile.Reference
	// Values holds the rows one after the other, a number for each feature of the
	// reference: a category is its code, one more than the last code where the
	// reference does not name it, and NaN is a missing value.
	Values []float64
	// Scores and IDs have one for each row.
	Scores []float64
	IDs    []ID
}

// RowLog keeps the rows that a monitor has counted. Package monitor/inferlog has
// one.
type RowLog interface {
	// LogRows takes each row once, after it was counted, from one goroutine at a
	// time. It copies what it keeps. While it waits, the monitor goes on counting
	// until some thousand rows wait for it; then Observe does.
	LogRows(Rows)
}
