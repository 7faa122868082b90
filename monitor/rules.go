package monitor

import (
	"fmt"
	"math"
	"strconv"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// noiseErrors is how many standard errors of counting a limit allows for: on
// clean data one in 30,000 looks exceeds them.
const noiseErrors = 4

// allowance is the rise of a share that chance explains when n of N reference
// rows had the property and the window has m rows. One row more on both sides
// keeps it above zero where the reference had none (Agresti and Coull 1998).
func allowance(n, refRows, rows uint64) float64 {
	share := float64(n+1) / float64(refRows+2)
	return noiseErrors * math.Sqrt(share*(1-share)*(1/float64(refRows)+1/float64(rows)))
}

// applyRules records the limits that the window exceeds. They are rates, not
// tests: what has changed at all is known, the limit says from where on it
// matters.
func (f *FeatureReport) applyRules(ref, cur *profile.Bins, p *Policy) {
	r := rules{f: f, ref: ref.Rows(), rows: cur.Rows()}
	if r.exceeds(cur.Nulls, ref.Nulls, p.NullShare) {
		r.say(cur.Nulls, "null", ref.Nulls)
	}
	if r.exceeds(cur.NonFinite, ref.NonFinite, p.NonFiniteShare) {
		r.say(cur.NonFinite, "infinite", ref.NonFinite)
	}
	if ref.Kind == profile.Categorical {
		last := len(ref.Counts) - 1
		if n, was := cur.Counts[last], ref.Counts[last]; r.exceeds(n, was, p.UnseenShare) {
			r.say(n, "of a category that the reference does not name", was)
		}
		return
	}
	if r.exceeds(cur.Above, ref.Above, p.OutOfRangeShare) {
		f.Rules = append(f.Rules, fmt.Sprintf("%s of rows above the reference maximum %s", r.share(cur.Above), number(ref.High)))
	}
	if r.exceeds(cur.Below, ref.Below, p.OutOfRangeShare) {
		f.Rules = append(f.Rules, fmt.Sprintf("%s of rows below the reference minimum %s", r.share(cur.Below), number(ref.Low)))
	}
}

// rules is one feature while limits are applied to it.
type rules struct {
	f         *FeatureReport
	ref, rows uint64
}

// exceeds applies one limit and raises the severity.
func (r rules) exceeds(n, refN uint64, limit float64) bool {
	if limit == off || r.rows == 0 || r.ref == 0 {
		return false
	}
	rise := float64(n)/float64(r.rows) - float64(refN)/float64(r.ref)
	if rise <= limit+allowance(refN, r.ref, r.rows) {
		return false
	}
	r.f.Severity = max(r.f.Severity, finite(rise/limit))
	return true
}

func (r rules) say(n uint64, what string, refN uint64) {
	was := "none"
	if refN > 0 {
		was = percent(float64(refN) / float64(r.ref))
	}
	r.f.Rules = append(r.f.Rules, fmt.Sprintf("%s of rows %s, %s in the reference", r.share(n), what, was))
}

func (r rules) share(n uint64) string { return percent(float64(n) / float64(r.rows)) }

// percent writes a share with one digit, or with two significant ones where
// that would be zero.
func percent(share float64) string {
	if p := 100 * share; p >= 0.1 || p == 0 {
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*share, 'g', 2, 64) + " %"
}

// number writes a value with up to six significant digits, large ones too
// without an exponent.
func number(v float64) string {
	if a := math.Abs(v); a >= 1e5 && a < 1e15 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}
