package inttest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/registry"
	registrymlflow "github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/prompts"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// Prompts that the unmodified Python client has registered with our tracking
// server are rendered by the gateway, and llama.cpp answers them.
func TestPromptsOfTheMLflowClientAreRendered(t *testing.T) {
	t.Parallel()
	inttest.MLflowPython(t)
	talks := inttest.Llama(t, "chat")
	runs := new(trackingtest.Memory)
	reg := registry.New(new(registrytest.Mem), nil, nil)
	models, err := registrymlflow.NewHandler(reg, &registrymlflow.Options{Tracking: runs})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, models.Shutdown(context.WithoutCancel(t.Context()))) })
	tracker, err := mlflow.NewHandler(runs, &mlflow.Options{Registry: models})
	require.NoError(t, err)
	server := httptest.NewServer(tracker)
	t.Cleanup(server.Close)
	out, err := inttest.RunMLflowScript(t, "llm_prompts.py", server.URL)
	require.NoError(t, err, "%s", out)

	hook := prompts.New(prompts.SourceFunc(func(ctx context.Context, ref string) (prompts.Version, error) {
		v, err := reg.Resolve(ctx, ref)
		if err != nil {
			return prompts.Version{}, err
		}
		return prompts.Version{Number: strconv.Itoa(v.Number), Tags: v.Tags}, nil
	}), &prompts.Options{Refresh: time.Millisecond, Timeout: inttest.Patience})
	seen, logged := make(exchanges, 1000), make(records, 1000)
	g, err := llm.New([]llm.Upstream{{Name: "talks", URL: talks + "/v1"}}, []llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "talks", Model: "noise"}}}},
		&llm.Options{Hooks: []llm.Hook{hook}, Observers: []llm.Observer{seen}, Log: &llm.Log{Recorder: logged}, First: inttest.Patience, Idle: inttest.Patience})
	require.NoError(t, err)
	gateway := httptest.NewServer(g)
	t.Cleanup(gateway.Close)
	ask := func(body string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway.URL+"/v1/chat/completions", strings.NewReader(body))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s", text)
		return resp
	}
	resp := ask(`{"model":"chat","max_tokens":4,"prompt_ref":{"name":"greet","variables":{"name":"Ann"}}}`)
	require.Equal(t, "greet/1", resp.Header.Get("Millwright-Prompt"))
	x, r := <-seen, <-logged
	require.Equal(t, "greet/1", x.Prompt+"/"+x.PromptVersion)
	require.Equal(t, 4, x.Usage.Output)
	require.JSONEq(t, `{"model":"chat","max_tokens":4,"messages":[{"role":"user","content":"Say hello to Ann."}]}`, string(r.Request))

	ask(`{"model":"chat","max_tokens":4,"stream":true,"prompt_ref":{"name":"greet","alias":"next","variables":{"name":"Ann","language":"German"}}}`)
	require.Equal(t, "2", (<-seen).PromptVersion)
	require.Contains(t, string((<-logged).Request), `[{"role":"system","content":"Answer in German."},{"role":"user","content":"Say hello to Ann."}]`)

	// An alias that moves is seen.
	require.NoError(t, reg.SetAlias(t.Context(), "greet", "champion", 2, &registry.AliasOptions{Expect: 1}))
	require.Eventually(t, func() bool {
		x := llm.Exchange{Operation: llm.Chat}
		_, err := hook.Request(t.Context(), &x, []byte(`{"prompt_ref":{"name":"greet","variables":{"name":"Ann","language":"German"}}}`))
		return err == nil && x.PromptVersion == "2"
	}, inttest.Patience, 10*time.Millisecond)
}

// records collects what the gateway logs.
type records chan llm.Record

func (s records) Record(r llm.Record) { s <- r }
