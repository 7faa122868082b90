package monitor_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// The vectors are those of the reference implementation, MurmurHash3.cpp.
func TestNewIDIsMurmur3(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"":                          "00000000000000000000000000000000",
		"hello":                     "cbd8a7b341bd9b025b1e906a48ae1d19",
		"hello, world":              "342fac623a5ebc8e4cdcbc079642414d",
		"19 Jan 2038 at 3:14:07 AM": "b89e5988b737affc664fc2950231b2cb",
		"The quick brown fox jumps over the lazy dog.": "cd99481f9ee902c9695da1a38987b6e7",
	} {
		require.Equal(t, want, monitor.NewID(request, 0).String(), request)
	}
}

func TestNewIDRows(t *testing.T) {
	t.Parallel()
	seen := map[monitor.ID]bool{}
	for _, request := range []string{"a", "b", "aa", strings.Repeat("a", 16), strings.Repeat("a", 300)} {
		for row := range 1000 {
			id := monitor.NewID(request, row)
			require.False(t, seen[id])
			seen[id] = true
			require.Equal(t, id, monitor.NewID(request, 0).Row(row))
		}
	}
}

func TestNewIDDoesNotAllocate(t *testing.T) {
	long := strings.Repeat("x", 1000)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = monitor.NewID(long, 7) }))
}
