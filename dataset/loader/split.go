package loader

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Buckets is the number of buckets that dataset.Bucket deals rows into.
const Buckets = 1_000_000

// Split keeps the rows whose key falls into the buckets [From, To): the rows
// for which
//
//	From <= dataset.Bucket(Seed, key) && dataset.Bucket(Seed, key) < To
//
// A row stays on its side of a split whatever is appended, deleted or moved to
// other files. Splits of one seed with ranges that do not meet have no row in
// common, so this is a training set and its holdout:
//
//	train := &loader.Split{Seed: "v1", Key: []string{"id"}, To: 800_000}
//	test  := &loader.Split{Seed: "v1", Key: []string{"id"}, From: 800_000, To: loader.Buckets}
//
// Other engines keep the same rows with the condition that [Split.DuckDB] or
// [Split.Spark] writes.
type Split struct {
	// Seed tells splits apart. The default is "".
	Seed string
	// Key are the columns that identify a row: text, integers or booleans. Their
	// texts are joined with ":", and a null is the empty text. All rows of a
	// customer are on one side when the key is the customer.
	Key []string
	// From and To are buckets, 0 to 1,000,000; From is in, To is not.
	From, To int
}

func (s *Split) check(schema *arrow.Schema, f *errs.Faults) {
	f.Check(0 <= s.From && s.From < s.To && s.To <= Buckets, "the split keeps the buckets %d to %d, want 0 <= from < to <= %d", s.From, s.To, Buckets)
	f.Check(len(s.Key) > 0, "the split has no key")
	for _, name := range s.Key {
		at := schema.FieldIndices(name)
		if len(at) != 1 {
			f.Addf("the split's key has a column %q, which the table does not have", name)
			continue
		}
		switch t := schema.Field(at[0]).Type; t.ID() {
		case arrow.STRING, arrow.BOOL, arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		default:
			f.Addf("the split's key %q is %s, want text, an integer or a boolean", name, t)
		}
	}
}

// String identifies the split.
func (s *Split) String() string {
	return fmt.Sprintf("%q %q %d %d", s.Seed, s.Key, s.From, s.To)
}

// DuckDB is the split as a condition of DuckDB's SQL.
func (s *Split) DuckDB() string {
	name := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	parts := []string{"'" + strings.ReplaceAll(s.Seed, "'", "''") + "'"}
	for _, k := range s.Key {
		parts = append(parts, "coalesce("+name(k)+"::VARCHAR, '')")
	}
	bucket := "('0x' || left(md5(" + strings.Join(parts, " || ':' || ") + "), 8))::BIGINT % 1000000"
	return fmt.Sprintf("%s BETWEEN %d AND %d", bucket, s.From, s.To-1)
}

// Spark is the split as a condition of Spark's SQL.
func (s *Split) Spark() string {
	name := func(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
	parts := []string{"'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s.Seed) + "'"}
	for _, k := range s.Key {
		parts = append(parts, "coalesce(cast("+name(k)+" as string), '')")
	}
	bucket := "cast(conv(left(md5(concat_ws(':', " + strings.Join(parts, ", ") + ")), 8), 16, 10) as bigint) % 1000000"
	return fmt.Sprintf("%s BETWEEN %d AND %d", bucket, s.From, s.To-1)
}

// keep calls take for the rows of a record that are in the split.
func (s *Split) keep(rec arrow.Record, key []int, take func(row int)) {
	scratch := append(make([]byte, 0, 256), s.Seed...)
	columns := make([]arrow.Array, len(key))
	for i, c := range key {
		columns[i] = rec.Column(c)
	}
	for row := range int(rec.NumRows()) {
		text := scratch
		for _, c := range columns {
			text = appendKey(append(text, ':'), c, row)
		}
		sum := md5.Sum(text)
		if b := int(binary.BigEndian.Uint32(sum[:4]) % Buckets); s.From <= b && b < s.To {
			take(row)
		}
	}
}

// appendKey appends the text of one value of a key, as SQL casts it.
func appendKey(b []byte, column arrow.Array, row int) []byte {
	if column.IsNull(row) {
		return b
	}
	switch c := column.(type) {
	case *array.String:
		return append(b, c.Value(row)...)
	case *array.Int64:
		return strconv.AppendInt(b, c.Value(row), 10)
	case *array.Int32:
		return strconv.AppendInt(b, int64(c.Value(row)), 10)
	case *array.Int16:
		return strconv.AppendInt(b, int64(c.Value(row)), 10)
	case *array.Int8:
		return strconv.AppendInt(b, int64(c.Value(row)), 10)
	case *array.Boolean:
		return strconv.AppendBool(b, c.Value(row))
	}
	return b
}
