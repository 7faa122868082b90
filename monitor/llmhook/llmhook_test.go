package llmhook_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/monitor/inferlog"
	"github.com/millwright-ml/millwright/monitor/llmhook"
	"github.com/millwright-ml/millwright/serve/llm"
)

// answer stands for a server with models.
func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch {
	case strings.Contains(string(body), "fail"):
		w.WriteHeader(http.StatusInternalServerError)
	case strings.Contains(string(body), `"stream":true`):
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range []string{"write to ", "bob@example.org", " \xff"} {
			_, _ = io.WriteString(w, `data: {"id":"s1","model":"real","choices":[{"index":0,"delta":{"content":"`+piece+`"},"finish_reason":null}]}`+"\n\n")
		}
		_, _ = io.WriteString(w, `data: {"id":"s1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n")
		_, _ = io.WriteString(w, `data: {"id":"s1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}`+"\n\ndata: [DONE]\n\n")
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c1","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"call +49 30 1234567"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`)
	}
}

// gateway is one with the model "chat", which is "real" upstream.
func gateway(t testing.TB, o *llm.Options) *llm.Gateway {
	t.Helper()
	there := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(there.Close)
	o.Retries = -1
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}},
		[]llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a", Model: "real"}}, Price: llm.Price{Input: 1, Output: 2}}}, o)
	require.NoError(t, err)
	return g
}

func post(g *llm.Gateway, id, body string) int {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("X-Request-Id", id)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Code
}

func TestRowsOfAGateway(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	log, err := inferlog.Open(ctx, dataset.New(new(blob.Mem), nil), "chat", llmhook.Schema(), nil)
	require.NoError(t, err)
	hook := llmhook.New(log, &llmhook.Options{Skip: func(x *llm.Exchange) bool { return x.User == "probe" }})
	g := gateway(t, &llm.Options{Log: &llm.Log{Recorder: hook, MaxBytes: 200}, Failures: -1})
	require.Equal(t, 200, post(g, "r1", `{"model":"chat","user":"ann","messages":[{"role":"user","content":"I am ann@example.org"}]}`))
	require.Equal(t, 200, post(g, "r2", `{"model":"chat","stream":true,"messages":[]}`))
	require.Equal(t, 404, post(g, "r3", `{"model":"none"}`))
	post(g, "r4", `{"model":"chat","messages":[{"role":"user","content":"fail"}]}`)
	require.Equal(t, 200, post(g, "r5", `{"model":"chat","user":"probe"}`))
	require.Equal(t, 200, post(g, "r6", `{"model":"chat","messages":[{"role":"user","content":"x`+strings.Repeat("ä", 200)+`"}]}`))
	require.NoError(t, log.Shutdown(ctx))

	s := hook.Stats()
	require.Equal(t, llmhook.Stats{Rows: 5, Skipped: 1, Mended: s.Mended, Failed: 2, Input: s.Input, Output: s.Output, Cost: s.Cost}, s)
	require.NotZero(t, s.Mended)
	stats := log.Stats()
	require.EqualValues(t, 5, stats.Written)
	require.Zero(t, stats.Dropped)

	row := find(t, log, "r1")
	require.Equal(t, "chat real  chat ann false", fmt.Sprint(row["model"], " ", row["version"], " ", row["error"], " ", row["in_model"], " ", row["in_user"], " ", row["in_stream"]))
	require.Equal(t, `{"model":"chat","user":"ann","messages":[{"role":"user","content":"I am [email]"}]}`, row["in_request"])
	require.Contains(t, row["out_answer"], `"content":"call [phone]"`)
	require.Equal(t, "a 1 200 stop c1 real 7 3 false 1.3e-05 false", fmt.Sprint(row["out_upstream"], " ", row["out_attempts"], " ", row["out_status"], " ", row["out_finish"], " ",
		row["out_response_id"], " ", row["out_response_model"], " ", row["out_input_tokens"], " ", row["out_output_tokens"], " ", row["out_estimated"], " ", row["out_cost"], " ", row["out_cached"]))
	row = find(t, log, "r2")
	require.Equal(t, "write to [email] \uFFFD", row["out_answer"])
	require.EqualValues(t, 3, row["out_output_tokens"])
	row = find(t, log, "r3")
	require.Contains(t, row["error"], "does not exist")
	require.Equal(t, "none", row["in_model"])
	require.Empty(t, row["model"])
	row = find(t, log, "r4")
	require.EqualValues(t, 500, row["out_status"])
	row = find(t, log, "r6")
	require.Equal(t, true, row["out_truncated"])
}

// find returns the row of a request by the names of its columns.
func find(t *testing.T, log *inferlog.Log, id string) map[string]any {
	t.Helper()
	r, err := log.Find(t.Context(), id)
	require.NoError(t, err)
	row := map[string]any{"model": r.Model, "version": r.Version, "error": r.Error}
	add := func(prefix string, fields []inferlog.Field, values []any) {
		for i, f := range fields {
			switch v := values[i].(type) {
			case []string:
				row[prefix+f.Name] = v[0]
			case []int64:
				row[prefix+f.Name] = v[0]
			case []float64:
				row[prefix+f.Name] = v[0]
			case []bool:
				row[prefix+f.Name] = v[0]
			}
		}
	}
	add("in_", llmhook.Schema().Inputs, r.Inputs)
	add("out_", llmhook.Schema().Outputs, r.Outputs)
	return row
}

// Without a Log no body is copied, and the counters are exact whatever comes at
// once.
func TestAsAnObserver(t *testing.T) {
	t.Parallel()
	log, err := inferlog.Open(t.Context(), dataset.New(new(blob.Mem), nil), "chat", llmhook.Schema(), &inferlog.Options{Hash: []string{"in_user"}, HashKey: []byte("0123456789abcdef")})
	require.NoError(t, err)
	hook := llmhook.New(log, nil)
	g := gateway(t, &llm.Options{Observers: []llm.Observer{hook}})
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			post(g, fmt.Sprint("r", i), `{"model":"chat","user":"ann","messages":[{"role":"user","content":"secret"}]}`)
		})
	}
	all.Wait()
	require.NoError(t, log.Shutdown(context.WithoutCancel(t.Context())))
	s := hook.Stats()
	require.Equal(t, llmhook.Stats{Rows: 40, Input: 280, Output: 120, Cost: 40 * 13000}, s)
	require.EqualValues(t, 40, log.Stats().Written)
	row := find(t, log, "r7")
	require.Empty(t, row["in_request"])
	require.Empty(t, row["out_answer"])
	require.Len(t, row["in_user"], 32)
}
