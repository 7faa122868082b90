package mlflow_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	registrymlflow "github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/registry/webhook"
)

// hookServer serves a registry with webhooks that may reach this machine.
type hookServer struct {
	*httptest.Server
	hooks *webhook.Hooks
	reg   *registry.Registry
}

func newHookServer(t *testing.T, with bool, authorize func(*http.Request, registrymlflow.Action) error) hookServer {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "registry.db")), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	s := hookServer{reg: registry.New(store, nil, nil)}
	if with {
		s.hooks, err = webhook.New(store, &webhook.Options{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		require.NoError(t, err)
	}
	h, err := registrymlflow.NewHandler(s.reg, &registrymlflow.Options{Webhooks: s.hooks, Authorize: authorize})
	require.NoError(t, err)
	s.Server = httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// do sends a request with a JSON body, unless that is empty, and returns the
// status and the answer.
func (s hookServer) do(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/2.0/mlflow/"+path, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NotContains(t, string(text), "s3cret")
	return resp.StatusCode, string(text)
}

type wireHook struct {
	Webhook struct {
		WebhookID            string `json:"webhook_id"`
		Name                 string `json:"name"`
		Description          string `json:"description"`
		URL                  string `json:"url"`
		Status               string `json:"status"`
		Events               []struct{ Entity, Action string }
		CreationTimestamp    int64 `json:"creation_timestamp"`
		LastUpdatedTimestamp int64 `json:"last_updated_timestamp"`
	} `json:"webhook"`
}

func TestWebhookRoutes(t *testing.T) {
	t.Parallel()
	s := newHookServer(t, true, nil)
	status, text := s.do(t, http.MethodGet, "webhooks", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{}`, text)

	status, text = s.do(t, http.MethodPost, "webhooks", `{"name":"deploy","description":"d","url":"http://127.0.0.1:1/x","secret":"s3cret",
		"events":[{"entity":"MODEL_VERSION_ALIAS","action":"CREATED"},{"entity":2,"action":"CREATED"}]}`)
	require.Equal(t, 200, status, text)
	var made wireHook
	require.NoError(t, json.Unmarshal([]byte(text), &made))
	w := made.Webhook
	require.Equal(t, "deploy", w.Name)
	require.Equal(t, "d", w.Description)
	require.Equal(t, "http://127.0.0.1:1/x", w.URL)
	require.Equal(t, "ACTIVE", w.Status)
	require.Equal(t, []struct{ Entity, Action string }{{"MODEL_VERSION", "CREATED"}, {"MODEL_VERSION_ALIAS", "CREATED"}}, w.Events)
	require.WithinDuration(t, time.Now(), time.UnixMilli(w.CreationTimestamp), time.Minute)
	require.Equal(t, w.CreationTimestamp, w.LastUpdatedTimestamp)

	status, got := s.do(t, http.MethodGet, "webhooks/"+w.WebhookID, "")
	require.Equal(t, 200, status)
	require.JSONEq(t, text, got)
	status, got = s.do(t, http.MethodGet, "webhooks?max_results=1", "")
	require.Equal(t, 200, status)
	require.Contains(t, got, w.WebhookID)

	// What is empty stays, but for the description and the secret.
	status, got = s.do(t, http.MethodPatch, "webhooks/"+w.WebhookID, `{"name":"","url":"","events":[],"description":"","secret":"","status":"DISABLED"}`)
	require.Equal(t, 200, status)
	var changed wireHook
	require.NoError(t, json.Unmarshal([]byte(got), &changed))
	require.Equal(t, "deploy", changed.Webhook.Name)
	require.Equal(t, w.Events, changed.Webhook.Events)
	require.Equal(t, "DISABLED", changed.Webhook.Status)
	require.NotContains(t, got, "description")
	kept, err := s.hooks.Get(t.Context(), w.WebhookID)
	require.NoError(t, err)
	require.False(t, kept.Signed)
	status, got = s.do(t, http.MethodPatch, "webhooks/"+w.WebhookID, `{"name":"other","status":1,"events":[{"entity":"PROMPT","action":"CREATED"}]}`)
	require.Equal(t, 200, status)
	require.Contains(t, got, `"other"`)
	require.Contains(t, got, `"ACTIVE"`)
	require.NotContains(t, got, "MODEL_VERSION")

	status, got = s.do(t, http.MethodDelete, "webhooks/"+w.WebhookID, "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{}`, got)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "", ""}, {http.MethodDelete, "", ""}, {http.MethodPatch, "", `{"name":"x"}`}, {http.MethodPost, "/test", `{}`},
	} {
		status, got = s.do(t, c.method, "webhooks/"+w.WebhookID+c.path, c.body)
		require.Equal(t, 404, status, got)
		require.JSONEq(t, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Webhook with ID `+w.WebhookID+` not found."}`, got)
	}
}

func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	s := newHookServer(t, true, nil)
	const event = `"events":[{"entity":"MODEL_VERSION","action":"CREATED"}]`
	for _, body := range []string{
		`{}`, `{"name":"x","url":"https://93.184.216.34/"}`, `{"name":"x",` + event + `}`, `{"url":"https://93.184.216.34/",` + event + `}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[]}`,
		`{"name":"x y","url":"https://93.184.216.34/",` + event + `}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[{}]}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[{"entity":"MODEL_VERSION"}]}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[{"entity":"BOGUS","action":"CREATED"}]}`, // 500 and a page upstream
		`{"name":"x","url":"https://93.184.216.34/","events":[{"entity":"ENTITY_UNSPECIFIED","action":"CREATED"}]}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[{"entity":0,"action":0}]}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[{"entity":99,"action":1}]}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[{"entity":"MODEL_VERSION","action":"DELETED"}]}`,
		`{"name":"x","url":"https://93.184.216.34/","events":[{"entity":"BUDGET_POLICY","action":"EXCEEDED"}]}`,
		`{"name":"x","url":"https://93.184.216.34/","events":"MODEL_VERSION"}`,
		`{"name":"x","url":"https://93.184.216.34/","status":"BOGUS",` + event + `}`,
		`{"name":["x"],"url":"https://93.184.216.34/",` + event + `}`,
		`{"name":"x","url":"http://169.254.169.254/",` + event + `}`,
		`{"name":"x","url":"http://10.0.0.1/",` + event + `}`, `{"name":"x","url":"http://127.1/",` + event + `}`,
		`{"name":"x","url":"http://[::ffff:10.0.0.1]/",` + event + `}`, `{"name":"x","url":"file:///etc/passwd",` + event + `}`,
		`{"name":"x","url":"https://93.184.216.34/","secret":"` + strings.Repeat("x", 2000) + `",` + event + `}`,
		`{"name":"x","url":"https://93.184.216.34/"`, `[]`,
	} {
		status, text := s.do(t, http.MethodPost, "webhooks", body)
		require.Equal(t, 400, status, "%s: %s", body, text)
		require.Contains(t, text, "error_code")
	}
	for _, query := range []string{"max_results=-1", "max_results=1001", "max_results=x", "page_token=x"} {
		status, text := s.do(t, http.MethodGet, "webhooks?"+query, "")
		require.Equal(t, 400, status, text)
	}
	status, text := s.do(t, http.MethodGet, "webhooks", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{}`, text)
}

func TestWebhookTest(t *testing.T) {
	t.Parallel()
	s := newHookServer(t, true, nil)
	status, body := 200, make(chan []byte, 10)
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || webhook.Verify(r.Header, text, "s3cret", 0) != nil {
			t.Errorf("a request is not signed: %v", err)
		}
		body <- text
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "hello")
	}))
	defer to.Close()
	code, text := s.do(t, http.MethodPost, "webhooks", `{"name":"x","secret":"s3cret","url":"`+to.URL+`","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}]}`)
	require.Equal(t, 200, code, text)
	var made wireHook
	require.NoError(t, json.Unmarshal([]byte(text), &made))
	path := "webhooks/" + made.Webhook.WebhookID + "/test"

	code, text = s.do(t, http.MethodPost, path, `{}`)
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"result":{"success":true,"response_status":200,"response_body":"hello"}}`, text)
	require.Contains(t, string(<-body), `"registered_model"`)
	code, text = s.do(t, http.MethodPost, path, `{"event":{"entity":"MODEL_VERSION_TAG","action":"SET"}}`)
	require.Equal(t, 200, code)
	require.Contains(t, text, `"success":true`)
	require.Contains(t, string(<-body), `"model_version_tag"`)
	status = 500
	code, text = s.do(t, http.MethodPost, path, `{}`)
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"result":{"success":false,"response_status":500,"response_body":"hello","error_message":"the receiver answered 500 Internal Server Error"}}`, text)
	code, _ = s.do(t, http.MethodPost, path, `{"event":{"entity":"MODEL_VERSION","action":"SET"}}`)
	require.Equal(t, 400, code)
}

func TestWithoutWebhooks(t *testing.T) {
	t.Parallel()
	s := newHookServer(t, false, nil)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "webhooks", ""},
		{http.MethodPost, "webhooks", `{"name":"x","url":"https://93.184.216.34/","events":[{"entity":"PROMPT","action":"CREATED"}]}`},
		{http.MethodGet, "webhooks/x", ""},
		{http.MethodPatch, "webhooks/x", "{}"},
		{http.MethodDelete, "webhooks/x", ""},
		{http.MethodPost, "webhooks/x/test", "{}"},
	} {
		status, text := s.do(t, c.method, c.path, c.body)
		require.Equal(t, 501, status, "%s %s", c.method, c.path)
		require.Contains(t, text, "NOT_IMPLEMENTED")
	}
}

// Webhooks are for who manages the registry.
func TestWebhooksAreManaged(t *testing.T) {
	t.Parallel()
	denied := errors.New("no")
	s := newHookServer(t, true, func(_ *http.Request, a registrymlflow.Action) error {
		if a.Verb == registrymlflow.Manage && a.Model == "" {
			return denied
		}
		return nil
	})
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "webhooks", ""}, {http.MethodPost, "webhooks", "{}"}, {http.MethodGet, "webhooks/x", ""}, {http.MethodHead, "webhooks/x", ""},
		{http.MethodPatch, "webhooks/x", "{}"}, {http.MethodDelete, "webhooks/x", ""}, {http.MethodPost, "webhooks/x/test", "{}"},
	} {
		status, _ := s.do(t, c.method, c.path, c.body)
		require.Equal(t, 403, status, "%s %s", c.method, c.path)
	}
}
