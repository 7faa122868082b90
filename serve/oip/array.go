package oip

import "fmt"

// array reads one tensor's data: a JSON array, flat or nested as the shape,
// into one flat slice.
type array struct {
	scanner
	// want names the element in messages.
	want string
	// most is how many elements may still be read under the limit.
	most int64
	// hint is how many elements to make room for at the start.
	hint int64
	// leaf is the level of the scalars, 0 before the first was seen; deepest
	// the deepest level seen. Level 1 is the outer array.
	leaf, deepest int
	// dims is the length of the arrays of each level, counts the members so
	// far of the one that is open. Both are set when a level is entered.
	dims, counts [maxDepth + 1]int64
	// joined and ends are the elements of a BYTES tensor while it is read.
	joined []byte
	ends   []int
}

// unset marks a level whose length is not known yet.
const unset = -1

// start makes the array ready for the next tensor.
func (a *array) start(want string, most, hint int64) {
	a.want, a.most, a.hint = want, most, hint
	a.leaf, a.deepest = 0, 0
}

// enter consumes the bracket that opens an array of the level.
func (a *array) enter(level int) bool {
	if level > maxDepth {
		a.refuse(a.i, "arrays are nested more than %d deep", maxDepth)
		return false
	}
	if !a.take('[', "an array") {
		return false
	}
	if level > a.deepest {
		a.deepest, a.dims[level] = level, unset
	}
	a.counts[level] = 0
	return true
}

// flatten reads the array at a.i behind dst, which is empty. scalars reads
// elements up to the bracket that closes their array, without consuming it.
func flatten[T any](a *array, dst []T, scalars func(a *array, dst []T) []T) []T {
	level := 1
	if !a.enter(level) {
		return nil
	}
	for level > 0 {
		switch c := a.space(); {
		case c == '[' && (a.leaf == 0 || level < a.leaf):
			level++
			if !a.enter(level) {
				return nil
			}
			continue
		case a.leaf != 0 && a.leaf != level:
			a.fail(a.i, "an array, as before it")
			return nil
		case c == ']' && a.counts[level] == 0:
			a.leaf = level
		default:
			a.leaf = level
			before := len(dst)
			if dst = scalars(a, dst); a.err != nil {
				return nil
			}
			a.counts[level] = int64(len(dst) - before)
		}
		level = a.close(level)
	}
	return dst
}

// close consumes the bracket at a.i that ends an array of the level, and all
// that follow it directly. It returns the level that has another member, 0
// after the outer array or a fault.
func (a *array) close(level int) int {
	for {
		a.i++
		switch have, before := a.counts[level], a.dims[level]; {
		case before == unset:
			a.dims[level] = have
		case before != have:
			a.refuse(a.i-1, "the nested arrays are ragged: one has %d members, one before it %d", have, before)
			return 0
		}
		level--
		if level == 0 {
			return 0
		}
		a.counts[level]++
		switch a.space() {
		case ',':
			a.i++
			return level
		case ']':
		default:
			a.fail(a.i, "',' or ']'")
			return 0
		}
	}
}

// form compares nested data with the shape. Flat data has any shape; the
// number of elements is for Check to compare.
func (a *array) form(shape []int64) string {
	if a.leaf <= 1 {
		return ""
	}
	nested := a.dims[1 : a.leaf+1]
	same := len(nested) == len(shape)
	for i := 0; same && i < len(shape); i++ {
		same = nested[i] == shape[i]
	}
	if same {
		return ""
	}
	return fmt.Sprintf("shape is %s but data is nested as %s", shapeText(shape), shapeText(nested))
}

// full reports, and refuses, when n elements are all that the limit allows.
func (a *array) full(n int) bool {
	if int64(n) < a.most {
		return false
	}
	a.tooMany()
	return true
}

func (a *array) tooMany() {
	a.refuse(a.i, "the message has too many elements, the limit leaves %d for this tensor", a.most)
}

// next is called after a scalar: it consumes the comma and reports true, or
// stops in front of the bracket and reports false.
func (a *array) next() bool {
	if i := a.i; i+1 < len(a.b) && a.b[i] == ',' {
		if a.i++; a.b[i+1] == ' ' {
			a.i++ // As Python writes it.
		}
		return true
	}
	return a.nextLater()
}

// nextLater is next at the end, where there is other white space, or a fault.
func (a *array) nextLater() bool {
	switch a.space() {
	case ',':
		a.i++
		return true
	case ']':
	default:
		a.fail(a.i, "',' or ']'")
	}
	return false
}
