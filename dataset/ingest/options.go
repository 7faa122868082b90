package ingest

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	memory18 "github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Format is how rows are written in a file.
type Format string

// The formats. Each file's is told by its name and its first bytes.
const (
	CSV       Format = "csv"     // Also with tabs, semicolons or bars.
	JSONLines Format = "jsonl"   // One JSON object a line.
	Parquet   Format = "parquet" // Read from files only, not compressed as a whole.
	Arrow     Format = "arrow"   // Arrow IPC, as a file (Feather 2) or a stream.
)

// Options of Open, OpenFS and NewReader.
type Options struct {
	// Format of all files. The default tells each file's by its name
	// (.csv, .tsv, .jsonl, .ndjson, .json, .parquet, .arrow, .feather, .ipc,
	// .arrows) and by its first bytes.
	Format Format
	// Schema is what the records shall have; the columns of the files are found
	// by name. The default takes the columns of the first file and infers the
	// types.
	Schema *arrow.Schema
	// Types are the types of some columns, by name, when there is no Schema. The
	// default infers all of them.
	Types map[string]arrow.DataType
	// Columns are the names to read, in the order that the records shall have.
	// The default is all columns.
	Columns []string
	// IgnoreUnknown skips columns of a file that the records do not have. The
	// default is false: such a file is refused, unless Columns says what to take.
	IgnoreUnknown bool
	// Location is where the clock of times without a zone stood. The default nil
	// refuses such times.
	Location *time.Location
	// Round cuts times to whole microseconds. The default is false: a time that
	// is finer is an error.
	Round bool
	// CSV says how CSV files are written. The defaults are those of its fields.
	CSV CSVOptions

	// SampleBytes is how many bytes of each sampled file the types are inferred
	// from, decompressed. The default is 1 MiB.
	SampleBytes int
	// SampleFiles is of how many files the types are inferred, spread over all
	// of them. The default is 8.
	SampleFiles int
	// BadRows is called for each row that cannot be read, on the goroutine of
	// Next, and returns nil to go on without the row. Rows of Parquet and Arrow
	// files are included where a value does not fit. The default nil ends the
	// reader at the first.
	BadRows func(*RowError) error

	// BlockBytes is how much text becomes one record, about. The default is
	// 1 MiB.
	BlockBytes int
	// BatchRows is how many rows a record of a Parquet file has at most. The
	// default is 65536.
	BatchRows int
	// MaxBytes bounds a row of text, and a record batch of an Arrow file. The
	// default is 256 MiB.
	MaxBytes int64
	// Workers is how many blocks of text are parsed at once. The default is the
	// number of cores, at most 4.
	Workers int
	// Allocator gives the memory of the records, but for those of Arrow files,
	// which are as they were read, on the Go heap. The default is the Go heap.
	Allocator memory.Allocator
	// Progress, when set, is called on the goroutine of Next after each record.
	Progress func(Progress)
}

// CSVOptions say how CSV files are written.
type CSVOptions struct {
	// Comma parts the fields. The default 0 takes the one of comma, tab,
	// semicolon and bar that parts the first rows into equally many fields.
	Comma byte
	// Quote encloses a field that has a comma, a quote or a line break in it; two
	// of them stand for one. The default is '"'.
	Quote byte
	// Header are the names of the columns, for files that do not start with
	// them. The default takes the first row as the names.
	Header []string
	// Skip is how many lines come before the header or the first row. The
	// default is 0.
	Skip int
	// Null are the texts that stand for a missing value, when not in quotes. The
	// default is the empty text alone. In quotes an empty text is a text, and a
	// missing value in a column of another type.
	Null []string
}

// Progress is how far an import has come.
type Progress struct {
	File  string // The file being read.
	Files int    // Files read to their end.
	Of    int    // All files.
	Rows  int64  // Rows delivered.
	Bad   int64  // Rows left out.
	Bytes int64  // Bytes read, as they lie on the disk.
	Size  int64  // Bytes of all files; -1 when not known.
}

const (
	defaultSample     = 1 << 20
	defaultFiles      = 8
	defaultBlock      = 1 << 20
	defaultBatchRows  = 1 << 16
	defaultMaxBytes   = 256 << 20
	defaultMaxWorkers = 4
)

// resolve fills in the defaults and lists every fault.
func (o *Options) resolve(subject string) (*Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	var f errs.Faults
	f.Check(slices.Contains([]Format{"", CSV, JSONLines, Parquet, Arrow}, r.Format), "format is %q, want csv, jsonl, parquet or arrow", string(r.Format))
	f.Check(r.Schema == nil || len(r.Types) == 0, "both a schema and types: the schema says them all")
	f.Check(r.Schema == nil || len(r.Columns) == 0, "both a schema and columns: leave the others out of the schema")
	seen := map[string]bool{}
	for _, c := range r.Columns {
		f.Check(!seen[c], "column %q is asked for twice", c)
		seen[c] = true
	}
	if r.Schema != nil {
		names := map[string]bool{}
		for _, field := range r.Schema.Fields() {
			f.Check(!names[field.Name], "column %q is in the schema twice", field.Name)
			names[field.Name] = true
			if err := checkType(field.Type); err != nil {
				f.Addf("column %q: %v", field.Name, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Types)) {
		if err := checkType(r.Types[name]); err != nil {
			f.Addf("column %q: %v", name, err)
		}
	}
	whole := func(what string, v *int, standard int) {
		f.Check(*v >= 0, "%s is %d, want at least 0", what, *v)
		if *v == 0 {
			*v = standard
		}
	}
	whole("sample bytes", &r.SampleBytes, defaultSample)
	whole("sample files", &r.SampleFiles, defaultFiles)
	whole("block bytes", &r.BlockBytes, defaultBlock)
	whole("batch rows", &r.BatchRows, defaultBatchRows)
	whole("workers", &r.Workers, min(runtime.GOMAXPROCS(0), defaultMaxWorkers))
	whole("lines to skip", &r.CSV.Skip, 0)
	f.Check(r.MaxBytes >= 0 && r.MaxBytes <= 1<<31-1, "max bytes is %d, want 0 to 2147483647", r.MaxBytes)
	if r.MaxBytes == 0 {
		r.MaxBytes = defaultMaxBytes
	}
	r.BlockBytes = int(min(int64(r.BlockBytes), r.MaxBytes))
	if r.CSV.Quote == 0 {
		r.CSV.Quote = '"'
	}
	special := func(what string, c byte) {
		f.Check(c < 0x80 && c != '\n' && c != '\r', "%s is %q, want one ASCII character that is no line break", what, string(rune(c)))
	}
	special("comma", r.CSV.Comma)
	special("quote", r.CSV.Quote)
	f.Check(r.CSV.Comma != r.CSV.Quote, "comma and quote are both %q", string(rune(r.CSV.Quote)))
	if r.CSV.Null == nil {
		r.CSV.Null = []string{""}
	}
	if r.Allocator == nil {
		r.Allocator = memory.DefaultAllocator
	}
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	return &r, nil
}

// memory is the allocator, which both versions of the library take.
func (o *Options) memory() memory18.Allocator { return o.Allocator }
