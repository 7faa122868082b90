package ort

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"unicode/utf16"
	"unsafe"

	"github.com/millwright-ml/millwright/serve/oip"
)

// session makes a model of the bytes.
func (l *Library) session(src *source, o *Options) (*Model, error) {
	options := new(unsafe.Pointer)
	if err := l.try(fnCreateSessionOptions, uintptr(unsafe.Pointer(options))); err != nil {
		return nil, err
	}
	defer func() { call(l.fn(fnReleaseSessionOptions), at(*options)) }()
	if err := l.configure(*options, src, o); err != nil {
		return nil, err
	}
	m := &Model{library: l, size: src.size, run: o.Run}
	err := l.try(fnCreateSessionFromArray, at(l.env), uintptr(unsafe.Pointer(unsafe.SliceData(src.model))), uintptr(len(src.model)), at(*options), uintptr(unsafe.Pointer(&m.session)))
	runtime.KeepAlive(src)
	if err != nil {
		if o.CUDA != nil {
			return nil, err // The device may be what is wrong.
		}
		return nil, refused(err)
	}
	if err := m.describe(o); err != nil {
		call(l.fn(fnReleaseSession), at(m.session))
		return nil, err
	}
	return m, nil
}

func (l *Library) configure(options unsafe.Pointer, src *source, o *Options) error {
	if err := l.try(fnSetIntraOpNumThreads, at(options), uintptr(o.Threads)); err != nil {
		return err
	}
	if err := l.try(fnSetInterOpNumThreads, at(options), 1); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(o.Session)) {
		k, v := cString(key), cString(o.Session[key])
		if err := l.try(fnAddSessionConfigEntry, at(options), uintptr(unsafe.Pointer(k)), uintptr(unsafe.Pointer(v))); err != nil {
			return fmt.Errorf("the session's entry %q: %w", key, err)
		}
	}
	if o.CUDA != nil {
		if err := l.cuda(options, o.CUDA); err != nil {
			return err
		}
	}
	if len(src.beside) == 0 {
		return nil
	}
	names, data, lengths := make([]*byte, len(src.beside)), make([]*byte, len(src.beside)), make([]uintptr, len(src.beside))
	for i, name := range src.beside {
		if len(src.data[i]) == 0 {
			return fmt.Errorf("the constants' file %q is empty: %w", name, ErrInvalid)
		}
		names[i], data[i], lengths[i] = fileName(name), unsafe.SliceData(src.data[i]), uintptr(len(src.data[i]))
	}
	err := l.try(fnAddExternalInitializersInMemory, at(options), uintptr(unsafe.Pointer(&names[0])), uintptr(unsafe.Pointer(&data[0])), uintptr(unsafe.Pointer(&lengths[0])), uintptr(len(names)))
	runtime.KeepAlive(src)
	return err
}

// fileName is a path as ONNX Runtime takes it: Windows has two bytes a letter.
func fileName(name string) *byte {
	if runtime.GOOS != "windows" {
		return cString(name)
	}
	wide := []byte{}
	for _, u := range utf16.Encode([]rune(name + "\x00")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	return &wide[0]
}

// cuda has the session compute on a GPU.
func (l *Library) cuda(options unsafe.Pointer, c *CUDA) error {
	names, err := l.providers()
	if err != nil {
		return err
	}
	if !slices.Contains(names, "CUDAExecutionProvider") {
		return fmt.Errorf("CUDA is asked for and this ONNX Runtime %s was built without it, it has %v: %w", l.version, names, ErrUnsupported)
	}
	provider := new(unsafe.Pointer)
	if err := l.try(fnCreateCUDAProviderOptions, uintptr(unsafe.Pointer(provider))); err != nil {
		return fmt.Errorf("CUDA: %w: %w", err, ErrUnavailable)
	}
	defer func() { call(l.fn(fnReleaseCUDAProviderOptions), at(*provider)) }()
	settings := c.settings()
	var keys, values []*byte
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		keys, values = append(keys, cString(key)), append(values, cString(settings[key]))
	}
	if err := l.try(fnUpdateCUDAProviderOptions, at(*provider), uintptr(unsafe.Pointer(&keys[0])), uintptr(unsafe.Pointer(&values[0])), uintptr(len(keys))); err != nil {
		return fmt.Errorf("CUDA: the options %v: %w", settings, err)
	}
	if err := l.try(fnAppendExecutionProviderCUDA, at(options), at(*provider)); err != nil {
		return fmt.Errorf("CUDA: no GPU can be used (are the driver and the CUDA and cuDNN libraries there?): %w: %w", err, ErrUnavailable)
	}
	return nil
}

// describe asks the session for its inputs and outputs.
func (m *Model) describe(o *Options) error {
	for _, side := range []struct {
		name              string
		count, named, typ int
		list              *[]oip.TensorMetadata
		kinds             *[]kind
		texts             *[]*byte
	}{
		{"input", fnSessionGetInputCount, fnSessionGetInputName, fnSessionGetInputTypeInfo, &m.signature.Inputs, &m.in, &m.inNames},
		{"output", fnSessionGetOutputCount, fnSessionGetOutputName, fnSessionGetOutputTypeInfo, &m.signature.Outputs, &m.out, &m.outNames},
	} {
		count := new(uintptr)
		if err := m.library.try(side.count, at(m.session), uintptr(unsafe.Pointer(count))); err != nil {
			return err
		}
		for i := range *count {
			name, err := m.name(side.named, i)
			if err != nil {
				return err
			}
			meta, k, err := m.describeOne(side.typ, i)
			if err == nil && k.table && side.name == "input" {
				err = fmt.Errorf("a list of maps, which the protocol has no form for: %w", ErrUnsupported)
			}
			if err != nil {
				return fmt.Errorf("the %s %q: %w", side.name, name, err)
			}
			meta.Name = name
			if shape, given := o.Shapes[name]; given {
				meta.Shape = slices.Clone(shape)
			}
			*side.list, *side.kinds, *side.texts = append(*side.list, meta), append(*side.kinds, k), append(*side.texts, cString(name))
		}
	}
	known := func(name string) bool {
		is := func(t oip.TensorMetadata) bool { return t.Name == name }
		return slices.ContainsFunc(m.signature.Inputs, is) || slices.ContainsFunc(m.signature.Outputs, is)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Shapes)) {
		if !known(name) {
			return fmt.Errorf("the model has no input or output %q, for which Shapes has a shape: %w", name, ErrInvalid)
		}
	}
	return nil
}

func (m *Model) name(fn int, i uintptr) (string, error) {
	text := new(unsafe.Pointer)
	if err := m.library.try(fn, at(m.session), i, at(m.library.allocator), uintptr(unsafe.Pointer(text))); err != nil {
		return "", err
	}
	name := cText(*text, 1<<20)
	return name, m.library.try(fnAllocatorFree, at(m.library.allocator), at(*text))
}

// The kinds of values.
const (
	onnxTensor   = 1
	onnxSequence = 2
	onnxMap      = 3
)

// describeOne reads one type.
func (m *Model) describeOne(fn int, i uintptr) (oip.TensorMetadata, kind, error) {
	l, info := m.library, new(unsafe.Pointer)
	if err := l.try(fn, at(m.session), i, uintptr(unsafe.Pointer(info))); err != nil {
		return oip.TensorMetadata{}, kind{}, err
	}
	defer func() { call(l.fn(fnReleaseTypeInfo), at(*info)) }()
	is, err := l.valueKind(*info)
	switch {
	case err != nil:
		return oip.TensorMetadata{}, kind{}, err
	case is == onnxTensor:
		shape, elem, err := l.tensorType(*info)
		return metadata(shape, elem, err)
	case is == onnxSequence:
		elem, err := l.mapType(*info)
		meta, k, err := metadata([]int64{-1, -1}, elem, err)
		k.table = true
		return meta, k, err
	}
	return oip.TensorMetadata{}, kind{}, fmt.Errorf("it is no tensor (ONNX Runtime's type %d): %w", is, ErrUnsupported)
}

func metadata(shape []int64, elem int32, err error) (oip.TensorMetadata, kind, error) {
	if err != nil {
		return oip.TensorMetadata{}, kind{}, err
	}
	datatype, known := datatypes[elem]
	if !known {
		return oip.TensorMetadata{}, kind{}, fmt.Errorf("its elements are of ONNX's type %d, which the protocol does not have: %w", elem, ErrUnsupported)
	}
	return oip.TensorMetadata{Datatype: datatype, Shape: shape}, kind{elem: elem}, nil
}

func (l *Library) valueKind(info unsafe.Pointer) (int32, error) {
	is := new(int32)
	err := l.try(fnGetOnnxTypeFromTypeInfo, at(info), uintptr(unsafe.Pointer(is)))
	return *is, err
}

// tensorType reads a type that is a tensor's.
func (l *Library) tensorType(info unsafe.Pointer) ([]int64, int32, error) {
	tensor := new(unsafe.Pointer)
	if err := l.try(fnCastTypeInfoToTensorInfo, at(info), uintptr(unsafe.Pointer(tensor))); err != nil {
		return nil, 0, err
	}
	if *tensor == nil {
		return nil, 0, fmt.Errorf("it is no tensor: %w", ErrUnsupported)
	}
	return l.shape(*tensor)
}

// mapType reads a sequence, which must be one of maps, and returns the type of
// the maps' values.
func (l *Library) mapType(info unsafe.Pointer) (int32, error) {
	p := new(struct{ sequence, inner, table, value unsafe.Pointer })
	if err := l.try(fnCastTypeInfoToSequenceTypeInfo, at(info), uintptr(unsafe.Pointer(&p.sequence))); err != nil {
		return 0, err
	}
	if err := l.try(fnGetSequenceElementType, at(p.sequence), uintptr(unsafe.Pointer(&p.inner))); err != nil {
		return 0, err
	}
	defer func() { call(l.fn(fnReleaseTypeInfo), at(p.inner)) }()
	is, err := l.valueKind(p.inner)
	if err != nil {
		return 0, err
	}
	if is != onnxMap {
		return 0, fmt.Errorf("it is a list of other things than maps: %w", ErrUnsupported)
	}
	if err := l.try(fnCastTypeInfoToMapTypeInfo, at(p.inner), uintptr(unsafe.Pointer(&p.table))); err != nil {
		return 0, err
	}
	if err := l.try(fnGetMapValueType, at(p.table), uintptr(unsafe.Pointer(&p.value))); err != nil {
		return 0, err
	}
	defer func() { call(l.fn(fnReleaseTypeInfo), at(p.value)) }()
	_, elem, err := l.tensorType(p.value)
	if err == nil && elem != elemFloat {
		err = fmt.Errorf("it is a list of maps whose values are no float32: %w", ErrUnsupported)
	}
	return elem, err
}
