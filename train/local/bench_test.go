//go:build unix

package local_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

// The cost of a job: folder, supervisor, two shells, end noticed.
func BenchmarkSubmitWait(b *testing.B) {
	l, err := local.Open(b.TempDir(), nil)
	require.NoError(b, err)
	for b.Loop() {
		job, err := l.Submit(b.Context(), shell("exit 0"), nil)
		require.NoError(b, err)
		_, err = job.Wait(b.Context())
		require.NoError(b, err)
	}
}

// Reading 10 MB of log in lines of 50 bytes.
func BenchmarkLogs(b *testing.B) {
	l, err := local.Open(b.TempDir(), nil)
	require.NoError(b, err)
	const lines, line = 200_000, "epoch 0001 step 000001 loss 0.123456 accuracy 0.9"
	job, err := l.Submit(b.Context(), shell("yes '"+line+"' | head -n 200000"), nil)
	require.NoError(b, err)
	_, err = job.Wait(b.Context())
	require.NoError(b, err)
	b.SetBytes(lines * int64(len(line)+1))
	for b.Loop() {
		n := 0
		for _, err := range job.Logs(b.Context(), nil) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, lines, n)
	}
}

// The cost of a Submit alone: folder, supervisor, claim.
func BenchmarkSubmit(b *testing.B) {
	l, err := local.Open(b.TempDir(), nil)
	require.NoError(b, err)
	jobs := make([]train.Job, 0, 1024)
	for b.Loop() {
		job, err := l.Submit(b.Context(), shell("exit 0"), nil)
		require.NoError(b, err)
		jobs = append(jobs, job)
	}
	b.StopTimer()
	for _, job := range jobs {
		_, err := job.Wait(b.Context())
		require.NoError(b, err)
	}
}
