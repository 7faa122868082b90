package ecs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/ecs"
)

func line(t *testing.T, b *bytes.Buffer) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &m), b.String())
	require.Equal(t, byte('\n'), b.Bytes()[b.Len()-1])
	require.Equal(t, 1, bytes.Count(b.Bytes(), []byte("\n")))
	return m
}

func TestHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(ecs.NewHandler(&b, &ecs.Options{
		Service: "fraud", Dataset: "fraud.monitor", AddSource: true,
		Trace: func(context.Context) (string, string) { return "t1", "s1" },
	}))
	log.With("a", 1).WithGroup("event").With("id", "x").Error("it\nfails", "duration", time.Second)
	m := line(t, &b)
	require.Contains(t, m["log.origin.function"], "TestHandler")
	at, err := time.Parse(time.RFC3339Nano, m["@timestamp"].(string))
	require.NoError(t, err)
	require.False(t, at.IsZero())
	for _, k := range []string{"@timestamp", "log.origin.function", "log.origin.file.name", "log.origin.file.line"} {
		delete(m, k)
	}
	require.Equal(t, map[string]any{
		"log.level": "error", "message": "it\nfails", "ecs.version": ecs.Version, "service.name": "fraud", "event.dataset": "fraud.monitor",
		"trace.id": "t1", "span.id": "s1", "labels.a": "1", "event.id": "x", "event.duration": 1e9,
	}, m)
	b.Reset()
	log.Warn("", "err", errors.New("broken"), "nan", math.NaN(), "http.nan", math.Inf(1), "x.y", []int{1}, "message", "other", "a", 1, "a", 2)
	m = line(t, &b)
	require.Equal(t, "broken", m["error.message"])
	require.Equal(t, "*errors.errorString", m["error.type"])
	require.Equal(t, "+Inf", m["http.nan"])
	require.Equal(t, "[1]", m["labels.x_y"])
	require.Equal(t, "other", m["labels.message"])
	require.Equal(t, "1", m["labels.a"])
	b.Reset()
	log.Debug("nothing")
	require.Zero(t, b.Len())
}

// TestSlog holds the handler against the library's own kit, with the names put
// back where it looks for them.
func TestSlog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := slogtest.TestHandler(ecs.NewHandler(&b, nil), func() []map[string]any {
		var all []map[string]any
		for text := range bytes.SplitSeq(bytes.TrimSpace(b.Bytes()), []byte("\n")) {
			var m map[string]any
			require.NoError(t, json.Unmarshal(text, &m))
			out := map[string]any{slog.MessageKey: m["message"], slog.LevelKey: m["log.level"], slog.TimeKey: m["@timestamp"]}
			for k, v := range m {
				name, ok := bytes.CutPrefix([]byte(k), []byte("labels."))
				if !ok {
					continue
				}
				at := out
				parts := bytes.Split(name, []byte("_"))
				for _, p := range parts[:len(parts)-1] {
					next, ok := at[string(p)].(map[string]any)
					if !ok {
						next = map[string]any{}
						at[string(p)] = next
					}
					at = next
				}
				at[string(parts[len(parts)-1])] = v
			}
			all = append(all, out)
		}
		return all
	})
	// The schema wants a time in each line.
	if err != nil {
		require.ErrorContains(t, err, "a Handler should ignore a zero Record.Time")
		require.NotContains(t, err.Error(), "\n")
	}
}

func Example() {
	handler := ecs.NewHandler(out{}, &ecs.Options{Service: "fraud"})
	report := monitor.Report{
		Model: "fraud", Version: "3", Window: 7, Rows: 1000, Verdict: monitor.Drift, State: monitor.StateDrift, Key: "fraud/3/7/00aa",
		Causes: []string{"amount is higher"}, Trigger: &monitor.Trigger{Key: "fraud/3/1"},
	}
	r := slog.NewRecord(time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC), ecs.Level(report), "drift", 0)
	r.AddAttrs(ecs.Event(report)...)
	fmt.Println(handler.Handle(context.Background(), r))
	// Output:
	// {"@timestamp":"2026-11-22T05:00:00.000000Z","log.level":"warn","message":"drift","ecs.version":"8.17.0","service.name":"fraud","event.kind":"alert","event.action":"model-monitoring","event.outcome":"failure","event.id":"fraud/3/7/00aa","event.start":"0001-01-01T00:00:00Z","event.end":"0001-01-01T00:00:00Z","event.duration":0,"labels.model":"fraud","labels.version":"3","labels.window":"7","labels.rows":"1000","labels.verdict":"drift","labels.state":"drift","labels.features_with_alarm":"0","event.reason":"amount is higher","labels.trigger":"fraud/3/1"}
	// <nil>
}

// out is standard output as it is when the example runs.
type out struct{}

func (out) Write(p []byte) (int, error) { return fmt.Print(string(p)) }
