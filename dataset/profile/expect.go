package profile

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Check says what an Expectation asks.
type Check string

// The checks. Those of the first group look at each row and can name the ones
// that fail; the others look at the rows as a whole.
const (
	CheckRange  Check = "range"  // Numbers and times are within Min and Max.
	CheckSet    Check = "set"    // Values are among Values.
	CheckMatch  Check = "match"  // Texts match Pattern.
	CheckUnique Check = "unique" // No two rows have the same value, or combination of values.

	CheckType     Check = "type"     // The column is there, and of Type.
	CheckRows     Check = "rows"     // The number of rows is within Min and Max.
	CheckNulls    Check = "nulls"    // At most Share of the rows are null.
	CheckMean     Check = "mean"     // The mean is within Min and Max.
	CheckDistinct Check = "distinct" // The number of different values is within Min and Max.
	CheckFresh    Check = "fresh"    // The newest time is at most MaxAge old.
	CheckDrift    Check = "drift"    // Column.Drift from another version is at most Max.
)

// Expectation is one thing that the rows of a commit shall be. It is plain data:
// it goes into JSON and comes back the same. The functions of this package, such
// as Range and Unique, make the usual ones.
type Expectation struct {
	Check Check `json:"check"`
	// Column is what is looked at. The check of rows has none.
	Column string `json:"column,omitempty"`
	// And are further columns, whose values together with Column's are unique.
	And []string `json:"and,omitempty"`
	// Type is the Arrow type as it prints: "int64", "timestamp[us, tz=UTC]".
	Type string `json:"type,omitempty"`
	// Min and Max are inclusive; nil is no bound. Booleans are 0 and 1, dates and
	// timestamps Unix seconds. The default Max of a drift is 0.25.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// Values are the set. A column of numbers compares them as numbers.
	Values []string `json:"values,omitempty"`
	// Pattern is of Go's regexp package, and may match anywhere in the text:
	// ^ and $ tie it to the ends.
	Pattern string `json:"pattern,omitempty"`
	// Share is which part of the rows may fail, from 0 to 1. The default is none.
	// Of a check of nulls it is the part that may be null; elsewhere nulls are not
	// looked at.
	Share float64 `json:"share,omitempty"`
	// MaxAge is how old the newest time may be.
	MaxAge Duration `json:"maxAge,omitzero"`
	// Against names the version that a drift is from, in whatever way the keeper
	// of the versions names them; the default "" is the version before.
	Against string `json:"against,omitempty"`
	// Whole looks at the version as it is after the commit and not only at the
	// rows that come in. It goes with unique and the checks of the second group.
	Whole bool `json:"whole,omitempty"`
	// Warn reports a failure without stopping anything. The default is false.
	Warn bool `json:"warn,omitempty"`
}

// Range expects values from min to max. Use math.Inf for no bound.
func Range(column string, min, max float64) Expectation {
	return Expectation{Check: CheckRange, Column: column, Min: bound(min), Max: bound(max)}
}

// OneOf expects values of a set.
func OneOf(column string, values ...string) Expectation {
	return Expectation{Check: CheckSet, Column: column, Values: values}
}

// Match expects texts that a regular expression matches.
func Match(column, pattern string) Expectation {
	return Expectation{Check: CheckMatch, Column: column, Pattern: pattern}
}

// Unique expects that no two rows have the same values in all of the columns.
func Unique(column string, and ...string) Expectation {
	return Expectation{Check: CheckUnique, Column: column, And: and}
}

// OfType expects a column of a type, as Arrow prints it.
func OfType(column, typ string) Expectation {
	return Expectation{Check: CheckType, Column: column, Type: typ}
}

// Rows expects from min to max rows. Use math.Inf(1) for no upper bound.
func Rows(min, max float64) Expectation {
	return Expectation{Check: CheckRows, Min: bound(min), Max: bound(max)}
}

// Nulls expects that at most a share of the rows is null; 0 is none.
func Nulls(column string, share float64) Expectation {
	return Expectation{Check: CheckNulls, Column: column, Share: share}
}

// Mean expects a mean from min to max.
func Mean(column string, min, max float64) Expectation {
	return Expectation{Check: CheckMean, Column: column, Min: bound(min), Max: bound(max)}
}

// Distinct expects from min to max different values.
func Distinct(column string, min, max float64) Expectation {
	return Expectation{Check: CheckDistinct, Column: column, Min: bound(min), Max: bound(max)}
}

// Fresh expects that the newest time is at most maxAge old.
func Fresh(column string, maxAge time.Duration) Expectation {
	return Expectation{Check: CheckFresh, Column: column, MaxAge: Duration(maxAge)}
}

// Drift expects that the distribution has moved at most limit from the version
// before: 0.1 is a shift worth a look, 0.25 a large one.
func Drift(column string, limit float64) Expectation {
	return Expectation{Check: CheckDrift, Column: column, Max: bound(limit)}
}

func bound(v float64) *float64 {
	if math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// String says the expectation in words.
func (e Expectation) String() string {
	var b strings.Builder
	b.WriteString(string(e.Check))
	if e.Column != "" {
		fmt.Fprintf(&b, " of %q", e.Column)
	}
	for _, c := range e.And {
		fmt.Fprintf(&b, " and %q", c)
	}
	switch e.Check {
	case CheckType:
		b.WriteString(" is " + e.Type)
	case CheckSet:
		fmt.Fprintf(&b, " in %q", e.Values[:min(len(e.Values), 10)])
	case CheckMatch:
		b.WriteString(" " + e.Pattern)
	case CheckNulls:
		b.WriteString(" at most " + short(e.Share))
	case CheckFresh:
		b.WriteString(" within " + time.Duration(e.MaxAge).String())
	default:
		if e.Min != nil {
			b.WriteString(" from " + short(*e.Min))
		}
		if e.Max != nil {
			b.WriteString(" up to " + short(*e.Max))
		}
	}
	if e.Share > 0 && e.Check != CheckNulls {
		b.WriteString(", but for a share of " + short(e.Share))
	}
	if e.Whole {
		b.WriteString(", of the whole version")
	}
	return b.String()
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// bounded tells which checks take Min and Max.
func (e *Expectation) bounded() bool {
	switch e.Check {
	case CheckRange, CheckRows, CheckMean, CheckDistinct, CheckDrift:
		return true
	}
	return false
}

// byRow tells which checks look at each row, and take a Share.
func (e *Expectation) byRow() bool {
	switch e.Check {
	case CheckRange, CheckSet, CheckMatch, CheckUnique:
		return true
	}
	return false
}

// faults lists what is wrong with the expectation itself.
func (e *Expectation) faults(f *errs.Faults, what string) {
	known := []Check{CheckRange, CheckSet, CheckMatch, CheckUnique, CheckType, CheckRows, CheckNulls, CheckMean, CheckDistinct, CheckFresh, CheckDrift}
	if !slices.Contains(known, e.Check) {
		f.Addf("%s: check is %q, want one of %q", what, e.Check, known)
		return
	}
	only := func(set bool, field string, checks ...Check) {
		f.Check(!set || slices.Contains(checks, e.Check), "%s: a check of %s takes no %s", what, e.Check, field)
	}
	f.Check((e.Column == "") == (e.Check == CheckRows), "%s: column is %q", what, e.Column)
	only(len(e.And) > 0, "further columns", CheckUnique)
	only(e.Type != "", "type", CheckType)
	only(len(e.Values) > 0, "values", CheckSet)
	only(e.Pattern != "", "pattern", CheckMatch)
	only(e.MaxAge != 0, "max age", CheckFresh)
	only(e.Against != "", "version to compare with", CheckDrift)
	f.Check(e.bounded() || e.Min == nil && e.Max == nil, "%s: a check of %s takes no min and max", what, e.Check)
	f.Check(e.byRow() || e.Check == CheckNulls || e.Share == 0, "%s: a check of %s takes no share", what, e.Check)
	f.Check(e.Share >= 0 && e.Share <= 1, "%s: share is %v, want 0 to 1", what, e.Share)
	f.Check(!e.Whole || e.Check == CheckUnique || !e.byRow() && e.Check != CheckType, "%s: a check of %s is of the rows that come in: the others were checked when they came", what, e.Check)
	for _, v := range []*float64{e.Min, e.Max} {
		f.Check(v == nil || *v-*v == 0, "%s: a bound is not finite: leave it out", what)
	}
	f.Check(e.Min == nil || e.Max == nil || *e.Min <= *e.Max, "%s: min is above max", what)
	switch e.Check {
	case CheckRange, CheckRows, CheckMean, CheckDistinct:
		f.Check(e.Min != nil || e.Max != nil, "%s: neither min nor max", what)
	case CheckDrift:
		f.Check(e.Min == nil, "%s: a check of drift takes no min", what)
	case CheckType:
		f.Check(e.Type != "", "%s: no type", what)
	case CheckSet:
		f.Check(len(e.Values) > 0, "%s: no values", what)
	case CheckFresh:
		f.Check(e.MaxAge > 0, "%s: max age is %s, want more than 0", what, time.Duration(e.MaxAge))
	case CheckMatch:
		_, err := regexp.Compile(e.Pattern)
		f.Check(err == nil && e.Pattern != "", "%s: pattern %q: %v", what, e.Pattern, err)
	}
}

// ValidateExpectations lists everything that is wrong with expectations
// themselves, whatever the table; nil when nothing is.
func ValidateExpectations(list []Expectation) error {
	var f errs.Faults
	for i := range list {
		list[i].faults(&f, fmt.Sprintf("expectation %d", i+1))
	}
	return f.Err("profile: expectations")
}

// Duration is a time.Duration that JSON has as a text: "36h".
type Duration time.Duration

// MarshalJSON writes the form of time.Duration.String.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("profile: read duration: %v: %w", err, ErrInvalid)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("profile: read duration: %v: %w", err, ErrInvalid)
	}
	*d = Duration(v)
	return nil
}
