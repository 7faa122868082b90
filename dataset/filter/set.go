package filter

import (
	"github.com/apache/arrow/go/v15/arrow"
)

// fewValues is how many values are compared one by one; more are looked up.
const fewValues = 6

// anyOf passes what one of its tests passes.
type anyOf []test

func (t anyOf) eval(a arrow.Array, out []uint64) {
	part := make([]uint64, len(out))
	for _, x := range t {
		clear(part)
		x.eval(a, part)
		for i, w := range part {
			out[i] |= w
		}
	}
}

// unite makes one test of those of a list.
func unite(tests []test) test {
	if len(tests) <= fewValues {
		return anyOf(tests)
	}
	switch tests[0].(type) {
	case numberTest[int8]:
		return numberSetOf[int8](tests)
	case numberTest[int16]:
		return numberSetOf[int16](tests)
	case numberTest[int32]:
		return numberSetOf[int32](tests)
	case numberTest[int64]:
		return numberSetOf[int64](tests)
	case numberTest[arrow.Date32]:
		return numberSetOf[arrow.Date32](tests)
	case numberTest[arrow.Timestamp]:
		return numberSetOf[arrow.Timestamp](tests)
	case numberTest[float32]:
		return numberSetOf[float32](tests)
	case numberTest[float64]:
		return numberSetOf[float64](tests)
	case textTest:
		set := make(map[string]bool, len(tests))
		for _, x := range tests {
			t, ok := x.(textTest)
			if !ok {
				return anyOf(tests)
			}
			set[t.c] = true
		}
		return textSet{tests, set}
	}
	return anyOf(tests)
}

// numberSetOf needs tests of one type; a value that no number of the column can
// equal is among them as a fixed one, and left out.
func numberSetOf[T numeric](tests []test) test {
	set := make(map[T]bool, len(tests))
	for _, x := range tests {
		switch x := x.(type) {
		case numberTest[T]:
			set[x.c] = true
		case fixed:
			if x.yes {
				return anyOf(tests)
			}
		default:
			return anyOf(tests) // A NaN equals no key of a map.
		}
	}
	return numberSet[T]{tests, set}
}

// numberSet passes the numbers of a set.
type numberSet[T numeric] struct {
	anyOf
	set map[T]bool
}

func (t numberSet[T]) eval(a arrow.Array, out []uint64) {
	for i, v := range numbersOf[T](a) {
		if t.set[v] {
			out[i>>6] |= 1 << (i & 63)
		}
	}
}

// textSet passes the texts of a set.
type textSet struct {
	anyOf
	set map[string]bool
}

func (t textSet) eval(a arrow.Array, out []uint64) {
	data, offsets := valuesOf(a)
	for i := range a.Len() {
		if t.set[string(data[offsets[i]:offsets[i+1]])] {
			out[i>>6] |= 1 << (i & 63)
		}
	}
}
