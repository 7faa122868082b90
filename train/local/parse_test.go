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
		"exit 0\n":   {},
		"exit 1\n":   {code: 1},
		"exit 137\n": {code: 137, signal: 9},
		"exit 255\n": {code: 255},
		"signal 9\n": {code: -1, signal: 9},
		"lost\n":     {code: -1},
	} {
		got, ok := parseExit([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "exit 0", "exit -1\n", "exit 256\n", "signal 0\n", "signal 9", "other 1\n", "lost"} {
		_, ok := parseExit([]byte(text))
		require.False(t, ok, text)
	}
}

// State files are read back after crashes, and may hold anything.
func FuzzStateFiles(f *testing.F) {
	rec, err := json.Marshal(record{
		Format: 1, ID: "job-0123456789abcdef0123", Hash: "h", Submitted: time.Unix(0, 0), Program: "/bin/true", Dir: "/",
	})
	require.NoError(f, err)
	for _, seed := range []string{string(rec), deadClaim, "1 \n\n.\n", "7 b\n7 (x) S\n.\n", "exit 0\n", "signal 64\n", "lost\n", "{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, ok := parseClaim(data); ok {
			require.True(t, c.pid == 0 || c.pid > 1, "a signal to group %d would reach strangers", c.pid)
		}
		if out, ok := parseExit(data); ok {
			require.True(t, out.code >= -1 && out.code <= 255)
		}
		if r, err := parseRecord(data); err == nil {
			require.True(t, validID(r.ID))
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
