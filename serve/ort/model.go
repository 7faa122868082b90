package ort

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Model is a session of ONNX Runtime. It is safe for concurrent use and is a
// [serve.Model].
type Model struct {
	library           *Library
	session           unsafe.Pointer
	signature         serve.Signature
	size              int64
	run               map[string]string
	in, out           []kind
	inNames, outNames []*byte

	// running is held by each request for reading, and by Close.
	running sync.RWMutex
	closed  bool

	mu   sync.Mutex
	free []*frame // the model's, as they hold memory of the library
}

var (
	_ serve.Model = (*Model)(nil)
	_ serve.Sizer = (*Model)(nil)
)

// Signature says what the graph takes and gives. A dimension that the graph names
// varies. A shape that the file does not say is that of one number: see
// [Options.Shapes].
func (m *Model) Signature() serve.Signature { return m.signature }

// Size is the bytes of the model's files.
func (m *Model) Size() int64 { return m.size }

// Close waits for the requests that run and frees the session. Later ones get
// ErrClosed; a second Close does nothing.
func (m *Model) Close() error {
	m.running.Lock()
	defer m.running.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	for _, f := range m.free {
		call(m.library.fn(fnReleaseRunOptions), at(f.options))
	}
	m.free = nil
	call(m.library.fn(fnReleaseSession), at(m.session))
	m.library.let()
	return nil
}

// frame is what one run needs. The library writes to it, so it is on the heap.
type frame struct {
	options unsafe.Pointer
	inputs  []unsafe.Pointer
	aligned [][]byte // copies of the inputs
	outputs []unsafe.Pointer
	names   []*byte
	places  []int
	pointer unsafe.Pointer
	count   uintptr
	number  int64
	// terminate tells the run to end, and reports that it did.
	terminate func()
	told      chan struct{}
}

// maxFrames bounds how many frames are kept for later runs, and maxAligned the
// memory that each of them keeps for an input.
const (
	maxFrames  = 64
	maxAligned = 1 << 20
)

func (m *Model) frame() (*frame, error) {
	m.mu.Lock()
	if n := len(m.free); n > 0 {
		f := m.free[n-1]
		m.free = m.free[:n-1]
		m.mu.Unlock()
		return f, nil
	}
	m.mu.Unlock()
	l := m.library
	f := &frame{inputs: make([]unsafe.Pointer, len(m.in)), aligned: make([][]byte, len(m.in)), outputs: make([]unsafe.Pointer, len(m.out)), told: make(chan struct{})}
	f.terminate = func() {
		call(l.fn(fnRunOptionsSetTerminate), at(f.options)) // It never fails.
		f.told <- struct{}{}
	}
	if err := l.try(fnCreateRunOptions, uintptr(unsafe.Pointer(&f.options))); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(m.run)) {
		k, v := cString(key), cString(m.run[key])
		if err := l.try(fnAddRunConfigEntry, at(f.options), uintptr(unsafe.Pointer(k)), uintptr(unsafe.Pointer(v))); err != nil {
			call(l.fn(fnReleaseRunOptions), at(f.options))
			return nil, fmt.Errorf("the run's entry %q: %w", key, err)
		}
	}
	return f, nil
}

// done frees the values of a run and keeps the frame.
func (m *Model) done(f *frame) {
	for _, list := range [][]unsafe.Pointer{f.inputs, f.outputs} {
		for i, v := range list {
			if v != nil {
				call(m.library.fn(fnReleaseValue), at(v))
				list[i] = nil
			}
		}
	}
	for i, room := range f.aligned {
		if cap(room) > maxAligned {
			f.aligned[i] = nil
		}
	}
	m.mu.Lock()
	if len(m.free) < maxFrames {
		m.free, f = append(m.free, f), nil
	}
	m.mu.Unlock()
	if f != nil {
		call(m.library.fn(fnReleaseRunOptions), at(f.options))
	}
}

// Infer answers a request that agrees with the signature. What the graph refuses,
// such as a length that it does not take, is an ErrInvalid with ONNX Runtime's
// message.
func (m *Model) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ort: infer: %w", context.Cause(ctx))
	}
	m.running.RLock()
	defer m.running.RUnlock()
	if m.closed {
		return fmt.Errorf("ort: infer: the model: %w", ErrClosed)
	}
	f, err := m.frame()
	if err != nil {
		return fmt.Errorf("ort: infer: %w", err)
	}
	defer m.done(f)
	if err := m.wanted(f, req); err != nil {
		return fmt.Errorf("ort: infer: %w", err)
	}
	if err := m.give(f, req); err != nil {
		return fmt.Errorf("ort: infer: %w", err)
	}
	if err := m.compute(ctx, f); err != nil {
		return ended(ctx, err)
	}
	runtime.KeepAlive(req) // The inputs' memory is read in place.
	for i, place := range f.places {
		t, err := f.take(m.library, &m.signature.Outputs[place], m.out[place], f.outputs[i])
		if err != nil {
			return fmt.Errorf("ort: infer: %w", err)
		}
		resp.Outputs = append(resp.Outputs, t)
	}
	return nil
}

// wanted lists the outputs that are computed for the answer.
func (m *Model) wanted(f *frame, req *oip.InferRequest) error {
	f.places, f.names = f.places[:0], f.names[:0]
	for i := range m.signature.Outputs {
		if len(req.Outputs) == 0 || slices.ContainsFunc(req.Outputs, func(o oip.RequestedOutput) bool { return o.Name == m.signature.Outputs[i].Name }) {
			f.places, f.names = append(f.places, i), append(f.names, m.outNames[i])
		}
	}
	if len(f.places) == 0 {
		return fmt.Errorf("none of the outputs asked for is one of the model's: %w", ErrInvalid)
	}
	return nil
}

// give hands over the inputs.
func (m *Model) give(f *frame, req *oip.InferRequest) error {
	for i := range m.signature.Inputs {
		meta := &m.signature.Inputs[i]
		t := req.Input(meta.Name)
		if t == nil || t.Datatype != meta.Datatype || t.Check() != nil {
			return fmt.Errorf("the input %q is missing, not %s or contradicts itself: %w", meta.Name, meta.Datatype, ErrInvalid)
		}
		if err := f.give(m.library, t, m.in[i].elem, i); err != nil {
			return fmt.Errorf("the input %q: %w", meta.Name, err)
		}
	}
	return nil
}

// compute runs the graph. When the context ends it is told to.
func (m *Model) compute(ctx context.Context, f *frame) error {
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, f.terminate)
	}
	err := m.library.try(fnRun, at(m.session), at(f.options),
		uintptr(unsafe.Pointer(unsafe.SliceData(m.inNames))), uintptr(unsafe.Pointer(unsafe.SliceData(f.inputs))), uintptr(len(m.in)),
		uintptr(unsafe.Pointer(unsafe.SliceData(f.names))), uintptr(len(f.names)), uintptr(unsafe.Pointer(unsafe.SliceData(f.outputs))))
	if !stop() {
		<-f.told
		call(m.library.fn(fnRunOptionsUnsetTerminate), at(f.options))
	}
	return err
}
