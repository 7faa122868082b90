package serve

import (
	"context"
	"fmt"
	"reflect"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Func makes a Model of a Go function from one row to its answer. In and Out
// are structs whose exported fields are the tensors of the signature, named by
// their tags:
//
//	type Flight struct {
//		Carrier  string     `serve:"carrier"`
//		Distance float64    `serve:"distance"`
//		Weather  [3]float32 `serve:"weather"`
//		Note     string     `serve:"-"`
//	}
//
// A field of a number, bool, string or []byte type is a tensor of shape [-1]
// (int and uint travel as INT64 and UINT64, text as BYTES), an array of n of
// them one of shape [-1,n], a slice one of shape [-1,-1]. A field without a tag
// has its own name, one with the tag "-" is left out. Anything else is an
// ErrInvalid, with all that is wrong with both types.
//
// The function is called once for each row of a request, and from several
// goroutines. The error of a row fails that row's request; of a request with
// several rows it is a RowErrors.
func Func[In, Out any](f func(ctx context.Context, in In) (Out, error)) (Model, error) {
	return FuncRows(func(ctx context.Context, in []In) ([]Out, error) {
		out := make([]Out, len(in))
		var bad RowErrors
		for i := range in {
			var err error
			if out[i], err = f(ctx, in[i]); err == nil {
				continue
			}
			if len(in) == 1 || ctx.Err() != nil {
				return nil, err
			}
			if bad == nil {
				bad = RowErrors{}
			}
			bad[i] = err
		}
		if bad != nil {
			return out, bad
		}
		return out, nil
	})
}

// FuncRows is Func for a function that answers all rows of a request, or of a
// batch, at once. It returns an answer for each row, in their order; with a
// RowErrors also for the rows that are bad.
func FuncRows[In, Out any](f func(ctx context.Context, in []In) ([]Out, error)) (Model, error) {
	var faults errs.Faults
	faults.Check(f != nil, "the function is nil")
	m := &funcModel[In, Out]{
		f:    f,
		ins:  columns(&faults, "input", reflect.TypeFor[In]()),
		outs: columns(&faults, "output", reflect.TypeFor[Out]()),
	}
	if err := faults.Err("serve: func"); err != nil {
		return nil, err
	}
	return m, nil
}

// funcModel is the model of a function.
type funcModel[In, Out any] struct {
	f         func(ctx context.Context, in []In) ([]Out, error)
	ins, outs []column
}

func (m *funcModel[In, Out]) Signature() (sig Signature) {
	for _, c := range m.ins {
		sig.Inputs = append(sig.Inputs, c.meta)
	}
	for _, c := range m.outs {
		sig.Outputs = append(sig.Outputs, c.meta)
	}
	return sig
}

func (m *funcModel[In, Out]) Close() error { return nil }

func (m *funcModel[In, Out]) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	in := make([]In, req.Inputs[0].Shape[0])
	values := reflect.ValueOf(in)
	for i := range m.ins {
		m.ins[i].scatter(values, input(req, m.ins[i].meta.Name, i))
	}
	out, err := m.f(ctx, in)
	if _, some := err.(RowErrors); err != nil && (!some || len(out) != len(in)) { //nolint:errorlint // A wrapped one speaks of other rows.
		return err
	}
	if len(out) != len(in) {
		return fmt.Errorf("the function gave %d answers to %d rows", len(out), len(in))
	}
	values = reflect.ValueOf(out)
	for i := range m.outs {
		t, wrong := m.outs[i].gather(values)
		if wrong != nil {
			return wrong
		}
		resp.Outputs = append(resp.Outputs, t)
	}
	return err
}

// column is a field of a struct and its tensor.
type column struct {
	field int
	meta  oip.TensorMetadata
	kind  reflect.Kind // Of the field: Array, Slice, or that of a scalar.
	bytes bool         // The elements are []byte.
}

// columns reads the fields of a struct.
func columns(f *errs.Faults, side string, t reflect.Type) []column {
	if t.Kind() != reflect.Struct {
		f.Addf("the %s is %v, want a struct", side, t)
		return nil
	}
	var list []column
	seen := make(map[string]bool)
	for i := range t.NumField() {
		field := t.Field(i)
		name, tagged := field.Tag.Lookup("serve")
		if name == "-" {
			continue
		}
		if !field.IsExported() {
			f.Check(!tagged, "%s field %s has a tag and is not exported", side, field.Name)
			continue
		}
		if name == "" {
			name = field.Name
		}
		c := column{field: i, kind: field.Type.Kind(), meta: oip.TensorMetadata{Name: name, Shape: []int64{-1}}}
		elem := field.Type
		switch {
		case isBytes(elem):
			c.kind = reflect.String
		case c.kind == reflect.Array:
			elem = elem.Elem()
			c.meta.Shape = append(c.meta.Shape, int64(field.Type.Len()))
		case c.kind == reflect.Slice:
			elem = elem.Elem()
			c.meta.Shape = append(c.meta.Shape, -1)
		}
		c.bytes = isBytes(elem)
		if c.meta.Datatype = datatypes[elem.Kind()]; c.bytes {
			c.meta.Datatype = oip.BYTES
		}
		f.Check(c.meta.Datatype != "", "%s field %s is %v, want a number, bool, string, []byte, or an array or slice of them", side, field.Name, field.Type)
		f.Check(!seen[name], "%s %q is there twice", side, name)
		seen[name] = true
		list = append(list, c)
	}
	f.Check(len(list) > 0, "the %s struct %v has no exported fields", side, t)
	return list
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// datatypes are those of scalars.
var datatypes = map[reflect.Kind]oip.Datatype{
	reflect.Bool: oip.BOOL, reflect.String: oip.BYTES, reflect.Float32: oip.FP32, reflect.Float64: oip.FP64,
	reflect.Int: oip.INT64, reflect.Int8: oip.INT8, reflect.Int16: oip.INT16, reflect.Int32: oip.INT32, reflect.Int64: oip.INT64,
	reflect.Uint: oip.UINT64, reflect.Uint8: oip.UINT8, reflect.Uint16: oip.UINT16, reflect.Uint32: oip.UINT32, reflect.Uint64: oip.UINT64,
}

// scatter sets the field of each row from the tensor.
func (c *column) scatter(rows reflect.Value, t *oip.Tensor) {
	switch c.meta.Datatype {
	case oip.BOOL:
		set(c, rows, t.BOOL(), reflect.Value.SetBool)
	case oip.BYTES:
		if c.bytes {
			// A copy: the request's memory is used again.
			set(c, rows, t.BYTES(), func(v reflect.Value, b []byte) { v.SetBytes(append([]byte{}, b...)) })
		} else {
			set(c, rows, t.BYTES(), func(v reflect.Value, b []byte) { v.SetString(string(b)) })
		}
	case oip.FP32:
		set(c, rows, t.FP32(), func(v reflect.Value, x float32) { v.SetFloat(float64(x)) })
	case oip.FP64:
		set(c, rows, t.FP64(), reflect.Value.SetFloat)
	case oip.INT8:
		set(c, rows, t.INT8(), setInt)
	case oip.INT16:
		set(c, rows, t.INT16(), setInt)
	case oip.INT32:
		set(c, rows, t.INT32(), setInt)
	case oip.INT64:
		set(c, rows, t.INT64(), reflect.Value.SetInt)
	case oip.UINT8:
		set(c, rows, t.UINT8(), setUint)
	case oip.UINT16:
		set(c, rows, t.UINT16(), setUint)
	case oip.UINT32:
		set(c, rows, t.UINT32(), setUint)
	case oip.UINT64:
		set(c, rows, t.UINT64(), reflect.Value.SetUint)
	}
}

func setInt[T int8 | int16 | int32](v reflect.Value, x T)     { v.SetInt(int64(x)) }
func setUint[T uint8 | uint16 | uint32](v reflect.Value, x T) { v.SetUint(uint64(x)) }

// set sets the field of each row from its part of the data.
func set[T any](c *column, rows reflect.Value, data []T, to func(reflect.Value, T)) {
	n := rows.Len()
	width := len(data) / max(n, 1)
	for i := range n {
		field := rows.Index(i).Field(c.field)
		switch c.kind {
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), width, width))
		case reflect.Array:
		default:
			to(field, data[i])
			continue
		}
		for j := range width {
			to(field.Index(j), data[i*width+j])
		}
	}
}

// gather makes the tensor of the field of each row.
func (c *column) gather(rows reflect.Value) (oip.Tensor, error) {
	width := 1
	shape := []int64{int64(rows.Len())}
	switch c.kind {
	case reflect.Array:
		width = int(c.meta.Shape[1])
	case reflect.Slice:
		for i := range rows.Len() {
			n := rows.Index(i).Field(c.field).Len()
			if i == 0 {
				width = n
			}
			if n != width {
				return oip.Tensor{}, fmt.Errorf("output %q has %d elements in row %d and %d in row 0", c.meta.Name, n, i, width)
			}
		}
	}
	if c.kind == reflect.Array || c.kind == reflect.Slice {
		shape = append(shape, int64(width))
	}
	var data any
	switch c.meta.Datatype {
	case oip.BOOL:
		data = get(c, rows, width, reflect.Value.Bool)
	case oip.BYTES:
		if c.bytes {
			data = get(c, rows, width, reflect.Value.Bytes)
		} else {
			data = get(c, rows, width, func(v reflect.Value) []byte { return []byte(v.String()) })
		}
	case oip.FP32:
		data = get(c, rows, width, func(v reflect.Value) float32 { return float32(v.Float()) })
	case oip.FP64:
		data = get(c, rows, width, reflect.Value.Float)
	case oip.INT8:
		data = get(c, rows, width, func(v reflect.Value) int8 { return int8(v.Int()) })
	case oip.INT16:
		data = get(c, rows, width, func(v reflect.Value) int16 { return int16(v.Int()) })
	case oip.INT32:
		data = get(c, rows, width, func(v reflect.Value) int32 { return int32(v.Int()) })
	case oip.INT64:
		data = get(c, rows, width, reflect.Value.Int)
	case oip.UINT8:
		data = get(c, rows, width, func(v reflect.Value) uint8 { return uint8(v.Uint()) })
	case oip.UINT16:
		data = get(c, rows, width, func(v reflect.Value) uint16 { return uint16(v.Uint()) })
	case oip.UINT32:
		data = get(c, rows, width, func(v reflect.Value) uint32 { return uint32(v.Uint()) })
	case oip.UINT64:
		data = get(c, rows, width, reflect.Value.Uint)
	}
	return oip.New(c.meta.Name, c.meta.Datatype, shape, data), nil
}

// get collects the elements of the field of each row.
func get[T any](c *column, rows reflect.Value, width int, of func(reflect.Value) T) []T {
	list := make([]T, 0, rows.Len()*width)
	for i := range rows.Len() {
		field := rows.Index(i).Field(c.field)
		if c.kind != reflect.Array && c.kind != reflect.Slice {
			list = append(list, of(field))
			continue
		}
		for j := range width {
			list = append(list, of(field.Index(j)))
		}
	}
	return list
}
