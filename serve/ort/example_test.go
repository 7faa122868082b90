package ort_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/ort"
)

// The path of the library comes from the program. One that is not there is an
// error at once, not at the first request.
func ExampleOpen() {
	_, err := ort.Open("/nowhere/libonnxruntime.so")
	fmt.Println(err)
	fmt.Println(errors.Is(err, ort.ErrNotFound))
	// Output:
	// ort: open "/nowhere/libonnxruntime.so": there is no such file, it should be the shared library of ONNX Runtime 1.18 or later: not found
	// true
}

// A model on the second GPU, with at most 4 GiB of its memory.
func ExampleLibrary_Load() {
	library, err := ort.Open("/usr/lib/libonnxruntime.so")
	if err != nil {
		fmt.Println("no ONNX Runtime here")
		return
	}
	defer library.Close()
	model, err := library.Load(os.DirFS("models/vision"), &ort.Options{CUDA: &ort.CUDA{Device: 1, MemoryLimit: 4 << 30}})
	if errors.Is(err, ort.ErrUnsupported) || errors.Is(err, ort.ErrUnavailable) {
		model, err = library.Load(os.DirFS("models/vision"), &ort.Options{Threads: -1})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()
	fmt.Println(model.Signature().Inputs[0].Datatype == oip.FP32)
}
