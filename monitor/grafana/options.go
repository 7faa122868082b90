package grafana

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid marks options that cannot be used.
var ErrInvalid = errs.ErrInvalid

// Options configures what is written. Nil means all defaults.
type Options struct {
	// Name is that of the rule groups and of the objects in Kubernetes, and the
	// uid of the dashboard. Default "millwright".
	Name string
	// Title is the dashboard's. Default "Models".
	Title string
	// Ranges are the times that the fleet's drift is recorded over, in
	// Prometheus's form. The first is the one that alerts. Default 1h and 1d.
	Ranges []string
	// MinRows is the least number of rows that an alert on shares asks for.
	// Default 500.
	MinRows int
	// PSI is the index from which on a feature of the fleet has drifted.
	// Default 0.25.
	PSI float64
	// PositiveShift is how far the share of positive predictions of the last
	// hour may be from that of the day before. Default 0.1; -1 is off.
	PositiveShift float64
	// NullShift is how far the share of missing values may be above the
	// reference's. Default 0.05.
	NullShift float64
	// UnseenShare is the share of rows that may have a category which the
	// reference does not name. Default 0.05.
	UnseenShare float64
	// Limits are the least values of metrics ("auc", "recall"), held against
	// the estimated and the realized ones. Default none.
	Limits map[string]float64
	// Stale is how old the last window may be. Default 2 hours.
	Stale time.Duration
	// Silence is how long a model may be without traffic. Default 15 minutes.
	Silence time.Duration
	// For is how long most alerts must hold. Default 5 minutes.
	For time.Duration
	// Labels go to each alert, for its routing. Default none.
	Labels map[string]string
	// Runbook is a URL that each alert names, with "#" and the alert's name in
	// small letters behind. Default none.
	Runbook string
	// Namespace is that of the objects in Kubernetes. Default none: that of
	// whoever applies them.
	Namespace string
	// ObjectLabels are the labels of those objects, by which an operator finds
	// them. Default none.
	ObjectLabels map[string]string
	// Selector are the labels of the services to scrape. Default app: Name.
	Selector map[string]string
	// Port is the name of the service's port, and Path where the metrics are.
	// Default "http" and "/metrics".
	Port, Path string
	// Interval is how often is scraped, and rules are computed. Default 30
	// seconds.
	Interval time.Duration
}

var (
	rangeText = regexp.MustCompile(`^([0-9]+(ms|[smhdwy]))+$`)
	nameText  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	labelText = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	var f errs.Faults
	for _, d := range []struct {
		text     *string
		standard string
	}{{&r.Name, "millwright"}, {&r.Title, "Models"}, {&r.Port, "http"}, {&r.Path, "/metrics"}} {
		if *d.text == "" {
			*d.text = d.standard
		}
	}
	f.Check(nameText.MatchString(r.Name), "Name is %q, want small letters, digits and hyphens", r.Name)
	if len(r.Ranges) == 0 {
		r.Ranges = []string{"1h", "1d"}
	}
	for _, text := range r.Ranges {
		f.Check(rangeText.MatchString(text), "Ranges has %q, want a duration like 1h", text)
	}
	if r.MinRows == 0 {
		r.MinRows = 500
	}
	f.Check(r.MinRows > 0, "MinRows is %d, want 0 or more", r.MinRows)
	for _, d := range []struct {
		name     string
		v        *float64
		standard float64
	}{{"PSI", &r.PSI, 0.25}, {"PositiveShift", &r.PositiveShift, 0.1}, {"NullShift", &r.NullShift, 0.05}, {"UnseenShare", &r.UnseenShare, 0.05}} {
		if *d.v == 0 {
			*d.v = d.standard
		}
		f.Check(*d.v > 0 && !math.IsInf(*d.v, 0) || d.name == "PositiveShift" && *d.v == -1, "%s is %v, want above 0", d.name, *d.v)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
		f.Check(labelText.MatchString(name), "Limits has %q, want a metric's name", name)
		f.Check(r.Limits[name]-r.Limits[name] == 0, "Limits[%q] is %v, want a number", name, r.Limits[name])
	}
	for _, d := range []struct {
		name     string
		v        *time.Duration
		standard time.Duration
	}{{"Stale", &r.Stale, 2 * time.Hour}, {"Silence", &r.Silence, 15 * time.Minute}, {"For", &r.For, 5 * time.Minute}, {"Interval", &r.Interval, 30 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.standard
		}
		f.Check(*d.v >= time.Second, "%s is %s, want a second or more", d.name, *d.v)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		f.Check(labelText.MatchString(name), "Labels has %q, want letters, digits and underscores", name)
	}
	if len(r.Selector) == 0 {
		r.Selector = map[string]string{"app": r.Name}
	}
	return r, f.Err("grafana: options")
}

// seconds is a duration in Prometheus's form.
func seconds(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return num(float64(d/time.Hour)) + "h"
	case d%time.Minute == 0:
		return num(float64(d/time.Minute)) + "m"
	case d%time.Second == 0:
		return num(float64(d/time.Second)) + "s"
	}
	return num(float64(d/time.Millisecond)) + "ms"
}
