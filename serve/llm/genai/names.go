// Package genai has the names of OpenTelemetry's conventions for generative AI, all
// in this one place, as they are still being developed and change. They are those
// of the repository semantic-conventions-genai of 2026, as constants, so that
// exporters of spans and metrics agree without linking OpenTelemetry.
package genai

// Attributes of spans and metrics.
const (
	OperationName = "gen_ai.operation.name"
	ProviderName  = "gen_ai.provider.name"

	RequestModel     = "gen_ai.request.model"
	RequestMaxTokens = "gen_ai.request.max_tokens"
	ConversationID   = "gen_ai.conversation.id"

	ResponseID               = "gen_ai.response.id"
	ResponseModel            = "gen_ai.response.model"
	ResponseFinishReasons    = "gen_ai.response.finish_reasons"
	ResponseTimeToFirstChunk = "gen_ai.response.time_to_first_chunk"

	UsageInputTokens     = "gen_ai.usage.input_tokens"
	UsageOutputTokens    = "gen_ai.usage.output_tokens"
	UsageCacheReadTokens = "gen_ai.usage.cache_read.input_tokens"
	UsageReasoningTokens = "gen_ai.usage.reasoning.output_tokens"

	PromptName = "gen_ai.prompt.name"

	TokenType = "gen_ai.token.type"
	ErrorType = "error.type"
)

// Values of TokenType.
const (
	TokenInput  = "input"
	TokenOutput = "output"
)

// Metrics, all of them histograms. Durations are in seconds.
const (
	TokenUsage         = "gen_ai.client.token.usage"
	OperationDuration  = "gen_ai.client.operation.duration"
	TimeToFirstChunk   = "gen_ai.client.operation.time_to_first_chunk"
	TimePerOutputChunk = "gen_ai.client.operation.time_per_output_chunk"

	ServerRequestDuration    = "gen_ai.server.request.duration"
	ServerTimeToFirstToken   = "gen_ai.server.time_to_first_token"
	ServerTimePerOutputToken = "gen_ai.server.time_per_output_token"
)

// EvaluationResult is the event of a judge's verdict.
const EvaluationResult = "gen_ai.evaluation.result"

// Attributes of EvaluationResult, beside ResponseID, RequestModel and ErrorType.
const (
	EvaluationName        = "gen_ai.evaluation.name"
	EvaluationScoreValue  = "gen_ai.evaluation.score.value"
	EvaluationScoreLabel  = "gen_ai.evaluation.score.label"
	EvaluationExplanation = "gen_ai.evaluation.explanation"
)

// DurationBuckets and TokenBuckets are the bounds that the conventions recommend
// for their histograms.
func DurationBuckets() []float64 {
	return []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
}

// TokenBuckets are the bounds of TokenUsage.
func TokenBuckets() []float64 {
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}

// FirstTokenBuckets are the bounds of ServerTimeToFirstToken.
func FirstTokenBuckets() []float64 {
	return []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

// OutputTokenBuckets are the bounds of ServerTimePerOutputToken.
func OutputTokenBuckets() []float64 {
	return []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5}
}
