package ingest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// source is one file that has not been opened.
type source struct {
	name string
	size int64 // Bytes as they lie on the disk; -1 when not known.
	open func() (io.ReadCloser, error)
}

// diskFiles finds the files that the patterns name on the local disk.
func diskFiles(patterns []string) ([]source, error) {
	return match(patterns, filepath.Glob, os.Stat, func(name string) (io.ReadCloser, error) { return os.Open(name) })
}

// fsFiles finds the files that the patterns name in fsys.
func fsFiles(fsys fs.FS, patterns []string) ([]source, error) {
	glob := func(pattern string) ([]string, error) { return fs.Glob(fsys, pattern) }
	stat := func(name string) (fs.FileInfo, error) { return fs.Stat(fsys, name) }
	return match(patterns, glob, stat, func(name string) (io.ReadCloser, error) { return fsys.Open(name) })
}

func match(patterns []string, glob func(string) ([]string, error), stat func(string) (fs.FileInfo, error), open func(string) (io.ReadCloser, error)) ([]source, error) {
	if len(patterns) == 0 {
		return nil, fmt.Errorf("ingest: open: no files are named: %w", ErrInvalid)
	}
	var found []source
	var faults []error
	fail := func(pattern, reason string, err error) {
		faults = append(faults, fmt.Errorf("ingest: open %q: %s: %w", pattern, reason, err))
	}
	for _, pattern := range patterns {
		names := []string{pattern}
		// A name that exists is taken as it is, whatever characters it has.
		if _, err := stat(pattern); err != nil {
			if names, err = glob(pattern); err != nil {
				fail(pattern, err.Error(), ErrInvalid)
				continue
			}
			slices.Sort(names)
		}
		if len(names) == 0 {
			fail(pattern, "no file matches", ErrNotFound)
		}
		for _, name := range names {
			info, err := stat(name)
			switch {
			case err != nil:
				fail(name, "no such file", err)
			case info.IsDir():
				fail(name, "it is a folder: name its files, as in "+path.Join(filepath.ToSlash(name), "*.csv"), ErrInvalid)
			case !info.Mode().IsRegular():
				fail(name, "it is not a regular file: open it, and hand it to NewReader", ErrInvalid)
			default:
				found = append(found, source{name, info.Size(), func() (io.ReadCloser, error) { return open(name) }})
			}
		}
	}
	return found, errors.Join(faults...)
}

// input is a file that was opened. Text files have a sample of their first
// bytes, and rest has what follows it.
type input struct {
	name   string
	format Format
	size   int64
	file   io.ReadCloser
	expand func() // Frees the decompressor; nil without one.

	at     io.ReaderAt // nil when the file can only be read from its start.
	rest   io.Reader
	sample []byte
	whole  bool // The sample is the whole file.

	started *arrowBatches // What the schema was read with, of an Arrow file.
}

// openInput opens a file and tells its format. read counts the bytes read.
func (o *Options) openInput(s source, read *atomic.Int64) (_ *input, err error) {
	f, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("ingest: open %q: %w", s.name, err)
	}
	in := &input{name: s.name, size: s.size, file: f}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	// The first bytes are not lost to who reads at an offset.
	if at, ok := f.(io.ReaderAt); ok {
		in.at = at
		if seeker, ok := f.(io.Seeker); ok && in.size < 0 {
			if in.size, err = sizeOf(seeker); err != nil {
				return nil, fmt.Errorf("ingest: open %q: %w", s.name, err)
			}
		}
	}
	raw := bufio.NewReaderSize(&counter{f, read}, 64<<10)
	in.rest = raw
	name := strings.ToLower(s.name)
	if err := in.decompress(raw, &name); err != nil {
		return nil, in.damaged(err)
	}
	if in.format = o.Format; in.format == "" {
		in.format = formatOf(name)
	}
	head, _ := peek(in.rest, 64)
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")):
		in.format = agree(o.Format, in.format, Parquet)
	case bytes.HasPrefix(head, []byte("ARROW1")), bytes.HasPrefix(head, []byte{0xff, 0xff, 0xff, 0xff}):
		in.format = agree(o.Format, in.format, Arrow)
	case bytes.HasPrefix(head, []byte("FEA1")):
		return nil, fmt.Errorf("ingest: open %q: it is Feather version 1, which pyarrow.feather.read_table still reads: write it again: %w", s.name, ErrUnsupported)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return nil, fmt.Errorf("ingest: open %q: it is UTF-16: convert it to UTF-8: %w", s.name, ErrUnsupported)
	case in.format == "":
		if head = bytes.TrimLeft(bytes.TrimPrefix(head, bom), " \t\r\n"); bytes.HasPrefix(head, []byte("{")) {
			in.format = JSONLines
		} else {
			in.format = CSV
		}
	}
	if in.format == CSV || in.format == JSONLines {
		if err := in.takeSample(o.SampleBytes); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// agree keeps a format that was asked for, even against the bytes: then the
// reader of that format says what is wrong.
func agree(asked, named, seen Format) Format {
	if asked != "" {
		return named
	}
	return seen
}

var bom = []byte("\xef\xbb\xbf")

func formatOf(name string) Format {
	switch path.Ext(name) {
	case ".csv", ".tsv", ".psv":
		return CSV
	case ".jsonl", ".ndjson", ".json":
		return JSONLines
	case ".parquet", ".pq":
		return Parquet
	case ".arrow", ".arrows", ".feather", ".ipc":
		return Arrow
	}
	return ""
}

// decompress puts a decompressor before a file that asks for one by its first
// bytes, and cuts the name that tells of it.
func (in *input) decompress(raw *bufio.Reader, name *string) error {
	head, _ := raw.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(raw)
		if err != nil {
			return err
		}
		in.rest, in.at, in.size = bufio.NewReaderSize(z, 64<<10), nil, -1
		in.expand = func() { _ = z.Close() }
		*name = strings.TrimSuffix(*name, ".gz")
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return err
		}
		in.rest, in.at, in.size = bufio.NewReaderSize(z, 64<<10), nil, -1
		in.expand = z.Close
		*name = strings.TrimSuffix(strings.TrimSuffix(*name, ".zst"), ".zstd")
	}
	return nil
}

func (in *input) takeSample(limit int) error {
	sample, err := io.ReadAll(io.LimitReader(in.rest, int64(limit)))
	if err != nil {
		return in.damaged(err)
	}
	in.sample, in.whole = sample, len(sample) < limit
	return nil
}

// text reads a text file from its start, through the sample.
func (in *input) text(skip int) io.Reader {
	return io.MultiReader(bytes.NewReader(in.sample[skip:]), in.rest)
}

// damaged says that the file could not be read on. The kind of the error is
// ErrInvalid when the bytes are at fault, and the file system's otherwise.
func (in *input) damaged(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*fs.PathError)) {
		return fmt.Errorf("ingest: read %q: %w", in.name, err)
	}
	return fmt.Errorf("ingest: read %q: the file is damaged or cut off: %w: %w", in.name, err, ErrInvalid)
}

func (in *input) close() {
	if in.started != nil {
		in.started.close()
		in.started = nil
	}
	if in.expand != nil {
		in.expand()
		in.expand = nil
	}
	if in.file != nil {
		_ = in.file.Close() // It was only read.
		in.file = nil
	}
}

func peek(r io.Reader, n int) ([]byte, error) { return r.(*bufio.Reader).Peek(n) }

// sizeOf is how far one can seek; the position stays what it was.
func sizeOf(s io.Seeker) (int64, error) {
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	size, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	_, err = s.Seek(at, io.SeekStart)
	return size, err
}

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
