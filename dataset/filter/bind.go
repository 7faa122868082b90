package filter

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/decimal128"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Bound is an expression that fits a schema. It is immutable and safe for
// concurrent use.
type Bound struct {
	root    *bound
	columns []arrow.Field // The columns that are used, sorted by name.
}

// bound is a node whose constants have the type of its column.
type bound struct {
	kind   kind
	column int // In Bound.columns.
	test   test
	args   []*bound
}

// test is a comparison of the values of one column with constants. It knows
// nothing of nulls.
type test interface {
	// eval sets bit i of out for each value that passes; the bits of nulls may
	// become anything.
	eval(a arrow.Array, out []uint64)
	// outcomes says what the test can give for values within the statistics.
	outcomes(s Stats) outcomes
}

// Bind checks the expression against a schema: every column is there, once, and
// can be compared with its constants. Every fault is reported, as one
// ErrInvalid.
func (e Expr) Bind(schema *arrow.Schema) (*Bound, error) {
	b := &Bound{}
	var f errs.Faults
	if schema == nil {
		schema = arrow.NewSchema(nil, nil)
	}
	at := map[string]int{}
	for _, name := range e.Columns() {
		fields, _ := schema.FieldsByName(name)
		switch len(fields) {
		case 0:
			f.Addf("there is no column %q", name)
		case 1:
			at[name] = len(b.columns)
			b.columns = append(b.columns, fields[0])
		default:
			f.Addf("%d columns are called %q", len(fields), name)
		}
	}
	if e.root != nil {
		b.root = b.bind(e.root, at, &f)
	}
	if err := f.Err("filter: " + shorten(e.String())); err != nil {
		return nil, err
	}
	return b, nil
}

func shorten(s string) string {
	const enough = 200
	if len(s) > enough {
		s = s[:enough] + "…"
	}
	return s
}

// Columns are the names of the columns that Eval needs, sorted.
func (b *Bound) Columns() []string {
	names := make([]string, len(b.columns))
	for i, f := range b.columns {
		names[i] = f.Name
	}
	return names
}

func (b *Bound) bind(n *node, at map[string]int, f *errs.Faults) *bound {
	out := &bound{kind: n.kind}
	for _, a := range n.args {
		out.args = append(out.args, b.bind(a, at, f))
	}
	if n.kind != compare && n.kind != in && n.kind != isNull {
		return out
	}
	i, ok := at[n.column]
	if !ok {
		return out
	}
	out.column = i
	if n.kind == isNull {
		return out
	}
	out.kind = compare
	tests := make([]test, 0, len(n.values))
	reported := 0
	for _, v := range n.values {
		t, err := newTest(b.columns[i].Type, n.op, v)
		if err != nil {
			if reported++; reported <= 3 { // A long list is wrong in one way.
				f.Addf("column %q: %v", n.column, err)
			}
			continue
		}
		tests = append(tests, t)
	}
	if reported > 0 {
		return out
	}
	out.test = tests[0]
	if n.kind == in {
		out.test = unite(tests)
	}
	return out
}

// newTest makes the constant a value of the column's type.
func newTest(t arrow.DataType, o op, l literal) (test, error) {
	if l.kind == bad {
		return nil, errors.New(l.text)
	}
	if o == like {
		return newLike(t, l)
	}
	switch t := t.(type) {
	case *arrow.BooleanType:
		if l.kind == boolean {
			return boolTest{o, l.text == "TRUE"}, nil
		}
	case *arrow.Int8Type:
		return integerTest[int8](t, o, l, math.MinInt8, math.MaxInt8)
	case *arrow.Int16Type:
		return integerTest[int16](t, o, l, math.MinInt16, math.MaxInt16)
	case *arrow.Int32Type:
		return integerTest[int32](t, o, l, math.MinInt32, math.MaxInt32)
	case *arrow.Date32Type:
		return integerTest[arrow.Date32](t, o, l, math.MinInt32, math.MaxInt32)
	case *arrow.Int64Type:
		return integerTest[int64](t, o, l, math.MinInt64, math.MaxInt64)
	case *arrow.TimestampType:
		return integerTest[arrow.Timestamp](t, o, l, math.MinInt64, math.MaxInt64)
	case *arrow.Float32Type:
		return newFloat[float32](t, o, l, 32)
	case *arrow.Float64Type:
		return newFloat[float64](t, o, l, 64)
	case *arrow.Decimal128Type:
		return newDecimal(t, o, l)
	case *arrow.StringType:
		if l.kind == text {
			return textTest{o, l.text}, nil
		}
	case *arrow.BinaryType:
		if l.kind == rawBytes || l.kind == text {
			return textTest{o, l.text}, nil
		}
	default:
		return nil, fmt.Errorf("%s values cannot be compared, only IS NULL and IS NOT NULL ask about them", t)
	}
	return nil, mismatch(t, l)
}

func mismatch(t arrow.DataType, l literal) error {
	return fmt.Errorf("%s cannot be compared with %s", t, l.describe())
}

// exact is the literal as a number in the unit of a column of type t.
func exact(t arrow.DataType, l literal) (*big.Rat, error) {
	unit := int64(0) // Nanoseconds.
	switch t := t.(type) {
	case *arrow.Date32Type:
		unit = 86400e9
	case *arrow.TimestampType:
		unit = int64(t.Unit.Multiplier())
	case *arrow.Decimal128Type:
		if l.kind != number {
			return nil, mismatch(t, l)
		}
		r, err := rational(l.text)
		if err != nil {
			return nil, err
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Scale)), nil)
		return r.Mul(r, new(big.Rat).SetInt(scale)), nil
	}
	if unit == 0 {
		if l.kind != number {
			return nil, mismatch(t, l)
		}
		return rational(l.text)
	}
	at := l.at
	if l.kind == text {
		var err error
		if at, err = parseTime(l.text); err != nil {
			return nil, err
		}
	} else if l.kind != instant {
		return nil, mismatch(t, l)
	}
	nanos := new(big.Int).Mul(big.NewInt(at.Unix()), big.NewInt(1e9))
	nanos.Add(nanos, big.NewInt(int64(at.Nanosecond())))
	return new(big.Rat).SetFrac(nanos, big.NewInt(unit)), nil
}

// onIntegers turns a comparison of integers between low and high with any
// number into one with such an integer, or into one that is the same for all.
func onIntegers(o op, r *big.Rat, low, high *big.Int) (op, *big.Int, *fixed) {
	// Euclidean division of a positive denominator is the floor.
	floor, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	less, greater := o == lt || o == le, o == gt || o == ge
	switch {
	case floor.Cmp(low) < 0: // Every value is greater.
		return o, nil, &fixed{greater || o == ne}
	case floor.Cmp(high) > 0 || floor.Cmp(high) == 0 && rest.Sign() != 0: // Every value is less.
		return o, nil, &fixed{less || o == ne}
	case rest.Sign() == 0:
		return o, floor, nil
	case less:
		return le, floor, nil
	case greater:
		return gt, floor, nil
	}
	return o, nil, &fixed{o == ne}
}

func integerTest[T integer](t arrow.DataType, o op, l literal, low, high int64) (test, error) {
	r, err := exact(t, l)
	if err != nil {
		return nil, err
	}
	o, c, same := onIntegers(o, r, big.NewInt(low), big.NewInt(high))
	if same != nil {
		return *same, nil
	}
	return numberTest[T]{o, T(c.Int64())}, nil
}

func newDecimal(t *arrow.Decimal128Type, o op, l literal) (test, error) {
	r, err := exact(t, l)
	if err != nil {
		return nil, err
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil)
	limit.Sub(limit, big.NewInt(1))
	o, c, same := onIntegers(o, r, new(big.Int).Neg(limit), limit)
	if same != nil {
		return *same, nil
	}
	return decimalTest{o, decimal128.FromBigInt(c)}, nil
}

func newFloat[T float32 | float64](t arrow.DataType, o op, l literal, bits int) (test, error) {
	s := l.text
	switch {
	case l.kind == number:
	case l.kind == text && (s == "NaN" || s == "Infinity" || s == "-Infinity"):
	default:
		return nil, mismatch(t, l)
	}
	v, err := strconv.ParseFloat(s, bits)
	if err != nil && !math.IsInf(v, 0) {
		return nil, err
	}
	if err != nil {
		// The number is beyond the largest float and not infinite.
		switch {
		case o == eq || o == ne:
			return fixed{o == ne}, nil
		case v > 0 && o == gt:
			o = ge
		case v > 0 && o == le:
			o = lt
		case v < 0 && o == lt:
			o = le
		case v < 0 && o == ge:
			o = gt
		}
	}
	return newFloatTest(o, T(v)), nil
}
