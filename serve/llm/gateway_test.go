package llm_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

func TestBodiesSurviveByteForByte(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answers(200, whole))
	_, server, seen := gateway(t, nil, u)
	body := `{ "model" : "m", "guided_json":{"a":[1,2.50, 1e400]} ,"messages":[{"role":"user","content":"\u00fc \/ ü"}],"top_k":5  }` + "\n"
	resp, answer := post(t, server, chat, body, "Authorization", "Bearer secret", "X-Custom", "1", "Connection", "X-Gone", "X-Gone", "1", "Cookie", "a=b")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, whole, answer)
	require.Equal(t, body, <-u.bodies)
	h := <-u.heads
	require.Equal(t, "1", h.Get("X-Custom"))
	for _, gone := range []string{"Authorization", "Cookie", "X-Gone"} {
		require.Empty(t, h.Values(gone), gone)
	}
	require.NotEmpty(t, resp.Header.Get("X-Request-Id"))
	require.Equal(t, h.Get("X-Request-Id"), resp.Header.Get("X-Request-Id"))
	x := <-seen
	require.Equal(t, llm.Usage{Input: 7, Output: 3}, x.Usage)
	require.Equal(t, "c1", x.ResponseID)
	require.Equal(t, "stop", x.Finish)
	require.Equal(t, "real", x.ResponseModel)
	require.Equal(t, "u0", x.Upstream)
	require.NoError(t, x.Err)
}

func TestBodiesAreEditedInPlaceOnly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ path, body, want string }{
		"rename":          {chat, `{"model": "m" ,"x":1}`, `{"model": "there\"" ,"x":1,}`},
		"usage":           {chat, `{"model":"m","stream":true}`, `{"stream_options":{"include_usage":true},"model":"there\"","stream":true}`},
		"usage options":   {chat, `{"stream":true,"stream_options":{ "a":1},"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true, "a":1},"model":"there\""}`},
		"usage empty":     {chat, `{"stream":true,"stream_options":{ },"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true},"model":"there\""}`},
		"usage null":      {chat, `{"stream":true,"stream_options":null,"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true},"model":"there\""}`},
		"usage refused":   {chat, `{"stream":true,"stream_options":{"include_usage":false},"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true},"model":"there\""}`},
		"usage wanted":    {chat, `{"stream":true,"stream_options":{"include_usage":true},"model":"m"}`, `{"stream":true,"stream_options":{"include_usage":true},"model":"there\""}`},
		"escaped names":   {chat, `{"\u006dodel":"\u006d"}`, `{"\u006dodel":"there\""}`},
		"responses":       {"/v1/responses", `{"model":"m","stream":true,"max_output_tokens":9}`, `{"model":"there\"","stream":true,"max_output_tokens":9}`},
		"embeddings":      {"/v1/embeddings", `{"model":"m","input":"a"}`, `{"model":"there\"","input":"a"}`},
		"without a v1":    {"/embeddings", `{"model":"m","input":"a"}`, `{"model":"there\"","input":"a"}`},
		"completions":     {"/v1/completions", `{"model":"m","prompt":"a"}`, `{"model":"there\"","prompt":"a"}`},
		"known in values": {chat, `{"a":{"model":"x"},"b":"\"model\"","model":"m"}`, `{"a":{"model":"x"},"b":"\"model\"","model":"there\""}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, answers(200, whole))
			g, err := llm.New([]llm.Upstream{{Name: "u", URL: u.URL + "/v1/", Key: "k"}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "u", Model: `there"`}}}}, nil)
			require.NoError(t, err)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tc.path, strings.NewReader(tc.body))
			require.NoError(t, err)
			w := newRecorder()
			g.ServeHTTP(w, req)
			require.Equal(t, 200, w.status, w.String())
			require.Equal(t, strings.ReplaceAll(tc.want, ",}", "}"), <-u.bodies)
			require.Equal(t, "Bearer k", (<-u.heads).Get("Authorization"))
			require.NoError(t, g.Shutdown(context.Background()))
		})
	}
}

func TestMostTokensAreBounded(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"model":"m"}`:                                              `{"max_tokens":100,"model":"m"}`,
		`{"model":"m","max_tokens":null}`:                            `{"model":"m","max_tokens":100}`,
		`{"model":"m","max_tokens":7}`:                               `{"model":"m","max_tokens":7}`,
		`{"model":"m","max_tokens":1e3}`:                             `{"model":"m","max_tokens":100}`,
		`{"model":"m","max_completion_tokens":101}`:                  `{"model":"m","max_completion_tokens":100}`,
		`{"max_tokens":500,"model":"m","max_completion_tokens":200}`: `{"max_tokens":100,"model":"m","max_completion_tokens":100}`,
	} {
		u := newUpstream(t, answers(200, whole))
		_, server, _ := gatewayOf(t, nil, llm.Model{Name: "m", MaxTokens: 100}, u)
		resp, _ := post(t, server, chat, body)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, want, <-u.bodies)
	}
}

func TestStreamsPassAndUsageIsHidden(t *testing.T) {
	t.Parallel()
	// Some servers put it into each event.
	each := `data: {"choices":[{"index":0,"delta":{"content":"x"}}] , "usage":null}` + "\n\n"
	u := newUpstream(t, events(": ping\n\n", chunk("a"), ": ping\n\n", each, finish, counts, done))
	_, server, seen := gateway(t, nil, u)

	resp, got := post(t, server, chat, `{"model":"m","stream":true}`)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(t, chunk("a")+": ping\n\n"+`data: {"choices":[{"index":0,"delta":{"content":"x"}}] }`+"\n\n"+finish+done, got)
	x := <-seen
	require.Equal(t, llm.Usage{Input: 7, Output: 3, CachedInput: 4}, x.Usage)
	require.False(t, x.Estimated)
	require.Equal(t, 2, x.Events)
	require.Equal(t, "stop", x.Finish)
	require.True(t, x.Stream)

	_, got = post(t, server, chat, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`)
	require.Equal(t, chunk("a")+": ping\n\n"+each+finish+counts+done, got)
}

func TestRefusalsHaveTheShapeOfOpenAI(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answers(400, `{"error":{"message":"too long","code":"context_length_exceeded"}}`))
	_, server, seen := gateway(t, &llm.Options{MaxBody: 2000}, u)
	for name, tc := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"no JSON":        {chat, `{"model":"m"`, 400, `the body: it is not valid JSON`},
		"an array":       {chat, `[]`, 400, `the body: it is not valid JSON`},
		"no model":       {chat, `{}`, 400, `model: it is missing`},
		"model twice":    {chat, `{"model":"m","mod\u0065l":"x"}`, 400, `model: it stands there twice`},
		"stream no bool": {chat, `{"model":"m","stream":"true"}`, 400, `stream: want true or false`},
		"tokens":         {chat, `{"model":"m","max_tokens":-1}`, 400, `max_tokens: want a whole number, 0 or more`},
		"unknown model":  {chat, `{"model":"x"}`, 404, `the model \"x\" does not exist or you have no access to it`},
		"too large":      {chat, `{"model":"` + strings.Repeat("m", 2000) + `"}`, 413, `the body has more than 2000 bytes`},
		"deep":           {chat, `{"model":"m","x":` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `}`, 400, `it is nested too deeply`},
		"path":           {"/v1/files", `{}`, 404, `there is nothing at POST`},
		"upstream's own": {chat, `{"model":"m"}`, 400, `{"error":{"message":"too long","code":"context_length_exceeded"}}`},
	} {
		resp, body := post(t, server, tc.path, tc.body)
		require.Equal(t, tc.status, resp.StatusCode, "%s: %s", name, body)
		require.Contains(t, body, tc.want, name)
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		var shape struct{ Error struct{ Message string } }
		require.NoError(t, json.Unmarshal([]byte(body), &shape))
		require.NotEmpty(t, shape.Error.Message)
		if tc.path == chat {
			require.Equal(t, tc.status, (<-seen).Status)
		}
	}
	resp, _ := post(t, server, "/v1/models", "")
	require.Equal(t, 405, resp.StatusCode)
	require.Equal(t, "GET", resp.Header.Get("Allow"))
}

func TestConfigurationReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := llm.New(
		[]llm.Upstream{{Name: "a", URL: "ftp://x"}, {URL: "http://u:secret@x"}, {Name: "b", URL: "http://b", Weight: -1}},
		[]llm.Model{{Name: "m"}, {Name: "n", Targets: []llm.Target{{Upstream: "z"}}, Fallbacks: []string{"q"}, Price: llm.Price{Input: -1}}}, nil)
	require.ErrorIs(t, err, llm.ErrInvalid)
	for _, want := range []string{
		`upstream "a" has a URL`, `upstream 1 has no name`, `weight -1`, `model "m" has no targets`, `the upstream "z"`, `falls back to "q"`, "price below 0",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "secret")
}
