package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/guard"
)

// whole is what a hook makes of a text of an answer.
func whole(t testing.TB, h llm.AnswerHook, text string) (string, error) {
	t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(t, err)
	b, err := h.Answer(context.Background(), &llm.Exchange{Operation: llm.Chat}, []byte(`{"choices":[{"message":{"role":"assistant","content":`+string(quoted)+`}}]}`))
	if err != nil {
		return "", err
	}
	var a struct {
		Choices []struct{ Message struct{ Content string } }
	}
	require.NoError(t, json.Unmarshal(b, &a), "%s", b)
	return a.Choices[0].Message.Content, nil
}

// streamed is what a hook makes of a text in pieces.
func streamed(t testing.TB, h llm.StreamHook, pieces ...string) (string, error) {
	t.Helper()
	f := h.Stream(context.Background(), &llm.Exchange{Operation: llm.Chat})
	var all strings.Builder
	send := func(data []byte) {
		var a struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		require.NoError(t, json.Unmarshal(data, &a), "%s", data)
		for _, c := range a.Choices {
			all.WriteString(c.Delta.Content)
		}
	}
	for _, p := range pieces {
		quoted, err := json.Marshal(p)
		require.NoError(t, err)
		if err := f.Event([]byte(`{"id":"c","choices":[{"index":0,"delta":{"content":`+string(quoted)+`},"finish_reason":null}]}`), send); err != nil {
			return all.String(), err
		}
	}
	if err := f.Event([]byte(`{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`), send); err != nil {
		return all.String(), err
	}
	err := f.End(send)
	return all.String(), err
}

func TestPersonal(t *testing.T) {
	t.Parallel()
	g := guard.Redact(guard.Personal(), nil)
	for text, want := range map[string]string{
		"nothing 2026-11-22, 12:30, 1.5, 10 000 000":                 "nothing 2026-11-22, 12:30, 1.5, 10 000 000",
		"to ann.o@mail.example.org, please":                          "to [email], please",
		"+49 (30) 1234-567 or (555) 123-4567":                        "[phone] or [phone]",
		"call 555-123-4567.":                                         "call [phone].",
		"4111 1111 1111 1111 and 4111-1111-1111-1112":                "[card] and 4111-1111-1111-1112",
		"IBAN DE89 3704 0044 0532 0130 00 AND MORE":                  "IBAN [iban] AND MORE",
		"GB82WEST12345698765432, GB83WEST12345698765432":             "[iban], GB83WEST12345698765432",
		"at 192.168.0.1 or 1.2.3.4.5 or 300.1.1.1.":                  "at [ipv4] or 1.2.3.4.5 or 300.1.1.1.",
		"sk-abcdefghijkl123 ghp_0123456789abcdefXYZ":                 "[key] [key]",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc_DEF-1": "[key]",
		"<b>ä\n\"x\"</b> bob@example.org":                            "<b>ä\n\"x\"</b> [email]",
	} {
		got, err := whole(t, g, text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = streamed(t, g, strings.Split(text, "")...)
		require.NoError(t, err)
		require.Equal(t, want, got, "letter by letter")
	}
	// Escapes hide nothing, and what is no text is left alone.
	b, err := g.Request(t.Context(), &llm.Exchange{}, []byte(`{"user":"a@example.org","messages":[{"role":"user","name":"b@example.org","content":[{"type":"text","text":"c\u0040example.org"},{"type":"image_url","image_url":{"url":"http://192.168.0.1/d@example.org"}}]}]}`))
	require.NoError(t, err)
	require.Equal(t, `{"user":"a@example.org","messages":[{"role":"user","name":"b@example.org","content":[{"type":"text","text":"[email]"},{"type":"image_url","image_url":{"url":"http://192.168.0.1/d@example.org"}}]}]}`, string(b))
	b, err = g.Answer(t.Context(), &llm.Exchange{}, []byte(`{"choices":[{"logprobs":{"content":[{"token":"a@"}]},"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"to\":\"a@example.org\"}"}}]}}]}`))
	require.NoError(t, err)
	require.Equal(t, `{"choices":[{"logprobs":null,"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"to\":\"[email]\"}"}}]}}]}`, string(b))
}

// A stream says what the whole answer would, however it is cut.
func TestStreamsAreTheWhole(t *testing.T) {
	t.Parallel()
	vocabulary := []string{"4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "bob@example.org", "192.168.0.1", "+49 30 1234567", "sk-abcdefghijkl123", " ", " and ", ", ", "4", "111", "DE", "89", "x", "@", ".", "ä", "NO", "1.", "-", "(555) 123-4567", "Night", "nightfall", " NIGHT fall", "night fall", "ſ", "K"}
	r := rand.New(rand.NewPCG(1, 2))
	custom := guard.Regexp("odd", regexp.MustCompile(`x{2,5}ä`), 8)
	for range 600 {
		var b strings.Builder
		for range 1 + r.IntN(12) {
			b.WriteString(vocabulary[r.IntN(len(vocabulary))])
		}
		text := b.String()
		var pieces []string
		letters := []rune(text)
		for len(letters) > 0 {
			n := 1 + r.IntN(min(len(letters), 1+r.IntN(12)))
			pieces, letters = append(pieces, string(letters[:n])), letters[n:]
		}
		g := guard.Redact(append(guard.Personal(), custom), nil)
		want, err := whole(t, g, text)
		require.NoError(t, err)
		got, err := streamed(t, g, pieces...)
		require.NoError(t, err)
		require.Equal(t, want, got, "%q", pieces)

		d := guard.Deny([]string{"Night fall", "ks"}, nil)
		_, refused := whole(t, d, text)
		_, stopped := streamed(t, d, pieces...)
		require.Equal(t, refused == nil, stopped == nil, "%q", pieces)
	}
}

func TestLookbackIsBounded(t *testing.T) {
	t.Parallel()
	g := guard.Redact(guard.Personal(), &guard.Options{Lookback: 32})
	var pieces []string
	for range 100 {
		pieces = append(pieces, "aaaaaaaaaa")
	}
	got, err := streamed(t, g, pieces...)
	require.NoError(t, err)
	require.Len(t, got, 1000)
	// A key that is longer than what is kept back is gone as a whole.
	got, err = streamed(t, g, append([]string{"the key sk-"}, append(pieces, " ok")...)...)
	require.NoError(t, err)
	require.Equal(t, "the key [key] ok", got)
}

func TestDeny(t *testing.T) {
	t.Parallel()
	var kinds []string
	d := guard.Deny([]string{"Nightfall", "très secret", " "}, &guard.Options{OnFind: func(_ *llm.Exchange, kind string) { kinds = append(kinds, kind) }})
	for text, refused := range map[string]bool{"a nightfall.": true, "nightfalls": false, "TRÈS SECRET": true, "tres secret": false, "": false} {
		_, err := d.Request(t.Context(), &llm.Exchange{}, []byte(fmt.Sprintf(`{"messages":[{"content":%q}]}`, text)))
		e, ok := errors.AsType[*llm.Error](err)
		require.Equal(t, refused, ok, text)
		if ok {
			require.Equal(t, guard.Code, e.Code)
			require.NotContains(t, e.Message, text)
		}
	}
	require.Equal(t, []string{"word", "word"}, kinds)
	got, err := streamed(t, d, "The ni", "ght", " of nig", "htfall", ", which")
	require.Error(t, err)
	require.Equal(t, "The night of ", got)
	got, err = streamed(t, guard.Deny(nil, nil), "any", "thing")
	require.NoError(t, err)
	require.Equal(t, "anything", got)
}

func TestLimitAndSchema(t *testing.T) {
	t.Parallel()
	l := guard.Limit(5, 4)
	asks, ok := l.(llm.RequestHook)
	require.True(t, ok)
	_, err := asks.Request(t.Context(), &llm.Exchange{}, []byte(`{"messages":[{"content":"äää"},{"content":"ää"}]}`))
	require.NoError(t, err)
	_, err = asks.Request(t.Context(), &llm.Exchange{}, []byte(`{"messages":[{"content":"äää"},{"content":"äää"}]}`))
	require.ErrorIs(t, err, llm.ErrInvalid)
	_, err = whole(t, l.(llm.AnswerHook), "abcde")
	require.ErrorContains(t, err, "more than 4 letters")
	got, err := streamed(t, l.(llm.StreamHook), "abc", "de")
	require.Error(t, err)
	require.Equal(t, "abc", got)

	s, err := guard.Schema([]byte(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`))
	require.NoError(t, err)
	for text, fits := range map[string]bool{`{"n":1}`: true, `{"n":"x"}`: false, `{"n":1`: false, `{"n":1} {}`: false, strings.Repeat("[", 100_000): false} {
		_, err := whole(t, s.(llm.AnswerHook), text)
		require.Equal(t, fits, err == nil, "%.20s: %v", text, err)
		got, err := streamed(t, s.(llm.StreamHook), text[:2], text[2:])
		require.Equal(t, fits, err == nil, "%.20s: %v", text, err)
		require.Equal(t, text, got)
	}
	_, err = guard.Schema([]byte(`{"$ref":"http://example.org/x.json"}`))
	require.ErrorIs(t, err, guard.ErrInvalid)
}

// The Responses API has other events, and whole texts behind the pieces.
func TestResponses(t *testing.T) {
	t.Parallel()
	g := guard.Redact(guard.Personal(), nil)
	f := g.Stream(t.Context(), &llm.Exchange{Operation: llm.Responses})
	var got []string
	for _, e := range []string{
		`{"type":"response.created","response":{"id":"r","output":[]}}`,
		`{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"to bob@exa"}`,
		`{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"mple.org"}`,
		`{"type":"response.output_text.done","item_id":"m","output_index":0,"content_index":0,"text":"to bob@example.org"}`,
		`{"type":"response.completed","response":{"id":"r","output":[{"type":"message","content":[{"type":"output_text","text":"to bob@example.org"}]}]}}`,
	} {
		require.NoError(t, f.Event([]byte(e), func(b []byte) { got = append(got, string(b)) }))
	}
	require.NoError(t, f.End(func(b []byte) { got = append(got, string(b)) }))
	require.Equal(t, []string{
		`{"type":"response.created","response":{"id":"r","output":[]}}`,
		`{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"to "}`,
		`{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":""}`,
		`{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"[email]"}`,
		`{"type":"response.output_text.done","item_id":"m","output_index":0,"content_index":0,"text":"to [email]"}`,
		`{"type":"response.completed","response":{"id":"r","output":[{"type":"message","content":[{"type":"output_text","text":"to [email]"}]}]}}`,
	}, got)
}

// Through a gateway, with two choices, a tool, and the usage at the end.
func TestGateway(t *testing.T) {
	t.Parallel()
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, choices := range []string{
			`{"index":0,"delta":{"role":"assistant","content":"mail bob@ex"},"finish_reason":null}`,
			`{"index":1,"delta":{"content":"card 4111 1111"},"finish_reason":null}`,
			`{"index":0,"delta":{"content":"ample.org"},"finish_reason":null}`,
			`{"index":1,"delta":{"content":" 1111 1111"},"finish_reason":null}`,
			`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"ip\":\"10.0."}}]},"finish_reason":null}`,
			`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"0.1\"}"}}]},"finish_reason":null}`,
			`{"index":1,"delta":{},"finish_reason":"stop"}`,
			`{"index":0,"delta":{},"finish_reason":"tool_calls"}`,
		} {
			_, _ = io.WriteString(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[`+choices+"]}\n\n")
		}
		_, _ = io.WriteString(w, `data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":9}}`+"\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(there.Close)
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a"}}}},
		&llm.Options{Hooks: []llm.Hook{guard.Limit(1000, 1000), guard.Redact(guard.Personal(), nil)}})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true,"n":2,"messages":[]}`)))
	require.Equal(t, 200, w.Code)
	text := map[string]string{}
	var order []string
	for line := range strings.SplitSeq(w.Body.String(), "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var e struct {
			Choices []struct {
				Index int
				Delta struct {
					Content string
					Calls   []struct{ Function struct{ Arguments string } } `json:"tool_calls"`
				}
				Finish string `json:"finish_reason"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(data), &e), data)
		for _, c := range e.Choices {
			text[fmt.Sprint(c.Index)] += c.Delta.Content
			for _, call := range c.Delta.Calls {
				text["tool"] += call.Function.Arguments
			}
			if c.Finish != "" {
				order = append(order, c.Finish)
				require.NotContains(t, text[fmt.Sprint(c.Index)], "[DONE]")
			}
		}
	}
	require.Equal(t, map[string]string{"0": "mail [email]", "1": "card [card]", "tool": `{"ip":"[ipv4]"}`}, text)
	require.Equal(t, []string{"stop", "tool_calls"}, order)
	require.True(t, strings.HasSuffix(w.Body.String(), "data: [DONE]\n\n"))
}

func FuzzStream(f *testing.F) {
	for _, seed := range []string{`{"choices":[{"index":0,"delta":{"content":"a@b.c"}}]}`, `{"type":"x.delta","delta":"4111"}`, `{"choices":[{"text":"x","logprobs":{}}]}`, `{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"1"}}]},"finish_reason":"stop"}]}`, `[`, `{"id":"%s","choices":[{"delta":{"%s":"sk-"}}]}`} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, event string, chat bool) {
		x := &llm.Exchange{Operation: llm.Chat}
		if !chat {
			x.Operation = llm.Responses
		}
		filter := guard.Redact(guard.Personal(), nil).Stream(t.Context(), x)
		send := func(b []byte) { require.True(t, json.Valid(b), "%s", b) }
		for range 2 {
			if err := filter.Event([]byte(event), send); err != nil {
				return
			}
		}
		require.True(t, json.Valid([]byte(event)))
		require.NoError(t, filter.End(send))
	})
}
