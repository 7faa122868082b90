package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The command runs: its figures mean nothing here.
func TestCommandRuns(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	require.NoError(t, run(t.Context(), &config{length: 5 * time.Millisecond, rows: 1000}, &said))
	for _, line := range []string{"Observe a row of 32", "Compare a feature", "Collector through promhttp", "overhead of the monitor", "inference log", "profile, rows"} {
		require.Contains(t, said.String(), line)
	}
	require.Contains(t, said.String(), "met")
	require.Equal(t, "missed", figure{value: 2, aim: 1}.verdict())
	require.Equal(t, "met", figure{value: 2, aim: 1, least: true}.verdict())
	require.Empty(t, figure{value: 2}.verdict())
}
