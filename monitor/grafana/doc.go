// Package grafana writes what shows and guards the models that are watched: a
// dashboard for Grafana, recording and alert rules for Prometheus, and the
// PrometheusRule and ServiceMonitor of the Prometheus operator. All of it is
// made from the list in monitor/metrics, so that it asks for what is there.
//
//	rules, err := grafana.RuleFile(nil)       // rule_files: [millwright.yml]
//	board, err := grafana.Dashboard(nil)      // to be imported or provisioned
//
// # Drift of the fleet
//
// Each replica decides on its own share of the traffic. The recording rules add
// up the bins that all of them have counted and compute the population
// stability index of the whole: millwright:feature_psi:1h, with
// millwright:feature_psi_noise:1h, which is what chance alone makes of it. It is
// the figure of metrics.PSI over the merged counts, with no aggregator between.
// [FleetPSI] is the same as one query.
//
// # Alerts
//
//	MillwrightDrift              a monitor's state is drift
//	MillwrightFleetDrift         the index of a feature, above its limit and above chance
//	MillwrightPositiveRateShift  the share of positive predictions, against the day before
//	MillwrightNullRatio          missing values, against the reference
//	MillwrightUnseenCategories   categories that the reference does not name
//	MillwrightEstimatedMetric    a metric under its limit, before any label has come
//	MillwrightRealizedMetric     a metric under its limit, of mature labels
//	MillwrightWindowLimit        volume, freshness or schema of a window
//	MillwrightObservationsLost   rows that were not observed
//	MillwrightInferenceLogDrops  rows that the inference log has dropped
//	MillwrightNoTraffic          no row for a while
//	MillwrightStaleEvaluation    no window was closed for a while
//	MillwrightReferenceMissing   a version without reference rows
//	MillwrightSeriesTruncated    series left out of the scrape
//
// Each has a time to hold, and those on shares a least number of rows.
//
// It links the standard library only.
package grafana
