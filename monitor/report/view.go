package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/millwright-ml/millwright/monitor"
)

// view is what the template reads.
type view struct {
	Page
	Heading  string
	Verdict  string // In words.
	Class    string // Of the verdict: ok, drift, unknown.
	Severity bars
	Features []feature
	More     int // Features that are not shown.
	Curves   []curve
	Metrics  []metric
	Expected []metric
}

// bars is a plot of horizontal bars.
type bars struct {
	About         string
	Width, Height float64
	Limit         float64 // Where the line is.
	Rows          []bar
}

type bar struct {
	Name, Text string
	Y, Length  float64
	Alarm      bool
}

// feature is one of the report's with its plot.
type feature struct {
	monitor.FeatureReport
	Pairs *pairs
}

// pairs is a plot of the shares then and now.
type pairs struct {
	About         string
	Width, Height float64
	Rows          []pair
}

type pair struct {
	Values              string
	Y, Then, Now        float64
	ThenShare, NowShare float64
}

// curve is a plot over the windows.
type curve struct {
	Name, About   string
	Width, Height float64
	Line          string // Points of a polyline.
	Dots          []dot
	Low, High     string
	Limit         float64 // Height of the limit's line, below 0 where there is none.
}

type dot struct {
	X, Y  float64
	Alarm bool
	Text  string
}

// metric is a number with its interval.
type metric struct {
	Name             string
	Value, Low, High float64
	Reference        float64 // NaN where there is none.
	X, From, To      float64 // On a line of 100.
	Plot             bool
}

func newView(p Page) *view {
	r := &p.Report
	if p.MaxFeatures <= 0 {
		p.MaxFeatures = 50
	}
	if p.Performance == nil {
		p.Performance = &r.Labels
	}
	v := &view{Page: p, Heading: p.Title}
	if v.Heading == "" {
		v.Heading = strings.TrimSpace(r.Model + " " + r.Version)
	}
	if v.Heading == "" {
		v.Heading = "Model monitoring"
	}
	switch r.Verdict {
	case monitor.OK:
		v.Verdict, v.Class = "No drift", "ok"
	case monitor.Drift:
		v.Verdict, v.Class = fmt.Sprintf("%d of %d features have an alarm", r.Alarms(), len(r.Features)), "drift"
	default:
		v.Verdict, v.Class = "Too few rows to decide", "unknown"
	}
	shown := r.Features[:min(len(r.Features), p.MaxFeatures)]
	v.More = len(r.Features) - len(shown)
	v.Severity = severities(shown)
	for _, f := range shown {
		v.Features = append(v.Features, feature{f, moves(f)})
	}
	v.Curves = curves(p.History)
	for _, m := range p.Performance.Metrics {
		v.Metrics = append(v.Metrics, place(metric{Name: m.Name, Value: m.Value, Low: m.Low, High: m.High, Reference: math.NaN()}))
	}
	for _, m := range r.Estimated {
		v.Expected = append(v.Expected, place(metric{Name: m.Metric, Value: m.Value, Low: m.Low, High: m.High, Reference: m.Reference}))
	}
	return v
}

// Sizes of plots, in the units of their view boxes.
const (
	plotWidth = 720.0
	labelled  = 180.0 // Of it, for names.
	rowHeight = 22.0
)

// severities ranks the features. The scale ends at four times the limit, or
// what is beyond would leave nothing to see of the rest.
func severities(features []monitor.FeatureReport) bars {
	const end = 4.0
	room := plotWidth - labelled - 70
	b := bars{Width: plotWidth, Height: rowHeight*float64(len(features)) + 26, Limit: labelled + room/end}
	alarms := 0
	for i, f := range features {
		s := f.Severity
		if !(s > 0) {
			s = 0
		}
		if f.Alarm() {
			alarms++
		}
		b.Rows = append(b.Rows, bar{
			Name: shorten(f.Name, 24), Text: number(s), Y: 20 + rowHeight*float64(i), Length: room * min(s, end) / end, Alarm: f.Alarm(),
		})
	}
	b.About = fmt.Sprintf("Bars of how many times over its limit each of %d features is, the worst first: %q with %s. %d have an alarm.",
		len(features), features[0].Name, number(features[0].Severity), alarms)
	return b
}

// moves plots the bins that moved most, nil where none did.
func moves(f monitor.FeatureReport) *pairs {
	if len(f.Moved) == 0 {
		return nil
	}
	most := 0.0
	for _, m := range f.Moved {
		most = max(most, m.Reference, m.Share)
	}
	if most == 0 {
		return nil
	}
	room := plotWidth - labelled - 70
	p := &pairs{Width: plotWidth, Height: 34 * float64(len(f.Moved))}
	var told []string
	for i, m := range f.Moved {
		p.Rows = append(p.Rows, pair{
			Values: shorten(m.Values, 24), Y: 34 * float64(i), Then: room * m.Reference / most, Now: room * m.Share / most,
			ThenShare: m.Reference, NowShare: m.Share,
		})
		told = append(told, fmt.Sprintf("%s from %s to %s", m.Values, percent(m.Reference), percent(m.Share)))
	}
	p.About = "Shares of rows, in the reference and now: " + strings.Join(told, ", ") + "."
	return p
}

// curves plots the windows: alarms, rows, severity of the worst, and what the
// estimates say.
func curves(history []monitor.Report) []curve {
	if len(history) < 2 {
		return nil
	}
	out := []curve{
		line(history, "Severity of the worst feature", 1, func(r *monitor.Report) float64 { return r.Worst().Severity }),
		line(history, "Features with an alarm", 0, func(r *monitor.Report) float64 { return float64(r.Alarms()) }),
		line(history, "Rows", 0, func(r *monitor.Report) float64 { return float64(r.Rows) }),
	}
	for _, name := range []string{"auc", "accuracy"} {
		for _, m := range history[len(history)-1].Estimated {
			if m.Metric == name {
				out = append(out, line(history, "Expected "+name, 0, func(r *monitor.Report) float64 {
					for _, m := range r.Estimated {
						if m.Metric == name {
							return m.Value
						}
					}
					return math.NaN()
				}))
			}
		}
	}
	return out
}

func line(history []monitor.Report, name string, limit float64, value func(*monitor.Report) float64) curve {
	c := curve{Name: name, Width: 360, Height: 120, Limit: -1}
	low, high := math.Inf(1), math.Inf(-1)
	for i := range history {
		if v := value(&history[i]); v-v == 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if limit > 0 {
		low, high = min(low, 0), max(high, limit)
	}
	if low > high {
		return c // No number at all.
	}
	c.Low, c.High = number(low), number(high)
	if high == low {
		high = low + 1
	}
	height := func(v float64) float64 { return 104 - 92*(v-low)/(high-low) }
	if limit > 0 {
		c.Limit = height(limit)
	}
	var points []string
	step := 344 / float64(len(history)-1)
	last := math.NaN()
	for i := range history {
		r := &history[i]
		v := value(r)
		if v-v != 0 {
			continue
		}
		last = v
		d := dot{X: 8 + step*float64(i), Y: height(v), Alarm: r.Verdict == monitor.Drift, Text: fmt.Sprintf("window %d: %s", r.Window, number(v))}
		points = append(points, fmt.Sprintf("%.1f,%.1f", d.X, d.Y))
		c.Dots = append(c.Dots, d)
	}
	c.Line = strings.Join(points, " ")
	c.About = fmt.Sprintf("%s over %d windows, between %s and %s, last %s.", name, len(history), c.Low, c.High, number(last))
	return c
}

// place puts a metric on a line from 0 to 1, where it has one.
func place(m metric) metric {
	if m.Value >= 0 && m.Value <= 1 && m.High <= 1.5 {
		m.Plot = true
		m.X, m.From, m.To = 100*m.Value, 100*min(max(m.Low, 0), 1), 100*min(max(m.High, 0), 1)
	}
	return m
}

// shorten cuts a text to fit beside a plot.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
