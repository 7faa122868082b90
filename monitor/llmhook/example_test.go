package llmhook_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/monitor/inferlog"
	"github.com/millwright-ml/millwright/monitor/llmhook"
	"github.com/millwright-ml/millwright/serve/llm"
)

// A request and its answer become a row of a dataset, without what is personal.
func Example() {
	ctx := context.Background()
	rows, err := inferlog.Open(ctx, dataset.New(new(blob.Mem), nil), "chat", llmhook.Schema(), nil)
	if err != nil {
		log.Fatal(err)
	}
	hook := llmhook.New(rows, nil)

	// Stands for vLLM.
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"Done."}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`)
	}))
	defer there.Close()
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a"}}}},
		&llm.Options{Log: &llm.Log{Recorder: hook}})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"chat","prompt":"Write to ann@example.org"}`))
	r.Header.Set("X-Request-Id", "order-17")
	g.ServeHTTP(httptest.NewRecorder(), r)

	if err := rows.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	found, err := rows.Find(ctx, "order-17")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Model, found.Inputs[0])
	fmt.Println(hook.Stats().Output, "tokens,", rows.Stats().Written, "row")
	// Output:
	// chat [{"model":"chat","prompt":"Write to [email]"}]
	// 2 tokens, 1 row
}
