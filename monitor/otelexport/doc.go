// Package otelexport shows a monitor to OpenTelemetry.
//
//	registration, err := otelexport.Register(m, provider.Meter("fraud"), nil)
//
// The instruments are observable: nothing happens between two collections, and
// one collection reads the monitor once, as a scrape of monitor/promexport does.
// They are those of monitor/metrics, with the parts of their names separated by
// dots and without what the unit or the kind says: feature_drift_score is
// millwright.feature.drift.score, label_delay_seconds the two counters
// millwright.label.delay and millwright.label.delay.count.
//
// The attributes are millwright.model.name and millwright.model.version,
// millwright.feature.name, and for the other labels their name behind the
// prefix. No semantic convention exists for drift and the performance of models.
//
// It links the API of OpenTelemetry, not its SDK.
package otelexport
