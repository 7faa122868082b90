package inttest_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// random makes datasets whose schemas and values are drawn by chance, from fixed
// seeds: columns of any type, of few values and of many, sorted and not, long
// enough to be stored in every encoding that our writer chooses.
func (c *corpus) random(store blob.Store, dir string) {
	c.begin("random schemas, in each encoding that our writer chooses")
	at := &c.rows[len(c.rows)-1]
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 20))
		schema, makers := randomSchema(r)
		name := fmt.Sprintf("random%d", seed)
		d, err := dataset.New(store, nil).Create(context.Background(), name, schema, nil)
		require.NoError(c.t, err)
		var recs []arrow.Record
		var v *dataset.Version
		for range 2 {
			rec := randomRows(r, schema, makers, 400*len(recs), 400)
			recs = append(recs, rec)
			rr, err := array.NewRecordReader(schema, []arrow.Record{rec})
			require.NoError(c.t, err)
			v, err = d.Append(context.Background(), rr, nil)
			rr.Release()
			require.NoError(c.t, err)
		}
		table, number := v.Table()
		at.reads = append(at.reads, inttest.EngineRead{
			Key: fmt.Sprintf("%s: seed %d", at.title, seed), Table: dir + "/" + table, Version: &number, Expect: writeRecords(c.t, name, recs),
		})
	}
}

// maker appends the value of row i of a column.
type maker func(r *rand.Rand, b array.Builder, i int)

// kinds are the flat types with the values that make the writer choose among its
// encodings.
func kinds() []struct {
	name string
	typ  arrow.DataType
	make maker
} {
	text := func(f func(r *rand.Rand, i int) string) maker {
		return func(r *rand.Rand, b array.Builder, i int) { b.(*array.StringBuilder).Append(f(r, i)) }
	}
	return []struct {
		name string
		typ  arrow.DataType
		make maker
	}{
		{"bool", arrow.FixedWidthTypes.Boolean, func(r *rand.Rand, b array.Builder, _ int) { b.(*array.BooleanBuilder).Append(r.IntN(3) == 0) }},
		{"tiny", arrow.PrimitiveTypes.Int8, func(r *rand.Rand, b array.Builder, _ int) { b.(*array.Int8Builder).Append(int8(r.Int())) }},
		{"short", arrow.PrimitiveTypes.Int16, func(r *rand.Rand, b array.Builder, _ int) { b.(*array.Int16Builder).Append(int16(r.Int())) }},
		{"sorted", arrow.PrimitiveTypes.Int32, func(r *rand.Rand, b array.Builder, i int) { b.(*array.Int32Builder).Append(int32(i*10 + r.IntN(10))) }},
		{"few", arrow.PrimitiveTypes.Int64, func(r *rand.Rand, b array.Builder, _ int) { b.(*array.Int64Builder).Append(int64(r.IntN(5)) << 40) }},
		{"wide", arrow.PrimitiveTypes.Int64, func(r *rand.Rand, b array.Builder, _ int) { b.(*array.Int64Builder).Append(int64(r.Uint64())) }},
		{"float", arrow.PrimitiveTypes.Float32, func(r *rand.Rand, b array.Builder, _ int) { b.(*array.Float32Builder).Append(r.Float32()) }},
		{"double", arrow.PrimitiveTypes.Float64, func(r *rand.Rand, b array.Builder, _ int) {
			b.(*array.Float64Builder).Append([]float64{r.NormFloat64(), math.NaN(), math.Inf(1), math.Copysign(0, -1)}[max(r.IntN(20)-16, 0)])
		}},
		{"price", arrow.PrimitiveTypes.Float64, func(r *rand.Rand, b array.Builder, _ int) { b.(*array.Float64Builder).Append(float64(r.IntN(100)) / 4) }},
		{"city", arrow.BinaryTypes.String, text(func(r *rand.Rand, _ int) string { return []string{"", "Köln", "São Paulo", "東京"}[r.IntN(4)] })},
		{"key", arrow.BinaryTypes.String, text(func(r *rand.Rand, _ int) string { return fmt.Sprintf("%x", r.Uint64()>>r.IntN(64)) })},
		{"customer", arrow.BinaryTypes.String, text(func(r *rand.Rand, _ int) string { return fmt.Sprintf("customer-%d", r.IntN(1e9)) })},
		{"path", arrow.BinaryTypes.String, text(func(_ *rand.Rand, i int) string { return fmt.Sprintf("/data/%04d/größe-%d", i/100, i) })},
		{"line", arrow.BinaryTypes.String, text(func(r *rand.Rand, _ int) string { return strings.Repeat("again and ", r.IntN(9)) })},
		{"bytes", arrow.BinaryTypes.Binary, func(r *rand.Rand, b array.Builder, _ int) {
			b.(*array.BinaryBuilder).Append([]byte{0, 0xff, byte(r.Int()), byte(r.Int())}[:r.IntN(5)])
		}},
		{"day", arrow.FixedWidthTypes.Date32, func(r *rand.Rand, b array.Builder, _ int) {
			b.(*array.Date32Builder).Append(arrow.Date32(r.IntN(40000) - 20000))
		}},
		{"at", arrow.FixedWidthTypes.Timestamp_us, func(r *rand.Rand, b array.Builder, i int) {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(int64(i)*1_000_003 + r.Int64N(1000) - 5_000_000_001))
		}},
		{"money", &arrow.Decimal128Type{Precision: 20, Scale: 3}, func(r *rand.Rand, b array.Builder, _ int) {
			b.(*array.Decimal128Builder).Append(decimal128.FromI64(r.Int64N(1e12) - 5e11))
		}},
	}
}

// randomSchema draws the columns: an id, flat ones and nested ones.
func randomSchema(r *rand.Rand) (*arrow.Schema, []maker) {
	flat := kinds()
	r.Shuffle(len(flat), func(i, j int) { flat[i], flat[j] = flat[j], flat[i] })
	fields := []arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}
	makers := []maker{func(_ *rand.Rand, b array.Builder, i int) { b.(*array.Int64Builder).Append(int64(i)) }}
	add := func(name string, t arrow.DataType, m maker) {
		nulls := []int{0, 2, 10}[r.IntN(3)]
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: nulls > 0})
		makers = append(makers, func(r *rand.Rand, b array.Builder, i int) {
			if nulls > 0 && r.IntN(nulls) == 0 {
				b.AppendNull()
				return
			}
			m(r, b, i)
		})
	}
	for _, k := range flat[:9] {
		add(k.name, k.typ, k.make)
	}
	elem, left, right := flat[9], flat[10], flat[11]
	add("list_"+elem.name, arrow.ListOf(elem.typ), func(r *rand.Rand, b array.Builder, i int) {
		list := b.(*array.ListBuilder)
		list.Append(true)
		for k := range r.IntN(4) {
			elem.make(r, list.ValueBuilder(), i*4+k)
		}
	})
	add("pair", arrow.StructOf(arrow.Field{Name: "left", Type: left.typ, Nullable: true}, arrow.Field{Name: "right", Type: right.typ, Nullable: true}),
		func(r *rand.Rand, b array.Builder, i int) {
			pair := b.(*array.StructBuilder)
			pair.Append(true)
			left.make(r, pair.FieldBuilder(0), i)
			if r.IntN(5) == 0 {
				pair.FieldBuilder(1).AppendNull()
			} else {
				right.make(r, pair.FieldBuilder(1), i)
			}
		})
	return arrow.NewSchema(fields, nil), makers
}

func randomRows(r *rand.Rand, schema *arrow.Schema, makers []maker, from, n int) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := from; i < from+n; i++ {
		for column, m := range makers {
			m(r, b.Field(column), i)
		}
	}
	return b.NewRecord()
}
