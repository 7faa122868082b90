package mlflowapi

import "strconv"

// Metric is one point of a metric. A request must have Key, Value and
// Timestamp; DecodeRequest checks that of a LogBatch.
type Metric struct {
	Key           string  `json:"key"`
	Value         float64 `json:"value"`
	Timestamp     int64   `json:"timestamp"`
	Step          int64   `json:"step"`
	DatasetName   string  `json:"dataset_name,omitempty"`
	DatasetDigest string  `json:"dataset_digest,omitempty"`
	ModelID       string  `json:"model_id,omitempty"`
	RunID         string  `json:"run_id,omitempty"`
}

// LogMetric is the request of POST runs/log-metric.
type LogMetric struct {
	RunID         string   `json:"run_id" api:"required"`
	RunUUID       string   `json:"run_uuid,omitempty"`
	Key           string   `json:"key" api:"required"`
	Value         *float64 `json:"value" api:"required"`
	Timestamp     *int64   `json:"timestamp" api:"required"`
	Step          int64    `json:"step"`
	ModelID       string   `json:"model_id,omitempty"`
	DatasetName   string   `json:"dataset_name,omitempty"`
	DatasetDigest string   `json:"dataset_digest,omitempty"`
}

func (m *LogMetric) normalize() { alias(&m.RunID, m.RunUUID) }

// LogBatch is the request of POST runs/log-batch.
type LogBatch struct {
	RunID   string   `json:"run_id" api:"required"`
	Metrics []Metric `json:"metrics,omitempty"`
	Params  []Param  `json:"params,omitempty"`
	Tags    []RunTag `json:"tags,omitempty"`
}

// GetMetricHistory is the request of GET metrics/get-history.
type GetMetricHistory struct {
	RunID      string `json:"run_id" api:"required"`
	RunUUID    string `json:"run_uuid,omitempty"`
	MetricKey  string `json:"metric_key" api:"required"`
	PageToken  string `json:"page_token,omitempty"`
	MaxResults *int32 `json:"max_results,omitempty"`
}

func (m *GetMetricHistory) normalize() { alias(&m.RunID, m.RunUUID) }

// GetMetricHistoryResponse answers it.
type GetMetricHistoryResponse struct {
	Metrics       []Metric `json:"metrics,omitempty"`
	NextPageToken string   `json:"next_page_token,omitempty"`
}

// GetMetricHistoryBulkInterval is the request of GET
// metrics/get-history-bulk-interval.
type GetMetricHistoryBulkInterval struct {
	RunIDs     []string `json:"run_ids" api:"required"`
	MetricKey  string   `json:"metric_key" api:"required"`
	StartStep  *int64   `json:"start_step,omitempty"`
	EndStep    *int64   `json:"end_step,omitempty"`
	MaxResults *int64   `json:"max_results,omitempty"`
}

// GetMetricHistoryBulk is the request of GET metrics/get-history-bulk, which
// only the web UI sends.
type GetMetricHistoryBulk struct {
	RunIDs     []string `json:"run_id,omitempty"`
	MetricKey  string   `json:"metric_key,omitempty"`
	MaxResults *int64   `json:"max_results,omitempty"`
}

// GetMetricHistoryBulkResponse answers both; each Metric has its RunID.
type GetMetricHistoryBulkResponse struct {
	Metrics []Metric `json:"metrics,omitempty"`
}

func (m *Metric) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"key":`...)
	dst = appendText(dst, m.Key)
	dst = append(dst, `,"value":`...)
	dst = appendFloat(dst, m.Value)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, m.Timestamp, 10)
	dst = append(dst, `,"step":`...)
	dst = strconv.AppendInt(dst, m.Step, 10)
	dst = appendOptional(dst, `,"dataset_name":`, m.DatasetName)
	dst = appendOptional(dst, `,"dataset_digest":`, m.DatasetDigest)
	dst = appendOptional(dst, `,"model_id":`, m.ModelID)
	dst = appendOptional(dst, `,"run_id":`, m.RunID)
	return append(dst, '}')
}

func appendOptional(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	return appendText(append(dst, key...), value)
}

func (m *KeyValue) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"key":`...)
	dst = appendText(dst, m.Key)
	dst = append(dst, `,"value":`...)
	dst = appendText(dst, m.Value)
	return append(dst, '}')
}
