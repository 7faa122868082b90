package oip

import (
	"fmt"
	"math"
	"strings"
)

// Check reports how the tensor contradicts itself: no name, no data of its
// datatype, a negative dimension, a number of elements other than the product
// of its shape, nested JSON data of another form than its shape. The error is
// an ErrInvalid whose text is made to follow the tensor's name.
func (t *Tensor) Check() error {
	if t.Name != "" && t.fault == "" && t.sound() {
		return nil
	}
	var list []string
	if t.Name == "" {
		list = append(list, "it has no name")
	}
	switch n, ok := elements(t.Shape); {
	case typeOf(t.data) == "":
		list = append(list, "it has no data")
	case !t.typed():
		list = append(list, fmt.Sprintf("datatype is %q but the data is %s", t.Datatype, typeOf(t.data)))
	case !ok:
		list = append(list, fmt.Sprintf("shape %s has a negative dimension or is too large", shapeText(t.Shape)))
	case t.fault != "":
		list = append(list, t.fault)
	case n != int64(t.Len()):
		list = append(list, fmt.Sprintf("shape %s needs %d elements, data has %d", shapeText(t.Shape), n, t.Len()))
	}
	return malformed(strings.Join(list, "; "))
}

// malformed is an ErrInvalid without its word at the end, for texts that are
// put together from several.
type malformed string

func (m malformed) Error() string        { return string(m) }
func (m malformed) Is(target error) bool { return target == ErrInvalid }

// sound is the cheap part of Check, for the hot path.
func (t *Tensor) sound() bool {
	n, ok := elements(t.Shape)
	return ok && n == int64(t.Len()) && t.typed()
}

// typed reports whether the data is of the tensor's datatype.
func (t *Tensor) typed() bool {
	d := typeOf(t.data)
	return d == t.Datatype || d == UINT16 && (t.Datatype == FP16 || t.Datatype == BF16)
}

// typeOf returns the datatype that the Go slice stands for, "" for none.
func typeOf(data any) Datatype {
	switch data.(type) {
	case *[]bool, []bool:
		return BOOL
	case *[]uint8, []uint8:
		return UINT8
	case *[]uint16, []uint16:
		return UINT16
	case *[]uint32, []uint32:
		return UINT32
	case *[]uint64, []uint64:
		return UINT64
	case *[]int8, []int8:
		return INT8
	case *[]int16, []int16:
		return INT16
	case *[]int32, []int32:
		return INT32
	case *[]int64, []int64:
		return INT64
	case *[]float32, []float32:
		return FP32
	case *[]float64, []float64:
		return FP64
	case *[][]byte, [][]byte:
		return BYTES
	}
	return ""
}

// elements returns the product of the dimensions, false when one is negative
// or the product does not fit an int64. A zero dimension gives zero, whatever
// the others are.
func elements(shape []int64) (int64, bool) {
	n := int64(1)
	overflow := false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			n, overflow = 0, false
		}
		if n != 0 && !overflow {
			if d > math.MaxInt64/n {
				overflow = true
				continue
			}
			n *= d
		}
	}
	return n, !overflow
}

// shapeText writes a shape as it looks in JSON.
func shapeText(shape []int64) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
}
