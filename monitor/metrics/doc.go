// Package metrics is the list of metrics that a monitor shows: one table that
// the exporters (monitor/promexport, monitor/otelexport) and the dashboards and
// rules (monitor/grafana) read, so that what is drawn is what is there.
//
//	r := metrics.NewReader(m, nil)
//	r.Read(func(s metrics.Sample) { send(s.Metric.Name, s.Labels, s.Value) })
//
// [All] is the list; [Reader.Read] gives the values of one moment, from one
// monitor.Snapshot and one monitor.Counts: nothing is computed that the monitor
// has not computed when it closed the window. No label holds a request, a user
// or a category, and the number of series has a bound.
//
// # Drift of a fleet
//
// Each replica counts rows over the same few bins of each feature (about ten of
// equal share in the reference), in feature_observations_total beside
// feature_reference_ratio. Counts add up, so that a system which only knows how
// to add has the drift of all replicas together; [PSI] says what it must come
// to.
//
// It links the standard library only.
package metrics
