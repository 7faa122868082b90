package sqlstore

import (
	"cmp"
	"math"

	"github.com/millwright-ml/millwright/tracking"
)

// point is a point of one metric as the tables know it: NaN is value 0 with
// isNaN 1, negative zero is zero. Two equal points are one.
type point struct {
	tsMS, step int64
	value      float64
	isNaN      int64
}

func newPoint(m *tracking.Metric) point {
	p := point{tsMS: m.Time.UnixMilli(), step: m.Step, value: m.Value + 0} // + 0 makes negative zero zero
	if math.IsNaN(m.Value) {
		p.value, p.isNaN = 0, 1
	}
	return p
}

func (p point) metric(key string) tracking.Metric {
	m := tracking.Metric{Key: key, Value: p.value, Step: p.step, Time: fromMS(p.tsMS)}
	if p.isNaN != 0 {
		m.Value = math.NaN()
	}
	return m
}

// bits is the value as a blob keeps it: one pattern for NaN.
func (p point) bits() uint64 {
	if p.isNaN != 0 {
		return nanBits
	}
	return math.Float64bits(p.value)
}

var nanBits = math.Float64bits(math.NaN())

func pointFromBits(tsMS, step int64, bits uint64) point {
	p := point{tsMS: tsMS, step: step, value: math.Float64frombits(bits) + 0}
	if math.IsNaN(p.value) {
		p.value, p.isNaN = 0, 1
	}
	return p
}

// compare is the order of a history.
func (p point) compare(o point) int {
	switch {
	case p.tsMS != o.tsMS:
		return cmp.Compare(p.tsMS, o.tsMS)
	case p.step != o.step:
		return cmp.Compare(p.step, o.step)
	case p.value != o.value:
		return cmp.Compare(p.value, o.value)
	}
	return cmp.Compare(p.isNaN, o.isNaN)
}

// newerThan is tracking.Metric.NewerThan.
func (p point) newerThan(o point) bool {
	switch {
	case p.step != o.step:
		return p.step > o.step
	case p.tsMS != o.tsMS:
		return p.tsMS > o.tsMS
	case p.value != o.value:
		return p.value > o.value
	}
	return p.isNaN > o.isNaN
}
