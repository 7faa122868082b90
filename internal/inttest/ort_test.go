package inttest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/ort"
)

// ORTLibrary opens the shared library that lies in PyPI's onnxruntime.
func ORTLibrary(t testing.TB) (*ort.Library, string) {
	t.Helper()
	python := TreesPython(t)
	found, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python)), "lib", "python3*", "site-packages", "onnxruntime", "capi", "libonnxruntime.*"))
	require.NoError(t, err)
	if len(found) == 0 {
		Missing(t, "the shared library of ONNX Runtime is not among the packages of "+python)
	}
	l, err := ort.Open(found[0])
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, found[0]
}

// ortCases has Python's ONNX Runtime answer the cases, and returns their folders.
func ortCases(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join(repository(t), "internal", "inttest", "testdata", "ort")
	cmd := exec.CommandContext(t.Context(), TreesPython(t), filepath.Join(from, "cases.py"), "answer", filepath.Join(from, "cases.zip"), dir)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	cases, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	return cases
}

// ortMessage reads a message with binary data: its length comes first.
func ortMessage(t *testing.T, path string) (body []byte, length int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return raw[4:], int(binary.LittleEndian.Uint32(raw))
}

// TestORTAnswers compares each answer with that of Python's ONNX Runtime, which is
// the same library: they are the same to the last bit, and what it refuses is
// refused with its words.
func TestORTAnswers(t *testing.T) {
	t.Parallel()
	library, _ := ORTLibrary(t)
	answered, refused := 0, 0
	for _, folder := range ortCases(t) {
		name := filepath.Base(filepath.Dir(folder)) + "/" + filepath.Base(folder)
		if name == "long/loop" {
			continue
		}
		body, length := ortMessage(t, filepath.Join(folder, "request"))
		var d oip.Decoder
		req, err := d.DecodeRequest(body, length, nil)
		require.NoError(t, err, name)
		resp := &oip.InferResponse{ModelName: "m"}
		model, err := library.Load(os.DirFS(folder), nil)
		if err == nil {
			err = model.Infer(t.Context(), req, resp)
			require.NoError(t, model.Close())
		}
		if said, wrong := os.ReadFile(filepath.Join(folder, "refused")); wrong == nil {
			refused++
			require.Error(t, err, "%s: %s", name, said)
			require.Contains(t, squeeze(string(said)), squeeze(lastOf(err)), name)
			continue
		}
		if _, none := os.Stat(filepath.Join(folder, "answer")); none != nil {
			require.ErrorIs(t, err, ort.ErrUnsupported, name)
			continue
		}
		require.NoError(t, err, name)
		answered++
		body, length = ortMessage(t, filepath.Join(folder, "answer"))
		var da oip.Decoder
		want, err := da.DecodeResponse(body, length, nil)
		require.NoError(t, err, name)
		require.Equal(t, ortBytes(t, want), ortBytes(t, resp), name)
	}
	require.Greater(t, answered, 400)
	require.Greater(t, refused, 10)
}

// squeeze makes texts comparable that differ in their spaces.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// lastOf is ONNX Runtime's part of an error, less the kind at the end.
func lastOf(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // This walks the chain.
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			err = e.Unwrap()[0]
		default:
			return strings.TrimSpace(err.Error())
		}
	}
}

func ortBytes(t *testing.T, r *oip.InferResponse) string {
	t.Helper()
	for i := range r.Outputs {
		require.NoError(t, r.Outputs[i].Check())
		r.Outputs[i].Binary, r.Outputs[i].Parameters = true, nil
	}
	body, _, err := oip.AppendBinaryResponse(nil, r)
	require.NoError(t, err)
	return string(body)
}

// ortFiles are the files of one of the cases.
func ortFiles(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(repository(t), "internal", "inttest", "testdata", "ort", "cases.zip"))
	require.NoError(t, err)
	defer archive.Close()
	files := fstest.MapFS{}
	for _, f := range archive.File {
		if file, found := strings.CutPrefix(f.Name, name+"/"); found {
			data, err := fs.ReadFile(archive, f.Name)
			require.NoError(t, err)
			files[file] = &fstest.MapFile{Data: data}
		}
	}
	require.NotEmpty(t, files, name)
	return files
}

// ortNet loads the net whose weights lie in another file.
func ortNet(t *testing.T, library *ort.Library, opts *ort.Options) (*ort.Model, fstest.MapFS) {
	t.Helper()
	files := ortFiles(t, "net/1")
	m, err := library.Load(files, opts)
	require.NoError(t, err)
	return m, files
}

func ortRow(rows int) *oip.InferRequest {
	x := make([]float32, rows*16)
	for i := range x {
		x[i] = float32(i%29) / 7
	}
	return &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("x", []int64{int64(rows), 16}, x)}}
}

// TestORTBesides runs a model from many goroutines while it is closed, and serves
// it. Each answer is the right one or ErrClosed.
func TestORTBesides(t *testing.T) {
	t.Parallel()
	library, _ := ORTLibrary(t)
	require.GreaterOrEqual(t, library.Version(), "1.18")
	names, err := library.Providers()
	require.NoError(t, err)
	require.Contains(t, names, "CPUExecutionProvider")
	m, _ := ortNet(t, library, &ort.Options{Threads: 2})
	require.Positive(t, m.Size())
	require.Equal(t, serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP32, Shape: []int64{-1, 16}}},
		Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP32, Shape: []int64{-1, 3}}},
	}, m.Signature())
	var want [9][]float32
	for rows := range want {
		var resp oip.InferResponse
		require.NoError(t, m.Infer(t.Context(), ortRow(rows), &resp))
		want[rows] = resp.Outputs[0].FP32()
	}
	closed := make(chan struct{})
	var ready, all sync.WaitGroup
	ready.Add(8)
	for g := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				if i == 100 {
					ready.Done()
				}
				rows := (g + i) % len(want)
				var resp oip.InferResponse
				if err := m.Infer(context.Background(), ortRow(rows), &resp); err != nil {
					<-closed
					require.ErrorIs(t, err, ort.ErrClosed)
					return
				}
				require.Equal(t, want[rows], resp.Outputs[0].FP32())
			}
		})
	}
	ready.Wait()
	require.NoError(t, m.Close())
	close(closed)
	all.Wait()
	require.NoError(t, m.Close())

	server := serve.New(nil)
	files := ortFiles(t, "net/1")
	deployed, err := (&ort.Runtime{Library: library}).Load(t.Context(), files)
	require.NoError(t, err)
	require.NoError(t, server.Deploy(t.Context(), serve.Deployment{Name: "net", Version: "1", Model: deployed}))
	resp, _, err := server.Infer(t.Context(), "net", "", ortRow(4))
	require.NoError(t, err)
	require.Equal(t, want[4], resp.Outputs[0].FP32())
	// A library outlives its Close for as long as there are models.
	require.NoError(t, library.Close())
	_, _, err = server.Infer(t.Context(), "net", "", ortRow(4))
	require.NoError(t, err)
	_, err = library.Load(files, nil)
	require.ErrorIs(t, err, ort.ErrClosed)
	require.NoError(t, server.Shutdown(t.Context()))
}

// TestORTLeaks runs and loads models many times: what a run leaves behind would
// show.
func TestORTLeaks(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("the memory of the process is read from Linux's /proc")
	}
	_, path := ORTLibrary(t)
	// In a process of its own: other tests grow this one.
	dir := t.TempDir()
	for name, f := range ortFiles(t, "net/1") {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), f.Data, 0o600))
	}
	program := filepath.Join(dir, "leaks")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/ort/leaks")
	// Also what shows that no C compiler is asked for.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := build.CombinedOutput()
	require.NoError(t, err, string(said))
	said, err = exec.CommandContext(t.Context(), program, path, dir).CombinedOutput()
	require.NoError(t, err, string(said))
	t.Log(string(bytes.TrimSpace(said)))
}

// TestORTEnds ends a graph that would run for hours.
func TestORTEnds(t *testing.T) {
	t.Parallel()
	library, _ := ORTLibrary(t)
	m, err := library.Load(ortFiles(t, "long/loop"), nil)
	require.NoError(t, err)
	req := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("x", []int64{1}, []float32{1})}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		var resp oip.InferResponse
		ended <- m.Infer(ctx, req, &resp)
	}()
	select {
	case err := <-ended:
		require.Failf(t, "it ended by itself", "%v", err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	// What was told to end is used again.
	short := &oip.InferRequest{Inputs: req.Inputs}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var resp oip.InferResponse
	require.ErrorIs(t, m.Infer(ctx, short, &resp), context.DeadlineExceeded)
	require.NoError(t, m.Close())
}

// TestORTRefuses: options, files and requests that are wrong.
func TestORTRefuses(t *testing.T) {
	t.Parallel()
	library, path := ORTLibrary(t)
	m, files := ortNet(t, library, &ort.Options{Shapes: map[string][]int64{"y": {-1, -1}}})
	require.Equal(t, []int64{-1, -1}, m.Signature().Outputs[0].Shape)
	defer func() { require.NoError(t, m.Close()) }()

	_, err := library.Load(files, &ort.Options{CUDA: &ort.CUDA{}})
	require.ErrorIs(t, err, ort.ErrUnsupported)
	require.ErrorContains(t, err, "CUDA is asked for and this ONNX Runtime "+library.Version()+" was built without it")
	_, err = library.Load(files, &ort.Options{Shapes: map[string][]int64{"z": {1}}})
	require.ErrorContains(t, err, `no input or output "z"`)
	_, err = library.Load(files, &ort.Options{MaxBytes: 100})
	require.ErrorIs(t, err, ort.ErrInvalid)
	_, err = library.Load(fstest.MapFS{"m.onnx": files["model.onnx"]}, nil)
	require.ErrorIs(t, err, ort.ErrNotFound)
	short := files["weights.bin"].Data[:100]
	_, err = library.Load(fstest.MapFS{"m.onnx": files["model.onnx"], "weights.bin": {Data: short}}, nil)
	require.ErrorIs(t, err, ort.ErrInvalid)
	run, err := library.Load(files, &ort.Options{Run: map[string]string{"memory.enable_memory_arena_shrinkage": "nonsense"}})
	require.NoError(t, err)
	require.Error(t, run.Infer(t.Context(), ortRow(1), &oip.InferResponse{}))
	require.NoError(t, run.Close())
	_, err = ort.Open(strings.TrimSuffix(path, filepath.Base(path)) + "__init__.py")
	require.ErrorIs(t, err, ort.ErrInvalid)

	for name, req := range map[string]*oip.InferRequest{
		"none":     {},
		"datatype": {Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1, 16}, make([]float64, 16))}},
		"shape":    {Inputs: []oip.Tensor{oip.NewFP32("x", []int64{1, 16}, make([]float32, 15))}},
		"width":    {Inputs: []oip.Tensor{oip.NewFP32("x", []int64{1, 15}, make([]float32, 15))}},
		"rank":     {Inputs: []oip.Tensor{oip.NewFP32("x", []int64{16}, make([]float32, 16))}},
		"output":   {Inputs: ortRow(1).Inputs, Outputs: []oip.RequestedOutput{{Name: "other"}}},
	} {
		require.ErrorIs(t, m.Infer(t.Context(), req, &oip.InferResponse{}), ort.ErrInvalid, name)
	}
}

// TestORTDamaged loads files with flipped bits and cut ends, as ONNX Runtime reads
// them in this process: each is refused or loaded, and a request to it is answered
// or refused.
func TestORTDamaged(t *testing.T) {
	t.Parallel()
	library, _ := ORTLibrary(t)
	for _, name := range []string{"maps/texts", "product/fits"} {
		files := ortFiles(t, name)
		data := files["model.onnx"].Data
		for i := range 300 {
			damaged := bytes.Clone(data)
			at := i * 7919 % len(data)
			if i%3 == 0 {
				damaged = damaged[:at]
			} else {
				damaged[at] ^= 1 << (i % 8)
			}
			m, err := library.Load(fstest.MapFS{"m.onnx": {Data: damaged}}, nil)
			if err != nil {
				require.True(t, errors.Is(err, ort.ErrInvalid) || errors.Is(err, ort.ErrUnsupported) || errors.Is(err, ort.ErrNotFound), "%s %d: %v", name, i, err)
				continue
			}
			require.NoError(t, m.Close())
		}
	}
}
