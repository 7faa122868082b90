package mlflowapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// enum is a string type whose values have numbers on the wire too.
type enum interface {
	// numbers maps each name to its number.
	numbers() map[string]int32
}

// normalizer is a message that puts deprecated fields where the current ones
// are, before required fields are checked.
type normalizer interface{ normalize() }

// decoder is a message with a decoder of its own.
type decoder interface{ decode(s *scanner) *fault }

// appender is a message with an encoder of its own.
type appender interface{ appendJSON(dst []byte) []byte }

var (
	enumType     = reflect.TypeFor[enum]()
	decoderType  = reflect.TypeFor[decoder]()
	appenderType = reflect.TypeFor[appender]()
	rawType      = reflect.TypeFor[json.RawMessage]()
)

// shape says how the values of a type are read and written.
type shape int

const (
	shapeText shape = iota
	shapeEnum
	shapeInt
	shapeFloat
	shapeBool
	shapeRaw
	shapePointer
	shapeSlice
	shapeMap
	shapeStruct
)

// plan is what the codec knows of a type.
type plan struct {
	typ    reflect.Type
	shape  shape
	elem   *plan            // of a pointer, slice or map
	names  map[string]int32 // of an enum
	labels map[int64]string // of an enum, by number
	fields []field          // of a struct
	byName map[string]int   // index of a field by its name and its camel case name
	// own codecs, on the pointer and on the value.
	decodes, appends bool
}

type field struct {
	name      string
	key       []byte // `"name":`
	index     int
	plan      *plan
	omitEmpty bool
	required  bool
}

// plans is a cache: what it holds follows from the types alone.
var plans sync.Map // reflect.Type to *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := buildPlan(t, map[reflect.Type]*plan{})
	stored, _ := plans.LoadOrStore(t, p)
	return stored.(*plan)
}

// buildPlan builds the plan of t. open has the plans under construction, for
// types that contain themselves.
func buildPlan(t reflect.Type, open map[reflect.Type]*plan) *plan {
	if p, ok := open[t]; ok {
		return p
	}
	p := &plan{
		typ:     t,
		decodes: reflect.PointerTo(t).Implements(decoderType),
		appends: reflect.PointerTo(t).Implements(appenderType),
	}
	open[t] = p
	switch {
	case t == rawType:
		p.shape = shapeRaw
	case t.Kind() == reflect.String && t.Implements(enumType):
		p.shape = shapeEnum
		p.names = reflect.Zero(t).Interface().(enum).numbers()
		p.labels = make(map[int64]string, len(p.names))
		for name, number := range p.names {
			p.labels[int64(number)] = name
		}
	case t.Kind() == reflect.String:
		p.shape = shapeText
	case t.Kind() == reflect.Int64, t.Kind() == reflect.Int32:
		p.shape = shapeInt
	case t.Kind() == reflect.Float64:
		p.shape = shapeFloat
	case t.Kind() == reflect.Bool:
		p.shape = shapeBool
	case t.Kind() == reflect.Pointer:
		p.shape, p.elem = shapePointer, buildPlan(t.Elem(), open)
	case t.Kind() == reflect.Slice:
		p.shape, p.elem = shapeSlice, buildPlan(t.Elem(), open)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		p.shape, p.elem = shapeMap, buildPlan(t.Elem(), open)
	case t.Kind() == reflect.Struct:
		p.shape = shapeStruct
		p.addFields(t, open)
	default:
		// A message of this package with such a field fails its first test.
		panic(fmt.Sprintf("mlflowapi: a message has a field of type %v", t))
	}
	return p
}

func (p *plan) addFields(t reflect.Type, open map[reflect.Type]*plan) {
	p.byName = make(map[string]int, 2*t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("json")
		if !ok || tag == "-" || !f.IsExported() {
			continue
		}
		name, rest, _ := strings.Cut(tag, ",")
		p.byName[name], p.byName[camelCase(name)] = len(p.fields), len(p.fields)
		p.fields = append(p.fields, field{
			name:      name,
			key:       []byte(`"` + name + `":`),
			index:     i,
			plan:      buildPlan(f.Type, open),
			omitEmpty: rest == "omitempty" || rest == "omitzero",
			required:  f.Tag.Get("api") == "required",
		})
	}
}

// camelCase is protobuf's JSON name of a field.
func camelCase(name string) string {
	var b strings.Builder
	upper := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			upper = true
		case upper && c >= 'a' && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
			upper = false
		default:
			b.WriteByte(c)
			upper = false
		}
	}
	return b.String()
}
