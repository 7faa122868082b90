package inttest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sashabaranov/go-openai"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/serve/llm"
)

// exchanges collects what the gateway reports.
type exchanges chan llm.Exchange

func (s exchanges) Observe(x *llm.Exchange) { s <- *x }

// scripted answers what a model of noise does not: the call of a tool, and a
// stream that breaks off.
func scripted(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	const call = `"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"weather","arguments":`
	if !strings.Contains(string(body), `"stream":true`) && !strings.Contains(string(body), `"stream": true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"s","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,`+call+`"{\"city\":\"Z\u00fcrich\"}"}}]}}]}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(delta, finish string) {
		_, _ = fmt.Fprintf(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"s","choices":[{"index":0,"delta":{%s},"finish_reason":%s}]}`+"\n\n", delta, finish)
		_ = http.NewResponseController(w).Flush()
	}
	event(`"role":"assistant","content":null`, "null")
	switch {
	case strings.Contains(string(body), "break off"):
		return
	case strings.Contains(string(body), "leaves"):
		<-r.Context().Done() // It ends when the client has left.
		return
	}
	event(call+`""}}]`, "null")
	event(`"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]`, "null")
	event(`"tool_calls":[{"index":0,"function":{"arguments":"\"Zürich\"}"}}]`, "null")
	event("", `"tool_calls"`)
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// OpenAI's clients for Python and Node, LangChain's, and go-openai use llama.cpp
// through the gateway as if it were OpenAI.
func TestOpenAIClientsUseLlamaThroughTheGateway(t *testing.T) {
	t.Parallel()
	python := inttest.LlamaPython(t)
	node, packages := inttest.Node(t)
	talks, embeds := inttest.Llama(t, "chat"), inttest.Llama(t, "embeddings")
	script := httptest.NewServer(http.HandlerFunc(scripted))
	t.Cleanup(script.Close)

	keys, err := llm.NewKeys(map[string]*llm.Tenant{
		llm.HashKey("rich"): {Name: "rich", Tokens: 1_000_000}, llm.HashKey("poor"): {Name: "poor", Tokens: 1},
	})
	require.NoError(t, err)
	s := make(exchanges, 1000)
	g, err := llm.New([]llm.Upstream{
		{Name: "talks", URL: talks + "/v1", Metrics: talks + "/metrics"}, {Name: "embeds", URL: embeds + "/v1"}, {Name: "script", URL: script.URL},
	}, []llm.Model{
		{Name: "chat", Targets: []llm.Target{{Upstream: "talks", Model: "noise"}}, Price: llm.Price{Input: 1, Output: 2}},
		{Name: "embed", Targets: []llm.Target{{Upstream: "embeds", Model: "noise"}}},
		{Name: "scripted", Targets: []llm.Target{{Upstream: "script"}}},
	}, &llm.Options{Auth: keys, Observers: []llm.Observer{s}, First: inttest.Patience, Idle: inttest.Patience, Retries: -1})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)

	for name, args := range map[string][]string{
		"python":    {python, "testdata/llm/client.py", server.URL + "/v1", "rich"},
		"langchain": {python, "testdata/llm/langchain.py", server.URL + "/v1", "rich"},
		"node":      {node, "testdata/llm/client.mjs", server.URL + "/v1", "rich", packages},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), inttest.Patience)
		said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput() //nolint:gosec // The test's own programs.
		cancel()
		require.NoError(t, err, "%s: %s", name, said)
		require.Equal(t, "ok\n", string(said), name)
		left := false
		for !left {
			x := <-s
			if x.User == "leaves" && x.Model == "scripted" {
				require.Equal(t, 499, x.Status)
				require.ErrorIs(t, x.Err, context.Canceled)
				left = true
			}
			if x.Model == "chat" && x.Status == 200 && x.User == "" {
				require.False(t, x.Estimated, "llama.cpp counts the tokens")
				require.NotZero(t, x.Cost)
			}
		}
	}
	goClient(t, server.URL+"/v1")

	// The work of the requests that were left has ended there, too: that is what
	// the server says of itself.
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		watched <- g.Watch(ctx, &llm.WatchOptions{Every: 20 * time.Millisecond, Timeout: inttest.Patience})
	}()
	require.Eventually(t, func() bool {
		for _, u := range g.Upstreams() {
			if u.Name == "talks" {
				return !u.Signals.At.IsZero() && u.Signals.Running == 0
			}
		}
		return false
	}, inttest.Patience, 20*time.Millisecond)
	stop()
	require.NoError(t, <-watched)
}

func goClient(t *testing.T, url string) {
	t.Helper()
	config := openai.DefaultConfig("rich")
	config.BaseURL = url
	c := openai.NewClientWithConfig(config)
	hi := []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleUser, Content: "hi"}}
	whole, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{Model: "chat", Messages: hi, MaxTokens: 12, Seed: new(7)})
	require.NoError(t, err)
	require.Equal(t, 12, whole.Usage.CompletionTokens)

	stream, err := c.CreateChatCompletionStream(t.Context(), openai.ChatCompletionRequest{Model: "chat", Messages: hi, MaxTokens: 12, StreamOptions: &openai.StreamOptions{IncludeUsage: true}})
	require.NoError(t, err)
	tokens := 0
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if part.Usage != nil {
			tokens = part.Usage.CompletionTokens
		}
	}
	require.NoError(t, stream.Close())
	require.Equal(t, 12, tokens)

	vectors, err := c.CreateEmbeddings(t.Context(), openai.EmbeddingRequestStrings{Input: []string{"one"}, Model: "embed"})
	require.NoError(t, err)
	require.Len(t, vectors.Data[0].Embedding, 64)

	_, err = c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{Model: "none", Messages: hi})
	var refused *openai.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 404, refused.HTTPStatusCode)
	require.Equal(t, "model_not_found", refused.Code)

	tools := []openai.Tool{{Type: openai.ToolTypeFunction, Function: &openai.FunctionDefinition{Name: "weather", Parameters: map[string]any{"type": "object", "properties": map[string]any{}}}}}
	called, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{Model: "scripted", Messages: hi, Tools: tools})
	require.NoError(t, err)
	require.JSONEq(t, `{"city":"Zürich"}`, called.Choices[0].Message.ToolCalls[0].Function.Arguments)

	schema := json.RawMessage(`{"type":"object","properties":{"mood":{"enum":["good","bad"]}},"required":["mood"],"additionalProperties":false}`)
	shaped, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{Model: "chat", Messages: hi, MaxTokens: 100, ResponseFormat: &openai.ChatCompletionResponseFormat{
		Type: openai.ChatCompletionResponseFormatTypeJSONSchema, JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "a", Schema: schema, Strict: true},
	}})
	require.NoError(t, err)
	require.Regexp(t, `"mood"\s*:\s*"(good|bad)"`, shaped.Choices[0].Message.Content)

	left, leave := context.WithCancel(t.Context())
	begun, err := c.CreateChatCompletionStream(left, openai.ChatCompletionRequest{Model: "scripted", Messages: hi, Tools: tools, User: "leaves"})
	require.NoError(t, err)
	_, err = begun.Recv()
	require.NoError(t, err)
	leave()
	_, err = begun.Recv()
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, begun.Close())

	broken, err := c.CreateChatCompletionStream(t.Context(), openai.ChatCompletionRequest{Model: "scripted", Messages: hi, User: "break off"})
	require.NoError(t, err)
	for err == nil {
		_, err = broken.Recv()
	}
	require.ErrorContains(t, err, "broke off")
	require.NoError(t, broken.Close())
}
