package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

func ExampleAccessLog() {
	// The times are left out, because they differ from run to run.
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey, "duration", "queue", "infer":
			return slog.Attr{}
		}
		return a
	}}))
	log, err := serve.AccessLog(logger, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	server := serve.New(&serve.Options{Observers: []serve.Observer{log}})
	err = server.Deploy(ctx, serve.Deployment{Name: "adder", Version: "7", Model: adder(), Digest: "sha256:ab12"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Shutdown(ctx) }()
	header := http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
	if _, err := server.Do(ctx, &serve.Call{Model: "adder", Request: rows(1, 2), RequestID: "r-1", Header: header}); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// level=INFO msg=request model=adder version=7 digest=sha256:ab12 request_id=r-1 trace_id=4bf92f3577b34da6a3ce929d0e0e4736 status=200 rows=1 bytes_in=0 bytes_out=0
}

// lines collects what a JSON handler writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) take(t testing.TB) (text string, list []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	text = l.b.String()
	for line := range strings.Lines(text) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		list = append(list, m)
	}
	l.b.Reset()
	return text, list
}

func logged(t testing.TB, opts *serve.AccessLogOptions) (serve.Observer, *lines) {
	t.Helper()
	out := new(lines)
	log, err := serve.AccessLog(slog.New(slog.NewJSONHandler(out, nil)), opts)
	require.NoError(t, err)
	return log, out
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	log, out := logged(t, nil)
	m := adder()
	s, url := start(t, &serve.Options{Observers: []serve.Observer{log}, MaxBody: 1000, Tenant: func(c *serve.Call) string { return c.HeaderValue("X-Tenant") }}, m)
	const secret = "123456.75"
	body := strings.ReplaceAll(good, "-8", secret)
	resp, answer := post(t, url+"/v2/models/adder/infer", body, "X-Tenant", "acme")
	require.Equal(t, 200, resp.StatusCode)
	text, list := out.take(t)
	require.Len(t, list, 1)
	got := list[0]
	require.Equal(t, "INFO", got["level"])
	for key, want := range map[string]any{
		"model": "adder", "version": "1", "request_id": "r-1", "tenant": "acme", "status": 200.0, "rows": 2.0,
		"bytes_in": float64(len(body)), "bytes_out": float64(len(answer)),
	} {
		require.Equal(t, want, got[key], key)
	}
	require.NotContains(t, text, secret)
	for _, absent := range []string{"digest", "variant", "trace_id", "error", "sample"} {
		require.NotContains(t, got, absent)
	}

	// What fails is named by its kind, and nothing of the payload is in it.
	for _, tc := range []struct {
		body   string
		infer  error
		status int
		kind   string
		level  string
	}{
		{body: strings.ReplaceAll(good, "-8", `"`+secret+`"`), status: 400, kind: "invalid", level: "WARN"},
		{body: `{"inputs": [` + secret, status: 400, kind: "invalid", level: "WARN"},
		{body: strings.Repeat(secret, 200), status: 413, kind: "too large", level: "WARN"},
		{body: body, infer: errors.New("lost " + secret), status: 500, kind: "internal", level: "ERROR"},
		{body: body, infer: serve.ErrUnavailable, status: 503, kind: "unavailable", level: "ERROR"},
		{body: body, infer: serve.ErrUnsupported, status: 501, kind: "unsupported", level: "ERROR"},
		{body: body, infer: &serve.OverloadError{}, status: 503, kind: "overload", level: "ERROR"},
		{body: body, infer: context.DeadlineExceeded, status: 504, kind: "deadline", level: "ERROR"},
		{body: body, infer: context.Canceled, status: 499, kind: "canceled", level: "WARN"},
	} {
		m.infer = func(context.Context, *oip.InferRequest, *oip.InferResponse) error { return tc.infer }
		resp, _ := post(t, url+"/v2/models/adder/infer", tc.body)
		require.Equal(t, tc.status, resp.StatusCode)
		text, list := out.take(t)
		require.Len(t, list, 1)
		require.Equal(t, tc.kind, list[0]["error"])
		require.Equal(t, tc.level, list[0]["level"])
		require.Equal(t, float64(tc.status), list[0]["status"])
		require.NotContains(t, text, secret)
	}
	_, _, err := s.Infer(t.Context(), "unknown", "", rows(1, 2))
	require.ErrorIs(t, err, serve.ErrNotFound)
	text, _ = out.take(t)
	require.Empty(t, text)
}

func TestAccessLogSampling(t *testing.T) {
	t.Parallel()
	log, out := logged(t, &serve.AccessLogOptions{Sample: 0.1, Slow: time.Second, Quiet: []int{503}})
	other, again := logged(t, &serve.AccessLogOptions{Sample: 0.1, Slow: time.Second, Quiet: []int{503}})
	tell := func(x *serve.Exchange) {
		log.Observe(x)
		other.Observe(x)
	}
	const n = 10000
	for i := range n {
		tell(&serve.Exchange{Model: "m", Status: 200, RequestID: fmt.Sprintf("req-%d", i)})
	}
	text, list := out.take(t)
	require.InDelta(t, n/10, len(list), 5*30, "five standard deviations")
	require.Equal(t, 0.1, list[0]["sample"])
	same, _ := again.take(t)
	require.Equal(t, ids(t, text), ids(t, same), "two services choose the same requests")

	for i := range 100 {
		tell(&serve.Exchange{Model: "m", Status: 400, Err: serve.ErrInvalid, RequestID: fmt.Sprintf("req-%d", i)})
	}
	_, list = out.take(t)
	require.Len(t, list, 100)
	for i := range 100 {
		tell(&serve.Exchange{Model: "m", Status: 200, Duration: time.Second, RequestID: fmt.Sprintf("req-%d", i)})
	}
	_, list = out.take(t)
	require.Len(t, list, 100)
	for i := range 1000 {
		tell(&serve.Exchange{Model: "m", Status: 503, Err: serve.ErrUnavailable, RequestID: fmt.Sprintf("req-%d", i)})
	}
	_, list = out.take(t)
	require.Less(t, len(list), 200)
}

func ids(t testing.TB, text string) []string {
	t.Helper()
	var list []string
	for line := range strings.Lines(text) {
		var m struct {
			ID string `json:"request_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		list = append(list, m.ID)
	}
	return list
}

func TestAccessLogOptions(t *testing.T) {
	t.Parallel()
	_, err := serve.AccessLog(nil, &serve.AccessLogOptions{Sample: 2, Slow: -1, Quiet: []int{200}})
	require.ErrorIs(t, err, serve.ErrInvalid)
	for _, part := range []string{"logger is nil", "Sample is 2", "Slow is -1", "status 200"} {
		require.ErrorContains(t, err, part)
	}
}

func TestAccessLogAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	x := &serve.Exchange{Model: "m", Version: "1", Digest: "d", RequestID: "req-1", Status: 200, Rows: 1}
	out, err := serve.AccessLog(slog.New(slog.NewJSONHandler(io.Discard, nil)), nil)
	require.NoError(t, err)
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { out.Observe(x) }), 2.0)
	none, err := serve.AccessLog(slog.New(slog.NewJSONHandler(io.Discard, nil)), &serve.AccessLogOptions{Sample: 1e-9})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(200, func() { none.Observe(x) }))
}

func BenchmarkAccessLog(b *testing.B) {
	x := &serve.Exchange{Model: "m", Version: "1", Digest: "d", RequestID: "req-1", Status: 200, Rows: 1}
	for name, sample := range map[string]float64{"all": 1, "none": 1e-9} {
		b.Run(name, func(b *testing.B) {
			log, err := serve.AccessLog(slog.New(slog.NewJSONHandler(io.Discard, nil)), &serve.AccessLogOptions{Sample: sample})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				log.Observe(x)
			}
		})
	}
}
