//go:build unix

package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

// folderOf makes the folders of n ended jobs from one that ran, which is what a
// service finds after a restart.
func folderOf(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	l, err := local.Open(dir, nil)
	require.NoError(tb, err)
	s := shell("echo done")
	s.Labels = map[string]string{"app": "x"}
	job, err := l.Submit(tb.Context(), s, &train.SubmitOptions{Key: "0"})
	require.NoError(tb, err)
	_, err = job.Wait(tb.Context())
	require.NoError(tb, err)
	entries, err := os.ReadDir(filepath.Join(dir, job.ID()))
	require.NoError(tb, err)
	files := map[string][]byte{}
	for _, e := range entries {
		files[e.Name()], err = os.ReadFile(filepath.Join(dir, job.ID(), e.Name()))
		require.NoError(tb, err)
	}
	var rec map[string]any
	require.NoError(tb, json.Unmarshal(files["job.json"], &rec))
	base := time.Now().Add(-time.Hour)
	for i := 1; i < n; i++ {
		key := fmt.Sprint(i)
		rec["id"], rec["key"], rec["submitted"] = train.JobID(key), key, base.Add(time.Duration(i)*time.Millisecond)
		files["job.json"], err = json.Marshal(rec)
		require.NoError(tb, err)
		folder := filepath.Join(dir, train.JobID(key))
		require.NoError(tb, os.Mkdir(folder, 0o700))
		for name := range files { // all but the record are the same
			if name != "job.json" {
				require.NoError(tb, os.Link(filepath.Join(dir, job.ID(), name), filepath.Join(folder, name)))
			}
		}
		require.NoError(tb, os.WriteFile(filepath.Join(folder, "job.json"), files["job.json"], 0o600))
		require.NoError(tb, os.Chtimes(filepath.Join(folder, "job.json"), base, base.Add(time.Duration(i)*time.Millisecond)))
	}
	return dir
}

// Listing 10,000 jobs, as a console does.
func BenchmarkList(b *testing.B) {
	const n = 10_000
	l, err := local.Open(folderOf(b, n), nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		found := 0
		for _, err := range l.List(b.Context(), &train.ListOptions{Labels: map[string]string{"app": "x"}}) {
			require.NoError(b, err)
			found++
		}
		require.Equal(b, n, found)
	}
}

// Opening the folder and attaching to 10,000 jobs by their keys, with a status
// of each, as a service does that was restarted.
func BenchmarkRestartAndAttach(b *testing.B) {
	const n = 10_000
	dir := folderOf(b, n)
	for b.Loop() {
		l, err := local.Open(dir, nil)
		require.NoError(b, err)
		for i := range n {
			job, err := l.Attach(b.Context(), train.JobID(fmt.Sprint(i)))
			require.NoError(b, err)
			st, err := job.Status(b.Context())
			require.NoError(b, err)
			require.Equal(b, train.Succeeded, st.Phase)
		}
	}
}

// From the end of a job's process to the return of Wait, for the launcher that
// started it and for another one, which polls.
func BenchmarkWaitLatency(b *testing.B) {
	for name, other := range map[string]bool{"own": false, "attached": true} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			l, err := local.Open(dir, nil)
			require.NoError(b, err)
			watcher, err := local.Open(dir, nil)
			require.NoError(b, err)
			var late time.Duration
			for b.Loop() {
				job, err := l.Submit(b.Context(), shell("exit 0"), nil)
				require.NoError(b, err)
				if other {
					job, err = watcher.Attach(b.Context(), job.ID())
					require.NoError(b, err)
				}
				res, err := job.Wait(context.WithoutCancel(b.Context()))
				late += time.Since(res.Finished)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(late.Microseconds())/float64(b.N), "µs-late/op")
		})
	}
}
