package local

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/train"
)

// lastLineCount is how many lines errors carry.
const lastLineCount = 20

// tail reads one log file as it grows.
type tail struct {
	line   train.Line // what the lines have in common
	source string
	path   string
	offset int64 // of the first byte that was not yielded
	file   *os.File
	from   io.Reader
	buf    []byte // read, and not yet yielded: less than a line
}

// open opens the file once it is there; bounded keeps the reading to what the
// file holds now, so that it ends also when the job writes faster.
func (t *tail) open(bounded bool) error {
	if t.file != nil {
		return nil
	}
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := f.Seek(t.offset, io.SeekStart); err != nil {
		_ = f.Close() // only read from
		return err
	}
	t.file, t.from = f, f
	if t.buf == nil {
		t.buf = make([]byte, 0, 2*train.MaxLine)
	}
	if bounded {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		t.from = io.LimitReader(f, max(0, info.Size()-t.offset))
	}
	return nil
}

// unbound lets a reading that was bounded go on.
func (t *tail) unbound() {
	if t.file != nil {
		t.from = t.file
	}
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close() // only read from
	}
}

// read yields the lines that one chunk of the file completes and returns the
// chunk's size. Once the attempt has ended, the file's end ends a line too.
func (t *tail) read(ended bool, yield func(*tail, string, bool, time.Time) bool) (n int, goOn bool, err error) {
	if t.file == nil {
		return 0, true, nil
	}
	n, err = t.from.Read(t.buf[len(t.buf):cap(t.buf)])
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false, err
	}
	t.buf = t.buf[:len(t.buf)+n]
	var at time.Time
	if n > 0 || (ended && len(t.buf) > 0) {
		if info, err := t.file.Stat(); err == nil {
			at = info.ModTime()
		}
	}
	rest := t.buf
	for len(rest) > 0 {
		text, size, cut := nextLine(rest, ended && n == 0)
		if size == 0 {
			break
		}
		t.offset += int64(size)
		if !yield(t, text, cut, at) {
			return n, false, nil
		}
		rest = rest[size:]
	}
	t.buf = t.buf[:copy(t.buf, rest)]
	return n, true, nil
}

// lastOffset is where the last n lines of a file begin.
func lastOffset(path string, n int) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	buf := make([]byte, train.MaxLine)
	for end := info.Size(); end > 0; {
		start := max(0, end-int64(len(buf)))
		part := buf[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return 0
		}
		if end == info.Size() {
			part = bytes.TrimSuffix(part, []byte("\n")) // it ends the last line
		}
		for i := bytes.LastIndexByte(part, '\n'); i >= 0; i = bytes.LastIndexByte(part[:i], '\n') {
			if n--; n == 0 {
				return start + int64(i) + 1
			}
		}
		end = start
	}
	return 0
}

// nextLine takes the first line off b, at most MaxLine bytes of it and no broken
// character, and says how many bytes it took: 0 when the line is not complete.
func nextLine(b []byte, last bool) (text string, size int, cut bool) {
	if i := bytes.IndexByte(b[:min(len(b), train.MaxLine+1)], '\n'); i >= 0 {
		return strings.TrimSuffix(string(b[:i]), "\r"), i + 1, false
	}
	if len(b) > train.MaxLine {
		n := train.MaxLine
		for k := 1; k < utf8.UTFMax && !utf8.RuneStart(b[n]); k++ {
			n--
		}
		if !utf8.RuneStart(b[n]) { // no UTF-8 at all
			n = train.MaxLine
		}
		return string(b[:n]), n, true
	}
	if last {
		return string(b), len(b), false
	}
	return "", 0, false
}

// lastLines is the end of standard error, or of standard output when that is
// empty. It is for messages: what can not be read is left out.
func (j *job) lastLines(attempt, rank int) []string {
	for _, name := range []string{"err", "out"} {
		if lines := fileEnd(j.file(attempt, strconv.Itoa(rank)+"."+name)); len(lines) > 0 {
			return lines
		}
	}
	return nil
}

func fileEnd(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	off := max(0, info.Size()-train.MaxLine)
	data, err := io.ReadAll(io.NewSectionReader(f, off, train.MaxLine))
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(data), "\r\n"), "\n")
	if off > 0 && len(lines) > 1 {
		lines = lines[1:] // begins in the middle
	}
	lines = slices.DeleteFunc(lines, func(line string) bool {
		_, report := train.ParseReport(strings.TrimSuffix(line, "\r"))
		return report
	})
	if len(lines) == 0 || (len(lines) == 1 && lines[0] == "") {
		return nil
	}
	return lines[max(0, len(lines)-lastLineCount):]
}
