package mlflowapi

import (
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Append appends msg, a pointer to a message, as JSON.
func Append(dst []byte, msg any) []byte {
	v := reflect.ValueOf(msg).Elem()
	return appendValue(dst, planOf(v.Type()), v)
}

func appendValue(dst []byte, p *plan, v reflect.Value) []byte {
	if p.appends && v.CanAddr() {
		return v.Addr().Interface().(appender).appendJSON(dst)
	}
	switch p.shape {
	case shapeText, shapeEnum:
		return appendText(dst, v.String())
	case shapeInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case shapeFloat:
		return appendFloat(dst, v.Float())
	case shapeBool:
		return strconv.AppendBool(dst, v.Bool())
	case shapeRaw:
		if v.Len() == 0 {
			return append(dst, "null"...)
		}
		return append(dst, v.Bytes()...)
	case shapePointer:
		if v.IsNil() {
			return append(dst, "null"...)
		}
		return appendValue(dst, p.elem, v.Elem())
	case shapeSlice:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, p.elem, v.Index(i))
		}
		return append(dst, ']')
	case shapeMap:
		return appendMap(dst, p, v)
	}
	dst = append(dst, '{')
	first := true
	for i := range p.fields {
		fld := &p.fields[i]
		fv := v.Field(fld.index)
		if fld.omitEmpty && isEmpty(fv) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, fld.key...)
		dst = appendValue(dst, fld.plan, fv)
	}
	return append(dst, '}')
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

func appendMap(dst []byte, p *plan, v reflect.Value) []byte {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, key.String()), ':')
		dst = appendValue(dst, p.elem, v.MapIndex(key))
	}
	return append(dst, '}')
}

// AppendText appends s as a JSON string.
func AppendText(dst []byte, s string) []byte { return appendText(dst, s) }

// AppendFloat appends v as a JSON number, NaN and the infinities as strings.
func AppendFloat(dst []byte, v float64) []byte { return appendFloat(dst, v) }

func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
