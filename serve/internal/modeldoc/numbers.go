package modeldoc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

var errNumber = errors.New("no number")

// Float returns a Number, or the number that a String spells.
func (v *Value) Float() (float64, error) {
	if v.kind == Number && v.elem != 0 {
		return float(v.elem, v.raw), nil
	}
	if v.kind == Number || v.kind == String {
		if f, err := strconv.ParseFloat(string(v.raw), 64); err == nil {
			return f, nil
		}
	}
	return 0, errNumber
}

// Int returns a whole Number, or the whole number that a String spells.
func (v *Value) Int() (int64, error) {
	f, err := v.Float()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, errors.New("no whole number")
	}
	return int64(f), nil
}

// float reads a scalar of UBJSON.
func float(elem byte, raw []byte) float64 {
	switch elem {
	case 'd':
		return float64(math.Float32frombits(binary.BigEndian.Uint32(raw)))
	case 'D':
		return math.Float64frombits(binary.BigEndian.Uint64(raw))
	}
	return float64(integer(elem, raw))
}

// Floats32 returns an array of numbers, each rounded once to float32.
func (v *Value) Floats32() ([]float32, error) {
	return numbers(v, func(word []byte) (float32, error) {
		f, err := strconv.ParseFloat(string(word), 32)
		return float32(f), err
	}, func(f float64) (float32, bool) { return float32(f), true })
}

// Floats64 returns an array of numbers.
func (v *Value) Floats64() ([]float64, error) {
	return numbers(v, func(word []byte) (float64, error) {
		return strconv.ParseFloat(string(word), 64)
	}, func(f float64) (float64, bool) { return f, true })
}

// Ints returns an array of whole numbers of 32 bits. true is 1 and false is 0.
func (v *Value) Ints() ([]int32, error) {
	return numbers(v, func(word []byte) (int32, error) {
		switch string(word) {
		case "true":
			return 1, nil
		case "false":
			return 0, nil
		}
		i, err := strconv.ParseInt(string(word), 10, 32)
		return int32(i), err
	}, func(f float64) (int32, bool) {
		return int32(f), f == math.Trunc(f) && math.Abs(f) < 1<<31
	})
}

// numbers reads an array of either form into one type.
func numbers[T any](v *Value, parse func([]byte) (T, error), from func(float64) (T, bool)) ([]T, error) {
	switch {
	case v.kind == Numbers && v.elem != 0:
		return binaryNumbers(v, from)
	case v.kind == Numbers:
		return textNumbers(v.raw, parse)
	case v.kind == Array:
		return listNumbers(v.list, from)
	}
	return nil, errors.New("no array of numbers")
}

func binaryNumbers[T any](v *Value, from func(float64) (T, bool)) ([]T, error) {
	w := int(width(v.elem))
	out := make([]T, len(v.raw)/w)
	for i := range out {
		n, ok := from(float(v.elem, v.raw[i*w:(i+1)*w]))
		if !ok {
			return nil, fmt.Errorf("element %d: %w", i, errNumber)
		}
		out[i] = n
	}
	return out, nil
}

func textNumbers[T any](raw []byte, parse func([]byte) (T, error)) ([]T, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
	}
	out := make([]T, 0, bytes.Count(raw, []byte(","))+1)
	for more := true; more; {
		var word []byte
		word, raw, more = bytes.Cut(raw, []byte(","))
		word = bytes.TrimSpace(word)
		n, err := parse(word)
		if err != nil {
			return nil, fmt.Errorf("element %d, %.20q: %w", len(out), word, errNumber)
		}
		out = append(out, n)
	}
	return out, nil
}

// listNumbers is for UBJSON's arrays whose elements say their type each.
func listNumbers[T any](list []Value, from func(float64) (T, bool)) ([]T, error) {
	out := make([]T, len(list))
	for i := range list {
		e := &list[i]
		var f float64
		switch {
		case e.kind == Number && e.elem != 0:
			f = float(e.elem, e.raw)
		case e.kind == Bool && len(e.raw) == len("true"):
			f = 1
		case e.kind == Bool:
		default:
			return nil, fmt.Errorf("element %d: %w", i, errNumber)
		}
		n, ok := from(f)
		if !ok {
			return nil, fmt.Errorf("element %d: %w", i, errNumber)
		}
		out[i] = n
	}
	return out, nil
}
