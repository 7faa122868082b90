package monitor

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Verdict is the outcome of a window.
type Verdict string

// The verdicts.
const (
	// OK: no feature drifts and no limit is exceeded.
	OK Verdict = "ok"
	// Drift: at least one feature drifts or exceeds a limit.
	Drift Verdict = "drift"
	// Insufficient: fewer rows than Policy.MinRows. The measures are there,
	// but nothing was decided on them.
	Insufficient Verdict = "insufficient"
)

// Report says how the rows of one window differ from the reference. It is a
// plain value; what it points to is never changed.
type Report struct {
	// Model and Version say what was watched, Window which part of the
	// stream: the first is 1. All are empty in the result of Compare.
	Model   string `json:"model,omitempty"`
	Version string `json:"version,omitempty"`
	Window  int    `json:"window,omitempty"`
	// From is when the first row of the window came (its block was begun),
	// To when it was closed.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Span names the length of a window that is the sum of several, Windows
	// says of how many. Both are empty in a single one.
	Span    string `json:"span,omitempty"`
	Windows int    `json:"windows,omitempty"`
	// Season says which hours of the week of the reference the window was
	// compared with, "9-11" from 0 at Monday midnight in UTC; empty where it
	// was the whole.
	Season string `json:"season,omitempty"`
	// Rows is how many rows the window has.
	Rows    uint64  `json:"rows"`
	Verdict Verdict `json:"verdict"`
	// Alpha is the level of significance that the window was decided at.
	Alpha float64 `json:"alpha"`
	// State is what the windows up to this one come to; empty in the result of
	// Compare and in Longer.
	State State `json:"state,omitempty"`
	// Trigger is open from the window that made the state StateDrift until it
	// ends; nil when none is open.
	Trigger *Trigger `json:"trigger,omitempty"`
	// Quality lists what is wrong with the window as a whole: its volume, its
	// age, its schema. It does not count in the verdict.
	Quality []Finding `json:"quality,omitempty"`
	// Causes say in words what has moved, the worst first: an alarm explained.
	// They are empty when there is none.
	Causes []string `json:"causes,omitempty"`
	// Slices compare parts of the traffic with the same parts of the
	// reference, the one that moved most first. Empty without
	// Options.SliceBy.
	Slices []SliceReport `json:"slices,omitempty"`
	// Longer has the same for each of Options.Spans, as far as their windows
	// are complete. Decides says in each whether it was a decision, which is
	// once in its length, or a view in between.
	Longer  []Report `json:"longer,omitempty"`
	Decides bool     `json:"decides,omitempty"`
	// Features are ranked, the worst first: those with an alarm before those
	// without, then by Severity.
	Features []FeatureReport `json:"features"`
	// Score is the distribution of the predictions, nil when the reference has
	// none. It does not count in the verdict: predictions may move for a good
	// reason, and when inputs drift they follow.
	Score *FeatureReport `json:"score,omitempty"`
	// Labels are the metrics of the labels that had come when the window was
	// closed; Monitor.Performance has them as more come.
	Labels LabelReport `json:"labels"`
	// Estimated says what the metrics of the window are expected to be, before
	// any label has come; empty where the reference has no outcomes of 0 and 1.
	Estimated []Estimated `json:"estimated,omitempty"`
	// Key names this report for whoever acts on it, so that acting twice can
	// be avoided: model, version, window and a digest of all counts.
	Key string `json:"key"`
}

// FeatureReport compares one feature of a window with the reference.
type FeatureReport struct {
	Name string       `json:"name"`
	Kind profile.Kind `json:"kind"`
	// Method names what Score is: "wasserstein", the Wasserstein-1 distance in
	// standard deviations of the reference, with the p-value of a
	// Kolmogorov-Smirnov test; or "jensen-shannon", the distance in base 2,
	// with the p-value of its chi-square law.
	Method string `json:"method"`
	// Score is the size of the difference, NoiseFloor what chance alone makes
	// of it at this number of rows, and Effect the rest, which must reach
	// Floor, the policy's.
	Score      float64 `json:"score"`
	Floor      float64 `json:"floor"`
	NoiseFloor float64 `json:"noise_floor"`
	Effect     float64 `json:"effect"`
	// DesignEffect is how many rows say as much as one drawn at random.
	DesignEffect float64 `json:"design_effect"`
	// PValue is how probable such a difference is without any drift; 1 when
	// there was nothing to test. Adjusted is corrected for the number of
	// features (Benjamini-Hochberg).
	PValue   float64 `json:"p_value"`
	Adjusted float64 `json:"adjusted"`
	// Drifted says that the difference is significant and large enough.
	Drifted bool `json:"drifted"`
	// Rules says which limits the window exceeds, in words, for example
	// "12.1 % of rows above the reference maximum 4962".
	Rules []string `json:"rules,omitempty"`
	// Severity is how many times over its limit the feature is: the larger of
	// Effect/Floor and that of the exceeded limits.
	Severity float64 `json:"severity"`
	// RefMean and Mean are of the numbers; 0 for categories, and where there
	// is no number.
	RefMean float64 `json:"ref_mean"`
	Mean    float64 `json:"mean"`
	// Variance is that of the window's numbers, 0 where Mean is 0 for want of
	// them.
	Variance float64 `json:"variance"`
	// Nulls, NonFinite, OutOfRange and Unseen are shares of the window's rows,
	// 0 to 1: missing, infinite, outside the reference's range, and of a
	// category that the reference does not name.
	Nulls      float64 `json:"nulls"`
	NonFinite  float64 `json:"non_finite"`
	OutOfRange float64 `json:"out_of_range"`
	Unseen     float64 `json:"unseen"`
	// Moved are the bins or categories whose shares differ most from the
	// reference, of a feature with an alarm.
	Moved []Move `json:"moved,omitempty"`
	// UnseenTop names the most frequent of the categories that the reference
	// does not name, as far as encoders met them in the window, and
	// UnseenDistinct says how many different ones there were, up to 1,024
	// exactly.
	UnseenTop      []string `json:"unseen_top,omitempty"`
	UnseenDistinct uint64   `json:"unseen_distinct,omitempty"`
}

// Move is one bin or category whose share has changed.
type Move struct {
	// Values says which: "[12.5, 20)", "below 3", or a category in quotes.
	Values string `json:"values"`
	// Reference and Share are its shares then and now.
	Reference float64 `json:"reference"`
	Share     float64 `json:"share"`
}

// SliceReport compares the rows of one value of a category with those rows of
// the reference.
type SliceReport struct {
	By    string `json:"by"`
	Value string `json:"value"`
	Rows  uint64 `json:"rows"`
	// Reference and Share are how large the slice was and is, 0 to 1.
	Reference float64 `json:"reference"`
	Share     float64 `json:"share"`
	Verdict   Verdict `json:"verdict"`
	// Features are those with an alarm within the slice, the worst first, and
	// otherwise the one that is nearest to it.
	Features []FeatureReport `json:"features,omitempty"`
	// Severity is that of the first of them.
	Severity float64 `json:"severity"`
}

// Rule names what a Finding is about.
type Rule string

// The rules of a window as a whole.
const (
	RuleVolume    Rule = "volume"
	RuleFreshness Rule = "freshness"
	RuleSchema    Rule = "schema"
)

// Finding is a limit that a window exceeds as a whole.
type Finding struct {
	Rule  Rule    `json:"rule"`
	Text  string  `json:"text"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
}

// Alarm reports whether the feature counts in the verdict: it has drifted, or
// it exceeds a limit.
func (f FeatureReport) Alarm() bool { return f.Drifted || len(f.Rules) > 0 }

// Categorical reports whether the feature holds categories, not numbers.
func (f FeatureReport) Categorical() bool { return f.Kind == profile.Categorical }

// Worst returns the first of the ranked features, the zero value if there is
// none.
func (r Report) Worst() FeatureReport {
	if len(r.Features) == 0 {
		return FeatureReport{}
	}
	return r.Features[0]
}

// Alarms returns how many features have drifted or exceed a limit.
func (r Report) Alarms() int {
	n := 0
	for _, f := range r.Features {
		if f.Alarm() {
			n++
		}
	}
	return n
}

// String returns the report in one line.
func (r Report) String() string {
	var b strings.Builder
	name := r.Model
	if r.Version != "" {
		name += "/" + r.Version
	}
	if name != "" {
		b.WriteString(name + " ")
	}
	if r.Window > 0 {
		fmt.Fprintf(&b, "window %d ", r.Window)
	}
	fmt.Fprintf(&b, "%s: ", r.Verdict)
	w := r.Worst()
	switch {
	case r.Verdict == Insufficient:
		fmt.Fprintf(&b, "%d rows are too few to decide", r.Rows)
		return b.String()
	case r.Verdict == Drift:
		fmt.Fprintf(&b, "%d of %d features in %d rows, worst", r.Alarms(), len(r.Features), r.Rows)
	default:
		fmt.Fprintf(&b, "%d rows, nearest", r.Rows)
	}
	fmt.Fprintf(&b, " %q %s %.3f (floor %.3f, p %.2g)", w.Name, w.Method, w.Score, w.Floor, w.PValue)
	if len(w.Rules) > 0 {
		b.WriteString(": " + strings.Join(w.Rules, ", "))
	}
	return b.String()
}

// finite returns v or, as JSON carries neither, 0 for NaN and the largest
// number for infinity.
func finite(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, -math.MaxFloat64), math.MaxFloat64)
}

// key derives the idempotency key from the report's name and all its counts.
func key(r *Report, cur *profile.Reference) string {
	var d digest
	d.word(cur.Rows)
	for _, f := range cur.Features {
		d.bins(f.Bins)
	}
	if cur.Score != nil {
		d.bins(cur.Score)
	}
	return fmt.Sprintf("%s/%s/%d/%016x", r.Model, r.Version, r.Window, avalanche(uint64(d)))
}

// digest is a hash of words in their order. It tells windows apart, no more.
type digest uint64

func (d *digest) word(v uint64) {
	hi, lo := bits.Mul64(uint64(*d)^v^0x9e3779b97f4a7c15, 0xd1342543de82ef95)
	*d = digest(hi ^ lo)
}

func (d *digest) bins(b *profile.Bins) {
	for _, n := range b.Counts {
		d.word(n)
	}
	for _, n := range []uint64{b.Nulls, b.NonFinite, b.Below, b.Above} {
		d.word(n)
	}
	// Sums are left out, which depend on the order of the rows, and the range,
	// which in sums of windows is a bound.
}
