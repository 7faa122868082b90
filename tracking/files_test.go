package tracking_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func list(t *testing.T, files *tracking.Files) []string {
	t.Helper()
	var names []string
	for info, err := range files.List(t.Context(), "") {
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

	require.NoError(t, run.Files().Put(t.Context(), "model/weights.json", strings.NewReader("{}"), 2))
	require.NoError(t, run.Files().Put(t.Context(), "notes.txt", strings.NewReader("first"), -1))
	require.NoError(t, run.Files().Put(t.Context(), "notes.txt", strings.NewReader("second"), -1))
	require.NoError(t, neighbour.Files().Put(t.Context(), "other.txt", strings.NewReader(""), 0))
	require.Equal(t, []string{"model/weights.json", "notes.txt"}, list(t, run.Files()))
	require.Equal(t, []string{"other.txt"}, list(t, neighbour.Files()))
	require.Empty(t, list(t, first.Files()))

	body, err := run.Files().Open(t.Context(), "notes.txt")
	require.NoError(t, err)
	text, err := io.ReadAll(body)
	require.NoError(t, errors.Join(err, body.Close()))
	require.Equal(t, "second", string(text))

	_, err = run.Files().Open(t.Context(), "other.txt")
	require.ErrorIs(t, err, tracking.ErrNotFound)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, `artifact "other.txt" in mlflow-artifacts:/`+string(run.Experiment())+`/run1/artifacts`)

	// The layout is part of the contract: other programs read it.
	_, err = files.Stat(t.Context(), string(run.Experiment())+"/run1/artifacts/model/weights.json")
	require.NoError(t, err)
}

func TestArtifactErrors(t *testing.T) {
	t.Parallel()
	_, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	for _, bad := range []string{"", "../x", "/etc/passwd", "a/../../x", `a\b`, strings.Repeat("a/", 300) + "a"} {
		require.ErrorIs(t, run.Files().Put(t.Context(), bad, strings.NewReader(""), 0), tracking.ErrInvalid)
		_, err := run.Files().Open(t.Context(), bad)
		require.ErrorIs(t, err, tracking.ErrInvalid)
	}
	cause := errors.New("the reader broke")
	require.ErrorIs(t, run.Files().Put(t.Context(), "a", iotest.ErrReader(cause), -1), cause)
	require.Error(t, run.Files().Put(t.Context(), "a", strings.NewReader("four"), 5), "a short body is not stored")
	require.Empty(t, list(t, run.Files()))

	_, without := startRun(t, &trackingtest.Memory{}, nil)
	require.ErrorIs(t, without.Files().Put(t.Context(), "a", strings.NewReader(""), 0), tracking.ErrUnsupported)
	_, err := without.Files().Open(t.Context(), "a")
	require.ErrorIs(t, err, tracking.ErrUnsupported)
	for _, err := range without.Files().List(t.Context(), "") {
		require.ErrorIs(t, err, tracking.ErrUnsupported)
	}
}

func TestUploadAndDownload(t *testing.T) {
	t.Parallel()
	store := &blob.Mem{}
	_, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: store})
	src := fstest.MapFS{"empty": {}, "deep/er/file": {Data: []byte("hello")}, "big": {Data: make([]byte, 3<<20)}}
	var last tracking.Progress
	progress := func(p tracking.Progress) {
		require.GreaterOrEqual(t, p.Bytes, last.Bytes)
		require.GreaterOrEqual(t, p.Files, last.Files)
		last = p
	}
	up, err := run.Files().Upload(t.Context(), "out", src, &tracking.TransferOptions{Sums: true, Progress: progress})
	require.NoError(t, err)
	require.Equal(t, int64(3<<20+5), last.Bytes)
	require.Equal(t, last.TotalBytes, last.Bytes)
	require.Equal(t, 3, last.Files)
	require.Equal(t, "deep/er/file", up[1].Path)
	require.Equal(t, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", up[1].SHA256)

	last = tracking.Progress{}
	to := t.TempDir()
	down, err := run.Files().Download(t.Context(), "out", to, &tracking.TransferOptions{Want: up, Progress: progress})
	require.NoError(t, err)
	require.Len(t, down, 4)
	require.Equal(t, up[1], down[2])
	for name, want := range src {
		got, err := os.ReadFile(filepath.Join(to, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want.Data, got), name)
	}
	sums, err := os.Open(filepath.Join(to, "SHA256SUMS"))
	require.NoError(t, err)
	parsed, err := tracking.ParseSums(sums)
	require.NoError(t, errors.Join(err, sums.Close()))
	require.Len(t, parsed, 3)

	// One file, as Python's download_artifacts does it.
	to = t.TempDir()
	down, err = run.Files().Download(t.Context(), "out/deep/er/file", to, nil)
	require.NoError(t, err)
	require.Equal(t, "file", down[0].Path)
	require.FileExists(t, filepath.Join(to, "file"))

	// What was uploaded may be uploaded again.
	_, err = run.Files().Upload(t.Context(), "out", src, &tracking.TransferOptions{Sums: true})
	require.NoError(t, err)

	// Bytes that changed since are not handed out.
	require.NoError(t, run.Files().Put(t.Context(), "out/deep/er/file", strings.NewReader("hullo"), 5))
	to = t.TempDir()
	_, err = run.Files().Download(t.Context(), "out", to, &tracking.TransferOptions{Parallel: 1})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, "deep/er/file")
	require.NoFileExists(t, filepath.Join(to, "deep/er/file"))
	require.NoError(t, run.Files().Delete(t.Context(), "out/deep/er/file"))
	_, err = run.Files().Download(t.Context(), "out", to, nil)
	require.ErrorIs(t, err, tracking.ErrNotFound)
	_, err = run.Files().Download(t.Context(), "nothing", to, nil)
	require.ErrorIs(t, err, tracking.ErrNotFound)
	_, err = run.Files().Download(t.Context(), "big/..", to, nil)
	require.ErrorIs(t, err, tracking.ErrInvalid)

	var parts []string
	require.NoError(t, filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(d.Name(), ".part-") {
			parts = append(parts, path)
		}
		return err
	}))
	require.Empty(t, parts, "no half files are left")
}

func TestUploadFaults(t *testing.T) {
	t.Parallel()
	_, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	dir := t.TempDir()
	require.NoError(t, os.Symlink("/dev/null", filepath.Join(dir, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a\\b"), nil, 0o600))
	_, err := run.Files().Upload(t.Context(), "", os.DirFS(dir), nil)
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, `"link" is no regular file`)
	require.ErrorContains(t, err, "backslash")
	require.Empty(t, list(t, run.Files()))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = run.Files().Upload(ctx, "", fstest.MapFS{"a": {}}, nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = run.Files().Upload(t.Context(), "../x", fstest.MapFS{"a": {}}, nil)
	require.ErrorIs(t, err, tracking.ErrInvalid)
	done, err := run.Files().Upload(t.Context(), "", fstest.MapFS{}, nil)
	require.NoError(t, err)
	require.Empty(t, done)
}

// evil lists keys that would lead out of the folder.
type evil struct{ blob.Mem }

func (e *evil) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for _, key := range []string{prefix + "../../escaped", prefix + "/abs", "elsewhere", prefix + "good"} {
			if !yield(blob.NewInfo(key, 1, time.Time{}), nil) {
				return
			}
		}
	}
}

func TestDownloadTrustsNoListing(t *testing.T) {
	t.Parallel()
	store := &evil{}
	_, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: store})
	require.NoError(t, run.Files().Put(t.Context(), "good", strings.NewReader("x"), 1))
	base := t.TempDir()
	down, err := run.Files().Download(t.Context(), "", filepath.Join(base, "a", "b"), nil)
	require.NoError(t, err)
	require.Len(t, down, 1)
	require.NoFileExists(t, filepath.Join(base, "escaped"))
}

func TestDownloadStaysInItsFolder(t *testing.T) {
	t.Parallel()
	_, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	require.NoError(t, run.Files().Put(t.Context(), "out/x", strings.NewReader("x"), 1))
	outside, to := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(to, "out")))
	_, err := run.Files().Download(t.Context(), "", to, nil)
	require.Error(t, err)
	require.NoFileExists(t, filepath.Join(outside, "x"))
}

func TestFilesElsewhere(t *testing.T) {
	t.Parallel()
	remote := &blob.Mem{}
	var opened []string
	client := tracking.New(&trackingtest.Memory{}, &tracking.Options{
		OpenArtifacts: func(_ context.Context, uri string) (tracking.Artifacts, error) {
			opened = append(opened, uri)
			return blob.Sub(remote, strings.TrimPrefix(uri, "s3://bucket/")), nil
		},
		ResolveModel: func(_ context.Context, uri string) (string, error) {
			require.Equal(t, "models:/fraud@champion", uri)
			return "s3://bucket/fraud", nil
		},
	})
	exp, err := client.CreateExperiment(t.Context(), "e", &tracking.ExperimentOptions{ArtifactLocation: "s3://bucket/x"})
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, &tracking.RunOptions{ID: "r"})
	require.NoError(t, err)
	require.NoError(t, run.Files().Put(t.Context(), "a/b", strings.NewReader("x"), 1))
	require.Equal(t, []string{"a/b"}, list(t, run.Files()))
	require.Equal(t, "s3://bucket/x/r/artifacts", opened[0])
	_, err = remote.Stat(t.Context(), "x/r/artifacts/a/b")
	require.NoError(t, err)

	f, err := client.Files(t.Context(), "runs:/r/a")
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, list(t, f))
	info, err := f.Stat(t.Context(), "b")
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Size())
	f, err = client.Files(t.Context(), "models:/fraud@champion")
	require.NoError(t, err)
	require.Equal(t, "s3://bucket/fraud", f.URI())

	for uri, want := range map[string]error{
		"runs:/unknown": tracking.ErrNotFound, "models:/m-1": tracking.ErrNotFound, "runs:/": tracking.ErrInvalid,
		"models:/m-1/../x": tracking.ErrInvalid, "": tracking.ErrInvalid, "/etc": tracking.ErrInvalid, "file:///a/%2e%2e/b": tracking.ErrInvalid,
	} {
		_, err := client.Files(t.Context(), uri)
		require.ErrorIs(t, err, want, uri)
	}
	bare := tracking.New(&trackingtest.Memory{}, nil)
	_, err = bare.Files(t.Context(), "models:/fraud/3")
	require.ErrorIs(t, err, tracking.ErrUnsupported)
	require.ErrorContains(t, err, "Options.ResolveModel")
	f, err = bare.Files(t.Context(), "s3://bucket/x")
	require.NoError(t, err)
	_, err = f.Open(t.Context(), "a")
	require.ErrorContains(t, err, "Options.OpenArtifacts")
}

func FuzzParseSums(f *testing.F) {
	digest := strings.Repeat("ab", 32)
	for _, seed := range []string{"", digest + "  a\n", digest + " *a/b\n" + digest + "  a/b\n", digest + "  ../a\n", "x  a", digest + "  ./a\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		files, err := tracking.ParseSums(strings.NewReader(text))
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
			return
		}
		for _, file := range files {
			require.Len(t, file.SHA256, 64)
			require.NoError(t, tracking.ValidateArtifactPath(file.Path))
		}
	})
}
