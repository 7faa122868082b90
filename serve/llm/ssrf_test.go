package llm_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// Nothing that a client sends chooses where requests go: neither the model's name, nor
// a field of the body, nor a header, nor the path.
func TestClientsDoNotChooseWhereRequestsGo(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	secret := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		answers(200, whole)(w, r)
	})
	paths := make(chan string, 100)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		paths <- r.Host + r.URL.String()
		answers(200, whole)(w, r)
	})
	g, _, seen := gateway(t, nil, u)
	host := strings.TrimPrefix(secret.URL, "http://")
	for _, tc := range []struct {
		url, body string
		status    int
	}{
		{chat, `{"model":"` + secret.URL + `"}`, 404},
		{chat, `{"model":"../../admin"}`, 404},
		{chat, `{"model":"m","base_url":"` + secret.URL + `","api_base":"` + secret.URL + `","user":"` + secret.URL + `"}`, 200},
		{secret.URL + chat, `{"model":"m"}`, 200},
		{chat + "?url=" + secret.URL, `{"model":"m"}`, 200},
		{"/v1/../admin/chat/completions", `{"model":"m"}`, 404},
		{"/v1/chat/completions/../../admin", `{"model":"m"}`, 404},
		{"//" + host + chat, `{"model":"m"}`, 200},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tc.url, strings.NewReader(tc.body))
		require.NoError(t, err)
		r.Host = host
		for _, name := range []string{"Host", "X-Forwarded-Host", "Forwarded", "X-Original-Url", "X-Rewrite-Url", "Proxy-Connection"} {
			r.Header.Set(name, secret.URL)
		}
		w := newRecorder()
		g.ServeHTTP(w, r)
		require.Equal(t, tc.status, w.status, tc.url+" "+tc.body)
		if tc.status == 200 {
			require.Equal(t, strings.TrimPrefix(u.URL, "http://")+chat, <-paths)
			require.NoError(t, (<-seen).Err)
		} else if tc.url == chat {
			require.ErrorIs(t, (<-seen).Err, llm.ErrNotFound)
		}
	}
	require.Zero(t, reached.Load())
	_, err := llm.New([]llm.Upstream{{Name: "a", URL: "file:///etc/passwd"}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a"}}}}, nil)
	require.ErrorIs(t, err, llm.ErrInvalid)
}
