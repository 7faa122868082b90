package monitor

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/millwright-ml/millwright/internal/errs"
)

// StructEncoder turns values of a struct type into rows. Which field is which
// feature is found out once, from the names of the fields or their tags:
//
//	type Order struct {
//		Amount  float64 `monitor:"amount"`
//		Country string  `monitor:"country"`
//		Age     *int    `monitor:"age"` // nil is a missing value
//		Note    string  `monitor:"-"`   // not a feature
//	}
//
// Numbers and bools are numbers, and text or bytes categories; a number or bool
// of a categorical feature is looked up by its decimal text or by "true" and
// "false". Fields of embedded structs count as the struct's own. After Reset
// the encoder follows the new reference by itself; when the type does not fit
// that, rows count in Snapshot.Schema. It is safe for concurrent use.
type StructEncoder[T any] struct {
	monitor *Monitor
	plan    atomic.Pointer[structPlan]
}

type structPlan struct {
	encoder *Encoder
	steps   []step
	fault   error
}

// step reads one field into one slot.
type step struct {
	offset  uintptr
	through []uintptr // Offsets behind pointers on the way to the field.
	kind    reflect.Kind
	bytes   bool
	code    bool // The slot is a category's.
	slot    int
}

// NewStructEncoder returns an encoder of T for the monitor. It returns
// ErrInvalid with every feature that T has no fitting field for.
func NewStructEncoder[T any](m *Monitor) (*StructEncoder[T], error) {
	if m == nil {
		return nil, fmt.Errorf("monitor: struct encoder: the monitor is nil: %w", ErrInvalid)
	}
	s := &StructEncoder[T]{monitor: m}
	return s, s.load().fault
}

func (s *StructEncoder[T]) load() *structPlan {
	p := s.plan.Load()
	if e := s.monitor.Encoder(); p == nil || p.encoder != e {
		p = newStructPlan(reflect.TypeFor[T](), e)
		s.plan.Store(p)
	}
	return p
}

// Encode returns the row of v, in dst if that is long enough. It returns nil
// when T does not fit the current reference.
func (s *StructEncoder[T]) Encode(dst []float64, v *T) []float64 {
	p := s.load()
	if p.fault != nil || v == nil {
		return nil
	}
	return p.encode(resize(dst, len(p.steps)), unsafe.Pointer(v))
}

// Observe is Monitor.Observe of the row of v. It allocates nothing up to 64
// features.
func (s *StructEncoder[T]) Observe(v *T, score float64, id ID) {
	var room [64]float64
	row := s.Encode(room[:], v)
	if row == nil {
		s.monitor.schema.mismatched.Add(1)
		return
	}
	s.monitor.Observe(row, score, id)
}

// newStructPlan matches the features with the fields.
func newStructPlan(t reflect.Type, e *Encoder) *structPlan {
	p := &structPlan{encoder: e, steps: make([]step, e.Len())}
	var f errs.Faults
	fields := map[string]step{}
	if t.Kind() == reflect.Struct {
		collect(t, 0, fields)
	} else {
		f.Addf("it is not a struct")
	}
	for j := range p.steps {
		name := e.Name(j)
		field, ok := fields[name]
		if !ok {
			f.Addf("feature %q has no field", name)
			continue
		}
		field.slot, field.code = j, e.Categorical(j)
		if !field.code && (field.kind == reflect.String || field.bytes) {
			f.Addf("feature %q is numeric, its field is text", name)
		}
		p.steps[j] = field
	}
	p.fault = f.Err(fmt.Sprintf("monitor: struct encoder of %s", t))
	return p
}

// collect finds the fields that a feature can be read from. Outer fields hide
// those of embedded structs with the same name.
func collect(t reflect.Type, base uintptr, fields map[string]step) {
	var embedded []reflect.StructField
	for f := range t.Fields() {
		name, tagged := f.Tag.Lookup("monitor")
		if name == "-" {
			continue
		}
		if f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct {
			embedded = append(embedded, f)
			continue
		}
		if name == "" {
			name = f.Name
		}
		s, ok := fieldStep(f.Type, base+f.Offset)
		if _, taken := fields[name]; !ok || taken {
			continue
		}
		fields[name] = s
	}
	for _, f := range embedded {
		collect(f.Type, base+f.Offset, fields)
	}
}

// fieldStep says how a type is read, false when it cannot be.
func fieldStep(t reflect.Type, offset uintptr) (step, bool) {
	s := step{offset: offset}
	for t.Kind() == reflect.Pointer {
		s.through = append(s.through, s.offset)
		s.offset = 0
		t = t.Elem()
	}
	s.kind = t.Kind()
	switch {
	case s.kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.bytes = true
		return s, true
	case s.kind >= reflect.Bool && s.kind <= reflect.Uint64, s.kind == reflect.Float32, s.kind == reflect.Float64, s.kind == reflect.String:
		return s, true
	}
	return s, false
}

func (p *structPlan) encode(dst []float64, v unsafe.Pointer) []float64 {
	for i := range p.steps {
		s := &p.steps[i]
		dst[s.slot] = s.read(p.encoder, v)
	}
	return dst
}

// read reads a field by its offset: reflection would cost more than all the
// counting. The types were checked when the plan was made.
func (s *step) read(e *Encoder, v unsafe.Pointer) float64 {
	for _, offset := range s.through {
		if v = *(*unsafe.Pointer)(unsafe.Add(v, offset)); v == nil {
			return math.NaN()
		}
	}
	v = unsafe.Add(v, s.offset)
	var text [32]byte
	switch s.kind {
	case reflect.Float64:
		return s.float(e, *(*float64)(v), text[:0], 64)
	case reflect.Float32:
		return s.float(e, float64(*(*float32)(v)), text[:0], 32)
	case reflect.String:
		return e.Category(s.slot, *(*string)(v))
	case reflect.Slice:
		return e.CategoryBytes(s.slot, *(*[]byte)(v))
	case reflect.Bool:
		return s.bool(e, *(*bool)(v), text[:0])
	case reflect.Int:
		return s.int(e, int64(*(*int)(v)), text[:0])
	case reflect.Int64:
		return s.int(e, *(*int64)(v), text[:0])
	case reflect.Int32:
		return s.int(e, int64(*(*int32)(v)), text[:0])
	case reflect.Int16:
		return s.int(e, int64(*(*int16)(v)), text[:0])
	case reflect.Int8:
		return s.int(e, int64(*(*int8)(v)), text[:0])
	case reflect.Uint:
		return s.uint(e, uint64(*(*uint)(v)), text[:0])
	case reflect.Uint64:
		return s.uint(e, *(*uint64)(v), text[:0])
	case reflect.Uint32:
		return s.uint(e, uint64(*(*uint32)(v)), text[:0])
	case reflect.Uint16:
		return s.uint(e, uint64(*(*uint16)(v)), text[:0])
	default:
		return s.uint(e, uint64(*(*uint8)(v)), text[:0])
	}
}

func (s *step) float(e *Encoder, v float64, text []byte, bits int) float64 {
	if !s.code || v != v {
		return v
	}
	return e.CategoryBytes(s.slot, strconv.AppendFloat(text, v, 'g', -1, bits))
}

func (s *step) int(e *Encoder, v int64, text []byte) float64 {
	if !s.code {
		return float64(v)
	}
	return e.CategoryBytes(s.slot, strconv.AppendInt(text, v, 10))
}

func (s *step) uint(e *Encoder, v uint64, text []byte) float64 {
	if !s.code {
		return float64(v)
	}
	return e.CategoryBytes(s.slot, strconv.AppendUint(text, v, 10))
}

func (s *step) bool(e *Encoder, v bool, text []byte) float64 {
	switch {
	case s.code:
		return e.CategoryBytes(s.slot, strconv.AppendBool(text, v))
	case v:
		return 1
	}
	return 0
}
