package main

import (
	"context"
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// outcome is what the monitor and the rivals made of a set.
type outcome struct {
	rows, features int
	metric         string // That labels are judged by.
	reference      monitor.MetricValue
	windows        []seen
	triggers       []string // Of each, the window and the causes.
}

// seen is one window.
type seen struct {
	name    string
	rows    int
	verdict monitor.Verdict
	drifted []string // Features that have drifted.
	limits  []string // Features that exceed a limit.
	state   monitor.State
	opened  bool // A trigger.
	cause   string
	worst   monitor.FeatureReport
	score   bool // The predictions drift.

	metric   monitor.MetricValue
	change   int // Of the metric beyond its intervals: -1 worse, 1 better.
	estimate float64
	raised
}

func (s *seen) alarm() bool { return len(s.drifted)+len(s.limits) > 0 }

// watch runs the monitor and the rivals over a set.
func watch(ctx context.Context, t *table, minRows int) (*outcome, error) {
	ref, err := reference(t)
	if err != nil {
		return nil, err
	}
	rivals, err := newRival(t)
	if err != nil {
		return nil, err
	}
	o := &outcome{features: len(t.inputs), rows: len(t.reference)}
	policy := monitor.Policy{MinRows: minRows}
	// What the model does on the reference is measured as that of a window is.
	_, before, err := observe(ctx, ref, t, []window{{rows: t.reference}}, &policy)
	if err != nil {
		return nil, err
	}
	o.metric = "rmse"
	if _, found := before[0].Metric("auc"); found {
		o.metric = "auc"
	}
	o.reference, _ = before[0].Metric(o.metric)
	reports, labels, err := observe(ctx, ref, t, t.windows, &policy)
	if err != nil {
		return nil, err
	}
	for i, r := range reports {
		w := t.windows[i]
		s := seen{
			name: w.name, rows: len(w.rows), verdict: r.Verdict, state: r.State, worst: r.Worst(),
			opened: r.Trigger != nil && r.Trigger.New, score: r.Score != nil && r.Score.Alarm(), estimate: math.NaN(),
		}
		for _, f := range r.Features {
			if f.Drifted {
				s.drifted = append(s.drifted, f.Name)
			}
			if len(f.Rules) > 0 {
				s.limits = append(s.limits, f.Name)
			}
		}
		if len(r.Causes) > 0 {
			s.cause = r.Causes[0]
		}
		for _, e := range r.Estimated {
			if e.Metric == o.metric {
				s.estimate = e.Value
			}
		}
		s.metric, _ = labels[i].Metric(o.metric)
		s.change = changed(o.metric, o.reference, s.metric)
		if s.raised, err = rivals.compare(w); err != nil {
			return nil, fmt.Errorf("window %s: %w", w.name, err)
		}
		if s.opened {
			o.triggers = append(o.triggers, s.name)
		}
		o.rows += s.rows
		o.windows = append(o.windows, s)
	}
	return o, nil
}

// reference is the profile of the rows of the reference, as training would write it.
func reference(t *table) (*profile.Reference, error) {
	b, err := profile.NewBuilder(t.inputs, &profile.BuilderOptions{Score: true, ChunkRows: max(len(t.reference)/40, 20)})
	if err != nil {
		return nil, err
	}
	for _, r := range t.reference {
		if err := b.Add(&profile.Record{Numbers: r.numbers, Texts: r.texts, Score: r.score, Outcome: r.label}); err != nil {
			return nil, err
		}
	}
	return b.Reference()
}

// observe has a monitor see the windows one after the other, each with its labels.
func observe(ctx context.Context, ref *profile.Reference, t *table, windows []window, p *monitor.Policy) (reports []monitor.Report, labels []monitor.LabelReport, err error) {
	m, err := monitor.New(ref, &monitor.Options{Model: "study", Version: "1", Policy: *p})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = m.Shutdown(ctx) }()
	features := make([]float64, len(t.inputs))
	for n, w := range windows {
		ids := make([]monitor.ID, len(w.rows))
		for i, r := range w.rows {
			number, text := 0, 0
			for j, in := range t.inputs {
				switch {
				case in.Kind == profile.Numeric:
					features[j] = r.numbers[number]
					number++
				case r.texts[text] == profile.NullText:
					features[j] = math.NaN()
					text++
				default:
					features[j] = m.EncodeString(j, r.texts[text])
					text++
				}
			}
			ids[i] = monitor.NewID(fmt.Sprint("window-", n), i)
			m.Observe(features, r.score, ids[i])
		}
		for i, r := range w.rows {
			if r.label == r.label {
				m.Label(ids[i], r.label)
			}
		}
		r, err := m.Cut(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("window %q: %w", w.name, err)
		}
		l, err := m.Performance(r.Window)
		if err != nil {
			return nil, nil, err
		}
		reports, labels = append(reports, r), append(labels, l)
	}
	return reports, labels, nil
}

// changed says whether a metric has left that of the reference: their intervals of 95
// in 100 do not meet.
func changed(name string, ref, now monitor.MetricValue) int {
	sign := 1
	if name == "rmse" {
		sign = -1 // Less is better.
	}
	switch {
	case now.Name == "" || ref.Name == "":
		return 0
	case now.High < ref.Low:
		return -sign
	case now.Low > ref.High:
		return sign
	}
	return 0
}
