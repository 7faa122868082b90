package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/apache/arrow-go/v18/arrow/ipc"
)

func TestFeed(t *testing.T) {
	t.Setenv("FEED_TOKEN", "secret")
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-dir", t.TempDir(), "-demo", "-http", "127.0.0.1:0", "-flight", "127.0.0.1:0"}, w)
		_ = w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	url := regexp.MustCompile(`http://\S+`).FindString(line)

	get := func(bearer string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/demo?columns=id&rank=1&world=4&shuffle=true", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	require.Equal(t, http.StatusUnauthorized, get("guess").StatusCode)
	stream, err := ipc.NewReader(get("secret").Body)
	require.NoError(t, err)
	defer stream.Release()
	rows := int64(0)
	for stream.Next() {
		rows += stream.RecordBatch().NumRows()
	}
	require.NoError(t, stream.Err())
	require.EqualValues(t, demoFiles*demoRows/4, rows)

	cancel()
	require.NoError(t, <-done)
}
