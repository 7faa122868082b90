package mlflow_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func remoteArtifacts(t testing.TB) (tracking.Artifacts, *blob.Mem) {
	t.Helper()
	kept := &blob.Mem{}
	return dial(t, serveStore(t, &trackingtest.Memory{}, kept)).Artifacts(), kept
}

func readArtifact(t testing.TB, files tracking.Artifacts, key string, off, n int64) string {
	t.Helper()
	body, err := files.Get(t.Context(), key, off, n)
	require.NoError(t, err)
	data, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	return string(data)
}

func listArtifacts(t testing.TB, files tracking.Artifacts, prefix string) (keys []string) {
	t.Helper()
	for info, err := range files.List(t.Context(), prefix) {
		require.NoError(t, err)
		keys = append(keys, fmt.Sprintf("%s:%d", info.Name(), info.Size()))
	}
	return keys
}

func TestRemoteArtifacts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	files, _ := remoteArtifacts(t)
	odd := "1/odd/sp ace+plus&amp;é日 100%.txt"
	for key, body := range map[string]string{
		"1/r/artifacts/model/MLmodel": "0123456789", "1/r/artifacts/model.pkl": "pickle", "1/r/artifacts/model-2/x": "x",
		"1/empty": "", odd: "odd", "top": "t",
	} {
		require.NoError(t, files.Put(ctx, key, strings.NewReader(body), int64(len(body))), key)
	}
	require.NoError(t, files.Put(ctx, "1/unknown size", iotest.OneByteReader(strings.NewReader("abc")), -1))
	require.NoError(t, files.Put(ctx, "top", strings.NewReader("again"), 5))

	for _, tc := range []struct {
		off, n int64
		want   string
	}{{0, -1, "0123456789"}, {0, 4, "0123"}, {3, 4, "3456"}, {3, -1, "3456789"}, {8, 100, "89"}, {10, -1, ""}, {10, 5, ""}, {4, 0, ""}, {10, 0, ""}, {1, 1<<63 - 1, "123456789"}} {
		require.Equal(t, tc.want, readArtifact(t, files, "1/r/artifacts/model/MLmodel", tc.off, tc.n), "%v", tc)
	}
	require.Empty(t, readArtifact(t, files, "1/empty", 0, -1))
	require.Equal(t, "odd", readArtifact(t, files, odd, 0, -1))
	require.Equal(t, "again", readArtifact(t, files, "top", 0, -1))

	for key, size := range map[string]int64{"1/r/artifacts/model/MLmodel": 10, "1/empty": 0, odd: 3, "1/unknown size": 3} {
		info, err := files.Stat(ctx, key)
		require.NoError(t, err, key)
		require.Equal(t, key, info.Name())
		require.Equal(t, size, info.Size())
		require.False(t, info.IsDir())
	}
	require.Equal(t, []string{
		"1/r/artifacts/model-2/x:1", "1/r/artifacts/model.pkl:6", "1/r/artifacts/model/MLmodel:10",
	}, listArtifacts(t, files, "1/r/artifacts/"), "in byte order of the keys")
	require.Equal(t, []string{"1/r/artifacts/model-2/x:1", "1/r/artifacts/model.pkl:6", "1/r/artifacts/model/MLmodel:10"}, listArtifacts(t, files, "1/r/artifacts/mo"))
	require.Equal(t, []string{"1/r/artifacts/model/MLmodel:10"}, listArtifacts(t, files, "1/r/artifacts/model/"))
	require.Empty(t, listArtifacts(t, files, "2/"))
	require.Len(t, listArtifacts(t, files, ""), 7)
	for range files.List(ctx, "") { // a consumer may stop
		break
	}

	// A folder is no file, and is never removed as one.
	require.NoError(t, files.Delete(ctx, "1/r/artifacts/model"))
	require.NoError(t, files.Delete(ctx, "1/r"))
	require.NoError(t, files.Delete(ctx, "absent"))
	require.Len(t, listArtifacts(t, files, ""), 7)
	require.NoError(t, files.Delete(ctx, "1/r/artifacts/model/MLmodel"))
	for _, key := range []string{"1/r/artifacts/model/MLmodel", "absent", "1/r", "1/r/artifacts/model.pkl/x"} {
		_, err := files.Stat(ctx, key)
		require.ErrorIs(t, err, fs.ErrNotExist, key)
		_, err = files.Get(ctx, key, 0, -1)
		require.ErrorIs(t, err, fs.ErrNotExist, key)
	}
}

func TestRemoteArtifactFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	files, kept := remoteArtifacts(t)
	require.NoError(t, files.Put(ctx, "k", strings.NewReader("12345"), 5))
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", ".", "nul\x00", "bad\xff"} {
		require.ErrorIs(t, files.Put(ctx, key, strings.NewReader(""), 0), fs.ErrInvalid, key)
		_, err := files.Get(ctx, key, 0, -1)
		require.ErrorIs(t, err, fs.ErrInvalid, key)
		_, err = files.Stat(ctx, key)
		require.ErrorIs(t, err, fs.ErrInvalid, key)
		require.Error(t, files.Delete(ctx, key))
	}
	for range files.List(ctx, "") {
		break
	}
	for _, prefix := range []string{"/", "a//", "../", "a/../b", "nul\x00"} {
		for _, err := range files.List(ctx, prefix) {
			require.ErrorIs(t, err, fs.ErrInvalid, prefix)
		}
	}
	for _, off := range []int64{-1, 6, 1 << 40} {
		_, err := files.Get(ctx, "k", off, -1)
		require.ErrorIs(t, err, fs.ErrInvalid, "%d", off)
	}
	broken := errors.New("disk on fire")
	for name, put := range map[string]func() error{
		"shorter":         func() error { return files.Put(ctx, "bad", strings.NewReader("123"), 4) },
		"longer":          func() error { return files.Put(ctx, "bad", strings.NewReader("12345"), 4) },
		"longer than 0":   func() error { return files.Put(ctx, "bad", strings.NewReader("1"), 0) },
		"nil":             func() error { return files.Put(ctx, "bad", nil, 0) },
		"negative size":   func() error { return files.Put(ctx, "bad", strings.NewReader(""), -2) },
		"longer, by much": func() error { return files.Put(ctx, "bad", bytes.NewReader(make([]byte, 3<<20)), 2<<20) },
	} {
		require.ErrorIs(t, put(), fs.ErrInvalid, name)
	}
	for _, size := range []int64{-1, 4 << 20} {
		err := files.Put(ctx, "bad", io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(broken)), size)
		require.ErrorIs(t, err, broken)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, files.Put(ended, "bad", strings.NewReader(""), 0), context.Canceled)
	_, err := files.Get(ended, "k", 0, -1)
	require.ErrorIs(t, err, context.Canceled)
	for _, err := range files.List(ended, "") {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, []string{"k:5"}, listArtifacts(t, kept, ""))
}

func TestRemoteArtifactsStreamLargeBodies(t *testing.T) {
	t.Parallel()
	files, _ := remoteArtifacts(t)
	data := make([]byte, 9<<20)
	_, _ = rand.Read(data)
	require.NoError(t, files.Put(t.Context(), "big", bytes.NewReader(data), int64(len(data))))
	require.Equal(t, string(data), readArtifact(t, files, "big", 0, -1))
	require.Equal(t, string(data[5<<20:6<<20]), readArtifact(t, files, "big", 5<<20, 1<<20))
	// What is left unread ends with Close.
	body, err := files.Get(t.Context(), "big", 0, -1)
	require.NoError(t, err)
	require.NoError(t, body.Close())
}

// Servers without ranges, without sizes in listings, and hostile ones.
func TestRemoteArtifactsOfOtherServers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/artifacts/f"):
			w.(http.Flusher).Flush() // neither a length nor ranges
			_, _ = io.WriteString(w, "0123456789")
		case strings.HasSuffix(r.URL.Path, "/artifacts/short"):
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "012")
		case r.URL.Query().Get("path") == "":
			_, _ = io.WriteString(w, `{"files":[{"path":"f","is_dir":false},{"path":"../../etc/passwd","is_dir":false},{"path":"a/b"},{"path":".."},{"path":"d","is_dir":true}]}`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	t.Cleanup(server.Close)
	files := dial(t, server.URL).Artifacts()
	require.Equal(t, "345", readArtifact(t, files, "f", 3, 3))
	require.Equal(t, "", readArtifact(t, files, "f", 10, -1))
	_, err := files.Get(t.Context(), "f", 11, -1)
	require.ErrorIs(t, err, fs.ErrInvalid)
	info, err := files.Stat(t.Context(), "f")
	require.NoError(t, err)
	require.Equal(t, int64(10), info.Size())
	require.Equal(t, []string{"f:10"}, listArtifacts(t, files, ""))

	body, err := files.Get(t.Context(), "short", 0, -1)
	require.NoError(t, err)
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, tracking.ErrUnavailable)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// A body that can be read again is sent again.
func TestPutIsSentAgain(t *testing.T) {
	t.Parallel()
	attempts := 0
	var got []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if attempts++; attempts%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable) // early, while the body is on its way
			return
		}
		got, _ = io.ReadAll(r.Body)
	}))
	t.Cleanup(server.Close)
	c, err := mlflow.Dial(server.URL, &mlflow.DialOptions{Backoff: 1})
	require.NoError(t, err)
	data := make([]byte, 4<<20)
	_, _ = rand.Read(data)
	body := bytes.NewReader(append([]byte("skipped"), data...))
	_, _ = body.Seek(7, io.SeekStart)
	require.NoError(t, c.Artifacts().Put(t.Context(), "k", body, int64(len(data))))
	require.True(t, bytes.Equal(data, got))
	require.Equal(t, 2, attempts)

	err = c.Artifacts().Put(t.Context(), "k", io.LimitReader(bytes.NewReader(data), 100), 100)
	require.ErrorIs(t, err, tracking.ErrUnavailable)
	require.Equal(t, 3, attempts)
}

// The whole Client works on a Conn as on a local store.
func TestClientOverConn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn := dial(t, serveStore(t, &trackingtest.Memory{}, &blob.Mem{}))
	client := tracking.New(conn, &tracking.Options{Artifacts: conn.Artifacts()})
	exp, err := client.Experiment(ctx, "remote")
	require.NoError(t, err)
	again, err := client.Experiment(ctx, "remote")
	require.NoError(t, err)
	require.Equal(t, exp, again)
	run, err := client.StartRun(ctx, exp.ID, &tracking.RunOptions{Name: "first", Tags: map[string]string{"team": "a"}})
	require.NoError(t, err)
	require.NoError(t, run.Params(ctx, map[string]string{"lr": "0.1"}))
	for i := range int64(2500) {
		run.Metric("loss", float64(i), i)
	}
	require.NoError(t, run.LogInput(ctx, tracking.DatasetInput{Name: "d", Digest: "1", Context: "training", Version: "7", Tags: map[string]string{"x": "y"}}))
	require.NoError(t, run.Files().Put(ctx, "model/weights", strings.NewReader("w"), -1))
	require.NoError(t, run.Finish(ctx, tracking.Finished))
	var conflict *tracking.ParamConflictError
	require.ErrorAs(t, run.Params(ctx, map[string]string{"a": "1", "lr": "0.2"}), &conflict)
	require.Equal(t, tracking.ParamConflictError{Run: run.ID(), Key: "lr", Old: "0.1", New: "0.2"}, *conflict)

	info, err := run.Info(ctx)
	require.NoError(t, err)
	require.Equal(t, tracking.Finished, info.Status)
	require.Equal(t, "first", info.Name)
	require.Equal(t, map[string]string{"team": "a"}, info.Tags)
	require.Equal(t, map[string]string{"lr": "0.1"}, info.Params)
	require.Equal(t, []tracking.DatasetInput{{Name: "d", Digest: "1", Context: "training", Version: "7", Tags: map[string]string{"x": "y"}}}, info.Inputs)
	points, err := run.History(ctx, "loss")
	require.NoError(t, err)
	require.Len(t, points, 2500)
	found := 0
	for _, err := range client.Runs(ctx, tracking.RunQuery{Experiments: []tracking.ExperimentID{exp.ID}, Filter: "metrics.loss > 2000", Page: tracking.Page{Max: 1}}) {
		require.NoError(t, err)
		found++
	}
	require.Equal(t, 1, found)
	for file, err := range run.Files().List(ctx, "") {
		require.NoError(t, err)
		require.Equal(t, "model/weights", file.Name())
	}
	body, err := run.Files().Open(ctx, "model/weights")
	require.NoError(t, err)
	require.NoError(t, body.Close())
	_, err = run.Files().Open(ctx, "absent")
	require.ErrorIs(t, err, tracking.ErrNotFound)
	require.NoError(t, client.Shutdown(ctx))
}
