package oip

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// AppendRequest appends the JSON of the request to dst, data flat and after
// its datatype and shape. Each float is the shortest text that reads back as
// the same float. A tensor that Check refuses, a NaN or an infinity, a text
// that is not UTF-8 and a parameter that is not a string, number or boolean
// are errors, of kind ErrInvalid; dst is then returned as it was.
func AppendRequest(dst []byte, r *InferRequest) ([]byte, error) {
	return appendRequest(dst, r, "oip: encode request")
}

// appendRequest takes the operation for the messages.
func appendRequest(dst []byte, r *InferRequest, op string) ([]byte, error) {
	e := encoder{b: append(dst, '{')}
	if r.ID != "" {
		e.text("id", r.ID)
	}
	e.parameters(r.Parameters)
	e.tensors("inputs", r.Inputs)
	if len(r.Outputs) > 0 {
		e.raw(`"outputs":[`)
		for i := range r.Outputs {
			e.raw("{")
			e.text("name", r.Outputs[i].Name)
			e.parameters(r.Outputs[i].Parameters)
			e.close('}')
			e.b = append(e.b, ',')
		}
		e.close(']')
	}
	e.close('}')
	return e.finish(dst, op)
}

// AppendResponse appends the JSON of the response to dst, as AppendRequest
// does a request's.
func AppendResponse(dst []byte, r *InferResponse) ([]byte, error) {
	e := encoder{b: append(dst, '{')}
	e.text("model_name", r.ModelName)
	if r.ModelVersion != "" {
		e.text("model_version", r.ModelVersion)
	}
	if r.ID != "" {
		e.text("id", r.ID)
	}
	e.parameters(r.Parameters)
	e.tensors("outputs", r.Outputs)
	e.close('}')
	return e.finish(dst, "oip: encode response")
}

// encoder appends JSON. Each member and element is written with a comma behind
// it, which close turns into the bracket.
type encoder struct {
	b      []byte
	faults errs.Faults
	bad    bool
}

// refuse records a fault and lets the writing go on to find the next one.
func (e *encoder) refuse(format string, args ...any) {
	e.bad = true
	e.faults.Addf(format, args...)
}

// finish returns the text, or dst as it was and every fault.
func (e *encoder) finish(dst []byte, op string) ([]byte, error) {
	if e.bad {
		return dst, e.faults.Err(op)
	}
	return e.b, nil
}

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }

// close ends an object or array: over the last comma, or after the opening
// bracket when there were no members. The comma behind it, where it is a member
// itself, is the caller's.
func (e *encoder) close(end byte) {
	if last := len(e.b) - 1; e.b[last] == ',' {
		e.b[last] = end
	} else {
		e.b = append(e.b, end)
	}
}

// text writes a member whose value is a string. The name needs no escapes.
func (e *encoder) text(name, value string) {
	e.b = append(e.b, '"')
	e.raw(name)
	e.raw(`":`)
	if !utf8.ValidString(value) {
		e.refuse("%s %q is not valid UTF-8, which JSON requires", name, value)
	}
	e.b = appendString(e.b, value)
	e.b = append(e.b, ',')
}

// parameters writes the member, in the order of the keys, when there are any.
func (e *encoder) parameters(m map[string]any) {
	if len(m) == 0 {
		return
	}
	e.raw(`"parameters":{`)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !utf8.ValidString(k) {
			e.refuse("parameter %q is not valid UTF-8, which JSON requires", k)
		}
		e.b = append(appendString(e.b, k), ':')
		e.parameter(k, m[k])
		e.b = append(e.b, ',')
	}
	e.close('}')
	e.b = append(e.b, ',')
}

func (e *encoder) parameter(name string, v any) {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			e.refuse("parameter %q is not valid UTF-8, which JSON requires", name)
		}
		e.b = appendString(e.b, v)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case int:
		e.b = strconv.AppendInt(e.b, int64(v), 10)
	case int64:
		e.b = strconv.AppendInt(e.b, v, 10)
	case uint64:
		e.b = strconv.AppendUint(e.b, v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			e.refuse("parameter %q is %v, which JSON does not have", name, v)
			return
		}
		from := len(e.b)
		e.b = appendFloat(e.b, v, 64)
		// Keep a float a float for the reader.
		if !slices.ContainsFunc(e.b[from:], func(c byte) bool { return c == '.' || c == 'e' }) {
			e.raw(".0")
		}
	default:
		e.refuse("parameter %q is a %T, want a string, bool, int, int64, uint64 or float64", name, v)
	}
}

// tensors writes the member with a list of tensors.
func (e *encoder) tensors(list string, tensors []Tensor) {
	e.b = append(e.b, '"')
	e.raw(list)
	e.raw(`":[`)
	for i := range tensors {
		t := &tensors[i]
		if err := t.Check(); err != nil {
			e.refuse("%s[%d] %q: %v", list, i, t.Name, err)
			continue
		}
		e.raw("{")
		e.text("name", t.Name)
		e.text("datatype", string(t.Datatype))
		e.raw(`"shape":[`)
		for _, d := range t.Shape {
			e.b = append(strconv.AppendInt(e.b, d, 10), ',')
		}
		e.close(']')
		e.b = append(e.b, ',')
		e.parameters(t.Parameters)
		e.raw(`"data":[`)
		e.data(t)
		e.close(']')
		e.b = append(e.b, '}', ',')
	}
	e.close(']')
	e.b = append(e.b, ',')
}

// data writes the elements, each with a comma behind it.
func (e *encoder) data(t *Tensor) {
	switch s := t.data.(type) {
	case []bool:
		for _, v := range s {
			e.b = append(strconv.AppendBool(e.b, v), ',')
		}
	case []uint8:
		e.b = appendUnsigned(e.b, s)
	case []uint16:
		e.b = appendUnsigned(e.b, s)
	case []uint32:
		e.b = appendUnsigned(e.b, s)
	case []uint64:
		e.b = appendUnsigned(e.b, s)
	case []int8:
		e.b = appendSigned(e.b, s)
	case []int16:
		e.b = appendSigned(e.b, s)
	case []int32:
		e.b = appendSigned(e.b, s)
	case []int64:
		e.b = appendSigned(e.b, s)
	case []float32:
		for i, v := range s {
			if !e.finite(t, i, float64(v)) {
				return
			}
			e.b = append(appendFloat(e.b, float64(v), 32), ',')
		}
	case []float64:
		for i, v := range s {
			if !e.finite(t, i, v) {
				return
			}
			e.b = append(appendFloat(e.b, v, 64), ',')
		}
	case [][]byte:
		for i, v := range s {
			if !utf8.Valid(v) {
				e.refuse("tensor %q: element %d is not valid UTF-8, which JSON requires", t.Name, i)
				return
			}
			e.b = append(appendString(e.b, v), ',')
		}
	}
}

// finite refuses the values that JSON does not have.
func (e *encoder) finite(t *Tensor, i int, v float64) bool {
	if v-v == 0 {
		return true
	}
	e.refuse("tensor %q: element %d is %v, which JSON does not have", t.Name, i, v)
	return false
}

func appendUnsigned[T uint8 | uint16 | uint32 | uint64](b []byte, s []T) []byte {
	for _, v := range s {
		b = append(strconv.AppendUint(b, uint64(v), 10), ',')
	}
	return b
}

func appendSigned[T int8 | int16 | int32 | int64](b []byte, s []T) []byte {
	for _, v := range s {
		b = append(strconv.AppendInt(b, int64(v), 10), ',')
	}
	return b
}

// appendFloat writes the shortest text that reads back as v: whole numbers as
// such, an exponent only far from one, as encoding/json does.
func appendFloat(b []byte, v float64, bits int) []byte {
	// Below 2^24 every whole number is exact in both sizes and its digits
	// are the shortest text. Zero may have a sign.
	if whole := int64(v); float64(whole) == v && v > -1<<24 && v < 1<<24 && v != 0 {
		return strconv.AppendInt(b, whole, 10)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, bits)
}

// appendString writes s, which is valid UTF-8, as a JSON string.
func appendString[T string | []byte](b []byte, s T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
