// Package ort answers with ONNX Runtime: any ONNX graph, on the processor or on
// NVIDIA's GPUs, in a program that was built without cgo. The shared library is
// loaded at run time, from the path that the program gives:
//
//	library, err := ort.Open("/usr/lib/libonnxruntime.so")
//	model, err := library.Load(files, &ort.Options{Threads: 4})
//	err = server.Deploy(ctx, serve.Deployment{Name: "vision", Version: "3", Model: model})
//
// ONNX Runtime 1.18 and later will do. The library is in the releases of ONNX
// Runtime, in PyPI's onnxruntime (onnxruntime/capi/libonnxruntime.so.*) and in
// npm's onnxruntime-node. Small graphs of scikit-learn and tree ensembles need no
// library: see packages onnx and trees.
//
// # Tensors
//
// All datatypes of the protocol. Numbers are read where they lie in the request,
// without a copy, if that is at a multiple of 64 bytes, as large tensors mostly do;
// else they are copied to such a place, since ONNX Runtime sums in an order that
// depends on it: so a request that is repeated gets the same bits. Answers are copied
// once. BYTES are ONNX's strings, with any bytes. A list of maps, which scikit-learn's classifiers give for their scores
// (ZipMap), becomes a table with a column a class, in the order of the keys. What
// the protocol has no form for (other sequences, sparse tensors, optional values,
// complex numbers, floats of 8 and integers of 4 bits) is refused at load.
//
// # Concurrency
//
// A model is one session for all requests. A request runs on the thread that it
// comes on, unless [Options.Threads] gives the session threads of its own. When its
// context ends, the run is told to end and does so before its next operator.
// [Model.Close] waits for what runs.
//
// # Model files
//
// A file is checked before ONNX Runtime sees it: its form, the sizes of its
// constants, and that the data it keeps in other files are among the model's files
// (ONNX Runtime itself would open paths on the server's disk). What ONNX Runtime
// refuses comes back with its message. Yet a graph is a program: one that asks for
// much memory or time gets it. Load models from people you trust, or run the
// server in a process of bounded size.
package ort
