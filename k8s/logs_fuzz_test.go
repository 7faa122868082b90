package k8s

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
)

// Whatever a kubelet sends, no byte of text is lost, and no line is longer than
// allowed.
func FuzzLines(f *testing.F) {
	const stamp = "2026-11-21T12:00:00.000000001Z "
	for _, seed := range []string{
		"", "\n", "no stamp\n", stamp + "a\n" + stamp + "b", stamp, stamp + "\n", stamp + "\r\n",
		stamp + strings.Repeat("x", train.MaxLine+100) + "\n" + stamp + "y\n",
		stamp + strings.Repeat("z", 3*train.MaxLine), "unable to retrieve container logs\n" + stamp + "\xff\xfe\n",
	} {
		f.Add([]byte(seed), 7)
	}
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		var got []byte
		var last time.Time
		open := false // a line that goes on
		err := lines(&slow{data: data, step: max(1, step%5000)}, func(at time.Time, text string, cut bool) bool {
			require.LessOrEqual(t, len(text), train.MaxLine)
			require.False(t, strings.Contains(text, "\n"))
			require.False(t, open && !at.Equal(last), "the pieces of a line have one time")
			got, last, open = append(got, text...), at, cut
			if !cut {
				got = append(got, '\n')
			}
			return true
		})
		require.NoError(t, err)
		require.Equal(t, string(plain(data)), string(got))
	})
}

// plain is what the lines hold without their stamps, read in a simple way.
func plain(data []byte) []byte {
	var out []byte
	in := bufio.NewReaderSize(bytes.NewReader(data), 16)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			text := strings.TrimSuffix(line, "\n")
			if stamp, rest, ok := strings.Cut(text, " "); ok || text != "" {
				if _, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
					text = rest
				}
			}
			out = append(append(out, text...), '\n')
		}
		if err != nil {
			return out
		}
	}
}

// slow gives a few bytes at a time.
type slow struct {
	data []byte
	step int
}

func (s *slow) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), s.step)], s.data)
	s.data = s.data[n:]
	if n == 0 && len(s.data) == 0 {
		return 0, io.EOF
	}
	return n, nil
}
