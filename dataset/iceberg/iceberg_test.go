package iceberg_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/iceberg"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "n", Type: arrow.PrimitiveTypes.Int64},
	{Name: "small", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "money", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}, Nullable: true},
	{Name: "vector", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true},
	{Name: "pair", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String}), Nullable: true},
	{Name: "props", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true},
}, nil)

// rows are n rows.
func rows(t testing.TB, n int) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		for _, f := range b.Fields()[1:6] {
			f.AppendNull()
		}
		props := b.Field(6).(*array.MapBuilder)
		props.Append(true)
		props.KeyBuilder().(*array.StringBuilder).Append("k")
		props.ItemBuilder().(*array.Int64Builder).Append(int64(i))
	}
	rec := b.NewRecord()
	defer rec.Release()
	rr, err := array.NewRecordReader(schema, []arrow.Record{rec})
	require.NoError(t, err)
	t.Cleanup(rr.Release)
	return rr
}

// history is a dataset with one version for each count of rows.
func history(t testing.TB, store blob.Store, counts ...int) (versions []*dataset.Version) {
	ctx := context.Background()
	d, err := dataset.New(store, nil).Create(ctx, "churn", schema, nil)
	require.NoError(t, err)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	versions = append(versions, v)
	for _, n := range counts {
		v, err := d.Append(ctx, rows(t, n), nil)
		require.NoError(t, err)
		versions = append(versions, v)
	}
	return versions
}

func get(t testing.TB, store blob.Store, key string) []byte {
	body, err := blob.ReadAll(context.Background(), store, key, 1<<20)
	require.NoError(t, err)
	return body
}

func TestExportNamesEveryFile(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &blob.Mem{}
	v := history(t, store, 10, 5)[2]
	url, err := iceberg.Export(ctx, store, "s3://lake/datasets/", v, "march")
	require.NoError(t, err)
	require.Equal(t, "s3://lake/datasets/churn/_iceberg/march/metadata/v1.metadata.json", url)
	key := func(url string) string { return strings.TrimPrefix(url, "s3://lake/datasets/") }

	var m struct {
		FormatVersion int    `json:"format-version"`
		Location      string `json:"location"`
		LastColumnID  int    `json:"last-column-id"`
		Schemas       []struct{ Fields []map[string]any }
		Properties    map[string]string
		Current       int64 `json:"current-snapshot-id"`
		Snapshots     []struct {
			ID      int64  `json:"snapshot-id"`
			List    string `json:"manifest-list"`
			Summary map[string]string
		}
		Refs map[string]struct {
			ID   int64 `json:"snapshot-id"`
			Type string
		}
	}
	require.NoError(t, json.Unmarshal(get(t, store, key(url)), &m))
	require.Equal(t, 2, m.FormatVersion)
	require.Equal(t, "s3://lake/datasets/churn/_iceberg/march", m.Location)
	require.Equal(t, 11, m.LastColumnID, "seven columns and four fields below them")
	require.Equal(t, map[string]any{"id": 3.0, "name": "at", "required": false, "type": "timestamptz"}, m.Schemas[0].Fields[2])
	require.Equal(t, "decimal(12, 2)", m.Schemas[0].Fields[3]["type"])
	require.Equal(t, v.Digest, m.Properties["millwright.digest"])
	require.Equal(t, "main", m.Properties["millwright.table"])
	require.Equal(t, "2", m.Properties["millwright.version"])
	require.Contains(t, m.Properties["schema.name-mapping.default"], `{"field-id":5,"names":["vector"],"fields":[{"field-id":6,"names":["element"]}]}`)
	require.Len(t, m.Snapshots, 1)
	require.Positive(t, m.Current)
	require.Equal(t, m.Current, m.Snapshots[0].ID)
	require.Equal(t, "15", m.Snapshots[0].Summary["total-records"])
	require.Equal(t, "branch", m.Refs["main"].Type)
	require.Equal(t, "tag", m.Refs["march"].Type)

	header, n, list := container(t, get(t, store, key(m.Snapshots[0].List)))
	require.Equal(t, "2", header["format-version"])
	require.Equal(t, 1, n)
	size, skip := binary.Varint(list)
	location := string(list[skip:][:size])
	require.True(t, strings.HasPrefix(location, m.Location+"/metadata/"), location)

	header, n, entries := container(t, get(t, store, key(location)))
	require.Equal(t, "data", header["content"])
	require.Equal(t, 2, n)
	for _, f := range v.Files {
		require.Contains(t, string(entries), "s3://lake/datasets/churn/"+f.Path)
	}
	require.Equal(t, "1", string(get(t, store, path.Dir(key(url))+"/version-hint.text")))

	// Of the first column the bounds are 0 and 9 in one file, and 0 and 4 in the
	// other; of the others all values are null, which the counts say.
	long := func(n byte) string { return "\x02\x10" + string([]byte{n, 0, 0, 0, 0, 0, 0, 0}) }
	require.Equal(t, 2, strings.Count(string(entries), "\x02\x02"+long(0)+"\x00"), "one bound in a map")
	require.Contains(t, string(entries), long(9))
	require.Contains(t, string(entries), long(4))
	require.Contains(t, header["avro.schema"], `"field-id":128`)
}

// Bounds are in the binary form of the specification.
func TestExportSaysBounds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		typ    arrow.DataType
		json   string
		lo, hi string
	}{
		"int":       {arrow.PrimitiveTypes.Int32, `[-2,5]`, "\xfe\xff\xff\xff", "\x05\x00\x00\x00"},
		"short":     {arrow.PrimitiveTypes.Int8, `[-2,5]`, "\xfe\xff\xff\xff", "\x05\x00\x00\x00"},
		"double":    {arrow.PrimitiveTypes.Float64, `[1.5,2]`, "\x00\x00\x00\x00\x00\x00\xf8\x3f", "\x00\x00\x00\x00\x00\x00\x00\x40"},
		"float":     {arrow.PrimitiveTypes.Float32, `[1.5,2]`, "\x00\x00\xc0\x3f", "\x00\x00\x00\x40"},
		"date":      {arrow.FixedWidthTypes.Date32, `["1970-01-02","1970-01-04"]`, "\x01\x00\x00\x00", "\x03\x00\x00\x00"},
		"text":      {arrow.BinaryTypes.String, `["b","y"]`, "b", "y"},
		"decimal":   {&arrow.Decimal128Type{Precision: 12, Scale: 2}, `["-1.28","3.00"]`, "\x80", "\x01\x2c"},
		"timestamp": {arrow.FixedWidthTypes.Timestamp_us, `["1970-01-01 00:00:00.001","1970-01-01 00:00:00.002"]`, "\xe8\x03\x00\x00\x00\x00\x00\x00", "\xb8\x0b\x00\x00\x00\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			column := arrow.NewSchema([]arrow.Field{{Name: "c", Type: c.typ, Nullable: true}}, nil)
			values, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader(c.json))
			require.NoError(t, err)
			rec := array.NewRecord(column, []arrow.Array{values}, 2)
			rr, err := array.NewRecordReader(column, []arrow.Record{rec})
			require.NoError(t, err)
			store := &blob.Mem{}
			d, err := dataset.New(store, nil).Create(ctx, "t", column, nil)
			require.NoError(t, err)
			v, err := d.Append(ctx, rr, nil)
			require.NoError(t, err)
			_, err = iceberg.Export(ctx, store, "/lake", v, "x")
			require.NoError(t, err)
			at := string(rune(2*len(c.lo))) + c.lo + "\x00\x02\x02\x02" + string(rune(2*len(c.hi))) + c.hi + "\x00"
			found := false
			for info, err := range store.List(ctx, "t/_iceberg/") {
				require.NoError(t, err)
				if strings.HasSuffix(info.Name(), ".avro") {
					_, _, plain := container(t, get(t, store, info.Name()))
					found = found || strings.Contains(string(plain), at)
				}
			}
			require.True(t, found)
		})
	}
}

// container unpacks an Avro container file of one block.
func container(t *testing.T, body []byte) (header map[string]string, records int, plain []byte) {
	r := bytes.NewReader(body)
	long := func() int {
		n, err := binary.ReadVarint(r)
		require.NoError(t, err)
		return int(n)
	}
	take := func(n int) string {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		require.NoError(t, err)
		return string(b)
	}
	require.Equal(t, "Obj\x01", take(4))
	header = map[string]string{}
	for n := long(); n > 0; n = long() {
		for range n {
			k := take(long())
			header[k] = take(long())
		}
	}
	marker := take(16)
	if r.Len() == 0 {
		return header, 0, nil
	}
	records = long()
	plain, err := io.ReadAll(flate.NewReader(strings.NewReader(take(long()))))
	require.NoError(t, err)
	require.Equal(t, marker, take(16))
	require.Zero(t, r.Len())
	return header, records, plain
}

func TestExportOfAnEmptyVersion(t *testing.T) {
	t.Parallel()
	store := &blob.Mem{}
	url, err := iceberg.Export(context.Background(), store, "/lake", history(t, store)[0], "empty")
	require.NoError(t, err)
	require.Equal(t, "/lake/churn/_iceberg/empty/metadata/v1.metadata.json", url)
	require.Contains(t, string(get(t, store, "churn/_iceberg/empty/metadata/v1.metadata.json")), `"total-data-files":"0"`)
}

func TestExportOfABranch(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &blob.Mem{}
	v := history(t, store, 3)[1]
	d, err := dataset.New(store, nil).Open(ctx, "churn")
	require.NoError(t, err)
	b, err := d.CreateBranch(ctx, "try", v)
	require.NoError(t, err)
	for light, err := range b.Log(ctx) {
		require.NoError(t, err)
		_, err = iceberg.Export(ctx, store, "/lake", light, "try")
		require.NoError(t, err)
		break
	}
	body := string(get(t, store, "churn/_iceberg/try/metadata/v1.metadata.json"))
	require.Contains(t, body, `"millwright.table":"refs"`)
	require.Contains(t, body, `"total-records":"3"`)
}

func TestExportsOfOneNameRace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &blob.Mem{}
	versions := history(t, store, 3, 4)
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = iceberg.Export(ctx, store, "file:///lake", versions[1+i%2], "tag") })
	}
	wg.Wait()
	// All exports of one of the two versions succeed, and none of the other.
	winner := 0
	if errs[0] != nil {
		winner = 1
	}
	for i, err := range errs {
		if i%2 == winner {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, iceberg.ErrExists)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &blob.Mem{}
	v := history(t, store, 1)[1]
	for _, c := range []struct{ location, name, want string }{
		{"lake", "a", `location "lake" is neither an absolute path nor a URL`},
		{"", "a", `location "" is neither`},
		{"s3://b?x=1", "a", "has a query"},
		{"s3://user:secret@b", "a", "a password"},
		{"/a\nb", "a", "control characters"},
		{"s3://b", "../a", "a name has 1 to 128"},
		{"", "", "a name has 1 to 128"},
	} {
		_, err := iceberg.Export(ctx, store, c.location, v, c.name)
		require.ErrorIs(t, err, iceberg.ErrInvalid)
		require.ErrorContains(t, err, c.want)
	}
	_, err := iceberg.Export(ctx, store, "/lake", nil, "a")
	require.ErrorIs(t, err, iceberg.ErrInvalid)
	_, err = iceberg.Export(ctx, nil, "/lake", v, "a")
	require.ErrorIs(t, err, iceberg.ErrInvalid)
}

func Example() {
	ctx := context.Background()
	store := &blob.Mem{} // Or dirblob.Open, or s3blob.Open.
	d, err := dataset.New(store, nil).Create(ctx, "churn", schema, nil)
	if err != nil {
		panic(err)
	}
	v, err := d.Latest(ctx)
	if err != nil {
		panic(err)
	}
	url, err := iceberg.Export(ctx, store, "s3://lake/datasets", v, "2026-03")
	fmt.Println(url, err)
	// Output: s3://lake/datasets/churn/_iceberg/2026-03/metadata/v1.metadata.json <nil>
}
