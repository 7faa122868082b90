package rows_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/inferlog"
	"github.com/millwright-ml/millwright/monitor/judge"
	"github.com/millwright-ml/millwright/monitor/judge/rows"
	"github.com/millwright-ml/millwright/monitor/llmhook"
	"github.com/millwright-ml/millwright/serve/llm"
)

// questions commits a small dataset version of questions and answers.
func questions(t testing.TB, count int) *dataset.Version {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "question", Type: arrow.BinaryTypes.String},
		{Name: "answer", Type: arrow.BinaryTypes.String}, {Name: "truth", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	data, err := dataset.New(&blob.Mem{}, nil).Create(t.Context(), "capitals", schema, nil)
	require.NoError(t, err)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range count {
		b.Field(0).(*array.Int64Builder).Append(int64(100 + i))
		b.Field(1).(*array.StringBuilder).Append("Capital of Peru?")
		b.Field(2).(*array.StringBuilder).Append([]string{"Lima", "Zürich"}[i%2])
		if i%3 == 2 {
			b.Field(3).AppendNull()
		} else {
			b.Field(3).(*array.StringBuilder).Append("Lima")
		}
	}
	rec := b.NewRecord()
	defer rec.Release()
	reader, err := array.NewRecordReader(schema, []arrow.Record{rec})
	require.NoError(t, err)
	v, err := data.Append(t.Context(), reader, nil)
	require.NoError(t, err)
	return v
}

func TestSamples(t *testing.T) {
	t.Parallel()
	v := questions(t, 700)
	n := 0
	for s, err := range rows.Samples(t.Context(), v, rows.Columns{ID: "id", Input: "question", Output: "answer", Expected: "truth"}) {
		require.NoError(t, err)
		want := judge.Sample{ID: fmt.Sprint(100 + n), Input: "Capital of Peru?", Output: []string{"Lima", "Zürich"}[n%2], Expected: "Lima"}
		if n%3 == 2 {
			want.Expected = ""
		}
		require.Equal(t, want, s)
		n++
	}
	require.Equal(t, 700, n)
	for s, err := range rows.Samples(t.Context(), v, rows.Columns{Output: "answer"}) {
		require.NoError(t, err)
		require.Equal(t, "0", s.ID)
		break
	}
	in := rows.Input(v)
	require.Equal(t, v.Digest, in.Digest)
	require.Equal(t, "1", in.Version)
	for _, bad := range []rows.Columns{{}, {Output: "nothing"}} {
		for _, err := range rows.Samples(t.Context(), v, bad) {
			require.ErrorIs(t, err, rows.ErrInvalid)
		}
	}
}

// Traffic through a gateway into its log is judged behind it, once each, through
// restarts and a log that is made compact; a monitor sees the refusals, and events
// name the answers.
func TestFollowerJudgesTheTraffic(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	refuse := false
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := "The capital is Lima."
		if refuse {
			text = "I'm sorry, I can't help with that."
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"c-%s","object":"chat.completion","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`, r.Header.Get("X-Request-Id"), text)
	}))
	t.Cleanup(upstream.Close)
	catalog := dataset.New(&blob.Mem{}, nil)
	log, err := inferlog.Open(ctx, catalog, "chat", llmhook.Schema(), &inferlog.Options{FlushEvery: -1})
	require.NoError(t, err)
	g, err := llm.New([]llm.Upstream{{Name: "u", URL: upstream.URL + "/v1"}}, []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "u"}}}},
		&llm.Options{Log: &llm.Log{Recorder: llmhook.New(log, nil)}})
	require.NoError(t, err)
	sent := 0
	send := func(count int) {
		for range count {
			req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"Mail joe@example.com?"}]}`))
			req.Header.Set("X-Request-Id", fmt.Sprintf("r-%d", sent))
			w := httptest.NewRecorder()
			g.ServeHTTP(w, req)
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			sent++
		}
		require.NoError(t, log.Flush(ctx))
	}
	data, err := catalog.Open(ctx, "chat")
	require.NoError(t, err)

	scorers := []judge.Scorer{judge.Refusal(), judge.Length()}
	var events bytes.Buffer
	logged := judge.LogEvents(slog.New(slog.NewJSONHandler(&events, nil)), false)
	var mu sync.Mutex
	seen := map[string]int{}
	// round judges what has come, as a new process would, and returns the share of
	// refusals and the place to go on.
	round := func(observer judge.Observer, after int64) (share float64, at int64) {
		worker, err := judge.NewOnline(scorers, &judge.OnlineOptions{Queue: 3, Observer: observer, OnResult: func(r judge.Result) {
			mu.Lock()
			defer mu.Unlock()
			seen[r.Sample.ID]++
			share += r.Scores[0].Value
			require.Equal(t, "Mail [email]?", r.Sample.Input)
			logged(r)
		}})
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		f, err := rows.Follow(ctx, data, &rows.LogOptions{After: after})
		require.NoError(t, err)
		require.NoError(t, f.Next(ctx, worker.Put))
		require.NoError(t, f.Next(ctx, worker.Put)) // Nothing new.
		worker.Shutdown()
		require.NoError(t, <-done)
		require.ErrorIs(t, worker.Put(ctx, judge.Sample{}), judge.ErrClosed)
		s := worker.Stats()
		require.Zero(t, s.Pending)
		return share / float64(max(s.Scored, 1)), f.Version()
	}
	send(300)
	reference, err := profile.NewBuilder(judge.Inputs(scorers), nil)
	require.NoError(t, err)
	v, err := data.Latest(ctx)
	require.NoError(t, err)
	_, err = judge.Evaluate(ctx, rows.Log(ctx, v, nil), scorers, &judge.EvaluateOptions{OnResult: func(r judge.Result) { require.NoError(t, reference.Add(r.Record())) }})
	require.NoError(t, err)
	ref, err := reference.Reference()
	require.NoError(t, err)

	share, at := round(nil, 0)
	require.Zero(t, share)
	require.Len(t, seen, 300)
	refuse = true
	send(600)
	v, err = data.Compact(ctx, nil)
	require.NoError(t, err)
	require.Greater(t, v.Number, at)
	m, err := monitor.New(ref, nil)
	require.NoError(t, err)
	share, at = round(m, at)
	require.InDelta(t, 1, share, 0)
	require.Equal(t, v.Number, at)
	report, err := m.Cut(ctx)
	require.NoError(t, err)
	for _, f := range report.Features {
		require.True(t, f.Drifted || len(f.Rules) > 0, "%+v", f)
	}
	require.NoError(t, m.Shutdown(ctx))
	require.Len(t, seen, sent)
	for id, times := range seen {
		require.Equal(t, 1, times, id)
	}
	require.Contains(t, events.String(), `"gen_ai.response.id":"c-r-`)
	require.Contains(t, events.String(), `"gen_ai.evaluation.name":"refusal"`)
	require.NotContains(t, events.String(), "joe@")

	// A put that fails is not passed over.
	send(5)
	f, err := rows.Follow(ctx, data, &rows.LogOptions{After: at})
	require.NoError(t, err)
	broken := errors.New("broken")
	require.ErrorIs(t, f.Next(ctx, func(context.Context, judge.Sample) error { return broken }), broken)
	require.Equal(t, at, f.Version())
	count := 0
	running, stop := context.WithCancel(ctx)
	require.NoError(t, f.Run(running, time.Nanosecond, func(context.Context, judge.Sample) error {
		if count++; count == 5 {
			stop()
		}
		return nil
	}))
	require.Equal(t, 5, count)
	f, err = rows.Follow(ctx, data, &rows.LogOptions{After: -1, Share: 0.5})
	require.NoError(t, err)
	require.NoError(t, f.Next(ctx, func(context.Context, judge.Sample) error { return broken }))
	_, err = rows.Follow(ctx, data, &rows.LogOptions{Share: 2, After: -3})
	require.ErrorIs(t, err, rows.ErrInvalid)
	require.NoError(t, log.Shutdown(ctx))
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`, "Hi"},
		{`{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url"}]}]}`, "system: Be brief.\nuser: Hi\n[image_url]"},
		{`{"prompt":"Once"}`, "Once"},
		{`{"prompt":["Once","Twice"]}`, "Once\nTwice"},
		{`{"input":"Hi"}`, "Hi"},
		{`{"instructions":"Be brief.","input":[{"role":"user","content":"Hi"}]}`, "system: Be brief.\nuser: Hi"},
		{`{"model":"m","messages":[{"role":"us`, `{"model":"m","messages":[{"role":"us`},
		{`{}`, `{}`},
	} {
		require.Equal(t, c[1], rows.Question([]byte(c[0])))
	}
	for _, c := range [][2]string{
		{`{"choices":[{"message":{"content":"Hi"}}]}`, "Hi"},
		{`{"choices":[{"message":{"content":null,"refusal":"No."}}]}`, "No."},
		{`{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a"}]}}]}`, `[{"id":"a"}]`},
		{`{"choices":[{"text":"Hi"}]}`, "Hi"},
		{`{"output":[{"type":"reasoning"},{"role":"assistant","content":[{"type":"output_text","text":"Hi"}]}]}`, "Hi"},
		{`Hi`, "Hi"}, {`{"a":1}`, `{"a":1}`}, {``, ``},
	} {
		require.Equal(t, c[1], rows.Answer([]byte(c[0])))
	}
}

// Whatever a client sent, it becomes a text.
func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}`))
	f.Add([]byte(`{"input":[1,2],"prompt":{},"messages":[]}`))
	f.Add([]byte(`{"choices":[{"message":{"content":[["x"]]}}],"output":[null]}`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		_, _ = rows.Question(body), rows.Answer(body)
	})
}
