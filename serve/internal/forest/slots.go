package forest

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Missing says what becomes of a value that is not a number.
type Missing uint8

// What the libraries do with missing values.
const (
	// Right sends NaN to the right child.
	Right Missing = iota
	// Left sends NaN to the left child.
	Left
	// AsZero takes NaN for 0.
	AsZero
	// ZeroRight sends NaN to the right child, and zero as well.
	ZeroRight
	// ZeroLeft sends NaN to the left child, and zero as well.
	ZeroLeft
)

// kind is how a slot is made from its feature.
type kind uint8

const (
	lowest kind = iota // the slot of the leaves: less than everything
	plain
	nanLow
	nanZero
	zeroHigh
	zeroLow
	equal
	member
	present  // all numbers go left
	nonZero  // all numbers but zero go left
	anything // all goes left
)

// The values of slots that hold a yes or no. Their nodes compare with 0.
const (
	goLeft  = -1
	goRight = 1
)

// tiny is LightGBM's zero: what is not farther from 0 than 1e-35 as a float32.
var tiny = float64(float32(1e-35))

type slot struct {
	feature int32
	kind    kind
	value   float64 // equal
	set     *Set    // member
}

type slotKey struct {
	feature int32
	kind    kind
	value   uint64
}

// Set is a test whether a category is among some. Categories are whole numbers;
// the fraction of a value is dropped.
type Set struct {
	// Words is the set, 32 categories a word, the least first.
	Words []uint32
	// In, Missing and Invalid say which of these go left: a member, NaN, a
	// number that is no category. What is not in the set goes the other way
	// than a member.
	In, Missing, Invalid bool
	// Low and High are the bounds: a number from Low down or from High up is no
	// category. High is 1<<31 at most.
	Low, High float64
}

// Numeric returns the slot of a comparison with a feature.
func (b *Builder) Numeric(feature int, m Missing) (int32, error) {
	kinds := [...]kind{Right: plain, Left: nanLow, AsZero: nanZero, ZeroRight: zeroHigh, ZeroLeft: zeroLow}
	return b.slot(slot{feature: int32(feature), kind: kinds[m]}, feature, true)
}

// Present returns the slot of a test that every number passes; its node has the
// threshold 0. What is missing goes the way that m says.
func (b *Builder) Present(feature int, m Missing) (int32, error) {
	kinds := [...]kind{Right: present, Left: anything, AsZero: anything, ZeroRight: nonZero, ZeroLeft: anything}
	return b.slot(slot{feature: int32(feature), kind: kinds[m]}, feature, true)
}

// Equal returns the slot of a test for equality; its node has the threshold 0,
// and equal goes left.
func (b *Builder) Equal(feature int, value float64) (int32, error) {
	return b.slot(slot{feature: int32(feature), kind: equal, value: value}, feature, true)
}

// Member returns the slot of a test for a category; its node has the threshold 0.
func (b *Builder) Member(feature int, set *Set) (int32, error) {
	return b.slot(slot{feature: int32(feature), kind: member, set: set}, feature, false)
}

func (b *Builder) slot(s slot, feature int, shared bool) (int32, error) {
	if feature < 0 || feature >= b.features {
		return 0, fmt.Errorf("tree %d: a node tests feature %d of %d: %w", len(b.trees), feature, b.features, errs.ErrInvalid)
	}
	key := slotKey{s.feature, s.kind, math.Float64bits(s.value)}
	if have, ok := b.bySlot[key]; ok && shared {
		return have, nil
	}
	if len(b.slots) >= maxSlots {
		return 0, fmt.Errorf("tree %d: the model has more than %d different tests: %w", len(b.trees), maxSlots, errs.ErrInvalid)
	}
	at := int32(len(b.slots))
	b.slots = append(b.slots, s)
	if shared {
		b.bySlot[key] = at
	}
	return at, nil
}

// side turns the answer of a test into a value of a slot.
func side[T Float](left bool) T {
	if left {
		return goLeft
	}
	return goRight
}

// fill makes the value of a slot from a feature's.
func fill[T Float](s *slot, x T) T {
	switch s.kind {
	case nanLow:
		if x != x {
			return T(math.Inf(-1))
		}
	case nanZero:
		if x != x {
			return 0
		}
	case zeroHigh, zeroLow:
		if x != x || isTiny(x) {
			if s.kind == zeroLow {
				return T(math.Inf(-1))
			}
			return T(math.NaN())
		}
	case present:
		return side[T](x == x)
	case nonZero:
		return side[T](x == x && !isTiny(x))
	case anything:
		return goLeft
	case equal:
		return side[T](float64(x) == s.value)
	case member:
		return side[T](s.set.left(float64(x)))
	}
	return x
}

func isTiny[T Float](x T) bool { return T(-tiny) <= x && x <= T(tiny) }

// left reports which way a value goes.
func (s *Set) left(x float64) bool {
	switch {
	case x != x:
		return s.Missing
	case x <= s.Low || x >= s.High:
		return s.Invalid
	}
	c := uint64(int64(x)) // -0.5 is category 0
	word := c / 32
	if word < uint64(len(s.Words)) && s.Words[word]>>(c%32)&1 != 0 {
		return s.In
	}
	return !s.In
}
