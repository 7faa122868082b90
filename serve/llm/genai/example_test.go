package genai_test

import (
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/serve/llm/genai"
)

// Prometheus has the same names with underscores, and the unit behind them.
func Example() {
	fmt.Println(strings.ReplaceAll(genai.OperationDuration, ".", "_") + "_seconds")
	fmt.Println(len(genai.DurationBuckets()), len(genai.TokenBuckets()))
	// Output:
	// gen_ai_client_operation_duration_seconds
	// 14 14
}
