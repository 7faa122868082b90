package mlflowapi

// MetricViewType says what a statistic is of.
type MetricViewType string

// The views.
const (
	ViewTraces      MetricViewType = "TRACES"
	ViewSpans       MetricViewType = "SPANS"
	ViewAssessments MetricViewType = "ASSESSMENTS"
)

// AggregationType makes one number of many.
type AggregationType string

// The aggregations.
const (
	AggregateCount      AggregationType = "COUNT"
	AggregateSum        AggregationType = "SUM"
	AggregateAvg        AggregationType = "AVG"
	AggregatePercentile AggregationType = "PERCENTILE"
	AggregateMin        AggregationType = "MIN"
	AggregateMax        AggregationType = "MAX"
)

func (MetricViewType) numbers() map[string]int32 {
	return map[string]int32{string(ViewTraces): 1, string(ViewSpans): 2, string(ViewAssessments): 3}
}

func (AggregationType) numbers() map[string]int32 {
	return map[string]int32{
		string(AggregateCount): 1, string(AggregateSum): 2, string(AggregateAvg): 3,
		string(AggregatePercentile): 4, string(AggregateMin): 5, string(AggregateMax): 6,
	}
}

// QueryTraceMetrics is the request of POST 3.0 traces/metrics.
type QueryTraceMetrics struct {
	ExperimentIDs       []string            `json:"experiment_ids" api:"required"`
	ViewType            MetricViewType      `json:"view_type" api:"required"`
	MetricName          string              `json:"metric_name" api:"required"`
	Aggregations        []MetricAggregation `json:"aggregations" api:"required"`
	Dimensions          []string            `json:"dimensions,omitempty"`
	Filters             []string            `json:"filters,omitempty"`
	TimeIntervalSeconds *int64              `json:"time_interval_seconds,omitempty"`
	StartTimeMs         *int64              `json:"start_time_ms,omitempty"`
	EndTimeMs           *int64              `json:"end_time_ms,omitempty"`
	MaxResults          *int32              `json:"max_results,omitempty"`
	PageToken           string              `json:"page_token,omitempty"`
}

// MetricAggregation asks for one number of each group.
type MetricAggregation struct {
	AggregationType AggregationType `json:"aggregation_type"`
	PercentileValue *float64        `json:"percentile_value,omitempty"`
}

// QueryTraceMetricsResponse answers it.
type QueryTraceMetricsResponse struct {
	DataPoints []MetricDataPoint `json:"data_points,omitempty"`
}

// MetricDataPoint has the numbers of one group.
type MetricDataPoint struct {
	MetricName string             `json:"metric_name"`
	Dimensions map[string]string  `json:"dimensions,omitempty"`
	Values     map[string]float64 `json:"values,omitempty"`
}
