package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
)

// Experiment compares versions of a model on live traffic.
type Experiment struct {
	// Name identifies the experiment: in the Store, in the variants of its
	// answers, in its events. Another experiment needs another name. 1 to 100
	// bytes.
	Name string
	// Model is the model's name on the server.
	Model string
	// Champion is the version that answers now, and that goes on answering
	// unless a challenger is promoted.
	Champion string
	// Challengers are the versions that want its place; at least one.
	Challengers []Challenger
	// Key says whom a request belongs to. All requests of one key get the same
	// version, until a step of the ramp or a decision moves the key. A request
	// with an empty key takes no part: it gets the server's default version,
	// and after a promotion the version that was promoted. Required.
	Key Key
	// Salt makes the split independent of those of other experiments. Default
	// Name.
	Salt string
	// Ramp is how the challengers' shares grow. Default: one step with all.
	Ramp []Step
	// Guards are what is compared; at least one. A challenger is rolled back
	// when one of them fails, and promoted when all have passed.
	Guards []Guard
	// Shadow also sends requests that the champion answered to the challengers,
	// and compares the outputs. Default nil: none.
	Shadow *Shadow
	// MinSamples is the fewest requests of the champion and of a challenger
	// before a decision on it. Default 100.
	MinSamples int64
	// MaxDuration ends an experiment that has not decided: the champion is
	// kept. Default 14 days; -1 is off.
	MaxDuration time.Duration
	// Alpha bounds both errors: the probability that a challenger which is not
	// worse than the margins is ever rolled back, and the probability that one
	// which is worse is ever promoted; together over all guards and
	// challengers, and however long it runs. Default 0.05.
	Alpha float64
}

// Challenger is a version that wants the champion's place.
type Challenger struct {
	// Version is deployed beside the champion.
	Version string
	// Share is the part of the keys that it gets at the end of the ramp, above
	// 0; those of all challengers are at most 1 together.
	Share float64
}

// Step is one step of a ramp. Later steps add keys to the challengers and take
// none away.
type Step struct {
	// Share is the part of each challenger's Share: at least that of the step
	// before, at most 1. The last step's is 1.
	Share float64
	// For is the least time to stay on the step. Default 0.
	For time.Duration
	// Samples is the fewest requests of each challenger on the step before the
	// next. Default Experiment.MinSamples.
	Samples int64
	// Alpha is the level for rolling back on this step: less while a wrong
	// alarm costs more than a bad version. Default Experiment.Alpha; not more
	// than it.
	Alpha float64
}

// Metric says what a Guard compares.
type Metric string

// The metrics.
const (
	// Errors is the rate of requests that fail through no fault of the
	// client's: not those that are invalid, ask for what is not there, or whose
	// client went away.
	Errors Metric = "errors"
	// Latency is a quantile of the duration of requests that did not fail.
	Latency Metric = "latency"
	// Score is the mean of a figure that Guard.Value takes from an exchange.
	Score Metric = "score"
	// Label is the mean of a figure that comes later, through Rollout.Label:
	// whether the answer was right, what it earned.
	Label Metric = "label"
)

// Guard is one comparison of a challenger with the champion's requests of the
// same time.
//
// It fails when there is proof that the challenger is worse by more than Margin,
// and passes when there is proof that it is not.
type Guard struct {
	// Metric says what is compared; required.
	Metric Metric
	// Name stands in the evidence, and in Rollout.Label. Default the metric,
	// with the quantile; each guard needs another.
	Name string
	// Margin is by how much the challenger may be worse. For Errors it is a
	// difference of rates: 0.005 is half a percent more requests failing. For
	// Latency a ratio: 0.2 is 20 % slower, to 2 %. For Score and Label it is in
	// the figure's own unit. It is above 0, or 0 with Superior.
	Margin float64
	// Superior wants proof that the challenger is better, not just that it is
	// not worse by Margin. Default false.
	Superior bool
	// Quantile is that of Latency, above 0 and below 1. Default 0.99.
	Quantile float64
	// Min and Max bound the figure of Score and Label; what lies outside is
	// brought inside. Default 0 and 1.
	Min, Max float64
	// LowerIsBetter says that the figure of Score or Label is a loss.
	LowerIsBetter bool
	// Value is the figure of a Score; false leaves the exchange out. It is
	// called in Observe, for exchanges without error, and must not block.
	Value func(x *serve.Exchange) (value float64, ok bool)
}

// withDefaults returns a copy in which each default has its value.
func (e Experiment) withDefaults() Experiment {
	if e.Salt == "" {
		e.Salt = e.Name
	}
	if e.MinSamples == 0 {
		e.MinSamples = 100
	}
	if e.MaxDuration == 0 {
		e.MaxDuration = 14 * 24 * time.Hour
	}
	if e.Alpha == 0 {
		e.Alpha = 0.05
	}
	e.Challengers = slices.Clone(e.Challengers)
	e.Ramp = slices.Clone(e.Ramp)
	if len(e.Ramp) == 0 {
		e.Ramp = []Step{{Share: 1}}
	}
	for i := range e.Ramp {
		s := &e.Ramp[i]
		if s.Samples == 0 {
			s.Samples = e.MinSamples
		}
		if s.Alpha == 0 {
			s.Alpha = e.Alpha
		}
	}
	e.Guards = slices.Clone(e.Guards)
	for i := range e.Guards {
		g := &e.Guards[i]
		if g.Quantile == 0 {
			g.Quantile = 0.99
		}
		if g.Min == 0 && g.Max == 0 {
			g.Max = 1
		}
		if g.Name == "" && g.Metric == Latency {
			g.Name = fmt.Sprintf("latency p%.6g", 100*g.Quantile)
		}
		if g.Name == "" {
			g.Name = string(g.Metric)
		}
	}
	if e.Shadow != nil {
		s := e.Shadow.withDefaults()
		e.Shadow = &s
	}
	return e
}

// check finds all that is wrong with an experiment that has its defaults.
func (e *Experiment) check() error {
	var f errs.Faults
	checkText(&f, "Name", e.Name)
	checkText(&f, "Model", e.Model)
	checkText(&f, "Champion", e.Champion)
	f.Check(e.Key != nil, "Key is nil: say whom a request belongs to")
	f.Check(len(e.Challengers) > 0, "there is no challenger")
	f.Check(len(e.Challengers) <= 16, "there are %d challengers, want at most 16", len(e.Challengers))
	sum := 0.0
	for i, c := range e.Challengers {
		subject := fmt.Sprintf("Challengers[%d]", i)
		checkText(&f, subject+".Version", c.Version)
		f.Check(c.Version != e.Champion, "%s is the champion", subject)
		f.Check(!slices.ContainsFunc(e.Challengers[:i], func(o Challenger) bool { return o.Version == c.Version }), "%s is version %q again", subject, c.Version)
		f.Check(c.Share > 0 && c.Share <= 1, "%s.Share is %v, want above 0 and at most 1", subject, c.Share)
		f.Check(math.Round(c.Share*Buckets) >= 1, "%s.Share is %v, want at least %v", subject, c.Share, 1.0/Buckets)
		sum += c.Share
	}
	f.Check(sum <= 1+1e-9, "the challengers' shares are %v together, want at most 1", sum)
	e.checkRamp(&f)
	f.Check(len(e.Guards) > 0, "there is no guard: nothing would decide")
	for i := range e.Guards {
		e.checkGuard(&f, i)
	}
	f.Check(e.MinSamples > 0, "MinSamples is %d, want above 0", e.MinSamples)
	f.Check(e.MaxDuration > 0 || e.MaxDuration == -1, "MaxDuration is %v, want above 0, or -1", e.MaxDuration)
	f.Check(e.Alpha > 0 && e.Alpha < 0.5, "Alpha is %v, want above 0 and below 0.5", e.Alpha)
	if e.Shadow != nil {
		e.Shadow.check(&f)
	}
	return f.Err(fmt.Sprintf("rollout: experiment %.100q", e.Name))
}

func (e *Experiment) checkRamp(f *errs.Faults) {
	before := 0.0
	for i, s := range e.Ramp {
		f.Check(s.Share > 0 && s.Share <= 1 && s.Share >= before, "Ramp[%d].Share is %v, want at least that of the step before, above 0 and at most 1", i, s.Share)
		f.Check(s.For >= 0, "Ramp[%d].For is %v, want 0 or more", i, s.For)
		f.Check(s.Samples > 0, "Ramp[%d].Samples is %d, want above 0", i, s.Samples)
		f.Check(s.Alpha > 0 && s.Alpha <= e.Alpha, "Ramp[%d].Alpha is %v, want above 0 and at most Alpha, %v", i, s.Alpha, e.Alpha)
		before = s.Share
	}
	f.Check(before == 1, "the last step's Share is %v, want 1", before)
}

func (e *Experiment) checkGuard(f *errs.Faults, i int) {
	g := &e.Guards[i]
	subject := fmt.Sprintf("Guards[%d]", i)
	checkText(f, subject+".Name", g.Name)
	f.Check(!slices.ContainsFunc(e.Guards[:i], func(o Guard) bool { return o.Name == g.Name }), "%s is named %q again", subject, g.Name)
	f.Check(g.Margin >= 0 && !math.IsInf(g.Margin, 0), "%s.Margin is %v, want a number from 0 up", subject, g.Margin)
	f.Check(g.Margin != 0 || g.Superior, "%s.Margin is 0: an equal challenger could never pass, set it or Superior", subject)
	width := g.Max - g.Min
	switch g.Metric {
	case Errors:
		f.Check(g.Margin < 1, "%s.Margin is %v, want a rate below 1", subject, g.Margin)
	case Latency:
		f.Check(g.Quantile > 0 && g.Quantile < 1, "%s.Quantile is %v, want above 0 and below 1", subject, g.Quantile)
	case Score, Label:
		f.Check(width > 0 && !math.IsInf(width, 0), "%s has Min %v and Max %v, want numbers that grow", subject, g.Min, g.Max)
		f.Check(width <= 0 || g.Margin < width, "%s.Margin is %v, want less than Max-Min", subject, g.Margin)
		f.Check(g.Metric != Score || g.Value != nil, "%s.Value is nil", subject)
	default:
		f.Addf("%s.Metric is %q, want Errors, Latency, Score or Label", subject, g.Metric)
	}
}

func checkText(f *errs.Faults, subject, s string) {
	const most = 100
	f.Check(s != "" && len(s) <= most, "%s has %d bytes, want 1 to %d", subject, len(s), most)
}

// definition identifies what replicas have to agree on.
func (e *Experiment) definition() string {
	type guard struct {
		Metric                       Metric
		Name                         string
		Margin, Quantile, Min, Max   float64
		Superior, LowerIsBetter, Has bool
	}
	guards := make([]guard, len(e.Guards))
	for i, g := range e.Guards {
		guards[i] = guard{g.Metric, g.Name, g.Margin, g.Quantile, g.Min, g.Max, g.Superior, g.LowerIsBetter, g.Value != nil}
	}
	text, err := json.Marshal([]any{e.Name, e.Model, e.Champion, e.Challengers, e.Salt, e.Ramp, guards, e.MinSamples, e.MaxDuration, e.Alpha})
	if err != nil { // The numbers were checked: there is none that JSON lacks.
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
