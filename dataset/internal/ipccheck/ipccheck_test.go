package ipccheck_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/millwright-ml/millwright/dataset/internal/ipccheck"
)

// schemaStream is a schema with children, a dictionary, a union and notes.
func schemaStream(t testing.TB) []byte {
	notes := arrow.MetadataFrom(map[string]string{"k": "v"})
	s := arrow.NewSchema([]arrow.Field{
		{Name: "list", Type: arrow.ListOf(arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int8})), Metadata: notes},
		{Name: "kind", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}},
		{Name: "either", Type: arrow.DenseUnionOf([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int8}, {Name: "b", Type: arrow.BinaryTypes.String}}, []arrow.UnionTypeCode{3, 7})},
	}, &notes)
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(s))
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestASoundSchemaPasses(t *testing.T) {
	t.Parallel()
	require.NoError(t, ipccheck.Schema(schemaStream(t)))
}

// Whatever passes, the Arrow library can read without a flood of memory.
func TestEveryDamagedByte(t *testing.T) {
	t.Parallel()
	good := schemaStream(t)
	refused := 0
	for at := range good {
		for _, flip := range []byte{0x01, 0x7f, 0x80, 0xff} {
			data := bytes.Clone(good)
			data[at] ^= flip
			if ipccheck.Schema(data) != nil {
				refused++
				continue
			}
			if size := binary.LittleEndian.Uint32(data[4:]); int(size)+8 <= len(data) {
				if r, err := ipc.NewReader(bytes.NewReader(data)); err == nil {
					r.Release()
				}
			}
		}
	}
	require.Greater(t, refused, 100)
	for n := range good[:len(good)-8] {
		require.Error(t, ipccheck.Schema(good[:n]))
	}
}

func TestClaimsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := ipccheck.Message(nil)
	require.ErrorContains(t, err, "damaged description")
	_, err = ipccheck.Message(make([]byte, 64))
	require.ErrorContains(t, err, "without a header")
}

func FuzzMessage(f *testing.F) {
	f.Add(schemaStream(f)[8:])
	f.Fuzz(func(t *testing.T, meta []byte) {
		_, _ = ipccheck.Message(meta) // No panic, and it ends.
	})
}

func FuzzFooter(f *testing.F) {
	f.Add(make([]byte, 40), int64(1000))
	f.Add(schemaStream(f)[8:], int64(1000))
	f.Fuzz(func(t *testing.T, footer []byte, size int64) {
		schema, blocks, err := ipccheck.Footer(footer, size)
		if err != nil {
			return
		}
		_, err = ipccheck.Message(schema)
		require.NoError(t, err)
		for _, b := range blocks {
			require.LessOrEqual(t, b.Offset+b.Length, size)
		}
	})
}
