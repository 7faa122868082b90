package inferlog_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/monitor/inferlog"
)

func requireNowhere(t *testing.T, path string, secrets ...string) {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, s := range secrets {
		require.False(t, bytes.Contains(data, []byte(s)), "%s holds %q", path, s)
	}
}

// FuzzSegment decodes segments: whatever the bytes are, it is an error or rows
// that are the same when they are encoded and decoded again.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	l, err := inferlog.Open(f.Context(), dataset.New(&blob.Mem{}, nil), "log", everyType, &inferlog.Options{Overflow: inferlog.Spill, SpillDir: dir, FlushEvery: -1})
	require.NoError(f, err)
	l.Append(one("a", 3))
	failed := one("b", 2)
	failed.Error, failed.Outputs = "because", nil
	l.Append(failed)
	for _, path := range segments(f, dir) {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(data)
		f.Add(data[:len(data)-5])
	}
	require.NoError(f, l.Shutdown(f.Context()))
	f.Add([]byte("MWINFSG1"))
	f.Add([]byte("MWIN"))
	f.Fuzz(func(t *testing.T, data []byte) {
		again, rows, err := inferlog.ReadSegment(data, everyType)
		if err != nil {
			require.ErrorIs(t, err, inferlog.ErrInvalid)
			return
		}
		same, n, err := inferlog.ReadSegment(again, everyType)
		require.NoError(t, err)
		require.Equal(t, rows, n)
		require.Equal(t, again, same)
	})
}
