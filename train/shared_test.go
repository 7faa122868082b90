package train_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
)

func TestReportRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	want := train.Report{Step: 7, Total: 9, Metrics: map[string]float64{"loss": 0.5}, Checkpoint: &train.CheckpointRef{Step: 7, URI: "file:///x", Digest: "sha256:ab", Time: at}}
	line, err := want.Line()
	require.NoError(t, err)
	got, ok := train.ParseReport(line)
	require.True(t, ok)
	require.Equal(t, want, got)
	want.Metrics["bad"] = math.NaN()
	line, err = want.Line()
	require.NoError(t, err)
	require.NotContains(t, line, "bad")
	for _, r := range []train.Report{{Step: -1}, {Checkpoint: &train.CheckpointRef{}}, {Metrics: map[string]float64{strings.Repeat("x", 5000): 1}}} {
		_, err := r.Line()
		require.ErrorIs(t, err, train.ErrInvalid)
	}
	for _, line := range []string{"", "##millwright", "##millwright {", `##millwright {"step":-1}`, ` ##millwright {}`, `##millwright {"checkpoint":{}}`, "##millwright {} {}"} {
		_, ok := train.ParseReport(line)
		require.False(t, ok, line)
	}
	var p train.Progress
	p.Add(train.Report{Step: 1, Total: 10, Metrics: map[string]float64{"a": 1}}, at, 0)
	held := p.Metrics
	p.Add(train.Report{Step: 5, Metrics: map[string]float64{"b": 2}}, at.Add(time.Minute), 1)
	p.Add(train.Report{Checkpoint: want.Checkpoint}, at.Add(time.Hour), 1)
	require.Equal(t, train.Progress{
		Time: at.Add(time.Hour), Attempt: 1, Step: 5, Total: 10, Metrics: map[string]float64{"a": 1, "b": 2}, Checkpoint: want.Checkpoint,
	}, p)
	require.Equal(t, map[string]float64{"a": 1}, held)
	left, ok := p.ETA(at)
	require.True(t, ok)
	require.Equal(t, time.Hour, left)
}

func FuzzParseReport(f *testing.F) {
	f.Add(`##millwright {"step":7,"total":9,"metrics":{"loss":1e-5},"checkpoint":{"step":1,"uri":"u","digest":"d","time":"2026-01-02T03:04:05Z"}}`)
	f.Add(`##millwright {"step":1e3}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := train.ParseReport(line)
		if !ok {
			return
		}
		again, err := r.Line()
		if err != nil {
			require.ErrorContains(t, err, "bytes, want at most", "escapes may make it longer, nothing else")
			return
		}
		got, ok := train.ParseReport(again)
		require.True(t, ok)
		require.Equal(t, r.Step, got.Step)
		require.Equal(t, len(r.Metrics), len(got.Metrics))
	})
}

// Sources are read again from a time on, as a cluster's logs are: no line is
// lost and none repeated, also where many have the same time.
func TestCursorOfTimedSources(t *testing.T) {
	t.Parallel()
	base := time.Unix(1000, 0)
	var lines []train.Line
	for i := range 20 {
		for rank := range 2 {
			lines = append(lines, train.Line{Rank: rank, Stream: "stdout", Time: base.Add(time.Duration(i/3) * time.Second)})
		}
	}
	for cut := range lines {
		var c train.Cursor
		for i, l := range lines[:cut] {
			require.True(t, c.Pass(l.Source(), l.Time), i)
		}
		again, err := train.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c.String(), again.String())
		fresh := 0
		for rank := range 2 {
			source := train.Line{Rank: rank, Stream: "stdout"}.Source()
			since := again.Reopen(source).Truncate(time.Second)
			for _, l := range lines {
				if l.Source() == source && !l.Time.Before(since) && again.Pass(source, l.Time) {
					fresh++
				}
			}
		}
		require.Equal(t, len(lines)-cut, fresh, "cut after %d", cut)
	}
	var c train.Cursor
	c.SetOffset("0.0.stdout", 5)
	c.SetOffset("1.0.stdout", 7)
	c.Finish(0)
	require.Equal(t, "1;1.0.stdout=7", c.String())
	require.Equal(t, int64(7), c.Offset("1.0.stdout"))
	require.True(t, c.Covers(train.Line{Attempt: 0, Stream: "stdout"}))
	require.True(t, c.Covers(train.Line{Attempt: 1, Stream: "stdout", Cursor: "1;1.0.stdout=7"}))
	require.False(t, c.Covers(train.Line{Attempt: 1, Stream: "stdout", Cursor: "1;1.0.stdout=8"}))
	require.False(t, c.Covers(train.Line{Attempt: 1, Stream: "stderr", Cursor: "1;1.0.stderr=1"}))
}

func FuzzParseCursor(f *testing.F) {
	f.Add("1;1.0.stdout=7;1.1.stderr=1000000000+3")
	f.Add("0;")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := train.ParseCursor(text)
		if err != nil {
			require.ErrorIs(t, err, train.ErrInvalid)
			return
		}
		again, err := train.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c.String(), again.String())
	})
}

func TestMatchGPU(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, name string
		ok         bool
	}{
		{"H100", "NVIDIA-H100-80GB-HBM3", true}, {"h100", "NVIDIA H100 80GB HBM3", true}, {"A100-80GB", "NVIDIA-A100-SXM4-80GB", true},
		{"A10", "NVIDIA-A100-SXM4-80GB", false}, {"A100-40GB", "NVIDIA-A100-SXM4-80GB", false}, {"Tesla T4", "Tesla-T4", true},
		{"nvidia-h100-80gb-hbm3", "NVIDIA-H100-80GB-HBM3", true}, {"H100", "", false},
	} {
		require.Equal(t, c.ok, train.MatchGPU(c.want, c.name), "%v", c)
	}
	g := train.GPU{Types: []string{"H100", "A100"}}
	require.Equal(t, []int{0, 1, -1}, []int{g.Wants("NVIDIA H100 PCIe"), g.Wants("A100"), g.Wants("L4")})
	require.Equal(t, 0, train.GPU{}.Wants("anything"))
}

func TestCost(t *testing.T) {
	t.Parallel()
	p := train.Prices{
		Currency: "EUR", GPUHour: map[string]float64{"H100": 4, "A100": 2, "A100-80GB": 3, "": 1},
		SpotGPUHour: map[string]float64{"H100": 1.5}, CPUHour: 0.1, MemoryHour: 0.01,
	}
	s := train.Spec{Name: "x", Nodes: 2, GPU: train.GPU{Count: 8, Types: []string{"H100", "A100"}}, Deadline: 10 * time.Hour}
	c, err := p.Cost(s, nil, false)
	require.NoError(t, err)
	require.Equal(t, train.Cost{Currency: "EUR", PerHour: 64, Max: 640, Deadline: 10 * time.Hour}, c, "the dearest counts")
	s.MaxCost = 128
	c, err = p.Cost(s, []string{"NVIDIA-H100-80GB-HBM3"}, false)
	require.NoError(t, err)
	require.Equal(t, 2*time.Hour, c.Deadline)
	require.InDelta(t, 128, c.Max, 1e-9)
	c, err = p.Cost(s, []string{"NVIDIA-H100-80GB-HBM3"}, true)
	require.NoError(t, err)
	require.InDelta(t, 24, c.PerHour, 1e-9)
	hour, ok := p.PerHour(s, "NVIDIA-A100-SXM4-80GB", true)
	require.True(t, ok)
	require.InDelta(t, 48, hour, 1e-9, "the longest name that matches; no spot price of its own")
	hour, ok = p.PerHour(s, "L4", false)
	require.True(t, ok)
	require.InDelta(t, 16, hour, 1e-9)
	_, err = train.Prices{}.Cost(s, nil, false)
	require.ErrorIs(t, err, train.ErrInvalid)
	cpu, ok := p.PerHour(train.Spec{Resources: train.Resources{CPU: 10, Memory: 100 << 30}}, "", false)
	require.True(t, ok)
	require.InDelta(t, 2, cpu, 1e-9)
}

func TestUsageAndBill(t *testing.T) {
	t.Parallel()
	t0 := time.Unix(0, 0)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	prices := train.Prices{Currency: "EUR", GPUHour: map[string]float64{"H100": 3600}, SpotGPUHour: map[string]float64{"H100": 1800}}
	attempts := []train.Attempt{
		{GPU: "H100", Spot: true, GPUs: 2, Queued: at(0), Started: at(10), Finished: at(110), Checkpoint: at(90)}, // preempted
		{GPU: "H100", GPUs: 2, Queued: at(110), Started: at(120), Finished: at(150)},                              // no checkpoint: all is lost
		{GPU: "H100", GPUs: 2, Queued: at(150), Started: at(160), Finished: at(200), OK: true},
	}
	u := train.NewUsage("j", "red", attempts, prices, false, at(999))
	require.Equal(t, []train.UsageItem{
		{GPU: "H100", Outcome: train.Useful, GPUs: 80, Cost: 80},
		{GPU: "H100", Outcome: train.Lost, GPUs: 60, Cost: 60},
		{GPU: "H100", Outcome: train.Waited, GPUs: 40},
		{GPU: "H100", Spot: true, Outcome: train.Useful, GPUs: 160, Cost: 80},
		{GPU: "H100", Spot: true, Outcome: train.Lost, GPUs: 40, Cost: 20},
		{GPU: "H100", Spot: true, Outcome: train.Waited, GPUs: 20},
	}, u.Items)
	require.InDelta(t, 240, u.Cost(), 1e-9)
	open := train.NewUsage("k", "red", []train.Attempt{{GPU: "H100", GPUs: 1, Queued: at(0), Started: at(0)}, {GPUs: 1, Queued: at(5)}}, prices, true, at(10))
	require.InDelta(t, 10, open.Cost(), 1e-9)
	require.Len(t, open.Items, 2)
	other := train.NewUsage("l", "blue", attempts[2:], prices, false, at(999))
	bills := train.Bill(slices.Values([]train.Usage{u, open, other}))
	require.Len(t, bills, 2)
	require.Equal(t, "blue", bills[0].Team)
	require.Equal(t, 2, bills[1].Jobs)
	require.True(t, bills[1].Open)
	require.InDelta(t, 250, bills[1].Cost, 1e-9)
	require.Empty(t, train.Bill(slices.Values([]train.Usage(nil))))
}

func TestWhyRanks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := train.NewWhy(
		train.Finding{Kind: train.CauseQueued, Text: "2 jobs are ahead"},
		train.Finding{Kind: train.CauseQuota, Text: "16 more GPUs are needed", Object: "Workload a/b", Since: now},
		train.Finding{Kind: train.CauseQuota, Text: "16 more GPUs are needed", Object: "Workload a/b", Since: now},
		train.Finding{Kind: "new", Text: "odd"},
		train.Finding{Kind: train.CauseConfig},
	)
	require.Equal(t, "16 more GPUs are needed.", w.Text)
	require.Equal(t, []train.Cause{train.CauseQuota, train.CauseQueued, "new"}, []train.Cause{w.Findings[0].Kind, w.Findings[1].Kind, w.Findings[2].Kind})
	require.Equal(t, train.Why{}, train.NewWhy())
	h := train.Headroom{Limit: 16, Used: 8, Need: 8}
	require.True(t, h.Fits())
}
