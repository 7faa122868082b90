// Package promexport shows a monitor to Prometheus.
//
//	registry.MustRegister(promexport.New(m, nil))
//
// One scrape reads one monitor.Snapshot; nothing is computed that the monitor
// has not computed when it closed the window. All series carry the label
// model. Those about one version carry version too, and go when monitor.Reset
// brings the next, so that versions do not pile up. No label holds a request,
// a user or a category.
//
//	millwright_model_info{version}                                      1
//	millwright_predictions_total                                        rows observed
//	millwright_observations_dropped_total{reason}                       rejected: wrong length; closed: after Shutdown
//	millwright_window_rows{version}                                     rows of the last window
//	millwright_evaluation_timestamp_seconds{version}                    when it was closed
//	millwright_drift_state{version}                                     0 ok, 2 drift, -1 too few rows
//	millwright_drift_features{version}                                  features with an alarm
//	millwright_feature_drift_score{version,feature,method}              size of the difference
//	millwright_feature_drift_noise_floor{version,feature,method}        what chance alone makes of it
//	millwright_feature_drift_pvalue{version,feature,method}             before correction for many features
//	millwright_feature_mean{version,feature}                            of numbers
//	millwright_feature_null_ratio{version,feature}
//	millwright_feature_out_of_range_ratio{version,feature}              of numbers
//	millwright_feature_unseen_category_ratio{version,feature}           of categories
//	millwright_prediction_drift_score{version,method}                   of the model's output
//	millwright_prediction_mean{version}
//	millwright_labels_total{result}                                     matched, unknown, duplicate, late, rejected
//	millwright_pending_predictions                                      that wait for a label
//	millwright_pending_predictions_forgotten_total                      pushed out by newer ones before a label came
//	millwright_label_coverage_ratio{version,scope}                      labelled rows of all
//	millwright_realized_metric{version,metric,scope}                    auc, log_loss, brier, accuracy, positive_rate
//	millwright_series_truncated                                         series left out because of MaxSeries
//
// The scope "version" is all rows of the version, "window" the newest window
// of which at least half the rows have a label. A metric that is not defined
// has no series. An alert on a rate should ask for a minimum of window_rows,
// and one on a stopped monitor for the age of evaluation_timestamp_seconds.
package promexport
