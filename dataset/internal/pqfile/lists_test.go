package pqfile_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// listBatch has lists of each flat type, of lists and elements that may be null
// or not, short or long, many of them empty.
func listBatch(t testing.TB, rows int, seed uint64) arrow.RecordBatch {
	r := rand.New(rand.NewPCG(seed, 5))
	made := 0
	var fields []arrow.Field
	var cols []arrow.Array
	for _, typ := range flatTypes {
		for kind := range 8 {
			if made++; made%stride != 0 {
				continue
			}
			listNulls, elemNulls, fixed := kind&1 == 1, kind&2 == 2, kind&4 == 4
			elem := arrow.Field{Name: "element", Type: typ, Nullable: elemNulls}
			b := array.NewBuilder(memory.DefaultAllocator, arrow.ListOfField(elem)).(*array.ListBuilder)
			for i := range rows {
				if listNulls && r.IntN(4) == 0 {
					b.AppendNull()
					continue
				}
				b.Append(true)
				n := 24
				if !fixed {
					n = r.IntN(6)
				}
				for range n {
					if elemNulls && r.IntN(5) == 0 && !fixed {
						b.ValueBuilder().AppendNull()
					} else {
						appendValue(b.ValueBuilder(), int64(r.IntN(10))*int64(i), r)
					}
				}
			}
			fields = append(fields, arrow.Field{Name: fmt.Sprintf("%s-%d", typ.ID(), kind), Type: arrow.ListOfField(elem), Nullable: listNulls})
			cols = append(cols, b.NewArray())
			b.Release()
		}
	}
	rec := array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(rows))
	t.Cleanup(rec.Release)
	return rec
}

func TestListsAgreeWithTheLibrary(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{1, 9, 3000} {
		want := listBatch(t, rows, uint64(rows))
		enc := encode(t, want, 2500)
		agree(t, want, enc.Body[enc.Tail:], enc.Body)
	}
}

// agree decodes a file by both ways.
func agree(t *testing.T, want arrow.RecordBatch, tail, body []byte) {
	t.Helper()
	f, err := pqfile.Open(tail, int64(len(body)))
	require.NoError(t, err)
	require.True(t, f.Own())
	row := int64(0)
	for g := range f.Groups() {
		part := want.NewSlice(row, row+f.Rows(g))
		for i := range want.NumCols() {
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			name, column := f.Schema().Field(int(i)).Name, []int{int(i)}
			ours, err := f.Decode(context.Background(), []pqfile.Segment{{Data: body}}, g, column, pqfile.DecodeOptions{Mem: mem, Trusted: true})
			require.NoError(t, err, name)
			theirs, err := f.Decode(context.Background(), []pqfile.Segment{{Data: body}}, g, column, pqfile.DecodeOptions{Mem: mem})
			require.NoError(t, err, name)
			require.NoError(t, array.ValidateFull(ours[0]), name)
			require.True(t, arrow.TypeEqual(theirs[0].DataType(), ours[0].DataType()), name)
			require.True(t, array.Equal(theirs[0], ours[0]), name)
			require.True(t, array.Equal(part.Column(int(i)), ours[0]), name)
			require.Equal(t, part.Column(int(i)).NullN(), ours[0].NullN(), name)
			ours[0].Release()
			theirs[0].Release()
			mem.AssertSize(t, 0)
		}
		part.Release()
		row += f.Rows(g)
	}
	require.Equal(t, want.NumRows(), row)
}

// TestOtherEncodings decodes files that the library writes in encodings and page
// sizes that the writer here does not choose, or not yet.
func TestOtherEncodings(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]parquet.WriterProperty{
		"lengths":      {parquet.WithDictionaryDefault(false), parquet.WithEncoding(parquet.Encodings.DeltaLengthByteArray)},
		"dictionaries": {parquet.WithDictionaryDefault(true), parquet.WithDictionaryPageSizeLimit(2000)},
		"small pages":  {parquet.WithDictionaryDefault(false), parquet.WithDataPageSize(100), parquet.WithBatchSize(16)},
		"compressed":   {parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDataPageSize(1000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := 3000
			if stride > 1 {
				rows = 1200
			}
			for _, all := range []arrow.RecordBatch{flatBatch(t, rows, 8), listBatch(t, rows/3, 9)} {
				want := all
				if name == "lengths" {
					want = textsOf(t, all)
				}
				var body bytes.Buffer
				opts := append(opts, parquet.WithDataPageVersion(parquet.DataPageV1))
				w, err := pqarrow.NewFileWriter(want.Schema(), &body, parquet.NewWriterProperties(opts...), pqarrow.DefaultWriterProps())
				require.NoError(t, err)
				require.NoError(t, w.Write(want))
				// Nobody checks the digests here.
				require.NoError(t, w.AppendKeyValueMetadata("millwright.blake3", base64.RawStdEncoding.EncodeToString(make([]byte, 32*want.NumCols()))))
				require.NoError(t, w.Close())
				agree(t, want, body.Bytes(), body.Bytes())
			}
		})
	}
}

// textsOf are the columns that are, or are lists of, texts.
func textsOf(t testing.TB, rec arrow.RecordBatch) arrow.RecordBatch {
	var fields []arrow.Field
	var cols []arrow.Array
	for i, f := range rec.Schema().Fields() {
		typ := f.Type
		if l, ok := typ.(*arrow.ListType); ok {
			typ = l.Elem()
		}
		if typ.ID() == arrow.STRING || typ.ID() == arrow.BINARY {
			fields, cols = append(fields, f), append(cols, rec.Column(i))
		}
	}
	out := array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, rec.NumRows())
	t.Cleanup(out.Release)
	return out
}
