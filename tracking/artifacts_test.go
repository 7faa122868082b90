package tracking_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func list(t *testing.T, run *tracking.Run) []string {
	t.Helper()
	var names []string
	for info, err := range run.Artifacts(t.Context()) {
		require.NoError(t, err)
		names = append(names, info.Name())
	}
	return names
}

func TestArtifacts(t *testing.T) {
	t.Parallel()
	files := &blob.Mem{}
	client, first := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: files})
	run, err := client.StartRun(t.Context(), first.Experiment(), &tracking.RunOptions{ID: "run1"})
	require.NoError(t, err)
	neighbour, err := client.StartRun(t.Context(), first.Experiment(), &tracking.RunOptions{ID: "run10"})
	require.NoError(t, err)

	require.NoError(t, run.PutArtifact(t.Context(), "model/weights.json", strings.NewReader("{}"), 2))
	require.NoError(t, run.PutArtifact(t.Context(), "notes.txt", strings.NewReader("first"), -1))
	require.NoError(t, run.PutArtifact(t.Context(), "notes.txt", strings.NewReader("second"), -1))
	require.NoError(t, neighbour.PutArtifact(t.Context(), "other.txt", strings.NewReader(""), 0))
	require.Equal(t, []string{"model/weights.json", "notes.txt"}, list(t, run))
	require.Equal(t, []string{"other.txt"}, list(t, neighbour))
	require.Empty(t, list(t, first))

	body, err := run.OpenArtifact(t.Context(), "notes.txt")
	require.NoError(t, err)
	text, err := io.ReadAll(body)
	require.NoError(t, errors.Join(err, body.Close()))
	require.Equal(t, "second", string(text))

	_, err = run.OpenArtifact(t.Context(), "other.txt")
	require.ErrorIs(t, err, tracking.ErrNotFound)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, `artifact "other.txt" of run "run1"`)

	// The layout is part of the contract: other programs read it.
	_, err = files.Stat(t.Context(), string(run.Experiment())+"/run1/artifacts/model/weights.json")
	require.NoError(t, err)
}

func TestArtifactErrors(t *testing.T) {
	t.Parallel()
	_, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	for _, bad := range []string{"", "../x", "/etc/passwd", "a/../../x", `a\b`, strings.Repeat("a/", 300) + "a"} {
		require.ErrorIs(t, run.PutArtifact(t.Context(), bad, strings.NewReader(""), 0), tracking.ErrInvalid)
		_, err := run.OpenArtifact(t.Context(), bad)
		require.ErrorIs(t, err, tracking.ErrInvalid)
	}
	cause := errors.New("the reader broke")
	require.ErrorIs(t, run.PutArtifact(t.Context(), "a", iotest.ErrReader(cause), -1), cause)
	require.Error(t, run.PutArtifact(t.Context(), "a", strings.NewReader("four"), 5), "a short body is not stored")
	require.Empty(t, list(t, run))

	_, without := startRun(t, &trackingtest.Memory{}, nil)
	require.ErrorIs(t, without.PutArtifact(t.Context(), "a", strings.NewReader(""), 0), tracking.ErrUnsupported)
	_, err := without.OpenArtifact(t.Context(), "a")
	require.ErrorIs(t, err, tracking.ErrUnsupported)
	for _, err := range without.Artifacts(t.Context()) {
		require.ErrorIs(t, err, tracking.ErrUnsupported)
	}
}
