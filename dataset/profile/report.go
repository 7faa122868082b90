package profile

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Report is what a Checker found. It goes into JSON and comes back the same.
type Report struct {
	Rows uint64 `json:"rows"`
	// Passed is false when an expectation failed that was not a mere warning.
	Passed  bool     `json:"passed"`
	Results []Result `json:"results"` // In the order of the expectations.
}

// Result is what became of one expectation.
type Result struct {
	Expectation Expectation `json:"expectation"`
	Passed      bool        `json:"passed"`
	// Checked and Failed count rows, of the checks that look at each.
	Checked uint64 `json:"checked,omitempty"`
	Failed  uint64 `json:"failed,omitempty"`
	// Observed is what was measured: the share of rows that failed or were null,
	// the rows, the mean, the different values, the age in seconds, the drift. It
	// is nil where there was nothing to measure.
	Observed *float64 `json:"observed,omitempty"`
	// Reason says in words why it failed, or why there was nothing to measure.
	Reason   string    `json:"reason,omitempty"`
	Examples []Example `json:"examples,omitempty"`
}

// Example is a row that failed.
type Example struct {
	Row   uint64 `json:"row"` // Of the rows that came in, from 0.
	Value string `json:"value"`
}

// Failures are the results that stop a commit.
func (r *Report) Failures() []Result {
	var out []Result
	for _, x := range r.Results {
		if !x.Passed && !x.Expectation.Warn {
			out = append(out, x)
		}
	}
	return out
}

// String says what failed, with examples; a report that passed says so.
func (r *Report) String() string {
	failed := r.Failures()
	if len(failed) == 0 {
		return fmt.Sprintf("all %d expectations hold for %d rows", len(r.Results), r.Rows)
	}
	parts := make([]string, len(failed))
	for i, x := range failed {
		parts[i] = x.String()
	}
	return strings.Join(parts, "; ")
}

// String says the expectation, what was found, and examples.
func (x Result) String() string {
	var b strings.Builder
	b.WriteString(x.Expectation.String())
	b.WriteString(": ")
	b.WriteString(x.Reason)
	for i, e := range x.Examples {
		if i == 0 {
			b.WriteString(", such as ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q in row %d", e.Value, e.Row)
	}
	return b.String()
}

// Finish ends the check. t is the profile of the rows that were added; it gives
// the means, the different values, the newest times and the distributions.
func (c *Checker) Finish(t *Table) (*Report, error) {
	if c.o.Now.IsZero() {
		c.o.Now = time.Now()
	}
	whole := t
	for _, r := range c.rules {
		if r.Whole && c.o.Before != nil && whole == t {
			whole = &Table{}
			for _, part := range []*Table{c.o.Before, t} {
				if err := whole.Merge(part); err != nil {
					return nil, err
				}
			}
		}
	}
	report := &Report{Rows: t.Rows, Passed: true, Results: make([]Result, len(c.rules))}
	for i, r := range c.rules {
		of := t
		if r.Whole {
			of = whole
		}
		if err := r.finish(c, of, whole); err != nil {
			return nil, err
		}
		report.Results[i] = r.result
		report.Passed = report.Passed && (r.result.Passed || r.Warn)
	}
	return report, nil
}

func (r *rule) finish(c *Checker, of, whole *Table) error {
	switch {
	case r.wrong != "":
		r.result.Reason = r.wrong
	case r.Check == CheckType:
		r.result.Passed = true
	case r.Check == CheckRows:
		r.within(float64(of.Rows), "there are %s rows")
	case r.Check == CheckNulls:
		r.share(r.nullCounts(c, of))
	case r.byRow():
		if err := r.repeats(c); err != nil {
			return err
		}
		r.share(r.result.Failed, r.result.Checked, "%d of %d rows fail")
	default:
		column := of.Column(r.Column)
		if column == nil || column.Rows() == column.Nulls() {
			// Nothing came in that could be wrong. Rows and nulls say whether that
			// is.
			r.result.Passed, r.result.Reason = true, "there are no values"
			return nil
		}
		return r.measure(c, column)
	}
	return nil
}

// repeats counts the rows whose keys are found to have come before only now, on
// disk. Their values are not there any more.
func (r *rule) repeats(c *Checker) error {
	if r.keys == nil {
		return nil
	}
	var rows []int64
	err := r.keys.finish(func(row int64) {
		r.result.Failed++
		rows = append(rows, row)
		if len(rows) > 2*max(c.o.Examples, 1) { // The first ones will do.
			slices.Sort(rows)
			rows = rows[:max(c.o.Examples, 1)]
		}
	})
	slices.Sort(rows)
	for _, row := range rows {
		if len(r.result.Examples) < c.o.Examples {
			r.result.Examples = append(r.result.Examples, Example{Row: uint64(row), Value: "the key of an earlier row"})
		}
	}
	return err
}

func (r *rule) nullCounts(c *Checker, of *Table) (nulls, rows uint64, text string) {
	text = "%d of %d rows are null"
	if column := of.Column(r.Column); r.Whole && column != nil {
		return column.Nulls(), column.Rows(), text
	}
	return r.nulls, c.rows, text
}

// share passes when at most the share allowed of the rows failed.
func (r *rule) share(failed, rows uint64, text string) {
	observed := 0.0
	if rows > 0 {
		observed = float64(failed) / float64(rows)
	}
	r.result.Observed = &observed
	if r.result.Passed = failed == 0 || observed <= r.Share; !r.result.Passed {
		r.result.Reason = fmt.Sprintf(text, failed, rows)
	}
}

// within passes when the number is inside Min and Max.
func (r *rule) within(v float64, text string) {
	if v-v == 0 { // JSON has no other numbers.
		r.result.Observed = &v
	}
	if r.result.Passed = (r.Min == nil || v >= *r.Min) && (r.Max == nil || v <= *r.Max); !r.result.Passed {
		r.result.Reason = fmt.Sprintf(text, short(v))
	}
}

func (r *rule) measure(c *Checker, column *Column) error {
	switch r.Check {
	case CheckMean:
		r.within(column.Mean(), "the mean is %s")
	case CheckDistinct:
		r.within(float64(column.Distinct()), "there are %s different values")
	case CheckFresh:
		newest := column.Max()
		age := float64(c.o.Now.UnixMilli())/1e3 - newest
		r.result.Observed = &age
		if r.result.Passed = age <= time.Duration(r.MaxAge).Seconds(); !r.result.Passed {
			r.result.Reason = "the newest is of " + time.Unix(int64(math.Floor(newest)), 0).UTC().Format(time.RFC3339)
		}
	case CheckDrift:
		return r.drift(c, column)
	}
	return nil
}

// defaultDrift is the usual limit for a large shift.
const defaultDrift = 0.25

func (r *rule) drift(c *Checker, column *Column) error {
	var reference *Column
	if c.o.Reference != nil {
		t, err := c.o.Reference(r.Against)
		if err != nil {
			return fmt.Errorf("profile: check %s: %w", r.Expectation, err)
		}
		if t != nil {
			reference = t.Column(r.Column)
		}
	}
	if reference == nil || reference.Rows() == 0 {
		r.result.Passed, r.result.Reason = true, "there is nothing to compare with"
		return nil
	}
	limit := defaultDrift
	if r.Max != nil {
		limit = *r.Max
	}
	drift := column.Drift(reference)
	if drift-drift == 0 {
		r.result.Observed = &drift
	}
	if r.result.Passed = drift <= limit; !r.result.Passed {
		r.result.Reason = fmt.Sprintf("the distribution has moved by %s", short(drift))
		if math.IsInf(drift, 1) {
			r.result.Reason = fmt.Sprintf("the column is %s, and was %s", column.Kind(), reference.Kind())
		}
	}
	return nil
}

// maxReport bounds what is read as a report.
const maxReport = 16 << 20

// ParseReport reads a report that was kept as JSON.
func ParseReport(data []byte) (*Report, error) {
	if len(data) > maxReport {
		return nil, fmt.Errorf("profile: read report: %d bytes, want at most %d: %w", len(data), maxReport, ErrInvalid)
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("profile: read report: %v: %w", err, ErrInvalid)
	}
	var f errs.Faults
	for i, x := range r.Results {
		x.Expectation.faults(&f, fmt.Sprintf("result %d", i+1))
		f.Check(x.Failed <= x.Checked, "result %d: more rows failed than were checked", i+1)
	}
	if err := f.Err("profile: read report"); err != nil {
		return nil, err
	}
	return &r, nil
}
