package sysmetrics_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sysmetrics"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func newRun(t *testing.T) *tracking.Run {
	t.Helper()
	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(t.Context(), "e")
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, nil)
	require.NoError(t, err)
	return run
}

// smi writes a program that answers as nvidia-smi does.
func smi(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nvidia-smi")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	return path
}

// waitFor flushes until the run has the metric at the step.
func waitFor(t *testing.T, run *tracking.Run, key string, step int64) tracking.RunInfo {
	t.Helper()
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		require.NoError(t, run.Flush(t.Context()))
		info, err := run.Info(t.Context())
		require.NoError(t, err)
		if m, ok := info.Metrics[key]; ok && m.Step >= step {
			return info
		}
	}
}

func TestRunRecordsTheMachine(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	run := newRun(t)
	opts := &sysmetrics.Options{Every: 20 * time.Millisecond, NvidiaSMI: smi(t, "echo '0, 37, 1024, 81559, 68.42, 700.00'"), OnError: func(err error) { t.Error(err) }}
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- sysmetrics.Run(ctx, run, opts) }()
		return func() {
			cancel()
			require.NoError(t, <-done)
		}
	}
	stop := start()
	info := waitFor(t, run, "system/cpu_utilization_percentage", 1)
	stop()
	for _, key := range []string{
		"cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage",
		"disk_usage_percentage", "disk_usage_megabytes", "disk_available_megabytes",
		"network_receive_megabytes", "network_transmit_megabytes",
		"gpu_0_utilization_percentage", "gpu_0_memory_usage_megabytes", "gpu_0_memory_usage_percentage",
		"gpu_0_power_usage_watts", "gpu_0_power_usage_percentage",
	} {
		m, ok := info.Metrics["system/"+key]
		require.True(t, ok, key)
		require.GreaterOrEqual(t, m.Value, 0.0, key)
		if strings.HasSuffix(key, "percentage") {
			require.LessOrEqual(t, m.Value, 100.0, key)
		}
	}
	require.Len(t, info.Metrics, 13)
	require.Equal(t, 37.0, info.Metrics["system/gpu_0_utilization_percentage"].Value)

	// A run that goes on counts on.
	require.NoError(t, run.Flush(t.Context()))
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	last := info.Metrics["system/disk_usage_megabytes"].Step
	stop = start()
	waitFor(t, run, "system/disk_usage_megabytes", last+1)
	stop()
	history, err := run.History(t.Context(), "system/disk_usage_megabytes")
	require.NoError(t, err)
	for i, m := range history {
		require.EqualValues(t, i, m.Step)
	}
}

func TestABrokenGPUProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	run := newRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var faults []string
	done := make(chan error, 1)
	go func() {
		done <- sysmetrics.Run(ctx, run, &sysmetrics.Options{
			Every: 20 * time.Millisecond, Node: "worker-1", NvidiaSMI: smi(t, "echo 'no driver' >&2; exit 9"),
			OnError: func(err error) { faults = append(faults, err.Error()) },
		})
	}()
	waitFor(t, run, "system/worker-1/cpu_utilization_percentage", 5)
	cancel()
	require.NoError(t, <-done)
	require.Len(t, faults, 3)
	require.Contains(t, faults[0], "no driver")
	require.Contains(t, faults[2], "not asked again")
}

func TestRunRefusesBadOptions(t *testing.T) {
	t.Parallel()
	run := newRun(t)
	require.ErrorIs(t, sysmetrics.Run(t.Context(), run, &sysmetrics.Options{Node: "../x"}), sysmetrics.ErrInvalid)
	require.ErrorIs(t, sysmetrics.Run(t.Context(), run, &sysmetrics.Options{Every: 1}), sysmetrics.ErrInvalid)
	if runtime.GOOS == "linux" {
		require.Error(t, sysmetrics.Run(t.Context(), run, &sysmetrics.Options{Disk: "/no/such/folder"}))
	} else {
		require.ErrorIs(t, sysmetrics.Run(t.Context(), run, nil), sysmetrics.ErrUnsupported)
	}
}
