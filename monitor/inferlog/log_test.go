package inferlog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

var everyType = inferlog.Schema{
	Inputs:  []inferlog.Field{{"a", inferlog.Float64}, {"b", inferlog.Float32}, {"c", inferlog.Int64}, {"d", inferlog.Int32}, {"e", inferlog.Bool}, {"f", inferlog.String}},
	Outputs: []inferlog.Field{{"a", inferlog.Float64}, {"label", inferlog.String}},
}

// one is a record of n rows, different for each id.
func one(id string, n int) inferlog.Record {
	a, b, c, d, e, f := make([]float64, n), make([]float32, n), make([]int64, n), make([]int32, n), make([]bool, n), make([]string, n)
	out, label := make([]float64, n), make([][]byte, n)
	for i := range n {
		a[i], b[i], c[i], d[i], e[i], f[i] = float64(i)/3, float32(i)/3, math.MinInt64+int64(i), int32(-i), i%2 == 0, fmt.Sprintf("größe %d %s", i, id)
		out[i], label[i] = -float64(i), []byte(id)
	}
	for i, bits := range []uint64{1 << 63, 0x7ff8000000000123, 0xfff0000000000000, 0x7ff4000000000001} {
		if i < n {
			a[i] = math.Float64frombits(bits)
		}
	}
	return inferlog.Record{
		RequestID: id, Time: time.UnixMicro(1_700_000_000_123_456).UTC(), Model: "m", Version: fmt.Sprint("v", len(id)%3), Latency: 1234 * time.Microsecond,
		Inputs: []any{a, b, c, d, e, f}, Outputs: []any{out, label},
	}
}

func requireFound(t *testing.T, l *inferlog.Log, id string, n int) {
	got, err := l.Find(context.Background(), id)
	require.NoError(t, err)
	want := one(id, n)
	require.Equal(t, want.RequestID, got.RequestID)
	require.Equal(t, want.Time, got.Time)
	require.Equal(t, want.Version, got.Version)
	require.Equal(t, want.Latency, got.Latency)
	gotA, wantA := got.Inputs[0].([]float64), want.Inputs[0].([]float64)
	require.Len(t, gotA, n)
	for i := range wantA {
		require.Equal(t, math.Float64bits(wantA[i]), math.Float64bits(gotA[i]), "row %d", i)
	}
	require.Equal(t, want.Inputs[1:], got.Inputs[1:])
	require.Equal(t, want.Outputs[0], got.Outputs[0])
	for _, s := range got.Outputs[1].([]string) {
		require.Equal(t, id, s)
	}
	require.Len(t, got.Outputs[1], n)
}

func open(t testing.TB, s blob.Store, opts *inferlog.Options) *inferlog.Log {
	l, err := inferlog.Open(context.Background(), dataset.New(s, nil), "log", everyType, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Shutdown(context.Background())) })
	return l
}

func rows(t testing.TB, s blob.Store) int64 {
	d, err := dataset.New(s, nil).Open(context.Background(), "log")
	require.NoError(t, err)
	v, err := d.Latest(context.Background())
	require.NoError(t, err)
	return v.Rows
}

func TestRequestsAreFoundPendingAndWritten(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	s, err := dirblob.Open(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	l := open(t, s, &inferlog.Options{FlushEvery: -1})
	for i := range 50 {
		l.Append(one(fmt.Sprint(i), 1+i%7))
		if i == 20 || i == 30 {
			require.NoError(t, l.Flush(ctx))
		}
	}
	check := func(l *inferlog.Log) {
		for i := 0; i < 50; i += 7 {
			requireFound(t, l, fmt.Sprint(i), 1+i%7)
		}
		_, err := l.Find(ctx, "50")
		require.ErrorIs(t, err, inferlog.ErrNotFound)
	}
	check(l) // Some are written, the rest is pending.
	require.NoError(t, l.Shutdown(ctx))
	require.NoError(t, l.Shutdown(ctx))
	require.ErrorIs(t, l.Flush(ctx), inferlog.ErrClosed)
	check(l)
	check(open(t, s, nil)) // Another process.
	st := l.Stats()
	require.Equal(t, st.Observed, st.Written)
	require.EqualValues(t, rows(t, s), st.Written)

	// The record is the caller's again after Append, and an id that comes back
	// gives the last one.
	l = open(t, s, nil)
	rec := one("7", 3)
	l.Append(rec)
	rec.Inputs[2].([]int64)[0] = 99
	copy(rec.Outputs[1].([][]byte)[0], "x")
	requireFound(t, l, "7", 3)
	require.NoError(t, l.Flush(ctx))
	requireFound(t, l, "7", 3)
}

func TestManyRowsOfOneRequestKeepTheirOrder(t *testing.T) {
	t.Parallel()
	l := open(t, &blob.Mem{}, &inferlog.Options{FlushRows: 1000})
	l.Append(one("small", 1))
	l.Append(one("big", 70_000)) // Several batches when it is read.
	l.Append(one("after", 1))
	require.NoError(t, l.Flush(context.Background()))
	require.EqualValues(t, 70_002, l.Stats().Written)
	requireFound(t, l, "big", 70_000)
	requireFound(t, l, "after", 1)
}

func TestMalformedRecordsAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	errs := make(chan error, 100)
	s := &blob.Mem{}
	l := open(t, s, &inferlog.Options{OnError: func(err error) { errs <- err }})
	for want, change := range map[string]func(r *inferlog.Record){
		"it has 5 inputs":                     func(r *inferlog.Record) { r.Inputs = r.Inputs[:5] },
		"and 3 outputs":                       func(r *inferlog.Record) { r.Outputs = append(r.Outputs, []float64{1, 2}) },
		`"a" is a []int, want a`:              func(r *inferlog.Record) { r.Inputs[0] = []int{1, 2} },
		`"b" is a []float64`:                  func(r *inferlog.Record) { r.Inputs[1] = []float64{1, 2} },
		`"a" is a <nil>`:                      func(r *inferlog.Record) { r.Outputs[0] = nil },
		`"c" has 1 rows and the one before 2`: func(r *inferlog.Record) { r.Inputs[2] = []int64{1} },
		"model, version or error is not":      func(r *inferlog.Record) { r.RequestID = "\xff" },
		`"f" holds text that is not UTF-8`:    func(r *inferlog.Record) { r.Inputs[5] = []string{"ok", "\xff"} },
		`"label" holds text`:                  func(r *inferlog.Record) { r.Outputs[1] = [][]byte{{0xff}, nil} },
	} {
		before := l.Stats()
		r := one("x", 2)
		change(&r)
		l.Append(r)
		st := l.Stats()
		require.Equal(t, before.Dropped+2, st.Dropped, want)
		require.Equal(t, before.Observed+2, st.Observed)
		require.ErrorContains(t, <-errs, want)
	}
	l.Append(inferlog.Record{}) // Nothing at all is one row.
	require.ErrorContains(t, <-errs, "0 inputs")
	l.Append(one("x", 0))
	require.ErrorContains(t, <-errs, "no rows")
	st := l.Stats()
	require.EqualValues(t, 20, st.Dropped)
	require.Zero(t, st.Pending)

	l.Append(one("good", 2))
	require.NoError(t, l.Flush(ctx))
	require.EqualValues(t, 2, rows(t, s))
	require.NoError(t, l.Shutdown(ctx))
	l.Append(one("late", 3))
	require.EqualValues(t, 23, l.Stats().Dropped)
}

// store is a store that can fail, and say that it failed when it did not.
type store struct {
	blob.Mem
	fail atomic.Int32 // 1: nothing is written. 2: all is written, and an error returned.
	gate chan struct{}
}

var errDisk = errors.New("disk on fire")

func (s *store) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	if s.gate != nil {
		<-s.gate
	}
	switch s.fail.Load() {
	case 1:
		return errDisk
	case 2:
		err := s.Mem.Create(ctx, key, body, size)
		if err == nil && strings.Contains(key, "_delta_log/") {
			err = errDisk
		}
		return err
	}
	return s.Mem.Create(ctx, key, body, size)
}

func TestFailedWritesAreKeptAndTriedAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &store{}
	var failures atomic.Int64
	l := open(t, s, &inferlog.Options{FlushEvery: -1, OnError: func(err error) {
		if errors.Is(err, errDisk) {
			failures.Add(1)
		}
	}})
	s.fail.Store(1)
	l.Append(one("a", 3))
	require.ErrorIs(t, l.Flush(ctx), errDisk)
	l.Append(one("b", 2))
	require.ErrorIs(t, l.Shutdown(ctx), errDisk)
	require.Equal(t, inferlog.Stats{Observed: 5, Pending: 5}, l.Stats())
	requireFound(t, l, "a", 3)
	require.Positive(t, failures.Load())

	s.fail.Store(2) // Commits land, the replies do not.
	require.NoError(t, l.Shutdown(ctx))
	require.Equal(t, inferlog.Stats{Observed: 5, Written: 5}, l.Stats())
	require.EqualValues(t, 5, rows(t, s), "each row once")
	requireFound(t, l, "a", 3)
	requireFound(t, l, "b", 2)
}

func TestOverflowIsDroppedWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &store{}
	l := open(t, s, &inferlog.Options{FlushRows: 4, MaxBuffered: 10})
	s.gate = make(chan struct{})
	for i := range 8 {
		l.Append(one(fmt.Sprint(i), 3)) // Returns although nothing can be written.
	}
	require.Equal(t, inferlog.Stats{Observed: 24, Pending: 9, Dropped: 15}, l.Stats())
	short, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, l.Flush(short), context.Canceled)
	close(s.gate)
	require.NoError(t, l.Flush(ctx))
	require.Equal(t, inferlog.Stats{Observed: 24, Written: 9, Dropped: 15}, l.Stats())
	_, err := l.Find(ctx, "5")
	require.ErrorIs(t, err, inferlog.ErrNotFound)
}

func TestRowsAreWrittenByTimeAndByNumber(t *testing.T) {
	t.Parallel()
	byTime := open(t, &blob.Mem{}, &inferlog.Options{FlushEvery: time.Millisecond})
	byTime.Append(one("a", 3))
	byNumber := open(t, &blob.Mem{}, &inferlog.Options{FlushEvery: -1, FlushRows: 10})
	byNumber.Append(one("b", 9))
	require.EqualValues(t, 9, byNumber.Stats().Pending)
	byNumber.Append(one("b", 1)) // Of the same version, so for the same file.
	for l, want := range map[*inferlog.Log]uint64{byTime: 3, byNumber: 10} {
		require.Eventually(t, func() bool { return l.Stats() == inferlog.Stats{Observed: want, Written: want} }, time.Minute, time.Millisecond)
	}
}

func TestCountsAddUpUnderConcurrency(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	// Two logs, as two replicas of a service have.
	logs := []*inferlog.Log{open(t, s, &inferlog.Options{FlushRows: 40, MaxBuffered: 400}), open(t, s, &inferlog.Options{FlushRows: 70, MaxBuffered: 400})}
	stop := make(chan struct{})
	var watchers, writers sync.WaitGroup
	for _, l := range logs {
		watchers.Go(func() {
			for {
				st := l.Stats()
				if st.Observed != st.Written+st.Dropped+st.Pending {
					t.Errorf("%+v does not add up", st)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		for w := range 3 {
			writers.Go(func() {
				for i := range 150 {
					l.Append(one(fmt.Sprintf("%d-%d", w, i), 1+i%4))
					if i%50 == 49 {
						if err := l.Flush(ctx); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
	writers.Wait()
	close(stop)
	watchers.Wait()
	var written uint64
	for _, l := range logs {
		require.NoError(t, l.Shutdown(ctx))
		st := l.Stats()
		require.Zero(t, st.Pending)
		require.EqualValues(t, 3*(37*10+1+2), st.Observed)
		written += st.Written
	}
	require.EqualValues(t, written, rows(t, s))
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cat := dataset.New(&blob.Mem{}, nil)
	_, err := inferlog.Open(ctx, nil, "log", inferlog.Schema{}, &inferlog.Options{FlushRows: -1, MaxBuffered: -1})
	require.ErrorIs(t, err, inferlog.ErrInvalid)
	for _, want := range []string{"the catalog is nil", "no fields", "flush rows are -1", "max buffered is -1"} {
		require.ErrorContains(t, err, want)
	}
	_, err = inferlog.Open(ctx, cat, "log", inferlog.Schema{Inputs: []inferlog.Field{{"", inferlog.Bool}, {"x", "uint8"}}}, nil)
	require.ErrorContains(t, err, "has no name")
	require.ErrorContains(t, err, `field "x" has the type "uint8"`)
	_, err = inferlog.Open(ctx, cat, "log", inferlog.Schema{Inputs: []inferlog.Field{{"two words", inferlog.Bool}}}, nil)
	require.ErrorIs(t, err, inferlog.ErrInvalid)
	require.ErrorContains(t, err, "two words")

	_, err = cat.Create(ctx, "other", arrow.NewSchema([]arrow.Field{{Name: "row", Type: arrow.PrimitiveTypes.Int64}, {Name: "z", Type: arrow.BinaryTypes.String}}, nil), nil)
	require.NoError(t, err)
	_, err = inferlog.Open(ctx, cat, "other", everyType, nil)
	require.ErrorIs(t, err, inferlog.ErrInvalid)
	for _, want := range []string{`it has no column "in_a"`, `column "row" is int64, want int32`, `the additional column "z"`} {
		require.ErrorContains(t, err, want)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) { // Not parallel: allocations are counted for the whole process.
	l := open(t, &blob.Mem{}, &inferlog.Options{FlushEvery: -1})
	rec := one("request-id", 8)
	for range 4000 { // The buffers of the first chunk grow.
		l.Append(rec)
	}
	require.NoError(t, l.Flush(context.Background())) // The next one is as large from the start.
	require.Zero(t, testing.AllocsPerRun(500, func() { l.Append(rec) }))
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			l := open(b, &blob.Mem{}, &inferlog.Options{FlushEvery: -1, FlushRows: 1 << 19, MaxBuffered: 1 << 30})
			rec := one("0123456789abcdef0123456789abcdef", n)
			i := 0
			for b.Loop() {
				l.Append(rec)
				if i++; i%(1<<18/n) == 0 {
					b.StopTimer()
					require.NoError(b, l.Flush(context.Background()))
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
		})
	}
}

// BenchmarkWrite is Append and Flush of 65536 rows to a folder.
func BenchmarkWrite(b *testing.B) {
	s, err := dirblob.Open(b.TempDir())
	require.NoError(b, err)
	l := open(b, s, &inferlog.Options{FlushEvery: -1})
	const requests, each = 2048, 32
	ids := make([]string, requests)
	for i := range ids {
		ids[i] = fmt.Sprintf("%032d", i)
	}
	rec := one(ids[0], each)
	for b.Loop() {
		for _, id := range ids {
			rec.RequestID = id
			l.Append(rec)
		}
		require.NoError(b, l.Flush(context.Background()))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(requests*each), "ns/row")
}
