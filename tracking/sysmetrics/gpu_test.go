package sysmetrics_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking/sysmetrics"
)

// On a machine with an NVIDIA GPU the figures come from its own nvidia-smi.
func TestRunRecordsARealGPU(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nvidia-smi"); err != nil {
		t.Skip("there is no nvidia-smi on the PATH: a machine without a GPU of NVIDIA's")
	}
	run := newRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- sysmetrics.Run(ctx, run, &sysmetrics.Options{Every: 200 * time.Millisecond, OnError: func(err error) { t.Error(err) }})
	}()
	info := waitFor(t, run, "system/gpu_0_power_usage_watts", 3)
	cancel()
	require.NoError(t, <-done)
	for _, key := range []string{"utilization_percentage", "memory_usage_megabytes", "memory_usage_percentage", "power_usage_watts", "power_usage_percentage"} {
		m, ok := info.Metrics["system/gpu_0_"+key]
		require.True(t, ok, key)
		require.GreaterOrEqual(t, m.Value, 0.0, key)
		t.Logf("%s = %g", m.Key, m.Value)
	}
	require.Positive(t, info.Metrics["system/gpu_0_power_usage_watts"].Value)
}
