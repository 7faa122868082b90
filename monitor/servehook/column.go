package servehook

import (
	"math"
	"strconv"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/serve/oip"
)

// column reads every stride-th element of a tensor from offset on: as numbers,
// or as categories of a feature.
type column struct {
	stride, offset int
	encoder        *monitor.Encoder // Nil for numbers.
	slot           int
}

// fill writes rows of the tensor from a row on to every width-th slot of dst.
func (c *column) fill(dst []float64, width, rows int, t *oip.Tensor, from int) {
	at := from*c.stride + c.offset
	if c.encoder != nil {
		c.categories(dst, width, rows, t, at)
		return
	}
	switch data := t.Data().(type) {
	case []float64:
		numbers(dst, width, rows, data[at:], c.stride)
	case []float32:
		numbers(dst, width, rows, data[at:], c.stride)
	case []int64:
		numbers(dst, width, rows, data[at:], c.stride)
	case []int32:
		numbers(dst, width, rows, data[at:], c.stride)
	case []int16:
		numbers(dst, width, rows, data[at:], c.stride)
	case []int8:
		numbers(dst, width, rows, data[at:], c.stride)
	case []uint64:
		numbers(dst, width, rows, data[at:], c.stride)
	case []uint32:
		numbers(dst, width, rows, data[at:], c.stride)
	case []uint16:
		numbers(dst, width, rows, data[at:], c.stride)
	case []uint8:
		numbers(dst, width, rows, data[at:], c.stride)
	case []bool:
		data = data[at:]
		for i := range rows {
			dst[i*width] = 0
			if data[i*c.stride] {
				dst[i*width] = 1
			}
		}
	}
}

type number interface {
	~float64 | ~float32 | ~int64 | ~int32 | ~int16 | ~int8 | ~uint64 | ~uint32 | ~uint16 | ~uint8
}

func numbers[T number](dst []float64, width, rows int, src []T, stride int) {
	for i := range rows {
		dst[i*width] = float64(src[i*stride])
	}
}

// categories looks each element up. The buffers stay on the stack, and a map
// lookup by converted bytes does not allocate.
func (c *column) categories(dst []float64, width, rows int, t *oip.Tensor, at int) {
	var text [32]byte
	switch data := t.Data().(type) {
	case [][]byte:
		for i := range rows {
			dst[i*width] = c.code(data[at+i*c.stride])
		}
	case []float64:
		for i := range rows {
			dst[i*width] = c.float(text[:0], data[at+i*c.stride], 64)
		}
	case []float32:
		for i := range rows {
			dst[i*width] = c.float(text[:0], float64(data[at+i*c.stride]), 32)
		}
	case []bool:
		for i := range rows {
			dst[i*width] = c.code(strconv.AppendBool(text[:0], data[at+i*c.stride]))
		}
	case []int64:
		integers(c, dst, width, rows, data[at:])
	case []int32:
		integers(c, dst, width, rows, data[at:])
	case []int16:
		integers(c, dst, width, rows, data[at:])
	case []int8:
		integers(c, dst, width, rows, data[at:])
	case []uint64:
		for i := range rows {
			dst[i*width] = c.code(strconv.AppendUint(text[:0], data[at+i*c.stride], 10))
		}
	case []uint32:
		integers(c, dst, width, rows, data[at:])
	case []uint16:
		integers(c, dst, width, rows, data[at:])
	case []uint8:
		integers(c, dst, width, rows, data[at:])
	}
}

// integers is for the integers that an int64 holds.
func integers[T int64 | int32 | int16 | int8 | uint32 | uint16 | uint8](c *column, dst []float64, width, rows int, src []T) {
	var text [32]byte
	for i := range rows {
		dst[i*width] = c.code(strconv.AppendInt(text[:0], int64(src[i*c.stride]), 10))
	}
}

func (c *column) float(text []byte, v float64, bits int) float64 {
	if math.IsNaN(v) {
		return v
	}
	return c.code(strconv.AppendFloat(text, v, 'g', -1, bits))
}

func (c *column) code(text []byte) float64 { return c.encoder.CategoryBytes(c.slot, text) }
