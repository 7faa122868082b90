//go:build unix

package local

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
)

func TestParseClaim(t *testing.T) {
	t.Parallel()
	c, ok := parseClaim([]byte("42 boot\n42 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20\n.\n"))
	require.True(t, ok)
	require.Equal(t, claim{pid: 42, boot: "boot", start: "4711"}, c)
}

func TestParseExit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]outcome{
		"exit 0 0 end\n":       {kind: "exit", next: nextEnd},
		"exit 1 3 user\n":      {kind: "exit", code: 1, rank: 3, next: nextUser},
		"exit 137 0 end oom\n": {kind: "exit", code: 137, signal: 9, next: nextEnd, oom: true},
		"exit 255 0 end\n":     {kind: "exit", code: 255, next: nextEnd},
		"signal 9 0 infra\n":   {kind: "signal", code: -1, signal: 9, next: nextInfra},
		"lost 0 0 suspend\n":   {kind: "lost", code: -1, next: nextSuspend},
		"reboot 0 0 infra\n":   {kind: "reboot", code: -1, next: nextInfra},
	} {
		got, ok := parseExit([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
		require.Equal(t, text, got.String())
	}
	for _, text := range []string{
		"", "exit 0 0 end", "exit -1 0 end\n", "exit 256 0 end\n", "signal 0 0 end\n", "other 1 0 end\n",
		"exit 0 0\n", "exit 0 -1 end\n", "exit 0 0 again\n", "exit 0 0 end mad\n",
	} {
		_, ok := parseExit([]byte(text))
		require.False(t, ok, text)
	}
}

// State files are read back after crashes, and may hold anything.
func FuzzStateFiles(f *testing.F) {
	rec, err := json.Marshal(record{
		Format: format, ID: "job-0123456789abcdef0123", Hash: "h", Submitted: time.Unix(0, 0), Program: "/bin/true", Dir: "/",
		Spec: train.Spec{Name: "a", Command: []string{"true"}},
	})
	require.NoError(f, err)
	for _, seed := range []string{string(rec), deadClaim, "1 \n\n.\n", "7 b\n7 (x) S\n.\n", "exit 0 0 end\n", "signal 64 0 end\n", "lost 0 0 infra\n", "{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, ok := parseClaim(data); ok {
			require.True(t, c.pid == 0 || c.pid > 1, "a signal to group %d would reach strangers", c.pid)
		}
		if out, ok := parseExit(data); ok {
			require.True(t, out.code >= -1 && out.code <= 255)
			again, ok := parseExit([]byte(out.String()))
			require.True(t, ok)
			require.Equal(t, out, again)
		}
		if r, err := parseRecord(data); err == nil {
			require.True(t, train.ValidJobID(r.ID))
		}
	})
}

// Whatever the text, the pieces give it back, within bounds.
func FuzzNextLine(f *testing.F) {
	f.Add([]byte("a\nb"))
	f.Add([]byte("\r\n\n\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text := make([]byte, 0, len(data)+train.MaxLine)
		for range train.MaxLine {
			text = append(text, 0x80)
		}
		for _, b := range [][]byte{data, append(text, data...)} {
			for len(b) > 0 {
				line, size, cut := nextLine(b, true)
				require.Positive(t, size)
				require.LessOrEqual(t, len(line), train.MaxLine)
				if cut {
					require.Equal(t, size, len(line))
				}
				b = b[size:]
			}
		}
	})
}
