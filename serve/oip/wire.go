package oip

// RepositoryIndexRequest is the body of POST /v2/repository/index.
type RepositoryIndexRequest struct {
	// Ready asks only for the versions that answer now.
	Ready bool `json:"ready,omitempty"`
}

// The states of a version in a repository.
const (
	StateReady       = "READY"
	StateLoading     = "LOADING"
	StateUnloading   = "UNLOADING"
	StateUnavailable = "UNAVAILABLE"
)

// ModelIndex is one version of a model in a server's repository. The answer to
// an index is a list of them.
type ModelIndex struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// State is one of the states above, empty for a model that was never
	// asked for.
	State string `json:"state,omitempty"`
	// Reason says why it is in that state, for example the error of a load.
	Reason string `json:"reason,omitempty"`
}

// LoadRequest is the body of POST /v2/repository/models/{model}/load. Triton
// knows the parameters "config", a model configuration as JSON, and
// "file:<version>/<name>", a file in base64.
type LoadRequest struct {
	Parameters map[string]any `json:"parameters,omitempty"`
}

// UnloadRequest is the body of POST /v2/repository/models/{model}/unload. Triton
// knows the parameter "unload_dependents", a boolean.
type UnloadRequest struct {
	Parameters map[string]any `json:"parameters,omitempty"`
}

// Statistics is the answer to GET /v2/models[/{model}[/versions/{version}]]/stats.
type Statistics struct {
	Models []ModelStatistics `json:"model_stats"`
}

// ModelStatistics counts what one version of a model has done since it was
// loaded.
type ModelStatistics struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// LastInference is when the last request came, in milliseconds since
	// 1970, 0 for never.
	LastInference uint64 `json:"last_inference"`
	// InferenceCount counts the inferences, each row of a batch as one;
	// ExecutionCount the calls of the model.
	InferenceCount uint64 `json:"inference_count"`
	ExecutionCount uint64 `json:"execution_count"`
	// Inference has the times of the requests.
	Inference InferStatistics `json:"inference_stats"`
	// Batches has the times of the executions, by their number of rows.
	Batches []BatchStatistics `json:"batch_stats"`
	// Memory is what the version holds.
	Memory []MemoryUsage `json:"memory_usage,omitempty"`
}

// InferStatistics are counts and times of the steps of requests. Success and
// Fail are whole requests, the others steps of those that succeeded.
type InferStatistics struct {
	Success       DurationStatistic `json:"success"`
	Fail          DurationStatistic `json:"fail"`
	Queue         DurationStatistic `json:"queue"`
	ComputeInput  DurationStatistic `json:"compute_input"`
	ComputeInfer  DurationStatistic `json:"compute_infer"`
	ComputeOutput DurationStatistic `json:"compute_output"`
	CacheHit      DurationStatistic `json:"cache_hit"`
	CacheMiss     DurationStatistic `json:"cache_miss"`
}

// BatchStatistics are the executions of one batch size.
type BatchStatistics struct {
	BatchSize     uint64            `json:"batch_size"`
	ComputeInput  DurationStatistic `json:"compute_input"`
	ComputeInfer  DurationStatistic `json:"compute_infer"`
	ComputeOutput DurationStatistic `json:"compute_output"`
}

// DurationStatistic is how often something was and how long it took in all.
type DurationStatistic struct {
	Count uint64 `json:"count"`
	// Nanoseconds is the sum.
	Nanoseconds uint64 `json:"ns"`
}

// MemoryUsage is memory of one kind on one device.
type MemoryUsage struct {
	Type  string `json:"type"` // "CPU", "CPU_PINNED" or "GPU"
	ID    int64  `json:"id"`
	Bytes uint64 `json:"byte_size"`
}

// ModelConfig is the answer to GET /v2/models/{model}/config: the part of
// Triton's model configuration that other servers have as well.
type ModelConfig struct {
	Name     string `json:"name"`
	Platform string `json:"platform"`
	Backend  string `json:"backend"`
	// MaxBatchSize is the most rows of a batch. 0 says that the first
	// dimension of the tensors is not a batch.
	MaxBatchSize int32          `json:"max_batch_size"`
	Inputs       []TensorConfig `json:"input"`
	Outputs      []TensorConfig `json:"output"`
	// DynamicBatching is nil where requests are not joined.
	DynamicBatching *DynamicBatching `json:"dynamic_batching,omitempty"`
	// Parameters are the server's extras, each a {"string_value": "…"}.
	Parameters map[string]ParameterConfig `json:"parameters,omitempty"`
}

// TensorConfig is a tensor in a ModelConfig.
type TensorConfig struct {
	Name string `json:"name"`
	// DataType is the datatype with "TYPE_" in front, "TYPE_STRING" for
	// BYTES; see Datatype.ConfigName.
	DataType string `json:"data_type"`
	// Dims is the shape, without the dimension of the batch where
	// MaxBatchSize is not 0.
	Dims []int64 `json:"dims"`
}

// DynamicBatching says how requests are joined.
type DynamicBatching struct {
	PreferredBatchSize []int32 `json:"preferred_batch_size,omitempty"`
	// MaxQueueDelay is how long a request may wait for others, in
	// microseconds.
	MaxQueueDelay uint64 `json:"max_queue_delay_microseconds"`
}

// ParameterConfig is the value of a parameter in a ModelConfig.
type ParameterConfig struct {
	StringValue string `json:"string_value"`
}

// ConfigName is the datatype's name in a model configuration, "TYPE_INVALID"
// for a name that is not a datatype.
func (d Datatype) ConfigName() string {
	switch {
	case d == BYTES:
		return "TYPE_STRING"
	case d.known():
		return "TYPE_" + string(d)
	}
	return "TYPE_INVALID"
}
