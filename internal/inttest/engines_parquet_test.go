package inttest_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	arrow15 "github.com/apache/arrow/go/v15/arrow"
	"github.com/stretchr/testify/require"
)

// parquetFeatures makes a table of one file for each feature of Parquet that a
// writer may choose, so that what datasets use is known to be read.
func (c *corpus) parquetFeatures(dir string) {
	off := parquet.WithDictionaryDefault(false)
	for _, f := range []struct {
		title string
		props []parquet.WriterProperty
	}{
		{"Parquet: DELTA_BINARY_PACKED", []parquet.WriterProperty{off, parquet.WithEncodingFor("id", parquet.Encodings.DeltaBinaryPacked)}},
		{"Parquet: DELTA_BYTE_ARRAY", []parquet.WriterProperty{off, parquet.WithEncodingFor("string", parquet.Encodings.DeltaByteArray)}},
		{"Parquet: BYTE_STREAM_SPLIT", []parquet.WriterProperty{off, parquet.WithEncodingFor("float64", parquet.Encodings.ByteStreamSplit)}},
		{"Parquet: data pages of version 2", []parquet.WriterProperty{parquet.WithDataPageVersion(parquet.DataPageV2)}},
		{"Parquet: page index and bloom filter", []parquet.WriterProperty{parquet.WithPageIndexEnabled(true), parquet.WithBloomFilterEnabled(true)}},
		{"Parquet: LZ4_RAW", []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Lz4Raw)}},
	} {
		c.begin(f.title)
		table := filepath.Join(dir, fmt.Sprintf("parquet%d", len(c.rows)))
		handmade(c.t, table, f.props)
		c.read("all", table, -1, idRows{threeTypes, ids(0, 500), nil})
	}
}

// threeTypes are three columns of everyType.
var threeTypes = arrow15.NewSchema([]arrow15.Field{everyType.Field(0), everyType.Field(6), everyType.Field(7)}, nil)

// handmade writes a Delta table of one file with the rows 0 to 499.
func handmade(t testing.TB, table string, props []parquet.WriterProperty) {
	rec := idRows{everyType, ids(0, 500), nil}.record()
	defer rec.Release()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "float64", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "string", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	id, float, text := rec.Column(0), rec.Column(6), rec.Column(7)
	for i := range int(rec.NumRows()) {
		for at, column := range []arrow15.Array{id, float, text} {
			require.NoError(t, b.Field(at).AppendValueFromString(column.ValueStr(i)))
		}
	}
	copied := b.NewRecordBatch()
	defer copied.Release()
	var body bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &body, parquet.NewWriterProperties(props...), pqarrow.DefaultWriterProps())
	require.NoError(t, err)
	require.NoError(t, w.Write(copied))
	require.NoError(t, w.Close())

	log := filepath.Join(table, "_delta_log")
	require.NoError(t, os.MkdirAll(log, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(table, "rows.parquet"), body.Bytes(), 0o644))
	entry := `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"5d1b9a3c-0000-4000-8000-000000000000","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[` +
		`{\"name\":\"id\",\"type\":\"long\",\"nullable\":false,\"metadata\":{}},` +
		`{\"name\":\"float64\",\"type\":\"double\",\"nullable\":true,\"metadata\":{}},` +
		`{\"name\":\"string\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"configuration":{},"createdTime":0}}
` + fmt.Sprintf(`{"add":{"path":"rows.parquet","partitionValues":{},"size":%d,"modificationTime":0,"dataChange":true}}`, body.Len()) + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(log, "00000000000000000000.json"), []byte(entry), 0o644))
}
