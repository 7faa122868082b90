package metrics

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// Options configures a Reader. Nil means all defaults.
type Options struct {
	// MaxSeries bounds the series of one reading. Series of single features are
	// left out where there is no room: first the counts of bins, from the last
	// of the model's inputs on, then the rest, from the end of the monitor's
	// ranking, which begins with the worst. The others, some 100, always stay.
	// Default 5000; -1 is off.
	MaxSeries int
	// InferenceLog tells how many rows of an inference log had which result
	// ("written", "dropped", …). Default none.
	InferenceLog func() map[string]uint64
	// Triggers tells how often the program's answer to a trigger had which
	// result ("promoted", "refused", …); "opened" is the monitor's own count.
	// Default none.
	Triggers func() map[string]uint64
}

// DefaultMaxSeries is the default of Options.MaxSeries.
const DefaultMaxSeries = 5000

// Sample is one value of one series.
type Sample struct {
	Metric ID
	// Labels are the values of the metric's labels, in their order; those
	// behind are empty.
	Labels [3]string
	// Value is the number; of a Summary the sum, and Count how many it is of.
	Value float64
	Count uint64
}

// Reader reads a monitor. It is safe for concurrent use.
type Reader struct {
	monitor *monitor.Monitor
	opts    Options

	mu   sync.Mutex
	plan *plan
}

// NewReader returns a reader of the monitor.
func NewReader(m *monitor.Monitor, opts *Options) *Reader {
	r := &Reader{monitor: m}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.MaxSeries == 0 {
		r.opts.MaxSeries = DefaultMaxSeries
	}
	return r
}

// plan is what stays the same as long as the reference does.
type plan struct {
	ref      *profile.Reference
	version  string
	features []*grouping // nil where there is no room.
	cut      int         // Series of bins left out.
	ratios   []Sample
}

// perFeature is how many series a feature has in a report.
const perFeature = 8

// fixed is about how many series there are without any feature's.
const fixed = 100

func (r *Reader) planOf(ref *profile.Reference, version string) *plan {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.plan; p != nil && p.ref == ref && p.version == version {
		return p
	}
	p := &plan{ref: ref, version: version, features: make([]*grouping, len(ref.Features))}
	room := r.opts.MaxSeries - fixed - perFeature*len(ref.Features)
	var counts []uint64
	for i, f := range ref.Features {
		g := groupingOf(f.Bins)
		if r.opts.MaxSeries >= 0 && 2*len(g.names) > room {
			p.cut += 2 * len(g.names)
			room = 0 // What is behind has no room either: the first ones stay.
			continue
		}
		room -= 2 * len(g.names)
		p.features[i] = g
		counts = g.counts(counts, f.Bins)
		for j, n := range counts {
			p.ratios = append(p.ratios, Sample{
				Metric: FeatureReferenceRatio, Labels: [3]string{version, f.Name, g.names[j]}, Value: float64(n) / float64(max(f.Bins.Rows(), 1)),
			})
		}
	}
	r.plan = p
	return p
}

// reading is one pass.
type reading struct {
	emit    func(Sample)
	version string
	n       int
}

func (e *reading) send(id ID, v float64, labels ...string) {
	s := Sample{Metric: id, Value: v}
	copy(s.Labels[:], labels)
	e.emit(s)
	e.n++
}

// Read calls emit with each sample, those of one metric not necessarily one
// after the other, and returns the model's name.
func (r *Reader) Read(emit func(Sample)) (model string) {
	s, ref, observed, err := r.monitor.SnapshotCounts()
	e := &reading{emit: emit, version: s.Version}
	e.send(ModelInfo, 1, s.Version)
	e.send(ReferenceAge, float64(time.Since(s.Since).Milliseconds())/1e3, s.Version)
	e.traffic(&s, ref)
	e.labels(&s)
	e.send(RetrainTriggers, float64(s.Triggers), "opened")
	for _, c := range []struct {
		metric ID
		counts func() map[string]uint64
	}{{InferenceLogRows, r.opts.InferenceLog}, {RetrainTriggers, r.opts.Triggers}} {
		// Rows that never reached the log are in none of its counts.
		if c.metric == InferenceLogRows && (c.counts != nil || s.Unlogged > 0) {
			e.send(InferenceLogRows, float64(s.Unlogged), "unlogged")
		}
		if c.counts == nil {
			continue
		}
		counts := c.counts()
		for _, result := range slices.Sorted(maps.Keys(counts)) {
			if c.metric != RetrainTriggers || result != "opened" {
				e.send(c.metric, float64(counts[result]), result)
			}
		}
	}
	truncated := 0
	if err == nil { // It never fails: the counts have the reference's layout.
		truncated += r.counts(e, ref, observed, s.Version)
	}
	if s.Report != nil {
		truncated += e.report(s.Report, r.opts.MaxSeries)
	}
	e.send(SeriesTruncated, float64(truncated))
	return s.Model
}

func (e *reading) traffic(s *monitor.Snapshot, ref *profile.Reference) {
	if probabilities(ref) {
		e.send(Predictions, float64(s.Predictions-min(s.Positive, s.Predictions)), "negative")
		e.send(Predictions, float64(s.Positive), "positive")
	} else {
		e.send(Predictions, float64(s.Predictions), "")
	}
	e.send(ObservationsDropped, float64(s.Rejected), "rejected")
	e.send(ObservationsDropped, float64(s.Dropped), "closed")
	e.send(ObservationsDropped, float64(s.Overflowed), "overflow")
	e.send(SchemaMismatches, float64(s.Schema.Absent), "absent")
	e.send(SchemaMismatches, float64(s.Schema.Mistyped), "mistyped")
	e.send(SchemaMismatches, float64(s.Schema.Unknown), "unknown")
	e.send(SchemaMismatches, float64(s.Schema.Mismatched), "mismatched")
}

// probabilities reports whether the scores are those of a classifier: numbers
// from 0 to 1.
func probabilities(ref *profile.Reference) bool {
	if ref == nil || ref.Score == nil || ref.Score.Kind == profile.Categorical {
		return false
	}
	return ref.Score.HasRange && ref.Score.Low >= 0 && ref.Score.High <= 1
}

func (e *reading) labels(s *monitor.Snapshot) {
	l := s.Labels
	e.send(Labels, float64(l.Matched), string(monitor.Matched))
	e.send(Labels, float64(l.Unknown), string(monitor.Unknown))
	e.send(Labels, float64(l.Duplicate), string(monitor.Duplicate))
	e.send(Labels, float64(l.Late), string(monitor.Late))
	e.send(Labels, float64(l.Rejected), string(monitor.Rejected))
	e.emit(Sample{Metric: LabelDelay, Value: l.Delay.Seconds(), Count: l.Matched})
	e.n++
	e.send(PendingPredictions, float64(l.Pending))
	e.send(PendingForgotten, float64(l.Forgotten))
	e.performance(s.Overall, "version")
	if s.Ripe.Window > 0 {
		e.performance(s.Ripe, "window")
	}
}

func (e *reading) performance(l monitor.LabelReport, scope string) {
	e.send(LabelCoverage, l.Coverage, e.version, scope)
	for _, m := range l.Metrics {
		e.send(RealizedMetric, m.Value, e.version, m.Name, scope)
	}
}

// counts sends the counts of bins and returns how many series have no room.
func (r *Reader) counts(e *reading, ref, observed *profile.Reference, version string) int {
	p := r.planOf(ref, version)
	e.send(ReferenceRows, float64(ref.Rows), version)
	for _, s := range p.ratios {
		e.emit(s)
	}
	e.n += len(p.ratios)
	var counts []uint64
	for i, g := range p.features {
		if g == nil || i >= len(observed.Features) {
			continue
		}
		counts = g.counts(counts, observed.Features[i].Bins)
		for j, n := range counts {
			e.send(FeatureObservations, float64(n), version, ref.Features[i].Name, g.names[j])
		}
	}
	return p.cut
}

// stateOf is the number of a state. A window with too few rows leaves the state
// as it was.
func stateOf(s monitor.State) float64 {
	switch s {
	case monitor.StateWarn:
		return 1
	case monitor.StateDrift:
		return 2
	case monitor.StateCooldown:
		return 3
	}
	return 0
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// report sends what the last window says and returns how many series have no
// room.
func (e *reading) report(r *monitor.Report, limit int) (truncated int) {
	e.send(DriftState, stateOf(r.State), e.version)
	e.send(DriftFeatures, float64(r.Alarms()), e.version)
	e.send(WindowRows, float64(r.Rows), e.version)
	e.send(EvaluationTimestamp, float64(r.To.UnixMilli())/1e3, e.version)
	for _, rule := range []monitor.Rule{monitor.RuleFreshness, monitor.RuleSchema, monitor.RuleVolume} {
		exceeded := slices.ContainsFunc(r.Quality, func(f monitor.Finding) bool { return f.Rule == rule })
		e.send(WindowLimitExceeded, truth(exceeded), e.version, string(rule))
	}
	if p := r.Score; p != nil {
		e.send(PredictionDriftScore, p.Score, e.version, p.Method)
		if !p.Categorical() {
			e.send(PredictionMean, p.Mean, e.version)
		}
	}
	for _, m := range r.Estimated {
		e.send(EstimatedMetric, m.Value, e.version, m.Metric)
	}
	e.n++ // Room for series_truncated.
	for i := range r.Features {
		truncated += e.feature(&r.Features[i], limit)
	}
	return truncated
}

// feature sends the series of a feature, or returns how many they are when
// there is no room for all of them.
func (e *reading) feature(f *monitor.FeatureReport, limit int) (truncated int) {
	series := perFeature
	if f.Categorical() {
		series -= 2
	}
	if limit >= 0 && e.n+series > limit {
		return series
	}
	e.send(FeatureDriftScore, f.Score, e.version, f.Name, f.Method)
	e.send(FeatureDriftNoiseFloor, f.NoiseFloor, e.version, f.Name, f.Method)
	e.send(FeatureDriftPValue, f.PValue, e.version, f.Name, f.Method)
	e.send(FeatureAlarm, truth(f.Alarm()), e.version, f.Name)
	e.send(FeatureNullRatio, f.Nulls, e.version, f.Name)
	if f.Categorical() {
		e.send(FeatureUnseenRatio, f.Unseen, e.version, f.Name)
	} else {
		e.send(FeatureMean, f.Mean, e.version, f.Name)
		e.send(FeatureVariance, f.Variance, e.version, f.Name)
		e.send(FeatureOutOfRangeRatio, f.OutOfRange, e.version, f.Name)
	}
	return 0
}
