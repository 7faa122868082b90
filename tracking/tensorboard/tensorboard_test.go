package tensorboard_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/tensorboard"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func newRun(t testing.TB, name string) *tracking.Run {
	t.Helper()
	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(t.Context(), "e")
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, &tracking.RunOptions{Name: name})
	require.NoError(t, err)
	return run
}

func read(t testing.TB, data []byte) (all []tensorboard.Scalar, rest tensorboard.Rest) {
	t.Helper()
	for s, err := range tensorboard.Read(bytes.NewReader(data), &rest) {
		require.NoError(t, err)
		all = append(all, s)
	}
	return all, rest
}

var at = time.UnixMilli(1_700_000_000_123).UTC()

// file writes a small event file.
func file(t testing.TB, exact bool) ([]byte, []tensorboard.Scalar) {
	t.Helper()
	points := []tensorboard.Scalar{
		{Tag: "loss", Value: 0.1, Step: 1, Time: at}, {Tag: "loss", Value: math.Inf(1), Step: 2, Time: at.Add(time.Second)},
		{Tag: "été/x", Value: -3, Step: -7, Time: at},
	}
	var b bytes.Buffer
	w := tensorboard.NewWriter(&b)
	w.Exact = exact
	for _, s := range points {
		require.NoError(t, w.Write(s))
	}
	require.ErrorIs(t, w.Write(tensorboard.Scalar{}), tensorboard.ErrInvalid)
	return b.Bytes(), points
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	data, points := file(t, true)
	got, rest := read(t, data)
	require.Equal(t, points, got)
	require.Zero(t, rest)
	data, points = file(t, false)
	points[0].Value = float64(float32(0.1))
	got, _ = read(t, data)
	require.Equal(t, points, got)
}

// The file was written by TensorBoard's own Python code.
func TestReadForeignFile(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/events.out.tfevents.python")
	require.NoError(t, err)
	got, rest := read(t, data)
	require.Equal(t, tensorboard.Rest{Skipped: 6}, rest)
	require.Len(t, got, 18)
	start := time.Unix(1_700_000_000, 0).UTC()
	require.Equal(t, []tensorboard.Scalar{
		{Tag: "torch/loss", Value: 0.5, Time: start}, {Tag: "tf2/loss", Value: 0.25, Time: start},
		{Tag: "double", Value: 0.1, Time: start}, {Tag: "int", Value: 0, Time: start}, {Tag: "half", Value: 1.5, Time: start},
	}, got[:5])
	require.Equal(t, tensorboard.Scalar{Tag: "int", Value: -2, Step: 2, Time: start.Add(2 * time.Second)}, got[13])
	require.True(t, math.IsNaN(got[15].Value))
	require.Equal(t, tensorboard.Scalar{Tag: "neg", Value: math.Inf(-1), Step: 3, Time: start.Add(3 * time.Second)}, got[16])
	require.EqualValues(t, -2, got[17].Step)
}

func TestTruncatedTailIsTolerated(t *testing.T) {
	t.Parallel()
	data, points := file(t, true)
	whole := 0
	for n := range data {
		got, rest := read(t, data[:n])
		require.Equal(t, append([]tensorboard.Scalar(nil), points[:len(got)]...), got)
		if !rest.Truncated {
			whole++
		}
	}
	require.Equal(t, len(points)+1, whole, "only between two records")
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	data, _ := file(t, true)
	for i := range data {
		broken := bytes.Clone(data)
		broken[i] ^= 0x10
		var last error
		for _, err := range tensorboard.Read(bytes.NewReader(broken), nil) {
			last = err
		}
		require.ErrorIs(t, last, tensorboard.ErrInvalid, "byte %d", i)
		require.ErrorContains(t, last, "record at offset ")
	}
	for _, err := range tensorboard.Read(strings.NewReader("this is a text and no event file"), nil) {
		require.ErrorContains(t, err, "record at offset 0: the checksum of the length")
	}
}

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	run := newRun(t, "night/ly")
	require.NoError(t, run.Params(t.Context(), map[string]string{"lr": "0.1", "opt": "adam"}))
	var batch tracking.Batch
	for i := range 500 {
		batch.Metrics = append(batch.Metrics,
			tracking.Metric{Key: "val/loss", Value: 1 / float64(i+3), Step: int64(i), Time: at.Add(time.Duration(i) * time.Second)},
			tracking.Metric{Key: "acc", Value: float64(i), Step: int64(i), Time: at})
	}
	require.NoError(t, run.LogBatch(t.Context(), batch))
	require.NoError(t, run.Finish(t.Context(), tracking.Finished))
	dir := t.TempDir()
	path, err := tensorboard.Export(t.Context(), run, dir, &tensorboard.ExportOptions{Exact: true})
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "night_ly-"+string(run.ID()[:8])), filepath.Dir(path))
	again, err := tensorboard.Export(t.Context(), run, dir, &tensorboard.ExportOptions{Exact: true})
	require.NoError(t, err)
	require.Equal(t, path, again)

	other := newRun(t, "imported")
	src := os.DirFS(filepath.Dir(path))
	for range 2 { // the second time changes nothing
		report, err := tensorboard.Import(t.Context(), other, src, nil)
		require.NoError(t, err)
		require.Equal(t, tensorboard.Report{Files: 1, Points: 1000, Skipped: 2}, report)
	}
	for _, key := range []string{"val/loss", "acc"} {
		want, err := run.History(t.Context(), key)
		require.NoError(t, err)
		got, err := other.History(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}

	_, err = tensorboard.Export(t.Context(), run, dir, &tensorboard.ExportOptions{Folder: "../x"})
	require.ErrorIs(t, err, tensorboard.ErrInvalid)
	path, err = tensorboard.Export(t.Context(), run, dir, &tensorboard.ExportOptions{Folder: "one", Keys: []string{"acc"}})
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	points, _ := read(t, data)
	require.Len(t, points, 500)
}

func TestImportFaults(t *testing.T) {
	t.Parallel()
	one := func(tags ...string) *fstest.MapFile {
		var b bytes.Buffer
		w := tensorboard.NewWriter(&b)
		for i, tag := range tags {
			require.NoError(t, w.Write(tensorboard.Scalar{Tag: tag, Value: 1, Step: int64(i), Time: at}))
		}
		return &fstest.MapFile{Data: b.Bytes()}
	}
	_, err := tensorboard.Import(t.Context(), newRun(t, "a"), fstest.MapFS{"notes.txt": {}}, nil)
	require.ErrorIs(t, err, tracking.ErrNotFound)
	_, err = tensorboard.Import(t.Context(), newRun(t, "a"), fstest.MapFS{"events.tfevents.1": one("a(b", "a)b")}, nil)
	require.ErrorIs(t, err, tensorboard.ErrInvalid)
	require.ErrorContains(t, err, `both become the metric "a_b"`)
	_, err = tensorboard.Import(t.Context(), newRun(t, "a"), fstest.MapFS{"x/events.tfevents.1": {Data: []byte(strings.Repeat("x", 100))}}, nil)
	require.ErrorContains(t, err, "x/events.tfevents.1: tensorboard: record at offset 0")
	_, err = tensorboard.Import(t.Context(), newRun(t, "a"), fstest.MapFS{"t.tfevents": one("a")}, &tensorboard.ImportOptions{
		Key: func(string, string) string { return "../x" },
	})
	require.ErrorIs(t, err, tensorboard.ErrInvalid)

	// Two folders are two curves, and a file under way is no fault.
	run := newRun(t, "b")
	live := one("loss", "loss")
	live.Data = live.Data[:len(live.Data)-1]
	report, err := tensorboard.Import(t.Context(), run, fstest.MapFS{"train/1.tfevents": one("loss"), "val/1.tfevents": live, "val/2.tfevents": one("left out")},
		&tensorboard.ImportOptions{Key: func(dir, tag string) string {
			if tag == "left out" {
				return ""
			}
			return tensorboard.DefaultKey(dir, tag)
		}})
	require.NoError(t, err)
	require.Equal(t, tensorboard.Report{Files: 3, Points: 2, Skipped: 1, Truncated: []string{"val/1.tfevents"}}, report)
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Contains(t, info.Metrics, "train/loss")
	require.Contains(t, info.Metrics, "val/loss")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = tensorboard.Import(ctx, run, fstest.MapFS{"1.tfevents": one("loss")}, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestDefaultKey(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{".", "loss", "loss"}, {"train", "loss", "train/loss"}, {".", "/a//b/", "a/b"}, {".", "../x", "x"}, {"..", "x", "_/x"}, {".", "", "_"}, {".", "loss (val) 🙂", "loss _val_ _"}, {".", "..a", "_..a"}, {"x", "..", "x/_"},
	} {
		key := tensorboard.DefaultKey(c[0], c[1])
		require.Equal(t, c[2], key, "%q", c)
		require.NoError(t, tracking.ValidateKey(key))
	}
}

func FuzzRead(f *testing.F) {
	data, _ := file(f, true)
	f.Add(data)
	data, _ = file(f, false)
	f.Add(data)
	f.Add(data[:len(data)-3])
	if foreign, err := os.ReadFile("testdata/events.out.tfevents.python"); err == nil {
		f.Add(foreign)
	}
	f.Add(binary.LittleEndian.AppendUint64(nil, 1<<40))
	for whole, _ := file(f, true); len(whole) > 0; { // the contents of its records
		n := binary.LittleEndian.Uint64(whole)
		f.Add(whole[12 : 12+n])
		whole = whole[16+n:]
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, err := range tensorboard.Read(bytes.NewReader(data), nil) {
			if err != nil {
				require.ErrorIs(t, err, tensorboard.ErrInvalid)
			}
		}
		// The checksums keep most inputs from the parser behind them, so it is
		// given each as the content of a good record too.
		for s, err := range tensorboard.Read(bytes.NewReader(tensorboard.Record(data)), nil) {
			if err != nil {
				require.ErrorIs(t, err, tensorboard.ErrInvalid)
				continue
			}
			require.False(t, s.Time.Before(time.UnixMilli(0)))
		}
	})
}

func FuzzDefaultKey(f *testing.F) {
	f.Add(".", "loss")
	f.Add("a/../..", "\xff/..")
	f.Fuzz(func(t *testing.T, dir, tag string) {
		if len(dir)+len(tag) < 200 {
			require.NoError(t, tracking.ValidateKey(tensorboard.DefaultKey(dir, tag)), "%q %q", dir, tag)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var file bytes.Buffer
	w := tensorboard.NewWriter(&file)
	for i := range 10_000 {
		require.NoError(b, w.Write(tensorboard.Scalar{Tag: "loss", Value: 1, Step: int64(i), Time: at}))
	}
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		n := 0
		for _, err := range tensorboard.Read(bytes.NewReader(file.Bytes()), nil) {
			require.NoError(b, err)
			n++
		}
		if n != 10_000 {
			b.Fatal(fmt.Sprint(n))
		}
	}
}
