package llm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// guard refuses prompts with "bomb", cuts "secret" out of answers, and holds
// streams back by one event to find it across two.
type guard struct{}

func (guard) Request(_ context.Context, x *llm.Exchange, body []byte) ([]byte, error) {
	if x.Model == "" {
		return nil, errors.New("the request is not known yet")
	}
	if bytes.Contains(body, []byte("bomb")) {
		return nil, &llm.Error{Status: 400, Type: "invalid_request_error", Code: "content_filter", Message: "not that"}
	}
	return bytes.ReplaceAll(body, []byte(`"alias"`), []byte(`"m"`)), nil
}

func (guard) Answer(_ context.Context, _ *llm.Exchange, body []byte) ([]byte, error) {
	if bytes.Contains(body, []byte("broken")) {
		return nil, errors.New("the guard is broken: password")
	}
	return bytes.ReplaceAll(body, []byte("hi"), []byte("[gone]")), nil
}

func (guard) Stream(context.Context, *llm.Exchange) llm.StreamFilter { return &held{} }

type held struct{ last []byte }

func (h *held) Event(data []byte, send func([]byte)) error {
	if bytes.Contains(data, []byte("secret")) {
		return &llm.Error{Status: 400, Type: "invalid_request_error", Code: "content_filter", Message: "the answer is not fit"}
	}
	if h.last != nil {
		send(h.last)
	}
	h.last = bytes.Clone(data)
	return nil
}

func (h *held) End(send func([]byte)) error {
	send(h.last)
	return nil
}

func TestHooks(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answers(200, whole))
	_, server, _ := gateway(t, &llm.Options{Hooks: []llm.Hook{guard{}}}, u)
	resp, body := post(t, server, chat, `{"model":"m","messages":"a bomb"}`)
	require.Equal(t, 400, resp.StatusCode)
	require.Contains(t, body, "content_filter")
	require.Empty(t, u.bodies)
	resp, body = post(t, server, chat, `{"model":"alias"}`)
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, `{"model":"m"}`, <-u.bodies)
	require.Contains(t, body, `"content":"[gone]"`)

	b := newUpstream(t, answers(200, `{"broken":1}`))
	_, server, _ = gateway(t, &llm.Options{Hooks: []llm.Hook{guard{}}}, b)
	resp, body = post(t, server, chat, `{"model":"m"}`)
	require.Equal(t, 500, resp.StatusCode)
	require.NotContains(t, body, "password")

	s := newUpstream(t, events(chunk("a"), chunk("b"), finish, counts, done))
	_, server, seen := gateway(t, &llm.Options{Hooks: []llm.Hook{guard{}, guard{}}}, s)
	_, body = post(t, server, chat, `{"model":"m","stream":true}`)
	require.Equal(t, chunk("a")+chunk("b")+finish+done, body)
	require.Equal(t, 10, (<-seen).Usage.Total())

	s = newUpstream(t, events(chunk("a"), chunk("b"), chunk("secret"), finish, done))
	_, server, seen = gateway(t, &llm.Options{Hooks: []llm.Hook{guard{}}}, s)
	_, body = post(t, server, chat, `{"model":"m","stream":true}`)
	require.True(t, strings.HasPrefix(body, chunk("a")+`data: {"error":{"message":"the answer is not fit"`), body)
	require.NotContains(t, body, "secret")
	require.Error(t, (<-seen).Err)

	_, err := llm.New(nil, []llm.Model{{Name: "m"}}, &llm.Options{Hooks: []llm.Hook{4}})
	require.ErrorContains(t, err, "hook 0 is none of")
}

func TestCache(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, answers(200, whole))
	_, server, seen := gateway(t, &llm.Options{Cache: llm.NewMemoryCache(1 << 20), Auth: tenants(&llm.Tenant{Name: "a", Requests: 2}, &llm.Tenant{Name: "b"})}, u)
	body := `{"model":"m","messages":1}`
	for i, tc := range []struct {
		tenant, control string
		asked           int
	}{{"a", "", 1}, {"a", "", 1}, {"a", "", 1}, {"b", "", 2}, {"b", "no-cache", 3}, {"b", "no-store", 4}, {"a", "", 4}} {
		resp, answer := post(t, server, chat, body, "X-Tenant", tc.tenant, "Cache-Control", tc.control)
		require.Equal(t, 200, resp.StatusCode, answer)
		require.Equal(t, whole, answer)
		require.Len(t, u.bodies, tc.asked, i)
		x := <-seen
		require.Equal(t, x.Cached, x.Attempts == 0)
		require.Equal(t, "real", x.ResponseModel)
	}
}

func TestMemoryCacheIsBounded(t *testing.T) {
	t.Parallel()
	m := llm.NewMemoryCache(10_000)
	for i := range 1000 {
		m.Put(llm.Key{byte(i), byte(i >> 8)}, &llm.Answer{Body: make([]byte, 100)})
		m.Put(llm.Key{byte(i), byte(i >> 8)}, &llm.Answer{Body: make([]byte, 200)})
		_, ok := m.Get(llm.Key{})
		require.True(t, ok, "it is used")
	}
	require.LessOrEqual(t, m.Size(), 10_000)
	require.Greater(t, m.Size(), 9000)
	_, ok := m.Get(llm.Key{byte(5)})
	require.False(t, ok)
	m.Put(llm.Key{1, 2, 3}, &llm.Answer{Body: make([]byte, 5000)})
	_, ok = m.Get(llm.Key{1, 2, 3})
	require.False(t, ok)
}

// recorded keeps records.
type recorded chan llm.Record

func (r recorded) Record(rec llm.Record) { r <- rec }

const private = `mail anna.b@example.org, call +41 44 668 18 00, card 4111 1111 1111 1111, key sk-abcdefghijklmnop1234\nanna@example.org`

func TestLogsAreRedacted(t *testing.T) {
	t.Parallel()
	records := make(recorded, 10)
	// The address comes in pieces.
	u := newUpstream(t, events(chunk("write to bob@exa"), chunk("mple.com"), finish, done))
	_, server, seen := gateway(t, &llm.Options{Log: &llm.Log{Recorder: records}, Auth: tenants(&llm.Tenant{Name: "t"})}, u)
	_, _ = post(t, server, chat, `{"model":"m","stream":true,"user":"carl@example.net","messages":"`+private+`","pan":4111111111111111}`, "X-Tenant", "t", "Authorization", "Bearer client-key-0123456789")
	r := <-records
	require.Equal(t, `{"model":"m","stream":true,"user":"[email]","messages":"mail [email], call [phone], card [card], key [key]\n[email]","pan":0}`, string(r.Request))
	require.Equal(t, "write to [email]", string(r.Answer))
	all := fmt.Sprintf("%+v", r)
	for _, word := range []string{"example", "client-key", "4111", "668"} {
		require.NotContains(t, all, word)
	}
	require.NotContains(t, fmt.Sprintf("%+v", <-seen), "client-key")

	u = newUpstream(t, answers(200, whole))
	_, server, _ = gateway(t, &llm.Options{Log: &llm.Log{Recorder: records, MaxBytes: 20, Redact: func(dst, b []byte) []byte { return append(dst, b...) }}}, u)
	_, _ = post(t, server, chat, `{"model":"m","messages":"`+private+`"}`)
	r = <-records
	require.Equal(t, `{"model":"m","messag`, string(r.Request))
	require.Equal(t, whole[:20], string(r.Answer))
	require.True(t, r.Truncated)
}

func FuzzRedact(f *testing.F) {
	f.Add(private)
	f.Add(`{"a":4111111111111111,"b":[4111111111111111]}`)
	f.Fuzz(func(t *testing.T, s string) {
		once := llm.RedactPII(nil, []byte(s))
		require.Equal(t, "x"+string(once), string(llm.RedactPII([]byte("x"), []byte(s))))
		require.NotContains(t, string(once), "a@example.org")
	})
}
