// Package promexport shows a monitor to Prometheus.
//
//	mux.Handle("GET /metrics", promexport.Handler(registry, promexport.New(m, nil)))
//
// What New returns is a prometheus.Collector, too, for programs that register
// and serve theirs otherwise. One scrape reads one monitor.Snapshot; nothing is
// computed that the monitor has not computed when it closed the window. The
// labels of a series are resolved when it is first seen.
//
// All series carry the label model. Those about one version carry version too,
// and go when monitor.Reset brings the next, so that versions do not pile up.
// No label holds a request, a user or a category, and Options.MaxSeries bounds
// them all.
//
//	millwright_model_info{version}                                      1
//	millwright_reference_age_seconds{version}                           since it is watched against
//	millwright_reference_rows{version}
//	millwright_predictions_total{class}                                 positive: score at the threshold or above; negative
//	millwright_observations_dropped_total{reason}                       rejected: wrong length; closed: after Shutdown; overflow
//	millwright_schema_mismatches_total{kind}                            absent, mistyped, unknown, mismatched
//	millwright_window_rows{version}                                     rows of the last window
//	millwright_evaluation_timestamp_seconds{version}                    when it was closed
//	millwright_drift_state{version}                                     0 ok, 1 warn, 2 drift, 3 cooldown
//	millwright_drift_features{version}                                  features with an alarm
//	millwright_window_limit_exceeded{version,rule}                      freshness, schema, volume: 1 or 0
//	millwright_feature_drift_score{version,feature,method}              size of the difference
//	millwright_feature_drift_noise_floor{version,feature,method}        what chance alone makes of it
//	millwright_feature_drift_pvalue{version,feature,method}             before correction for many features
//	millwright_feature_alarm{version,feature}                           1 or 0
//	millwright_feature_mean{version,feature}                            of numbers
//	millwright_feature_variance{version,feature}                        of numbers
//	millwright_feature_null_ratio{version,feature}
//	millwright_feature_out_of_range_ratio{version,feature}              of numbers
//	millwright_feature_unseen_category_ratio{version,feature}           of categories
//	millwright_feature_observations_total{version,feature,bin}          rows by bin, to be added up over replicas
//	millwright_feature_reference_ratio{version,feature,bin}             share of the reference's rows
//	millwright_prediction_drift_score{version,method}                   of the model's output
//	millwright_prediction_mean{version}
//	millwright_estimated_metric{version,metric}                         before any label has come
//	millwright_realized_metric{version,metric,scope}                    auc, log_loss, brier, accuracy, …
//	millwright_label_delay_seconds                                      a summary: _sum and _count
//	millwright_labels_total{result}                                     matched, unknown, duplicate, late, rejected
//	millwright_label_coverage_ratio{version,scope}                      labelled rows of all
//	millwright_pending_predictions                                      that wait for a label
//	millwright_pending_predictions_forgotten_total                      pushed out by newer ones before a label came
//	millwright_inference_log_rows_total{result}                         Options.InferenceLog; unlogged: never reached it
//	millwright_retrain_triggers_total{result}                           Options.Triggers
//	millwright_series_truncated                                         series left out because of MaxSeries
//
// The scope "version" is all rows of the version, "window" the newest mature
// window. A metric that is not defined has no series. The bins of a feature are
// "0", "1" and so on, "other" for rare categories and "null" for missing and
// infinite values (package monitor/metrics). An alert on a rate should ask for
// a minimum of window_rows, and one on a stopped monitor for the age of
// evaluation_timestamp_seconds; monitor/grafana writes such rules.
package promexport
