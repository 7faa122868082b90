package llm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

var bodies = []string{
	`{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"user":"u","messages":[{"role":"user","content":"hi \u00fc"}]}`,
	`{"\u006dodel":"\ud83d\ude00","max_completion_tokens":1e2,"n":2,"tools":[{}],"prompt":"x"}`,
	` { "model" : "m" , "stream" : null , "stream_options" : { } , "max_output_tokens" : null } `,
	`{"model":"m","model":"n"}`, `{"model":1}`, `{"model":"m","stream":"x"}`, `{"model":"m","max_tokens":-0}`, `{"model":"m","max_tokens":2147483648}`,
	`{"model":"m","x":[1,-2.5e-3,true,false,null,"\"\\\/\b\f\n\r\t\u12aB",{"a":{}},[]]}`,
	`{"model":"m","x":01}`, `{"model":"m","x":.5}`, `{"model":"m",}`, "{\"model\":\"a\nb\"}", `{"model":"m"}x`, `[]`, `null`, ``, `{"model":"\x"}`, `{"model":"m","x":1.}`,
}

// The scanner takes what encoding/json takes, and finds what it finds.
func FuzzRequest(f *testing.F) {
	for _, s := range bodies {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		model, stream, usage, most, user, err := llm.ScanRequest(b)
		var all map[string]json.RawMessage
		if fault := json.Unmarshal(b, &all); fault != nil || all == nil {
			require.Error(t, err)
			return
		}
		if err != nil {
			if !llm.IsField(err) {
				require.Contains(t, err.Error(), "nested", "%s", b)
			}
			return
		}
		var want struct {
			model, user string
			stream      bool
			options     map[string]json.RawMessage
		}
		require.NoError(t, json.Unmarshal(all["model"], &want.model))
		require.Equal(t, want.model, model)
		if all["stream"] != nil {
			require.NoError(t, json.Unmarshal(all["stream"], &want.stream))
		}
		require.Equal(t, want.stream, stream)
		if json.Unmarshal(all["user"], &want.user) == nil {
			require.Equal(t, want.user, user)
		}
		if json.Unmarshal(all["stream_options"], &want.options) == nil {
			require.Equal(t, string(want.options["include_usage"]) == "true", usage)
		}
		highest := -1.0
		for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
			var n *float64
			if all[name] != nil && json.Unmarshal(all[name], &n) == nil && n != nil {
				highest = math.Max(highest, *n)
			}
		}
		require.InDelta(t, highest, most, 0)
	})
}

// An answer without its usage is the same answer for encoding/json.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		whole, `{"usage":null}`, `{"a":1,"usage":null}`, `{"usage":null,"a":1}`, `{"a":1 , "usage" : {"prompt_tokens":1e1,"completion_tokens":"x"} , "b":[{}]}`,
		`{"choices":[{"finish_reason":"stop","delta":{}},1,null],"error":{"a":1},"error":null}`, `{"type":"response.completed","response":{"usage":{"input_tokens":4,"output_tokens":2,"input_tokens_details":{"cached_tokens":1}}}}`,
		`{"usage":5,"choices":4,"id":4,"status":null,"response":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, has, without, err := llm.ScanAnswer(b)
		var all map[string]json.RawMessage
		if fault := json.Unmarshal(b, &all); fault != nil || all == nil {
			require.Error(t, err)
			return
		}
		if err != nil {
			require.Contains(t, err.Error(), "nested", "%s", b)
			return
		}
		if has && bytes.Count(b, []byte("prompt_tokens")) == 1 && bytes.Count(b, []byte("\\")) == 0 && bytes.Count(b, []byte("usage")) == 1 {
			var want struct {
				Usage struct {
					PromptTokens json.RawMessage `json:"prompt_tokens"`
				} `json:"usage"`
			}
			var n float64
			if json.Unmarshal(b, &want) == nil && json.Unmarshal(want.Usage.PromptTokens, &n) == nil && n == math.Trunc(n) && n >= 0 && n <= math.MaxInt32 &&
				all["usage"] != nil && bytes.Contains(all["usage"], []byte(`"prompt_tokens"`)) {
				require.EqualValues(t, n, u.Input)
			}
		}
		if bytes.Count(b, []byte("usage")) > 1 || bytes.Contains(b, []byte("\\u")) {
			return // Of several only one is taken out.
		}
		delete(all, "usage")
		var left map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(without, &left), "%s", without)
		require.Equal(t, all, left)
	})
}

// referenceEvents reads events as the standard has it, with everything at hand.
func referenceEvents(b []byte) (data []string) {
	text := strings.TrimPrefix(string(b), "\xef\xbb\xbf")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	var lines []string
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return data
		}
		text = rest
		if line == "" {
			if lines != nil {
				data = append(data, strings.Join(lines, "\n"))
			}
			lines = nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if name == "data" {
			lines = append(lines, strings.TrimPrefix(value, " "))
		}
	}
}

// Events are what the standard says they are, however their bytes arrive, and no
// byte is lost.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "data: a\r\n\r\ndata:b\r\rdata\n\n", ": c\n\nevent: x\ndata: 1\ndata: 2\n\ndata: cut", "\xef\xbb\xbfdata: a\n\n", "\n\n\r\n\r\r\n", "datax: 1\n\ndata: \n\n", "data:  a\n\n",
		"data: " + strings.Repeat("x", 5000) + "\n\ndata: y\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(b), "byte by byte": iotest.OneByteReader(bytes.NewReader(b)), "halves": iotest.HalfReader(bytes.NewReader(b))} {
			data, raw, err := llm.ReadEvents(r, 1<<20)
			require.Equal(t, referenceEvents(b), data, name)
			require.Equal(t, string(b), strings.Join(raw, ""), name)
			if err != nil {
				require.True(t, errors.Is(err, io.ErrUnexpectedEOF), err)
			}
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	long := "data: " + strings.Repeat("x", 10_000) + "\n\n"
	_, _, err := llm.ReadEvents(strings.NewReader("data: a\n\n"+long), 9000)
	require.ErrorContains(t, err, "an event has more than 9000 bytes")
	data, _, err := llm.ReadEvents(strings.NewReader(strings.Repeat(long, 50)), 10_010)
	require.NoError(t, err)
	require.Len(t, data, 50)
	// Many lines are an event, too.
	_, _, err = llm.ReadEvents(strings.NewReader(strings.Repeat("data: x\n", 5000)), 9000)
	require.ErrorContains(t, err, "an event has more than 9000 bytes")
}
