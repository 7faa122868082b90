package inferlog_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

func TestSampling(t *testing.T) {
	t.Parallel()
	kept := func(share float64, version string) map[string]int {
		s := &blob.Mem{}
		l := open(t, s, &inferlog.Options{
			Sample: share, FlushEvery: -1, Ranges: map[string]inferlog.Range{"in_c": {math.MinInt64, math.MinInt64 + 50}},
			Keep: func(r *inferlog.Record) bool { return r.RequestID == "wanted" },
		})
		for i := range 2000 {
			r := one(fmt.Sprint(i), 2)
			r.Version = version
			l.Append(r)
		}
		failed := one("failed", 1)
		failed.Error, failed.Outputs = "no such model", nil
		l.Append(failed)
		l.Append(one("wanted", 1))
		outlier := one("outlier", 1)
		outlier.Inputs[2] = []int64{7}
		l.Append(outlier)
		require.NoError(t, l.Flush(t.Context()))
		st := l.Stats()
		require.EqualValues(t, 4003, st.Observed)
		require.Equal(t, st.Observed, st.Written+st.SampledOut)
		got := ids(t, s)
		for _, id := range []string{"failed", "wanted", "outlier"} {
			require.Equal(t, 1, got[id], id)
		}
		found, err := l.Find(t.Context(), "failed")
		require.NoError(t, err)
		require.Equal(t, "no such model", found.Error)
		require.Equal(t, []any{nil, nil}, found.Outputs)
		return got
	}
	some, more := kept(0.1, "1"), kept(0.3, "2")
	require.InDelta(t, 200, len(some), 60)
	require.InDelta(t, 600, len(more), 90)
	for id, n := range some {
		require.Equal(t, n, more[id], "a smaller sample is part of a larger one, whatever the version")
	}
}

func TestRequestsWithoutAnIDAreSampledToo(t *testing.T) {
	t.Parallel()
	l := open(t, &blob.Mem{}, &inferlog.Options{Sample: 0.5})
	r := one("", 1)
	for range 1000 {
		l.Append(r)
	}
	require.InDelta(t, 500, float64(l.Stats().SampledOut), 80)
}

// TestProtectedValuesAreNowhere looks for them in all that is stored and
// spilled.
func TestProtectedValuesAreNowhere(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, key := &store{}, []byte("a key of 16 bytes and more")
	opts := &inferlog.Options{
		Redact: []string{"in_a", "in_f"}, Hash: []string{"out_label", "request_id"}, HashKey: key,
		Overflow: inferlog.Spill, SpillDir: t.TempDir(), FlushEvery: -1,
	}
	l := open(t, s, opts)
	s.fail.Store(1)
	l.Append(one("secret", 3))
	h := hmac.New(sha256.New, key)
	h.Write([]byte("secret"))
	hashed := hex.EncodeToString(h.Sum(nil)[:16])
	check := func() {
		got, err := l.Find(ctx, "secret")
		require.NoError(t, err)
		require.Equal(t, hashed, got.RequestID)
		require.Nil(t, got.Inputs[0])
		require.Nil(t, got.Inputs[5])
		require.Equal(t, one("secret", 3).Inputs[2], got.Inputs[2])
		require.Equal(t, []string{hashed, hashed, hashed}, got.Outputs[1])
	}
	check()
	for _, path := range segments(t, opts.SpillDir) {
		requireNowhere(t, path, "secret", "größe")
	}
	s.fail.Store(0)
	require.NoError(t, l.Flush(ctx))
	check()
	require.Equal(t, map[string]int{hashed: 3}, ids(t, s))
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := inferlog.Open(t.Context(), dataset.New(&blob.Mem{}, nil), "log", everyType, &inferlog.Options{
		Overflow: inferlog.Spill, Sample: 2, Redact: []string{"a", "in_f"}, Hash: []string{"in_a", "in_f"}, HashKey: []byte("short"),
		Ranges: map[string]inferlog.Range{"in_f": {0, 1}, "in_a": {1, 0}}, SpillBytes: -1, Retention: -1,
	})
	require.ErrorIs(t, err, inferlog.ErrInvalid)
	for _, want := range []string{
		`spill dir is ""`, "sample is 2", `redact has "a"`, `hash has "in_a"`, `"in_f" cannot be redacted and hashed`, "the hash key has 5 bytes",
		`ranges has "in_f"`, `the range of "in_a" is from 1 to 0`, "spill bytes are -1", "retention is -1ns",
	} {
		require.ErrorContains(t, err, want)
	}
}

// opened notes which data files are read.
type opened struct {
	blob.Store
	mu    sync.Mutex
	files map[string]bool
}

func (o *opened) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if strings.HasSuffix(key, ".parquet") {
		o.mu.Lock()
		o.files[key] = true
		o.mu.Unlock()
	}
	return o.Store.Get(ctx, key, off, n)
}

// TestPartitions writes one file for each hour, model and version, so that
// statistics leave out the others, and expires by the hour.
func TestPartitions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := &opened{Store: &blob.Mem{}, files: map[string]bool{}}
	l := open(t, s, &inferlog.Options{FlushEvery: -1})
	start := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	for i := range 240 {
		r := one(fmt.Sprint(i), 1)
		r.Time = start.Add(time.Duration(i%4) * time.Hour).Add(time.Duration(i) * time.Second)
		r.Version = fmt.Sprint(i % 2)
		l.Append(r)
	}
	require.NoError(t, l.Flush(ctx))
	d, err := dataset.New(s, nil).Open(ctx, "log")
	require.NoError(t, err)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	require.Len(t, v.Files, 4) // Odd hours are of version 1.
	rr, err := v.Read(ctx, &dataset.ReadOptions{Where: filter.And(filter.Eq("version", "1"), filter.Lt("time", start.Add(2*time.Hour)))})
	require.NoError(t, err)
	defer rr.Release()
	n := int64(0)
	for rr.Next() {
		n += rr.Record().NumRows()
	}
	require.NoError(t, rr.Err())
	require.EqualValues(t, 60, n)
	require.Len(t, s.files, 1, "the files of other hours and versions are not opened")

	require.NoError(t, l.Expire(ctx, start.Add(2*time.Hour+30*time.Minute)))
	v, err = d.Latest(ctx)
	require.NoError(t, err)
	require.Len(t, v.Files, 2)
	require.EqualValues(t, 120, v.Rows)
	require.NoError(t, l.Expire(ctx, start.Add(2*time.Hour+30*time.Minute)), "again, with nothing to do")
}

// TestClocksThatJump has times that go back and forth between more hours than
// are collected at once, and to the ends of time: every row is written, and
// found under its time.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	l := open(t, &blob.Mem{}, &inferlog.Options{FlushEvery: -1})
	start := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	at := func(i int) time.Time {
		switch i {
		case 50:
			return time.Unix(0, 0).UTC()
		case 51:
			return time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)
		case 52:
			return time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)
		case 53:
			return time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
		}
		return start.Add(time.Duration(i*7%13-6) * time.Hour)
	}
	for i := range 100 {
		r := one(fmt.Sprint(i), 1)
		r.Time = at(i)
		l.Append(r)
	}
	require.NoError(t, l.Flush(ctx))
	require.EqualValues(t, 100, l.Stats().Written)
	for _, i := range []int{0, 50, 51, 52, 53, 99} {
		r, err := l.Find(ctx, fmt.Sprint(i))
		require.NoError(t, err)
		require.Equal(t, at(i), r.Time)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	s := &blob.Mem{}
	l := open(t, s, &inferlog.Options{FlushEvery: -1})
	l.Append(one("old", 5)) // Of 2023.
	require.NoError(t, l.Flush(t.Context()))
	tidy := open(t, s, &inferlog.Options{FlushEvery: -1, Retention: 24 * time.Hour})
	now := one("new", 1)
	now.Time = time.Time{} // Now.
	tidy.Append(now)
	require.NoError(t, tidy.Flush(t.Context()))
	require.Eventually(t, func() bool { return rows(t, s) == 1 }, time.Minute, 5*time.Millisecond)
}

// TestStatsAddUp is the law of Stats, in each mode, at every moment.
func TestStatsAddUp(t *testing.T) {
	t.Parallel()
	for name, overflow := range map[string]inferlog.Overflow{"drop": inferlog.Drop, "block": inferlog.Block, "spill": inferlog.Spill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{}
			opts := &inferlog.Options{Overflow: overflow, MaxBuffered: 60, FlushRows: 25, FlushEvery: time.Millisecond, Sample: 0.7}
			if overflow == inferlog.Spill {
				opts.SpillDir, opts.SpillBytes = t.TempDir(), 20_000
			}
			l := open(t, s, opts)
			stop := make(chan struct{})
			var watchers, writers sync.WaitGroup
			watchers.Go(func() {
				for n := int32(0); ; n++ {
					st := l.Stats()
					if st.Observed != st.Written+st.Dropped+st.SampledOut+st.Pending {
						t.Errorf("%+v does not add up", st)
						return
					}
					select {
					case <-stop:
						s.fail.Store(0)
						return
					default:
						s.fail.Store(n / 64 % 3) // Up, down, and up with lost replies.
					}
				}
			})
			for w := range 3 {
				writers.Go(func() {
					for i := range 120 {
						r := one(fmt.Sprintf("%d-%d", w, i), 1+i%3)
						if i%20 == 7 {
							r.Inputs = nil
						}
						l.Append(r)
					}
				})
			}
			writers.Wait()
			close(stop)
			watchers.Wait()
			require.NoError(t, l.Shutdown(context.Background()))
			st := l.Stats()
			require.EqualValues(t, 3*120*2, st.Observed, "malformed records count as what their outputs hold")
			require.Zero(t, st.Pending)
			require.EqualValues(t, st.Written, rows(t, s))
		})
	}
}

// TestMonitorFillsALog has a monitor hand its blocks on.
func TestMonitorFillsALog(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var amount, plan, score profile.Column
	for i := range 500 {
		amount.AddFloat(float64(i))
		plan.AddString([]string{"basic", "pro"}[i%2])
		score.AddFloat(float64(i) / 500)
	}
	ref := profile.NewReference([]profile.Feature{{Name: "amount", Bins: amount.Bins(0)}, {Name: "plan", Bins: plan.Bins(0)}}, score.Bins(0))
	for i := range 500 {
		require.NoError(t, ref.Observe([]float64{float64(i), float64(i % 2)}, float64(i)/500))
	}
	s := &blob.Mem{}
	l, err := inferlog.Open(ctx, dataset.New(s, nil), "log", inferlog.SchemaOf(ref), &inferlog.Options{Sample: 0.2, Hash: []string{"in_plan"}, HashKey: make([]byte, 16)})
	require.NoError(t, err)
	m, err := monitor.New(ref, &monitor.Options{Model: "churn", Version: "3", Log: l})
	require.NoError(t, err)
	for i := range 1000 {
		m.Observe([]float64{float64(i % 500), m.EncodeString(1, "pro")}, 0.25, monitor.NewID("r", i))
	}
	m.Observe([]float64{1e9, m.EncodeString(1, "pro")}, 0.5, monitor.NewID("far", 0))
	m.Observe([]float64{1, m.EncodeString(1, "unheard of")}, 0.75, monitor.NewID("unseen", 0))
	require.NoError(t, m.Shutdown(ctx))
	require.NoError(t, l.Shutdown(ctx))
	st := l.Stats()
	require.EqualValues(t, 1002, st.Observed)
	require.Zero(t, st.Dropped)
	kept := 0 // Rows of one request are in the sample together.
	if st.Written > 500 {
		kept = 1000
	}
	require.EqualValues(t, kept+2, st.Written)
	far, err := l.Find(ctx, monitor.NewID("far", 0).String())
	require.NoError(t, err)
	require.Equal(t, []any{[]float64{0.5}}, far.Outputs)
	require.Equal(t, []float64{1e9}, far.Inputs[0])
	require.Len(t, far.Inputs[1].([]string)[0], 32)
	require.Equal(t, "churn", far.Model)
	unseen, err := l.Find(ctx, monitor.NewID("unseen", 0).String())
	require.NoError(t, err)
	require.Nil(t, unseen.Inputs[1])

	// A log of something else counts what it cannot take.
	other := open(t, &blob.Mem{}, nil)
	m, err = monitor.New(ref, &monitor.Options{Log: other})
	require.NoError(t, err)
	m.Observe([]float64{1, 0}, 0.5, monitor.ID{})
	require.NoError(t, m.Shutdown(ctx))
	require.Equal(t, inferlog.Stats{Observed: 1, Dropped: 1}, other.Stats())
}
