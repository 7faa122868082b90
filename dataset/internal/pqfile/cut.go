package pqfile

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// CutOptions say how long fragments are, in rows.
type CutOptions struct {
	Mean     int64 // A power of two.
	Min, Max int64
}

// Cutter cuts a stream of rows where the key of a row says so: a row whose hash
// hits a mask starts a fragment. Rows that were there before are so cut at the
// same places, whatever came in before them.
type Cutter struct {
	opts    CutOptions
	columns []int
	// The mask has more bits while a fragment is short and fewer when it is long,
	// which brings the lengths closer to the mean (FastCDC).
	strict, loose uint64
	rows          int64 // Of the fragment so far.
	hashes        []uint64
}

// NewCutter cuts by the named columns.
func NewCutter(schema *arrow.Schema, key []string, opts CutOptions) (*Cutter, error) {
	c := &Cutter{opts: opts}
	level := bits.Len64(uint64(max(opts.Mean, 2))) - 1
	c.strict, c.loose = high(level+1), high(level-1)
	for _, name := range key {
		at := schema.FieldIndices(name)
		if len(at) != 1 {
			return nil, fmt.Errorf("key column %q: there are %d columns of that name", name, len(at))
		}
		if _, nested := schema.Field(at[0]).Type.(arrow.NestedType); nested {
			return nil, fmt.Errorf("key column %q is %s, which cannot be a key", name, schema.Field(at[0]).Type)
		}
		c.columns = append(c.columns, at[0])
	}
	return c, nil
}

// high is a mask of the n highest bits.
func high(n int) uint64 { return ^uint64(0) << (64 - max(n, 0)) }

// Cuts yields the rows of rec that start a fragment. Row 0 does when a fragment
// ends with the batch before.
func (c *Cutter) Cuts(rec arrow.RecordBatch) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		n := int(rec.NumRows())
		c.hash(rec, n)
		for i, h := range c.hashes[:n] {
			if c.rows >= c.opts.Min {
				mask := c.strict
				if c.rows >= c.opts.Mean {
					mask = c.loose
				}
				if h&mask == 0 || c.rows >= c.opts.Max {
					c.rows = 0
					if !yield(int64(i)) {
						return
					}
				}
			}
			c.rows++
		}
	}
}

const (
	hashSeed = 0x9e3779b97f4a7c15
	hashNull = 0xd6e8feb86659fd93
)

// hash fills c.hashes. It is a part of the format: the same rows must be cut at
// the same places by every release.
func (c *Cutter) hash(rec arrow.RecordBatch, n int) {
	if cap(c.hashes) < n {
		c.hashes = make([]uint64, n)
	}
	c.hashes = c.hashes[:n]
	for i := range c.hashes {
		c.hashes[i] = hashSeed
	}
	for _, at := range c.columns {
		switch a := rec.Column(at).(type) {
		case *array.Int8:
			hashNumbers(c.hashes, a, a.Int8Values(), func(v int8) uint64 { return uint64(v) })
		case *array.Int16:
			hashNumbers(c.hashes, a, a.Int16Values(), func(v int16) uint64 { return uint64(v) })
		case *array.Int32:
			hashNumbers(c.hashes, a, a.Int32Values(), func(v int32) uint64 { return uint64(v) })
		case *array.Int64:
			hashNumbers(c.hashes, a, a.Int64Values(), func(v int64) uint64 { return uint64(v) })
		case *array.Date32:
			hashNumbers(c.hashes, a, a.Date32Values(), func(v arrow.Date32) uint64 { return uint64(v) })
		case *array.Timestamp:
			hashNumbers(c.hashes, a, a.TimestampValues(), func(v arrow.Timestamp) uint64 { return uint64(v) })
		case *array.Float32:
			hashNumbers(c.hashes, a, a.Float32Values(), func(v float32) uint64 { return uint64(math.Float32bits(v)) })
		case *array.Float64:
			hashNumbers(c.hashes, a, a.Float64Values(), math.Float64bits)
		case *array.Boolean:
			hashEach(c.hashes, a, func(i int) uint64 {
				if a.Value(i) {
					return 1
				}
				return 0
			})
		case *array.String:
			hashEach(c.hashes, a, func(i int) uint64 { return hashText(a.Value(i)) })
		case *array.Binary:
			hashEach(c.hashes, a, func(i int) uint64 { return hashText(a.ValueString(i)) })
		case *array.Decimal128:
			hashEach(c.hashes, a, func(i int) uint64 {
				v := a.Value(i)
				return fold(v.LowBits()^hashSeed, uint64(v.HighBits())^hashNull)
			})
		}
	}
}

func hashNumbers[T any](out []uint64, a arrow.Array, values []T, word func(T) uint64) {
	hashEach(out, a, func(i int) uint64 { return word(values[i]) })
}

func hashEach(out []uint64, a arrow.Array, word func(int) uint64) {
	nulls := a.NullN() > 0
	for i, h := range out {
		w := uint64(hashNull)
		if !nulls || a.IsValid(i) {
			w = word(i)
		}
		out[i] = mix(h ^ mix(w))
	}
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += hashSeed
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fold multiplies two words and folds the product to one.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hashText hashes eight bytes at a time.
func hashText(s string) uint64 {
	h := uint64(len(s)) * hashSeed
	for len(s) >= 8 {
		h = fold(h^binary.LittleEndian.Uint64([]byte(s[:8])), hashNull)
		s = s[8:]
	}
	var rest [8]byte
	copy(rest[:], s)
	return fold(h^binary.LittleEndian.Uint64(rest[:]), hashNull|1)
}
