package inferlog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

// ids counts the rows of each request in the dataset.
func ids(t testing.TB, s blob.Store) map[string]int {
	d, err := dataset.New(s, nil).Open(t.Context(), "log")
	require.NoError(t, err)
	v, err := d.Latest(t.Context())
	require.NoError(t, err)
	rr, err := v.Read(t.Context(), &dataset.ReadOptions{Columns: []string{"request_id"}})
	require.NoError(t, err)
	defer rr.Release()
	out := map[string]int{}
	for rr.Next() {
		col := rr.Record().Column(0).(*array.String)
		for i := range col.Len() {
			out[col.Value(i)]++
		}
	}
	require.NoError(t, rr.Err())
	return out
}

func segments(t testing.TB, dir string) []string {
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.segment"))
	require.NoError(t, err)
	return found
}

// TestSpillOutlivesADeadStore has many times more rows than memory may hold
// while the store is down; one process ends, and the next writes all of them.
func TestSpillOutlivesADeadStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, dir := &store{}, t.TempDir()
	opts := &inferlog.Options{Overflow: inferlog.Spill, SpillDir: dir, MaxBuffered: 100, FlushRows: 40, FlushEvery: -1}
	l, err := inferlog.Open(ctx, dataset.New(s, nil), "log", everyType, opts)
	require.NoError(t, err)
	s.fail.Store(1)
	for i := range 300 {
		l.Append(one(fmt.Sprint(i), 1+i%4))
	}
	const total = 300/4*10 + 0
	st := l.Stats()
	require.EqualValues(t, total, st.Observed)
	require.EqualValues(t, total, st.Pending)
	require.Positive(t, st.SpilledBytes)
	for i := 0; i < 300; i += 37 { // On disk, in memory, it does not matter.
		requireFound(t, l, fmt.Sprint(i), 1+i%4)
	}
	require.ErrorIs(t, l.Shutdown(ctx), errDisk)

	// Half of it is written, and the replies are lost; then nothing any more.
	s.fail.Store(2)
	require.Eventually(t, func() bool { return l.Flush(ctx) == nil || l.Stats().Written > 0 }, time.Minute, time.Millisecond)
	s.fail.Store(0)
	require.NoError(t, l.Shutdown(ctx))
	require.Equal(t, inferlog.Stats{Observed: total, Written: total}, l.Stats())
	require.Empty(t, segments(t, dir))
	got := ids(t, s)
	require.Len(t, got, 300)
	for i := range 300 {
		require.Equal(t, 1+i%4, got[fmt.Sprint(i)])
	}
}

func TestAnotherLogTakesOver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, dir := &store{}, t.TempDir()
	opts := &inferlog.Options{Overflow: inferlog.Spill, SpillDir: dir, FlushEvery: -1}
	first, err := inferlog.Open(ctx, dataset.New(s, nil), "log", everyType, opts)
	require.NoError(t, err)
	first.Append(one("a", 3))
	// A second log beside it has a place of its own and leaves those rows alone.
	second := open(t, s, opts)
	require.Zero(t, second.Stats().Replayed)
	second.Append(one("b", 2))
	require.NoError(t, second.Shutdown(ctx))
	s.fail.Store(1)
	require.ErrorIs(t, first.Flush(ctx), errDisk)
	first.Append(one("c", 1)) // In a file that has no seal yet.
	// What a log of another schema finds here is not for it.
	other, err := inferlog.Open(ctx, dataset.New(&blob.Mem{}, nil), "log", inferlog.Schema{Inputs: everyType.Inputs}, opts)
	require.NoError(t, err)
	require.Zero(t, other.Stats().Replayed)
	require.NoError(t, other.Shutdown(ctx))
	s.fail.Store(0)

	// The first is gone without a word, as far as its files can tell.
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	torn := segments(t, copied)
	require.Len(t, torn, 2)
	f, err := os.OpenFile(torn[1], os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("half a fra")
	require.NoError(t, errors.Join(err, f.Close()))
	opts = &inferlog.Options{Overflow: inferlog.Spill, SpillDir: copied, FlushEvery: -1}
	heir := open(t, s, opts)
	st := heir.Stats()
	require.EqualValues(t, 4, st.Replayed)
	require.EqualValues(t, 4, st.Observed)
	requireFound(t, heir, "a", 3)
	require.NoError(t, heir.Shutdown(ctx))
	require.Equal(t, inferlog.Stats{Observed: 4, Written: 4, Replayed: 4}, heir.Stats())
	require.Equal(t, map[string]int{"a": 3, "b": 2, "c": 1}, ids(t, s))

	// The first comes back to life: what has a seal is not written twice. (What
	// has none was being written by two processes, which locks prevent.)
	require.NoError(t, first.Flush(ctx))
	require.Equal(t, 3, ids(t, s)["a"])
	require.NoError(t, first.Shutdown(ctx))
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, limit := range map[string]func(o *inferlog.Options) func(l *inferlog.Log){
		"the disk":  func(*inferlog.Options) func(*inferlog.Log) { return func(l *inferlog.Log) { l.FillDisk(3000) } },
		"the bound": func(o *inferlog.Options) func(*inferlog.Log) { o.SpillBytes = 3000; return func(*inferlog.Log) {} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := &store{}, t.TempDir()
			told := make(chan error, 1000)
			opts := &inferlog.Options{
				Overflow: inferlog.Spill, SpillDir: dir, MaxBuffered: 30, FlushRows: 10, FlushEvery: -1,
				OnError: func(err error) { told <- err },
			}
			fill := limit(opts)
			l := open(t, s, opts)
			fill(l)
			s.fail.Store(1)
			for i := range 200 {
				l.Append(one(fmt.Sprint(i), 1))
				st := l.Stats()
				require.Equal(t, st.Observed, st.Written+st.Dropped+st.Pending)
				require.LessOrEqual(t, st.SpilledBytes, int64(3000))
			}
			st := l.Stats()
			require.EqualValues(t, 200, st.Observed)
			require.Greater(t, st.Pending, uint64(30), "memory and disk")
			require.Positive(t, st.Dropped)
			s.fail.Store(0)
			require.NoError(t, l.Shutdown(ctx))
			after := l.Stats()
			require.Equal(t, inferlog.Stats{Observed: 200, Written: st.Pending, Dropped: st.Dropped}, after)
			require.EqualValues(t, after.Written, rows(t, s))
			for id, n := range ids(t, s) {
				require.Equal(t, 1, n, id)
			}
			require.Empty(t, segments(t, dir))
			full := false
			for len(told) > 0 {
				full = strings.Contains((<-told).Error(), "in memory only") || full
			}
			require.True(t, full)
		})
	}
}

// TestBlockWaits lets no row go while the store hangs.
func TestBlockWaits(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := &store{}
	l := open(t, s, &inferlog.Options{Overflow: inferlog.Block, MaxBuffered: 20, FlushRows: 8, FlushEvery: -1})
	s.fail.Store(1)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 50 {
				l.Append(one(fmt.Sprintf("%d-%d", w, i), 1))
			}
		})
	}
	require.Eventually(t, func() bool { return l.Stats().Pending == 20 }, time.Minute, time.Millisecond)
	require.EqualValues(t, 20, l.Stats().Observed, "who waits is not in yet")
	s.fail.Store(0)
	writers.Wait()
	require.NoError(t, l.Flush(ctx))
	require.Equal(t, inferlog.Stats{Observed: 200, Written: 200}, l.Stats())

	s.fail.Store(1)
	for i := range 20 {
		l.Append(one(fmt.Sprint("last", i), 1))
	}
	released := make(chan struct{})
	go func() { l.Append(one("late", 1)); close(released) }()
	require.ErrorIs(t, l.Shutdown(ctx), errDisk)
	<-released
	s.fail.Store(0)
	require.NoError(t, l.Shutdown(ctx))
	require.Equal(t, inferlog.Stats{Observed: 221, Written: 220, Dropped: 1}, l.Stats())
}

// TestKilledLogLosesNothing kills processes with SIGKILL while they append and
// write, and looks for every row whose Append had returned.
func TestKilledLogLosesNothing(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("INFERLOG_VICTIM"); dir != "" {
		victim(dir)
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledLogLosesNothing$", "-test.parallel=1")
		cmd.Env = append(os.Environ(), "INFERLOG_VICTIM="+dir, fmt.Sprintf("INFERLOG_ROUND=%d", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if id := lines.Text(); strings.HasPrefix(id, "r") {
				acknowledged[id] = true
			}
			if n == 150+100*round {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "it was to be killed")
	}
	s, err := dirblob.Open(filepath.Join(dir, "lake"))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	l := open(t, s, victimOptions(dir))
	replayed := l.Stats().Replayed
	require.NoError(t, l.Shutdown(t.Context()))
	require.Equal(t, inferlog.Stats{Observed: replayed, Written: replayed, Replayed: replayed}, l.Stats())
	got := ids(t, s)
	for id := range acknowledged {
		require.Equal(t, 2, got[id], "request %s", id)
	}
	for id, n := range got {
		require.Equal(t, 2, n, "request %s, in flight when killed", id)
	}
	require.Greater(t, len(acknowledged), 3*150)
	t.Logf("%d requests acknowledged, %d in the dataset, %d rows replayed by the last process", len(acknowledged), len(got), replayed)
}

func victimOptions(dir string) *inferlog.Options {
	return &inferlog.Options{
		Overflow: inferlog.Spill, SpillDir: filepath.Join(dir, "spill"), FlushRows: 64, MaxBuffered: 200, FlushEvery: 20 * time.Millisecond,
	}
}

// victim appends until it is killed, and says what Append has taken.
func victim(dir string) {
	s, err := dirblob.Open(filepath.Join(dir, "lake"))
	if err != nil {
		panic(err)
	}
	l, err := inferlog.Open(context.Background(), dataset.New(s, nil), "log", everyType, victimOptions(dir))
	if err != nil {
		panic(err)
	}
	var lines sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("r%s-%d-%d", os.Getenv("INFERLOG_ROUND"), w, i)
				l.Append(one(id, 2))
				lines.Lock()
				_, err := io.Copy(os.Stdout, bytes.NewBufferString(id+"\n"))
				lines.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	writers.Wait()
}
