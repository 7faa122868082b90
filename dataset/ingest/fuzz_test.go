package ingest_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/ingest"
)

var twoTexts = arrow.NewSchema([]arrow.Field{
	{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "b", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// What encoding/csv reads is read the same, and the cut into blocks never shows.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"1,2\n", "\"a\",\"b\"\"c\"\nx,\n", "\"a\nb\",c\n\n\nd,e", "a\"b,c\n", "\"a\"b,c\n", "\"", "a,b,c\n", "x\n", "\"\"\"\",\"\"\n", ",\n,\n", "a,\"b\n\",\"\n",
		"\r\n\"a\",b\r\nc,d\r", "é,\xff\n",
	} {
		f.Add(s, uint8(7))
		f.Add(s, uint8(1))
	}
	f.Fuzz(func(t *testing.T, text string, block uint8) {
		o := &ingest.Options{Schema: twoTexts, CSV: ingest.CSVOptions{Comma: ',', Header: []string{"a", "b"}, Null: []string{"never so"}}}
		_, got, err := read(t, "a.csv", text, o)
		small := *o
		small.BlockBytes, small.Workers = int(block)+1, 2
		_, cut, cutErr := read(t, "a.csv", text, &small)
		if err == nil {
			require.NoError(t, cutErr)
			require.Equal(t, got, cut)
		} else {
			require.ErrorIs(t, err, ingest.ErrInvalid)
			// The text after the faulty value may be cut off, the place may not.
			one, two := (*ingest.RowError)(nil), (*ingest.RowError)(nil)
			if errors.As(err, &one) && errors.As(cutErr, &two) {
				require.Equal(t, [2]int64{one.Row, one.Line}, [2]int64{two.Row, two.Line})
			}
			require.Error(t, cutErr)
		}

		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = 2
		records, stdErr := r.ReadAll()
		if stdErr != nil || strings.Contains(text, "\r") || !utf8.ValidString(text) || strings.HasPrefix(text, "\xef\xbb\xbf") {
			return
		}
		var want []string
		for _, rec := range records {
			want = append(want, rec[0]+"|"+rec[1])
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// What encoding/json takes for one value of a name is taken, and nothing else.
func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{
		`1`, `-0.5e+7`, `01`, `"a\u00e9\n"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\x"`, `{"b":[1,{"c":null}]}`, `[1,]`, `{"a":1,}`, `tru`, `true`, `nul`, `.5`, `1.`, `1e`, `--1`, `"`, `{"x"`, `[[[[]]]]`, "\"\x01\"", "\"\xff\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsAny(value, "\n\x00") || strings.Count(value, "[")+strings.Count(value, "{") > 60 {
			return
		}
		line := `{"x":` + value + `}`
		valid := json.Valid([]byte(line)) && utf8.ValidString(value)
		o := &ingest.Options{Schema: twoTexts, IgnoreUnknown: true}
		_, got, err := read(t, "a.jsonl", line, o)
		if valid && !errors.Is(err, ingest.ErrInvalid) {
			// An object that closes early and names a column is no skipping.
			require.Len(t, got, 1)
		}
		if !valid {
			require.ErrorIs(t, err, ingest.ErrInvalid)
		}

		// Inferred, it is read back by the types that it was given.
		if _, _, err = read(t, "a.jsonl", line, &ingest.Options{Location: time.UTC, Round: true}); err != nil {
			require.ErrorIs(t, err, ingest.ErrInvalid)
		}
		var object map[string]json.RawMessage
		if !valid || json.Unmarshal([]byte(line), &object) != nil || len(object) != 1 {
			return
		}
		var text string
		if json.Unmarshal(object["x"], &text) == nil && text != "" && object["x"][0] == '"' {
			want := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
			_, got, err = read(t, "a.jsonl", line, &ingest.Options{Schema: want})
			if err == nil {
				require.Equal(t, []string{text}, got)
			}
		}
	})
}

// Times and decimals are what the standard library makes of them.
func FuzzCells(f *testing.F) {
	for _, s := range []string{"2026-11-21T17:00:00Z", "0001-01-01T00:00:00.000001+18:00", "9999-12-31T23:59:59.999999-05:30", "2024-02-29T24:00:00Z", "-12.340", ".5", "+1.", "99999999999999999999.99", "1e5", "NaN", "-9223372036854775808", "007"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\n\r\",") || text == "" || !utf8.ValidString(text) {
			return
		}
		read := func(typ arrow.DataType) (string, error) {
			o := &ingest.Options{Types: map[string]arrow.DataType{"c": typ}, CSV: ingest.CSVOptions{Comma: ','}}
			_, got, err := read(t, "a.csv", "c\n"+text+"\n", o)
			if err != nil {
				require.ErrorIs(t, err, ingest.ErrInvalid)
				return "", err
			}
			require.Len(t, got, 1)
			return got[0], nil
		}
		got, err := read(arrow.FixedWidthTypes.Timestamp_us)
		if want, stdErr := time.Parse(time.RFC3339Nano, text); stdErr == nil && want.UTC().Year() > 0 && want.UTC().Year() <= 9999 && want.Nanosecond()%1000 == 0 && len(text) < 40 && text[10] == 'T' && err == nil {
			at, err := time.Parse("2006-01-02 15:04:05.999999Z07:00", got)
			require.NoError(t, err)
			require.True(t, want.Equal(at), "%s is %s", text, got)
		}
		if got, err = read(&arrow.Decimal128Type{Precision: 20, Scale: 2}); err == nil {
			want, ok := new(big.Rat).SetString(text)
			require.True(t, ok, text)
			have, ok := new(big.Rat).SetString(got)
			require.True(t, ok, got)
			require.Zero(t, want.Cmp(have), "%s is %s", text, got)
		}
		for _, typ := range []arrow.DataType{arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Date32, arrow.FixedWidthTypes.Boolean, arrow.ListOf(arrow.PrimitiveTypes.Int64)} {
			if got, err = read(typ); err == nil && typ.ID() == arrow.INT64 {
				want, ok := new(big.Int).SetString(text, 10)
				require.True(t, ok, text)
				require.Equal(t, want.String(), got)
			}
		}
	})
}

func fuzzBinary(f *testing.F, name string, good []byte) {
	f.Add(good, 0, byte(0))
	for at := 8; at < len(good); at += len(good)/24 + 1 {
		f.Add(good, at, byte(0xff))
		f.Add(good, len(good)-at/16-9, byte(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		data = bytes.Clone(data)
		if at >= 0 && at < len(data) {
			data[at] ^= flip
		}
		// No panic and no flood of memory, whatever it holds.
		err := drain(name, data, &ingest.Options{MaxBytes: 1 << 20, IgnoreUnknown: true, Location: time.UTC, Round: true})
		if err != nil && !errors.Is(err, ingest.ErrInvalid) {
			require.ErrorIs(t, err, ingest.ErrUnsupported)
		}
	})
}

func FuzzParquet(f *testing.F)     { fuzzBinary(f, "a.parquet", parquetFile(f, foreignRecord(f))) }
func FuzzArrowFile(f *testing.F)   { fuzzBinary(f, "a.arrow", arrowFile(f, foreignRecord(f))) }
func FuzzArrowStream(f *testing.F) { fuzzBinary(f, "a.arrows", arrowStream(f, foreignRecord(f))) }
