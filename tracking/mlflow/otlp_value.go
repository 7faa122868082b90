package mlflow

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
)

// The texts of span attributes are JSON as Python's json module writes it,
// since they are shown to people and compared by programs as they are: a space
// after ':' and ',', no escapes beyond the necessary ones, 1.0 and 1 apart, and
// NaN and Infinity bare.

// appendAttribute appends v as the text of an attribute.
func appendAttribute(dst []byte, v *commonpb.AnyValue) []byte {
	return valueWriter{bare: true}.value(dst, v)
}

// appendObject appends pairs as an object of plain JSON, where NaN and the
// infinities are texts.
func appendObject(dst []byte, pairs []*commonpb.KeyValue) []byte {
	return valueWriter{}.object(dst, pairs)
}

type valueWriter struct {
	bare bool // writes NaN and the infinities as Python does
}

// value appends the JSON of v, null for none.
func (w valueWriter) value(dst []byte, v *commonpb.AnyValue) []byte {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return appendText(dst, v.StringValue)
	case *commonpb.AnyValue_BoolValue:
		return strconv.AppendBool(dst, v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.AppendInt(dst, v.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return w.double(dst, v.DoubleValue)
	case *commonpb.AnyValue_BytesValue:
		return appendText(dst, base64.StdEncoding.EncodeToString(v.BytesValue))
	case *commonpb.AnyValue_ArrayValue:
		dst = append(dst, '[')
		for i, e := range v.ArrayValue.GetValues() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = w.value(dst, e)
		}
		return append(dst, ']')
	case *commonpb.AnyValue_KvlistValue:
		return w.object(dst, v.KvlistValue.GetValues())
	}
	return append(dst, "null"...)
}

// object appends pairs as a JSON object. Of a key that comes twice the last
// value counts, at the place of the first.
func (w valueWriter) object(dst []byte, pairs []*commonpb.KeyValue) []byte {
	dst = append(dst, '{')
	for i, kv := range distinct(pairs) {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendText(dst, kv.GetKey())
		dst = append(dst, ": "...)
		dst = w.value(dst, kv.GetValue())
	}
	return append(dst, '}')
}

func distinct(pairs []*commonpb.KeyValue) []*commonpb.KeyValue {
	at := make(map[string]int, len(pairs))
	for i, kv := range pairs {
		if _, ok := at[kv.GetKey()]; ok {
			return merged(pairs)
		}
		at[kv.GetKey()] = i
	}
	return pairs
}

func merged(pairs []*commonpb.KeyValue) []*commonpb.KeyValue {
	at := make(map[string]int, len(pairs))
	var out []*commonpb.KeyValue
	for _, kv := range pairs {
		if i, ok := at[kv.GetKey()]; ok {
			out[i] = kv
			continue
		}
		at[kv.GetKey()] = len(out)
		out = append(out, kv)
	}
	return out
}

// appendText appends s as a JSON string.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
	}
	return append(dst, '"')
}

// double appends v as Python writes a float: the shortest digits, with a
// point or an exponent, the exponent from 1e16 on and below 1e-4.
func (w valueWriter) double(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		name := "NaN"
		if math.IsInf(v, 1) {
			name = "Infinity"
		} else if math.IsInf(v, -1) {
			name = "-Infinity"
		}
		if w.bare {
			return append(dst, name...)
		}
		return append(append(append(dst, '"'), name...), '"')
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	if slices.Contains(dst[start:], '.') {
		return dst
	}
	return append(dst, '.', '0')
}
