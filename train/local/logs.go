package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/train"
)

// lastLineCount is how many lines errors carry.
const lastLineCount = 20

// Logs implements [train.Job].
func (j *job) Logs(ctx context.Context, opts *train.LogOptions) iter.Seq2[train.Line, error] {
	follow := opts != nil && opts.Follow
	return func(yield func(train.Line, error) bool) {
		fail := func(err error) {
			yield(train.Line{}, fmt.Errorf("train/local: logs of %q: %w", j.rec.ID, err))
		}
		streams := []*tail{{name: "stdout"}, {name: "stderr"}}
		for _, t := range streams {
			t.path = j.path(t.name + ".log")
			defer t.close()
		}
		p := j.newPoller()
		for {
			// The state first: what the files hold after the end is everything.
			s, err := j.look()
			if err != nil {
				yield(train.Line{}, err)
				return
			}
			last := !follow || s.stage == ended
			for _, t := range streams {
				if err := t.open(!follow); err != nil {
					fail(err)
					return
				}
			}
			for progress := true; progress; {
				progress = false
				for _, t := range streams {
					if err := ctx.Err(); err != nil {
						fail(err)
						return
					}
					n, goOn, err := t.read(s.stage == ended, yield)
					if err != nil {
						fail(err)
						return
					}
					if !goOn {
						return
					}
					progress = progress || n > 0
				}
				if progress {
					p.reset()
				}
			}
			if last {
				return
			}
			if err := j.adopt(ctx, s); err != nil {
				fail(err)
				return
			}
			if err := p.pauseAtMost(ctx, p.max); err != nil {
				fail(err)
				return
			}
		}
	}
}

// tail reads one log file as it grows.
type tail struct {
	name, path string
	file       *os.File
	from       io.Reader
	buf        []byte // read, and not yet yielded: less than a line
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
	t.file, t.from, t.buf = f, f, make([]byte, 0, 2*train.MaxLine)
	if bounded {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		t.from = io.LimitReader(f, info.Size())
	}
	return nil
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close() // only read from
	}
}

// read yields the lines that one chunk of the file completes and returns the
// chunk's size. Once the job has ended, the file's end ends a line too.
func (t *tail) read(ended bool, yield func(train.Line, error) bool) (n int, goOn bool, err error) {
	if t.file == nil {
		return 0, true, nil
	}
	n, err = t.from.Read(t.buf[len(t.buf):cap(t.buf)])
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false, err
	}
	t.buf = t.buf[:len(t.buf)+n]
	var at time.Time
	if info, err := t.file.Stat(); err == nil {
		at = info.ModTime()
	}
	rest := t.buf
	for len(rest) > 0 {
		text, size, cut := nextLine(rest, ended && n == 0)
		if size == 0 {
			break
		}
		if !yield(train.Line{Time: at, Stream: t.name, Text: text, Cut: cut}, nil) {
			return n, false, nil
		}
		rest = rest[size:]
	}
	t.buf = t.buf[:copy(t.buf, rest)]
	return n, true, nil
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
func (j *job) lastLines() []string {
	for _, name := range []string{"stderr.log", "stdout.log"} {
		if lines := fileEnd(j.path(name)); len(lines) > 0 {
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
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-lastLineCount):]
}
