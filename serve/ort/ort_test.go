package ort_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/ort"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "libonnxruntime.so")
	require.NoError(t, os.WriteFile(text, []byte("text"), 0o600))
	for path, kind := range map[string]error{
		"": ort.ErrInvalid, "a\x00b": ort.ErrInvalid, text: ort.ErrInvalid, "no-such-library-anywhere.so": ort.ErrInvalid,
		filepath.Join(t.TempDir(), "none.so"): ort.ErrNotFound,
	} {
		_, err := ort.Open(path)
		require.ErrorIs(t, err, kind, path)
		require.ErrorContains(t, err, "ort: open ")
	}
}

// A library of C that is not ONNX Runtime lacks its entry.
func TestOpenForeignLibrary(t *testing.T) {
	t.Parallel()
	_, err := ort.Open("libc.so.6")
	require.ErrorIs(t, err, ort.ErrInvalid)
}

func TestRuntimeWithoutLibrary(t *testing.T) {
	t.Parallel()
	_, err := (&ort.Runtime{}).Load(t.Context(), fstest.MapFS{})
	require.ErrorIs(t, err, ort.ErrInvalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = (&ort.Runtime{}).Load(ctx, fstest.MapFS{})
	require.ErrorIs(t, err, context.Canceled)
}

// The files are checked before the library is asked, so none is needed here.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	var none ort.Library
	tensor := func(parts ...[]byte) []byte { return model(bytesField(5, join(parts...))) }
	outside := func(entries ...[]byte) []byte {
		parts := [][]byte{varint(1, 1), varint(2, 1), varint(14, 1)}
		for _, e := range entries {
			parts = append(parts, bytesField(13, e))
		}
		return tensor(parts...)
	}
	place := func(key, value string) []byte { return join(bytesField(1, []byte(key)), bytesField(2, []byte(value))) }
	deep := bytesField(1, nil)
	for range 40 {
		deep = bytesField(1, bytesField(5, bytesField(6, deep)))
	}
	inner := model(bytesField(1, bytesField(5, bytesField(5, join(varint(1, 1), varint(2, 1), varint(14, 1), bytesField(13, place("location", "w")))))))
	for name, c := range map[string]struct {
		file []byte
		kind error
		text string
	}{
		"empty":         {nil, ort.ErrInvalid, "it has no graph"},
		"text":          {[]byte("no model, but a text"), ort.ErrInvalid, "no ONNX model"},
		"two graphs":    {join(model(nil), model(nil)), ort.ErrInvalid, "it has no graph"},
		"cut":           {model(bytesField(1, make([]byte, 100)))[:50], ort.ErrInvalid, "beyond the end"},
		"training":      {join(model(nil), bytesField(20, nil)), ort.ErrInvalid, "training"},
		"deep":          {model(deep), ort.ErrInvalid, "deep"},
		"overflow":      {tensor(varint(1, 1<<40), varint(1, 1<<40)), ort.ErrInvalid, "more elements than there can be"},
		"negative":      {tensor(varint(1, 1<<63)), ort.ErrInvalid, "cannot be"},
		"packed":        {tensor(bytesField(1, join(uvarint(1<<40), uvarint(1<<40)))), ort.ErrInvalid, "more elements"},
		"short data":    {tensor(varint(1, 3), varint(2, 1), bytesField(9, make([]byte, 11))), ort.ErrInvalid, "3 elements of 4 bytes and 11 bytes of data"},
		"up":            {outside(place("location", "../etc/passwd")), ort.ErrInvalid, "no path inside the model's folder"},
		"root":          {outside(place("location", "/etc/passwd")), ort.ErrInvalid, "no path inside"},
		"memory":        {outside(place("location", "*/_ORT_MEM_ADDR_/*")), ort.ErrInvalid, "no path inside"},
		"nowhere":       {outside(), ort.ErrInvalid, "does not say once which file"},
		"twice":         {outside(place("location", "a"), place("location", "b")), ort.ErrInvalid, "does not say once which file"},
		"absent":        {outside(place("location", "weights.bin"), place("offset", "1")), ort.ErrNotFound, `the constants in "weights.bin"`},
		"inner outside": {inner, ort.ErrUnsupported, "inner graph"},
	} {
		_, err := none.Load(fstest.MapFS{"a/m.onnx": {Data: c.file}}, nil)
		require.ErrorIs(t, err, c.kind, name)
		require.ErrorContains(t, err, c.text, name)
		require.ErrorContains(t, err, `ort: load "a/m.onnx": `, name)
	}
	for name, c := range map[string]struct {
		files fstest.MapFS
		opts  *ort.Options
		kind  error
		text  string
	}{
		"none":     {fstest.MapFS{"m.txt": {}}, nil, ort.ErrNotFound, "no file ends in .onnx"},
		"two":      {fstest.MapFS{"a.onnx": {}, "b.onnx": {}}, nil, ort.ErrNotFound, "name one with Options.File"},
		"absent":   {fstest.MapFS{}, &ort.Options{File: "m.onnx"}, ort.ErrNotFound, "m.onnx"},
		"too long": {fstest.MapFS{"m.onnx": {Data: make([]byte, 11)}}, &ort.Options{MaxBytes: 10}, ort.ErrInvalid, "11 bytes, more than the 10"},
		"options": {
			fstest.MapFS{}, &ort.Options{Threads: -2, Session: map[string]string{"": "x"}, Shapes: map[string][]int64{"x": {-2}}, CUDA: &ort.CUDA{Device: -1, MemoryLimit: -1}},
			ort.ErrInvalid,
			`the options: Threads is -2, want -1 to 1024; Shapes has -2 for "x", want lengths of at least 0, or -1 where it varies; ` +
				`Session has the key "", want texts without zero bytes; CUDA.Device is -1, want the number of a GPU; CUDA.MemoryLimit is -1, want bytes`,
		},
	} {
		_, err := none.Load(c.files, c.opts)
		require.ErrorIs(t, err, c.kind, name)
		require.ErrorContains(t, err, c.text, name)
	}
}

// A file is walked, never trusted: whatever it holds, a check ends with an answer.
func FuzzInspect(f *testing.F) {
	f.Add(model(bytesField(5, join(varint(1, 2), varint(2, 1), bytesField(9, make([]byte, 8))))))
	f.Add(model(bytesField(1, bytesField(5, bytesField(6, bytesField(5, nil))))))
	f.Add(model(bytesField(5, join(varint(14, 1), bytesField(13, bytesField(1, []byte("location")))))))
	f.Add([]byte("\x3a\x02\x0a\x00\xca\x01\x02\x3a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := ort.Inspect(data)
		if err != nil {
			return
		}
		for _, name := range names {
			_, err := (fstest.MapFS{}).Open(name)
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	})
}

// The parts of a protobuf message.

func uvarint(n uint64) []byte { return binary.AppendUvarint(nil, n) }

func varint(num int, n uint64) []byte { return join(uvarint(uint64(num)<<3), uvarint(n)) }

func bytesField(num int, b []byte) []byte {
	return join(uvarint(uint64(num)<<3|2), uvarint(uint64(len(b))), b)
}

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func model(graph []byte) []byte { return join(varint(1, 8), bytesField(7, graph)) }
