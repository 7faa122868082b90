package metrics

// Prefix is in front of each name, with an underscore, where names are flat.
const Prefix = "millwright"

// Kind says how the values of a metric behave.
type Kind int

// The kinds.
const (
	// Gauge goes up and down.
	Gauge Kind = iota
	// Counter only grows, until the process or the version changes.
	Counter
	// Summary is a sum and how many values it is of.
	Summary
)

// Metric is one row of the list.
type Metric struct {
	// Name is without the prefix: "feature_drift_score".
	Name string
	Kind Kind
	// Unit is by UCUM: "1", "s", "{row}".
	Unit string
	// Help says what it is, in a sentence.
	Help string
	// Labels are the names of its labels, besides "model", which all have.
	Labels []string
}

// ID is the place of a metric in All.
type ID int

// The metrics.
const (
	ModelInfo ID = iota
	ReferenceAge
	ReferenceRows
	Predictions
	ObservationsDropped
	SchemaMismatches
	WindowRows
	EvaluationTimestamp
	DriftState
	DriftFeatures
	WindowLimitExceeded
	FeatureDriftScore
	FeatureDriftNoiseFloor
	FeatureDriftPValue
	FeatureAlarm
	FeatureMean
	FeatureVariance
	FeatureNullRatio
	FeatureOutOfRangeRatio
	FeatureUnseenRatio
	FeatureObservations
	FeatureReferenceRatio
	PredictionDriftScore
	PredictionMean
	EstimatedMetric
	RealizedMetric
	LabelDelay
	Labels
	LabelCoverage
	PendingPredictions
	PendingForgotten
	InferenceLogRows
	RetrainTriggers
	SeriesTruncated
	count
)

// All returns the list, in the order of the IDs.
func All() []Metric {
	version := func(more ...string) []string { return append([]string{"version"}, more...) }
	list := [count]Metric{
		ModelInfo:     {"model_info", Gauge, "1", "The version that is watched; always 1.", version()},
		ReferenceAge:  {"reference_age_seconds", Gauge, "s", "How long the reference has been watched against.", version()},
		ReferenceRows: {"reference_rows", Gauge, "{row}", "Rows of the reference.", version()},

		Predictions:         {"predictions_total", Counter, "{row}", "Rows observed, by the class that was predicted.", []string{"class"}},
		ObservationsDropped: {"observations_dropped_total", Counter, "{row}", "Rows not observed, by reason.", []string{"reason"}},
		SchemaMismatches:    {"schema_mismatches_total", Counter, "{value}", "Values that do not fit the reference, by kind.", []string{"kind"}},

		WindowRows:          {"window_rows", Gauge, "{row}", "Rows of the last window.", version()},
		EvaluationTimestamp: {"evaluation_timestamp_seconds", Gauge, "s", "When the last window was closed, in Unix time.", version()},
		DriftState:          {"drift_state", Gauge, "1", "What the windows come to: 0 ok, 1 warn, 2 drift, 3 cooldown.", version()},
		DriftFeatures:       {"drift_features", Gauge, "{feature}", "Features of the last window that drifted or exceeded a limit.", version()},
		WindowLimitExceeded: {"window_limit_exceeded", Gauge, "1", "Whether the last window exceeded a limit as a whole, by rule: 1 or 0.", version("rule")},

		FeatureDriftScore:      {"feature_drift_score", Gauge, "1", "Difference of the feature from the reference in the last window.", version("feature", "method")},
		FeatureDriftNoiseFloor: {"feature_drift_noise_floor", Gauge, "1", "Score that chance alone makes at this number of rows.", version("feature", "method")},
		FeatureDriftPValue:     {"feature_drift_pvalue", Gauge, "1", "Probability of such a difference without drift, not corrected for the number of features.", version("feature", "method")},
		FeatureAlarm:           {"feature_alarm", Gauge, "1", "Whether the feature drifted or exceeded a limit in the last window: 1 or 0.", version("feature")},
		FeatureMean:            {"feature_mean", Gauge, "1", "Mean of a numeric feature in the last window.", version("feature")},
		FeatureVariance:        {"feature_variance", Gauge, "1", "Variance of a numeric feature in the last window.", version("feature")},
		FeatureNullRatio:       {"feature_null_ratio", Gauge, "1", "Share of missing values in the last window.", version("feature")},
		FeatureOutOfRangeRatio: {"feature_out_of_range_ratio", Gauge, "1", "Share of numbers outside the reference's range in the last window.", version("feature")},
		FeatureUnseenRatio:     {"feature_unseen_category_ratio", Gauge, "1", "Share of categories that the reference does not name in the last window.", version("feature")},

		FeatureObservations:   {"feature_observations_total", Counter, "{row}", "Rows observed, by bin of the feature.", version("feature", "bin")},
		FeatureReferenceRatio: {"feature_reference_ratio", Gauge, "1", "Share of the reference's rows, by bin of the feature.", version("feature", "bin")},

		PredictionDriftScore: {"prediction_drift_score", Gauge, "1", "Difference of the model's output from the reference in the last window.", version("method")},
		PredictionMean:       {"prediction_mean", Gauge, "1", "Mean of the model's output in the last window.", version()},

		EstimatedMetric: {"estimated_metric", Gauge, "1", "Metric of the last window as it is expected before any label has come.", version("metric")},
		RealizedMetric:  {"realized_metric", Gauge, "1", "Metric of the rows that have a label.", version("metric", "scope")},

		LabelDelay:         {"label_delay_seconds", Summary, "s", "How long after its prediction a label came.", nil},
		Labels:             {"labels_total", Counter, "{label}", "Labels received, by what became of them.", []string{"result"}},
		LabelCoverage:      {"label_coverage_ratio", Gauge, "1", "Share of rows that have a label.", version("scope")},
		PendingPredictions: {"pending_predictions", Gauge, "{row}", "Predictions that wait for a label.", nil},
		PendingForgotten:   {"pending_predictions_forgotten_total", Counter, "{row}", "Predictions pushed out by newer ones before a label came.", nil},

		InferenceLogRows: {"inference_log_rows_total", Counter, "{row}", "Rows of the inference log, by what became of them.", []string{"result"}},
		RetrainTriggers:  {"retrain_triggers_total", Counter, "{trigger}", "Triggers, by what became of them.", []string{"result"}},

		SeriesTruncated: {"series_truncated", Gauge, "{series}", "Series left out because of the limit.", nil},
	}
	return list[:]
}
