package checkpoint

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

func opt(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

var (
	text    = arrow.BinaryTypes.String
	long    = arrow.PrimitiveTypes.Int64
	integer = arrow.PrimitiveTypes.Int32
	boolean = arrow.FixedWidthTypes.Boolean
	textMap = arrow.MapOf(text, text)
	texts   = arrow.ListOf(text)
)

// layout is the schema of the protocol, without the columns of features that
// our tables never have.
var layout = arrow.NewSchema([]arrow.Field{
	opt("txn", arrow.StructOf(opt("appId", text), opt("version", long), opt("lastUpdated", long))),
	opt("add", arrow.StructOf(opt("path", text), opt("partitionValues", textMap), opt("size", long), opt("modificationTime", long),
		opt("dataChange", boolean), opt("stats", text), opt("tags", textMap))),
	opt("remove", arrow.StructOf(opt("path", text), opt("deletionTimestamp", long), opt("dataChange", boolean))),
	opt("metaData", arrow.StructOf(opt("id", text), opt("name", text), opt("description", text),
		opt("format", arrow.StructOf(opt("provider", text), opt("options", textMap))), opt("schemaString", text),
		opt("partitionColumns", texts), opt("createdTime", long), opt("configuration", textMap))),
	opt("protocol", arrow.StructOf(opt("minReaderVersion", integer), opt("minWriterVersion", integer),
		opt("readerFeatures", texts), opt("writerFeatures", texts))),
}, nil)

const (
	colTxn = iota
	colAdd
	colRemove
	colMetaData
	colProtocol
)

// groupRows is how many actions a row group has.
const groupRows = 1 << 16

// Write encodes a state. Equal states give equal bytes.
func Write(s *State) ([]byte, error) {
	var out bytes.Buffer
	err := pqfile.Guard("write", func() error {
		props := parquet.NewWriterProperties(
			// Snappy, as every engine's own checkpoints.
			parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDictionaryDefault(false), parquet.WithVersion(parquet.V2_6),
			parquet.WithDataPageVersion(parquet.DataPageV1), parquet.WithStats(false), parquet.WithCreatedBy("Millwright checkpoint 1"))
		fw, err := pqarrow.NewFileWriter(layout, &out, props, pqarrow.DefaultWriterProps())
		if err != nil {
			return err
		}
		w := &writer{b: array.NewRecordBuilder(memory.DefaultAllocator, layout), fw: fw}
		defer w.b.Release()
		if err := w.state(s); err != nil {
			return err
		}
		return fw.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return out.Bytes(), nil
}

type writer struct {
	b    *array.RecordBuilder
	fw   *pqarrow.FileWriter
	rows int
}

// row starts the row of one action: the other columns are null.
func (w *writer) row(col int) *array.StructBuilder {
	for i := range layout.NumFields() {
		if i != col {
			w.b.Field(i).AppendNull()
		}
	}
	w.rows++
	s := w.b.Field(col).(*array.StructBuilder)
	s.Append(true)
	return s
}

func (w *writer) state(s *State) error {
	if s.Protocol != nil {
		r := w.row(colProtocol)
		r.FieldBuilder(0).(*array.Int32Builder).Append(int32(s.Protocol.MinReader))
		r.FieldBuilder(1).(*array.Int32Builder).Append(int32(s.Protocol.MinWriter))
		putList(r.FieldBuilder(2), s.Protocol.ReaderFeatures)
		putList(r.FieldBuilder(3), s.Protocol.WriterFeatures)
	}
	if s.MetaData != nil {
		w.metaData(s.MetaData)
	}
	for _, t := range s.Txns {
		r := w.row(colTxn)
		putText(r.FieldBuilder(0), t.AppID)
		r.FieldBuilder(1).(*array.Int64Builder).Append(t.Version)
		putTime(r.FieldBuilder(2), t.LastUpdated)
	}
	for i := range s.Adds {
		w.add(&s.Adds[i])
		if w.rows >= groupRows {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

func (w *writer) metaData(m *delta.MetaData) {
	r := w.row(colMetaData)
	putText(r.FieldBuilder(0), m.ID)
	putOptional(r.FieldBuilder(1), m.Name)
	putOptional(r.FieldBuilder(2), m.Description)
	f := r.FieldBuilder(3).(*array.StructBuilder)
	f.Append(true)
	putText(f.FieldBuilder(0), m.Format.Provider)
	putMap(f.FieldBuilder(1), m.Format.Options)
	putText(r.FieldBuilder(4), m.SchemaString)
	columns := m.PartitionColumns
	if columns == nil {
		columns = []string{}
	}
	putList(r.FieldBuilder(5), columns)
	putTime(r.FieldBuilder(6), m.CreatedTime)
	putMap(r.FieldBuilder(7), m.Configuration)
}

func (w *writer) add(a *delta.Add) {
	r := w.row(colAdd)
	putText(r.FieldBuilder(0), delta.EncodePath(a.Path))
	putMap(r.FieldBuilder(1), a.PartitionValues)
	r.FieldBuilder(2).(*array.Int64Builder).Append(a.Size)
	r.FieldBuilder(3).(*array.Int64Builder).Append(a.ModificationTime)
	// A checkpoint does not change the data, whatever the commit did.
	r.FieldBuilder(4).(*array.BooleanBuilder).Append(false)
	putOptional(r.FieldBuilder(5), a.Stats)
	if a.Tags == nil {
		r.FieldBuilder(6).AppendNull()
	} else {
		putMap(r.FieldBuilder(6), a.Tags)
	}
}

func (w *writer) flush() error {
	if w.rows == 0 {
		return nil
	}
	rec := w.b.NewRecordBatch()
	defer rec.Release()
	w.rows = 0
	return w.fw.Write(rec)
}

func putText(b array.Builder, s string) { b.(*array.StringBuilder).Append(s) }

func putOptional(b array.Builder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	putText(b, s)
}

func putTime(b array.Builder, t int64) {
	if t == 0 {
		b.AppendNull()
		return
	}
	b.(*array.Int64Builder).Append(t)
}

// putList writes nil as null: a protocol without named features must have none,
// not an empty list.
func putList(b array.Builder, list []string) {
	if list == nil {
		b.AppendNull()
		return
	}
	l := b.(*array.ListBuilder)
	l.Append(true)
	for _, s := range list {
		putText(l.ValueBuilder(), s)
	}
}

func putMap(b array.Builder, m map[string]string) {
	mb := b.(*array.MapBuilder)
	mb.Append(true)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		putText(mb.KeyBuilder(), k)
		putText(mb.ItemBuilder(), m[k])
	}
}
