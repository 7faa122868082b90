package oip

import (
	"math"
	"strconv"
)

// read reads the data of a tensor of the datatype, which HasJSON, into to, or
// into new memory when that is nil.
func (a *array) read(dt Datatype, to *boxes) any {
	switch dt {
	case BOOL:
		return fill(a, to, bools)
	case UINT8:
		return fill(a, to, unsigned[uint8])
	case UINT16:
		return fill(a, to, unsigned[uint16])
	case UINT32:
		return fill(a, to, unsigned[uint32])
	case UINT64:
		return fill(a, to, unsigned[uint64])
	case INT8:
		return fill(a, to, signed[int8])
	case INT16:
		return fill(a, to, signed[int16])
	case INT32:
		return fill(a, to, signed[int32])
	case INT64:
		return fill(a, to, signed[int64])
	case FP32:
		return fill(a, to, fp32s)
	case FP64:
		return fill(a, to, fp64s)
	default:
		return a.bytesTensor(to)
	}
}

// fill is flatten into the memory of to.
func fill[T any](a *array, to *boxes, scalars func(a *array, dst []T) []T) any {
	if to == nil {
		return flatten(a, make([]T, 0, a.hint), scalars)
	}
	p := box[T](to)
	if *p == nil || int64(cap(*p)) < a.hint {
		*p = make([]T, 0, a.hint)
	}
	*p = flatten(a, (*p)[:0], scalars)
	return p
}

// element names what the tensor of the datatype holds, in messages.
func element(dt Datatype) string {
	switch dt {
	case BOOL:
		return "true or false"
	case FP32:
		return "a number (FP32)"
	case FP64:
		return "a number (FP64)"
	case BYTES:
		return "a string (BYTES)"
	case UINT8:
		return "an integer (UINT8)"
	case INT64:
		return "an integer (INT64)"
	}
	return "an integer (" + string(dt) + ")"
}

// number scans the number at a.i, past white space, without consuming it.
func (a *array) number() number {
	if c := a.space(); c != '-' && c-'0' > 9 {
		a.fail(a.i, a.want)
		return number{}
	}
	return a.scanner.number()
}

func fp32s(a *array, dst []float32) []float32 {
	for {
		n := a.number()
		if a.full(len(dst)) || n.end == 0 {
			return dst
		}
		dst = append(dst, a.float32At(n, a.i))
		a.i = n.end
		if !a.next() {
			return dst
		}
	}
}

func fp64s(a *array, dst []float64) []float64 {
	for {
		n := a.number()
		if a.full(len(dst)) || n.end == 0 {
			return dst
		}
		dst = append(dst, a.float64At(n, a.i))
		a.i = n.end
		if !a.next() {
			return dst
		}
	}
}

// unsigned reads elements of an unsigned integer type.
func unsigned[T uint8 | uint16 | uint32 | uint64](a *array, dst []T) []T {
	most := uint64(^T(0))
	for {
		n := a.number()
		if a.full(len(dst)) || n.end == 0 {
			return dst
		}
		dst = append(dst, T(a.magnitude(n, 0, most)))
		a.i = n.end
		if !a.next() {
			return dst
		}
	}
}

// signed reads elements of a signed integer type.
func signed[T int8 | int16 | int32 | int64](a *array, dst []T) []T {
	// The largest value, by its bits: all ones but the sign.
	most := uint64(math.MaxInt64)
	for T(most) < 0 {
		most >>= 1
	}
	for {
		n := a.number()
		if a.full(len(dst)) || n.end == 0 {
			return dst
		}
		v := T(a.magnitude(n, most+1, most))
		if n.neg() {
			v = -v
		}
		dst = append(dst, v)
		a.i = n.end
		if !a.next() {
			return dst
		}
	}
}

// magnitude returns the absolute value of the integer n that starts at a.i,
// at most high, or at most low when it is negative. There is no float on the
// way: all 64 bits are exact.
func (a *array) magnitude(n number, low, high uint64) uint64 {
	if !n.whole() {
		a.refuse(a.i, "found the number %s, want %s", a.clip(a.i, n.end), a.want)
		return 0
	}
	mant, fits := n.mant, true
	if !n.exact() {
		from := a.i
		if n.neg() {
			from++
		}
		var err error
		mant, err = strconv.ParseUint(a.view(from, n.end), 10, 64)
		fits = err == nil
	}
	most := high
	if n.neg() {
		most = low
	}
	if !fits || mant > most {
		a.refuse(a.i, "the number %s is out of range, want %s", a.clip(a.i, n.end), a.want)
		return 0
	}
	return mant
}

func bools(a *array, dst []bool) []bool {
	for {
		a.space()
		if a.full(len(dst)) {
			return dst
		}
		dst = append(dst, a.boolean(a.want))
		if a.err != nil || !a.next() {
			return dst
		}
	}
}

// bytesTensor reads strings. They are collected in one buffer and cut apart at
// the end, so that a column of words costs two allocations and none of them
// points into the text, which the caller reuses.
func (a *array) bytesTensor(to *boxes) any {
	a.joined, a.ends = a.joined[:0], a.ends[:0]
	// Only the number of elements is of use to flatten.
	type none = struct{}
	flatten(a, make([]none, 0, a.hint), func(a *array, dst []none) []none {
		for {
			a.space()
			if a.full(len(dst)) {
				return dst
			}
			a.joined = append(a.joined, a.bytes(a.want)...)
			a.ends = append(a.ends, len(a.joined))
			dst = append(dst, none{})
			if a.err != nil || !a.next() {
				return dst
			}
		}
	})
	if a.err != nil {
		return [][]byte(nil)
	}
	var all []byte
	var list [][]byte
	if to != nil {
		all, list = to.joined[:0], to.list[:0]
	}
	if all == nil {
		all = make([]byte, 0, len(a.joined))
	}
	if cap(list) < len(a.ends) || list == nil {
		list = make([][]byte, 0, len(a.ends))
	}
	all = append(all, a.joined...)
	from := 0
	for _, end := range a.ends {
		list = append(list, all[from:end:end])
		from = end
	}
	if to == nil {
		return list
	}
	to.joined, to.list = all, list
	return &to.list
}
