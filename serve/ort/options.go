package ort

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Options say how a model is loaded and run. Nil is the default.
type Options struct {
	// File is the path of the model inside the files. Default: the one file
	// that ends in ".onnx".
	File string
	// MaxBytes bounds the model's file, and the files that it keeps its data
	// in, together. Default 2 GiB, which is also the most that the model's own
	// file can have.
	MaxBytes int64
	// Threads is how many threads an operator may use. Default 1: a request is
	// computed on its own thread, and a server answers several at a time. -1
	// is one a core. More than one makes threads that belong to the model.
	Threads int
	// CUDA computes on an NVIDIA GPU. What it has no operator for is computed
	// on the processor. Default: on the processor.
	CUDA *CUDA
	// Shapes replaces the shapes of inputs and outputs in the model's
	// signature, by name: for files that do not say all of a shape, or that
	// name a dimension that does not vary. -1 is a length that varies.
	Shapes map[string][]int64
	// Session holds entries of ONNX Runtime's session configuration, such as
	// "session.disable_prepacking": "1".
	Session map[string]string
	// Run holds entries of ONNX Runtime's configuration of a run, such as
	// "memory.enable_memory_arena_shrinkage": "cpu:0".
	Run map[string]string
}

// CUDA says which GPU computes and how.
type CUDA struct {
	// Device is the number of the GPU, from 0. Default 0.
	Device int
	// MemoryLimit bounds the memory of the GPU that the model takes, in bytes.
	// Default: no bound.
	MemoryLimit int64
	// More holds further options of ONNX Runtime's CUDA provider, such as
	// "cudnn_conv_algo_search": "HEURISTIC".
	More map[string]string
}

// maxFile is what a message of protobuf can have.
const maxFile = math.MaxInt32

func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.MaxBytes <= 0 {
		r.MaxBytes = maxFile
	}
	var f errs.Faults
	f.Check(r.Threads >= -1 && r.Threads <= 1024, "Threads is %d, want -1 to 1024", r.Threads)
	for _, name := range slices.Sorted(maps.Keys(r.Shapes)) {
		for _, d := range r.Shapes[name] {
			f.Check(d >= -1, "Shapes has %d for %q, want lengths of at least 0, or -1 where it varies", d, name)
		}
	}
	entries(&f, "Session", r.Session)
	entries(&f, "Run", r.Run)
	if r.CUDA != nil {
		f.Check(r.CUDA.Device >= 0, "CUDA.Device is %d, want the number of a GPU", r.CUDA.Device)
		f.Check(r.CUDA.MemoryLimit >= 0, "CUDA.MemoryLimit is %d, want bytes", r.CUDA.MemoryLimit)
		entries(&f, "CUDA.More", r.CUDA.More)
	}
	switch r.Threads {
	case 0:
		r.Threads = 1
	case -1:
		r.Threads = 0 // ONNX Runtime's word for one a core.
	}
	return r, f.Err("the options")
}

func entries(f *errs.Faults, field string, list map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(list)) {
		f.Check(key != "" && !strings.ContainsRune(key+list[key], 0), "%s has the key %q, want texts without zero bytes", field, key)
	}
}

// settings are the options of the CUDA provider.
func (c *CUDA) settings() map[string]string {
	all := maps.Clone(c.More)
	if all == nil {
		all = map[string]string{}
	}
	all["device_id"] = strconv.Itoa(c.Device)
	if c.MemoryLimit > 0 {
		all["gpu_mem_limit"] = strconv.FormatInt(c.MemoryLimit, 10)
	}
	return all
}
