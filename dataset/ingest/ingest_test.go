package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/ingest"
)

// rows reads everything as one text a row, and the error at the end.
func rows(r *ingest.Reader) (out []string, err error) {
	defer r.Release()
	for r.Next() {
		rec := r.Record()
		for i := range int(rec.NumRows()) {
			cells := make([]string, rec.NumCols())
			for c := range cells {
				cells[c] = cell(rec.Column(c), i)
			}
			out = append(out, strings.Join(cells, "|"))
		}
	}
	return out, r.Err()
}

// cell writes a value; v15 prints decimals through a float64.
func cell(a arrow.Array, i int) string {
	if d, ok := a.(*array.Decimal128); ok && d.IsValid(i) {
		return d.Value(i).ToString(d.DataType().(*arrow.Decimal128Type).Scale)
	}
	return a.ValueStr(i)
}

// read reads a text under a name; the allocator must be empty at the end.
func read(t testing.TB, name, text string, o *ingest.Options) (*arrow.Schema, []string, error) {
	t.Helper()
	var opts ingest.Options
	if o != nil {
		opts = *o
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	opts.Allocator = mem
	r, err := ingest.NewReader(context.Background(), name, strings.NewReader(text), &opts)
	if err != nil {
		mem.AssertSize(t, 0)
		return nil, nil, err
	}
	schema := r.Schema()
	out, err := rows(r)
	mem.AssertSize(t, 0)
	return schema, out, err
}

// types writes a schema on one line.
func types(s *arrow.Schema) string {
	parts := make([]string, len(s.Fields()))
	for i, f := range s.Fields() {
		parts[i] = f.Name + " " + f.Type.String()
	}
	return strings.Join(parts, ", ")
}

func TestTypesOfCSV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ values, typ, want string }{
		{"true\nFalse\n\n", "bool", "true,false"},
		{"1\n-7\n9223372036854775807", "int64", "1,-7,9223372036854775807"},
		{"007\n12", "utf8", "007,12"},
		{"+1", "utf8", "+1"},
		{"9223372036854775808", "utf8", "9223372036854775808"},
		{"1\n2.5\nNaN\n-inf\n1e3", "float64", "1,2.5,NaN,-Inf,1000"},
		{"2026-11-21\n1969-12-31", "date32", "2026-11-21,1969-12-31"},
		{"2026-02-29", "utf8", "2026-02-29"},
		{"2026-11-21T17:00:00Z\n2026-11-21 17:00:00.5+01:00", "timestamp[us, tz=UTC]", "2026-11-21 17:00:00Z,2026-11-21 16:00:00.5Z"},
		{"2026-11-21\n2026-11-21T17:00:00Z", "utf8", "2026-11-21,2026-11-21T17:00:00Z"},
		{"a\n1", "utf8", "a,1"},
		{"1_0\n0x1p3", "utf8", "1_0,0x1p3"},
	} {
		schema, got, err := read(t, "a.csv", "c\n"+c.values, nil)
		require.NoError(t, err, c.values)
		require.Equal(t, "c "+c.typ, types(schema), c.values)
		require.Equal(t, c.want, strings.Join(got, ","), c.values)
	}
}

func TestNullsAndQuotes(t *testing.T) {
	t.Parallel()
	const text = "\xef\xbb\xbfid,name,x\r\n1,\"a \"\"b\"\", c\",2\r\n\r\n2,\"two\nlines\",\r\n3,\"\",\"\"\n4,,NA\n5,say \"hi\",1"
	schema, got, err := read(t, "a.csv", text, &ingest.Options{CSV: ingest.CSVOptions{Null: []string{"", "NA"}}})
	require.NoError(t, err)
	require.Equal(t, "id int64, name utf8, x int64", types(schema))
	require.Equal(t, []string{`1|a "b", c|2`, "2|two\nlines|(null)", "3||(null)", "4|(null)|(null)", `5|say "hi"|1`}, got)
}

func TestSeparators(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a.csv": "a;b\n1,5;x\n2,5;y\n",
		"b.csv": "a\tb\n1,5\tx\n2,5\ty\n",
		"c.txt": "a|b\n1,5|x\n2,5|y\n",
		"d.tsv": "a\tb\n1,5\tx\n2,5\ty\n",
		"e.csv": "a,b\n\"1,5\",x\n\"2,5\",y\n",
	} {
		schema, got, err := read(t, name, text, nil)
		require.NoError(t, err, name)
		require.Equal(t, "a utf8, b utf8", types(schema), name)
		require.Equal(t, []string{"1,5|x", "2,5|y"}, got, name)
	}
}

func TestHeaderAndSkippedLines(t *testing.T) {
	t.Parallel()
	schema, got, err := read(t, "a.csv", "# made by a tool\n\n1,x\n2,y\n", &ingest.Options{CSV: ingest.CSVOptions{Skip: 1, Header: []string{"n", "t"}}})
	require.NoError(t, err)
	require.Equal(t, "n int64, t utf8", types(schema))
	require.Equal(t, []string{"1|x", "2|y"}, got)

	_, _, err = read(t, "a.csv", "a,,a\n1,2,3\n", nil)
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, `column 2 has no name; column "a" is there twice`)
	_, _, err = read(t, "a.csv", "", nil)
	require.ErrorContains(t, err, "it is empty")
	schema, got, err = read(t, "a.csv", "a,b\n", nil)
	require.NoError(t, err)
	require.Equal(t, "a utf8, b utf8", types(schema))
	require.Empty(t, got)
}

func TestErrorsNameFileRowAndColumn(t *testing.T) {
	t.Parallel()
	asInts := &ingest.Options{Types: map[string]arrow.DataType{"b": arrow.PrimitiveTypes.Int8}}
	for _, c := range []struct{ name, text, want string }{
		{"a.csv", "a,b\nx,1\n\"y\nz\",2\nq,abc\n", `ingest: read "a.csv": row 3 (line 5), column "b": "abc" is not an int8: invalid`},
		{"a.csv", "a,b\nx,1\ny,200\n", `ingest: read "a.csv": row 2 (line 3), column "b": "200" is out of the range of an int8: invalid`},
		{"a.csv", "a,b\nx,1\ny\n", `ingest: read "a.csv": row 2 (line 3): the row has 1 fields, the header 2: invalid`},
		{"a.csv", "a,b\nx,1\n\"y\"z,2\n", `ingest: read "a.csv": row 2 (line 3): "\"y\"z" goes on behind its closing quote: invalid`},
		{"a.csv", "a,b\nx,1\n\"y,2\n", `ingest: read "a.csv": row 2 (line 3): "\"y,2\n" opens a quote that never closes: invalid`},
		{"a.csv", "a,b\nx\xff,1\n", `ingest: read "a.csv": row 1 (line 2), column "a": "x\xff" is not UTF-8 text: invalid`},
		{"a.jsonl", "{\"a\":1,\"b\":1}\n\n{\"a\":2,\"b\":\"x\"}\n", `ingest: read "a.jsonl": row 2 (line 3), column "b": "\"x\"" is not an int8: invalid`},
		{"a.jsonl", "{\"a\":1,\"b\":1}\n{\"a\":2,\"b\":1}}\n", `ingest: read "a.jsonl": row 2 (line 2): "{\"a\":2,\"b\":1}}" follows the object on its line: invalid`},
	} {
		_, _, err := read(t, c.name, c.text, asInts)
		require.ErrorIs(t, err, ingest.ErrInvalid, c.text)
		require.EqualError(t, err, c.want)
		at := (*ingest.RowError)(nil)
		require.ErrorAs(t, err, &at)
	}
}

func TestBadRowsAreLeftOut(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a.csv":   "n,t\n1,a\nx,b\n3,c\n4\n5,e\n",
		"a.jsonl": `{"n":1,"t":"a"}` + "\n" + `{"n":"x","t":"b"}` + "\n" + `{"n":3,"t":"c"}` + "\n" + `{"n":4,"t":` + "\n" + `{"t":"e","n":5}` + "\n",
	} {
		var bad []int64
		o := &ingest.Options{
			Types:   map[string]arrow.DataType{"n": arrow.PrimitiveTypes.Int64},
			BadRows: func(e *ingest.RowError) error { bad = append(bad, e.Row); return nil },
		}
		_, got, err := read(t, name, text, o)
		require.NoError(t, err, name)
		require.Equal(t, []string{"1|a", "3|c", "5|e"}, got, name)
		require.Equal(t, []int64{2, 4}, bad, name)

		stop := errors.New("too many")
		o.BadRows = func(*ingest.RowError) error { return stop }
		_, _, err = read(t, name, text, o)
		require.ErrorIs(t, err, stop, name)
	}
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	const text = `{"id":1,"at":"2026-11-21T17:00:00Z","tags":["a","b"],"who":{"name":"Grüße\n\ud83d\ude00","age":3},"x":1}
{"id":2,"x":2.5,"big":123456789012345678901,"mixed":true,"none":{}}
{"who":{"age":null,"name":"b"},"id":3,"tags":[],"day":"2026-01-02","mixed":"t","more":[[1],[2,3]]}
`
	schema, got, err := read(t, "a.jsonl", text, nil)
	require.NoError(t, err)
	require.Equal(t, "id int64, at timestamp[us, tz=UTC], tags list<item: utf8, nullable>, who struct<name: utf8, age: int64>, x float64, big utf8, mixed utf8, none map<utf8, utf8, items_nullable>, day date32, more list<item: list<item: int64, nullable>, nullable>", types(schema))
	require.Len(t, got, 3)
	require.Contains(t, got[0], `"age":3`)
	require.Contains(t, got[0], `😀`)
	require.Contains(t, got[1], "2|(null)|(null)|(null)|2.5|123456789012345678901|true|")
	require.Contains(t, got[2], `|t|(null)|2026-01-02|[[1],[2,3]]`)

	for text, want := range map[string]string{
		`[{"a":1}]`: "jq -c",
		`{"a":{"b":1}}` + "\n" + `{"a":{"b":[1]}}`: `column "a".b holds arrays and plain values`,
		`{"a":1,"a":2}`:              "is there twice",
		`{"a":01}`:                   "is not JSON",
		`{"a":"\q"}`:                 "unknown escape",
		`{"a":"` + "\x01" + `"}`:     "control character",
		`{"a":"` + "\xff" + `"}`:     "not UTF-8",
		strings.Repeat(`{"a":`, 100): "nested too deep",
		`{}`:                         "have no row with a value",
	} {
		_, _, err := read(t, "a.jsonl", text, nil)
		require.ErrorIs(t, err, ingest.ErrInvalid, text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestColumnsThatTheSampleDidNotHave(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(`{"a":1}`+"\n", 100) + `{"a":2,"b":{"c":[1,2]}}` + "\n"
	o := &ingest.Options{SampleBytes: 200}
	_, _, err := read(t, "a.jsonl", text, o)
	require.ErrorContains(t, err, `row 101 (line 101), column "b": is not a column of the records`)
	o.IgnoreUnknown = true
	_, got, err := read(t, "a.jsonl", text, o)
	require.NoError(t, err)
	require.Len(t, got, 101)
}

func TestTimesWithoutAZoneNeedALocation(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for name, text := range map[string]string{
		"a.csv":   "at\n2026-11-21 12:00:00\n2026-07-01T12:00:00.25\n",
		"a.jsonl": `{"at":"2026-11-21 12:00:00"}` + "\n" + `{"at":"2026-07-01T12:00:00.25"}` + "\n",
	} {
		_, _, err := read(t, name, text, nil)
		require.ErrorIs(t, err, ingest.ErrInvalid)
		require.ErrorContains(t, err, `column "at" has times without a zone: say in Options.Location`)
		_, got, err := read(t, name, text, &ingest.Options{Location: berlin})
		require.NoError(t, err)
		require.Equal(t, []string{"2026-11-21 11:00:00Z", "2026-07-01 10:00:00.25Z"}, got)
		_, got, err = read(t, name, text, &ingest.Options{Location: time.UTC})
		require.NoError(t, err)
		require.Equal(t, []string{"2026-11-21 12:00:00Z", "2026-07-01 12:00:00.25Z"}, got)
	}
	_, _, err = read(t, "a.csv", "at\n2026-11-21 12:00:00.1234567Z\n", nil)
	require.ErrorContains(t, err, "finer than a microsecond")
	_, got, err := read(t, "a.csv", "at\n2026-11-21 12:00:00.1234567Z\n", &ingest.Options{Round: true})
	require.NoError(t, err)
	require.Equal(t, []string{"2026-11-21 12:00:00.123456Z"}, got)
}

func TestDecimalsAndNestedCells(t *testing.T) {
	t.Parallel()
	o := &ingest.Options{Types: map[string]arrow.DataType{
		"d": &arrow.Decimal128Type{Precision: 38, Scale: 2}, "v": arrow.ListOf(arrow.PrimitiveTypes.Float32),
	}}
	text := "d,v\n12.5,\"[1,2.5]\"\n-000999999999999999999999999999999999999.99,[]\n.1,\n"
	_, got, err := read(t, "a.csv", text, o)
	require.NoError(t, err)
	require.Equal(t, []string{"12.50|[1,2.5]", "-999999999999999999999999999999999999.99|[]", "0.10|(null)"}, got)
}

func TestManyFilesOfOneSchema(t *testing.T) {
	t.Parallel()
	var gz, zs bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write([]byte("b,a\n2,x\n"))
	require.NoError(t, w.Close())
	z, err := zstd.NewWriter(&zs)
	require.NoError(t, err)
	_, _ = z.Write([]byte("a,b\ny,2.5\n"))
	require.NoError(t, z.Close())
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"1.csv": []byte("a,b\nw,1\n"), "2.csv.gz": gz.Bytes(), "3.csv.zst": zs.Bytes(), "4.csv": nil, "5.jsonl": []byte(`{"b":4,"a":"z"}` + "\n"),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	var steps []ingest.Progress
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	o := &ingest.Options{Allocator: mem, Progress: func(p ingest.Progress) { steps = append(steps, p) }}
	r, err := ingest.Open(context.Background(), []string{filepath.Join(dir, "*.csv*"), filepath.Join(dir, "5.jsonl")}, o)
	require.NoError(t, err)
	require.Equal(t, "a utf8, b float64", types(r.Schema()))
	got, err := rows(r)
	require.NoError(t, err)
	require.Equal(t, []string{"w|1", "x|2", "y|2.5", "z|4"}, got)
	mem.AssertSize(t, 0)
	last := steps[len(steps)-1]
	require.Equal(t, filepath.Join(dir, "5.jsonl"), last.File)
	require.Equal(t, 5, last.Of)
	require.EqualValues(t, 4, last.Rows)
	require.Equal(t, last.Size, last.Bytes)

	// The same through a file system.
	r, err = ingest.OpenFS(context.Background(), os.DirFS(dir), []string{"*.csv", "2.csv.gz"}, nil)
	require.NoError(t, err)
	got, err = rows(r)
	require.NoError(t, err)
	require.Len(t, got, 2)

	_, err = ingest.Open(context.Background(), []string{filepath.Join(dir, "*.parquet"), dir, filepath.Join(dir, "[")}, nil)
	require.ErrorIs(t, err, ingest.ErrNotFound)
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, "it is a folder")
	_, err = ingest.Open(context.Background(), nil, nil)
	require.ErrorIs(t, err, ingest.ErrInvalid)
}

func TestFilesOfAnotherSchemaAreRefused(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"1.csv": {Data: []byte("a,b\n1,2\n")}, "2.csv": {Data: []byte("a,c,d\n1,2,3\n")}}
	r, err := ingest.OpenFS(context.Background(), files, []string{"*.csv"}, nil)
	require.NoError(t, err)
	_, err = rows(r)
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, `read "2.csv": its columns are others: column "b" is missing; column "c" is not one of the records: Options.IgnoreUnknown skips it; column "d"`)
	r, err = ingest.OpenFS(context.Background(), files, []string{"*.csv"}, &ingest.Options{Columns: []string{"a"}})
	require.NoError(t, err)
	got, err := rows(r)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "1"}, got)
}

func TestRowsAcrossBlocksComeBackInOrder(t *testing.T) {
	t.Parallel()
	var csv, jsonl strings.Builder
	var want []string
	csv.WriteString("n,t\n")
	for i := range 5000 {
		text := strings.Repeat("é\"\n,", i%7)
		fmt.Fprintf(&csv, "%d,\"%s\"\n", i, strings.ReplaceAll(text, `"`, `""`))
		fmt.Fprintf(&jsonl, `{"n":%d,"t":"%s"}`+"\n", i, strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(text))
		want = append(want, fmt.Sprintf("%d|%s", i, text))
	}
	for _, block := range []int{1, 100, 4096, 1 << 20} {
		for name, text := range map[string]string{"a.csv": csv.String(), "a.jsonl": jsonl.String()} {
			_, got, err := read(t, name, text, &ingest.Options{BlockBytes: block, Workers: 3})
			require.NoError(t, err)
			require.Equal(t, want, got, "%s in blocks of %d", name, block)
		}
	}
}

func TestReleaseInTheMiddleEndsEverything(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	text := "n\n" + strings.Repeat("1\n", 100_000)
	r, err := ingest.NewReader(context.Background(), "a.csv", strings.NewReader(text), &ingest.Options{BlockBytes: 100, Allocator: mem})
	require.NoError(t, err)
	require.True(t, r.Next())
	kept := r.Record()
	kept.Retain()
	r.Retain()
	r.Release()
	require.True(t, r.Next())
	r.Release()
	require.False(t, r.Next())
	require.EqualValues(t, 1, kept.Column(0).(*array.Int64).Value(0))
	kept.Release()
	mem.AssertSize(t, 0)

	ctx, cancel := context.WithCancel(context.Background())
	r, err = ingest.NewReader(ctx, "a.csv", strings.NewReader(text), &ingest.Options{BlockBytes: 100, Allocator: mem})
	require.NoError(t, err)
	require.True(t, r.Next())
	cancel()
	for r.Next() {
		continue
	}
	require.ErrorIs(t, r.Err(), context.Canceled)
	r.Release()
	mem.AssertSize(t, 0)
}

func TestARowIsBounded(t *testing.T) {
	t.Parallel()
	text := "n\n\"" + strings.Repeat("x", 10_000)
	_, _, err := read(t, "a.csv", text, &ingest.Options{MaxBytes: 4096, BlockBytes: 512, SampleBytes: 16, Schema: arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.BinaryTypes.String}}, nil)})
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, "line 2 starts a row of more than 4096 bytes")
}

func TestDamagedCompression(t *testing.T) {
	t.Parallel()
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write([]byte("a\n" + strings.Repeat("some text\n", 50_000)))
	require.NoError(t, w.Close())
	cut := gz.String()[:gz.Len()-20]
	_, _, err := read(t, "a.csv.gz", cut, &ingest.Options{SampleBytes: 100})
	require.ErrorIs(t, err, ingest.ErrInvalid)
	require.ErrorContains(t, err, "damaged or cut off")
}

func TestOptionsReportEveryFault(t *testing.T) {
	t.Parallel()
	o := &ingest.Options{
		Format: "xls", BlockBytes: -1, Workers: -2, Columns: []string{"a", "a"},
		Schema: arrow.NewSchema([]arrow.Field{{Name: "u", Type: arrow.PrimitiveTypes.Uint8}, {Name: "u", Type: arrow.BinaryTypes.String}}, nil),
		CSV:    ingest.CSVOptions{Comma: '"', Quote: '"', Skip: -1},
	}
	_, err := ingest.NewReader(context.Background(), "a.csv", strings.NewReader(""), o)
	require.ErrorIs(t, err, ingest.ErrInvalid)
	for _, want := range []string{`format is "xls"`, "block bytes", "workers", `"a" is asked for twice`, "both a schema and columns", "ask for int16", "in the schema twice", "comma and quote", "lines to skip"} {
		require.ErrorContains(t, err, want)
	}
	_, err = ingest.NewReader(context.Background(), "a.csv", nil, nil)
	require.ErrorIs(t, err, ingest.ErrInvalid)
}
