package inttest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
)

// startFeed builds the example and serves its demo: the URL of the dataset, and
// the location of Arrow Flight.
func startFeed(t *testing.T) (address, location string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "feed")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./examples/feed")
	build.Dir = filepath.Join("..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	cmd := exec.Command(program, "-dir", filepath.Join(t.TempDir(), "data"), "-demo", "-http", "127.0.0.1:0", "-flight", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	m := regexp.MustCompile(`(http://\S+) and (grpc://\S+)`).FindStringSubmatch(line)
	require.NotNil(t, m, line)
	return m[1] + "/demo", m[2]
}

// severed ends a body after some bytes without a word.
type severed struct {
	io.ReadCloser
	left int
}

func (c *severed) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// TestFeedForPython reads the example's feed with pyarrow and with its PyTorch
// dataset, whose connections a proxy cuts again and again.
func TestFeedForPython(t *testing.T) {
	t.Parallel()
	inttest.Python(t)
	address, location := startFeed(t)
	target, err := url.Parse(address)
	require.NoError(t, err)
	var cuts atomic.Int64
	random := rand.New(rand.NewPCG(1, 2))
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // It would tell of each cut.
		Rewrite:  func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host}) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodGet { // Python reads one answer at a time.
				r.Body = &severed{r.Body, 4000 + random.IntN(20_000)}
				cuts.Add(1)
			}
			return nil
		},
	})
	t.Cleanup(proxy.Close)

	example, err := filepath.Abs(filepath.Join("..", "..", "examples", "feed"))
	require.NoError(t, err)
	out, status := inttest.RunScript(t, "read_feed.py", example, address, proxy.URL+"/demo", location)
	require.Zero(t, status)
	var seen struct {
		Torch string
		HTTP  struct {
			Rows, Distinct    int
			Shuffled, Resumed bool
			Digest            string
		}
		Table struct {
			Rows, Nulls int
			Types       []string
			Ordered     bool
		}
		Cut     string
		Refused []any
		Flight  struct {
			Records        int
			Same           bool
			Token, Missing string
			Schema         []string
		}
		Epochs []struct {
			Rows, Distinct int
			First          []int
		}
		Checkpoint struct {
			Same  bool
			Bytes int
		}
	}
	require.NoError(t, json.Unmarshal(out, &seen), "%s", out)
	t.Logf("torch: %s, cut connections: %d", seen.Torch, cuts.Load())

	const rows = 20_000
	require.Equal(t, rows, seen.HTTP.Rows)
	require.Equal(t, rows, seen.HTTP.Distinct)
	require.True(t, seen.HTTP.Shuffled)
	require.True(t, seen.HTTP.Resumed)
	require.True(t, strings.HasPrefix(seen.HTTP.Digest, "sha256:"))
	require.Equal(t, rows, seen.Table.Rows)
	require.Equal(t, []string{"int64", "float", "float", "bool"}, seen.Table.Types)
	require.Equal(t, rows/10, seen.Table.Nulls)
	require.True(t, seen.Table.Ordered)
	require.NotEqual(t, "whole", seen.Cut)
	require.InDelta(t, 400, seen.Refused[0], 0)
	require.Contains(t, seen.Refused[1], `no parameter "colums"`)
	require.Equal(t, rows, seen.Flight.Records)
	require.True(t, seen.Flight.Same, "Flight and HTTP deliver the same rows in the same order")
	require.NotEmpty(t, seen.Flight.Token)
	require.Equal(t, []string{"id", "x", "y", "label"}, seen.Flight.Schema)
	require.Len(t, seen.Epochs, 2)
	for _, e := range seen.Epochs {
		require.Equal(t, rows, e.Rows)
		require.Equal(t, rows, e.Distinct)
	}
	require.NotEqual(t, seen.Epochs[0].First, seen.Epochs[1].First)
	require.Greater(t, cuts.Load(), int64(20))
	require.True(t, seen.Checkpoint.Same)
	require.Less(t, seen.Checkpoint.Bytes, 200)
}
