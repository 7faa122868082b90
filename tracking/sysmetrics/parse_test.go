package sysmetrics_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking/sysmetrics"
)

const (
	stat    = "cpu  100 20 30 800 50 5 5 10 7 0\ncpu0 1 2 3 4\n"
	later   = "cpu  150 20 60 850 70 5 5 10 9 0\n"
	meminfo = "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    4096 kB\nHugePages_Total:       0\n"
	netdev  = "Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n" +
		"    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0\n  eth0:5000 2 0 0 0 0 0 0 70 1 0 0 0 0 0 0\n"
	gpus = "0, 37, 1024, 81559, 68.42, 700.00\n1, [N/A], 0, 81559, [Not Supported], [N/A]\n"
)

func TestParsers(t *testing.T) {
	t.Parallel()
	before, err := sysmetrics.ParseCPU([]byte(stat))
	require.NoError(t, err)
	after, err := sysmetrics.ParseCPU([]byte(later))
	require.NoError(t, err)
	used, ok := sysmetrics.Since(before, after)
	require.True(t, ok)
	require.InDelta(t, 100*80.0/150, used, 1e-9)
	_, ok = sysmetrics.Since(after, before)
	require.False(t, ok)

	m, err := sysmetrics.ParseMemory([]byte(meminfo))
	require.NoError(t, err)
	total, available := sysmetrics.Memory(m)
	require.Equal(t, []uint64{16384 * 1024, 4096 * 1024}, []uint64{total, available})

	n, err := sysmetrics.ParseTraffic([]byte(netdev))
	require.NoError(t, err)
	received, sent := sysmetrics.Traffic(n)
	require.Equal(t, []uint64{6000, 1070}, []uint64{received, sent})

	values := map[string]float64{}
	require.NoError(t, sysmetrics.ParseGPUs([]byte(gpus), values))
	require.InDelta(t, 1073.741824, values["gpu_0_memory_usage_megabytes"], 1e-6)
	require.InDelta(t, 100*1024.0/81559, values["gpu_0_memory_usage_percentage"], 1e-9)
	require.InDelta(t, 100*68.42/700, values["gpu_0_power_usage_percentage"], 1e-9)
	require.Equal(t, 0.0, values["gpu_1_memory_usage_megabytes"])
	require.NotContains(t, values, "gpu_1_utilization_percentage")
	require.NotContains(t, values, "gpu_1_power_usage_watts")
	require.Len(t, values, 7)

	for _, bad := range []string{"", "cpu", "cpu a b c d", "intr 1 2 3 4 5", "cpu 1 2 3 -4"} {
		_, err := sysmetrics.ParseCPU([]byte(bad))
		require.ErrorIs(t, err, sysmetrics.ErrInvalid, bad)
	}
	for _, bad := range []string{"", "MemTotal: 5 kB", "MemTotal: x kB\nMemAvailable: 1 kB", "MemTotal: 5 MB\nMemAvailable: 1 kB", "MemTotal: 5 kB\nMemAvailable: 6 kB"} {
		_, err := sysmetrics.ParseMemory([]byte(bad))
		require.ErrorIs(t, err, sysmetrics.ErrInvalid, bad)
	}
	_, err = sysmetrics.ParseTraffic([]byte("eth0: 1 2 3"))
	require.ErrorIs(t, err, sysmetrics.ErrInvalid)
	for _, bad := range []string{"0", "x, 1, 1, 1, 1, 1", "0, NaN, 1, 1, 1, 1", "0, -1, 1, 1, 1, 1", "0, 1, 1, 1, 1, 1, 1"} {
		require.ErrorIs(t, sysmetrics.ParseGPUs([]byte(bad), values), sysmetrics.ErrInvalid, bad)
	}
}

// Whatever the system says, what comes out are numbers or one kind of error.
func FuzzParsers(f *testing.F) {
	for _, seed := range []string{stat, later, meminfo, netdev, gpus, "cpu 18446744073709551615 1 1 1", ":::", "0,[,[,[,[,["} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(err error) {
			if err != nil {
				require.ErrorIs(t, err, sysmetrics.ErrInvalid)
			}
		}
		c, err := sysmetrics.ParseCPU(data)
		check(err)
		if used, ok := sysmetrics.Since(c, c); ok {
			t.Fatal(used)
		}
		m, err := sysmetrics.ParseMemory(data)
		check(err)
		total, available := sysmetrics.Memory(m)
		require.GreaterOrEqual(t, total, available)
		_, err = sysmetrics.ParseTraffic(data)
		check(err)
		values := map[string]float64{}
		check(sysmetrics.ParseGPUs(data, values))
		for key, value := range values {
			require.False(t, math.IsNaN(value) || math.IsInf(value, 0) || value < 0, key)
		}
	})
}
