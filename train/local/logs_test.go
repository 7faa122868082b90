//go:build unix

package local_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
)

func shell(script string) train.Spec {
	return train.Spec{Name: "shell", Command: []string{"sh", "-c", script}}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), shell(`printf 'one\r\n\ntwo'; printf 'bad\nworse' >&2`))
	_, err := job.Wait(t.Context())
	require.NoError(t, err)
	want := []string{"stdout: one", "stdout: ", "stderr: bad", "stdout: two", "stderr: worse"}
	require.ElementsMatch(t, want, readLogs(t, job, false))
	require.ElementsMatch(t, want, readLogs(t, job, true))
}

func TestLogsFollowSeesLinesAsTheyCome(t *testing.T) {
	t.Parallel()
	gate := mkfifo(t)
	job := submit(t, open(t, t.TempDir()), spec("gated", gate, "4"))
	readUntil(t, job, "line 1")
	require.Len(t, readLogs(t, job, false), 2, "without Follow: what is there now")
	var got []string
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true}) {
		require.NoError(t, err)
		got = append(got, line.Text)
		if line.Text == "line 1" {
			openGate(t, gate)
		}
	}
	require.Equal(t, []string{"line 0", "line 1", "line 2", "line 3"}, got)
}

func TestLogsKeepAHalfLineBack(t *testing.T) {
	t.Parallel()
	gate := mkfifo(t)
	job := submit(t, open(t, t.TempDir()), shell(`printf 'whole\nhal'; cat '`+gate+`'; echo f`))
	readUntil(t, job, "whole")
	require.Equal(t, []string{"stdout: whole"}, readLogs(t, job, false))
	openGate(t, gate)
	require.Equal(t, []string{"stdout: whole", "stdout: half"}, readLogs(t, job, true))
}

// Long lines come in pieces, with nothing lost and no character broken.
func TestLogsCutLongLines(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), shell(`printf x; i=0; while [ $i -lt 50000 ]; do printf 'é'; i=$((i+1)); done; echo; echo next`))
	var text strings.Builder
	var cuts []bool
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true}) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(line.Text), train.MaxLine)
		cuts = append(cuts, line.Cut)
		text.WriteString(strings.ToValidUTF8(line.Text, "?"))
	}
	require.Equal(t, []bool{true, false, false}, cuts)
	require.Equal(t, "x"+strings.Repeat("é", 50000)+"next", text.String())
}

func TestLogsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), spec("block"))
	ctx, stop := context.WithCancel(t.Context())
	var last error
	for _, err := range job.Logs(ctx, &train.LogOptions{Follow: true}) {
		last = err
		stop()
	}
	stop()
	require.ErrorIs(t, last, context.Canceled)
}

// A job that prints without end must not hold a reader who asked for what is there.
func TestLogsOfABusyJobEnd(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), shell(`while :; do echo y; done`))
	readUntil(t, job, "y")
	readLogs(t, job, false)
}
