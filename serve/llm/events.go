package llm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// events reads server-sent events without changing a byte of them.
type events struct {
	from io.Reader
	buf  []byte
	most int // The longest event.

	start int // Of the event that is being read.
	line  int // The start of the line that is being read.
	seen  int // Up to here the line has no end.
	end   int // Of what was read.

	dataAt  span // Of the first data, behind start.
	fields  int  // The number of data lines.
	started bool
	full    bool // The last read took all that there was room for.
	afterCR bool // A \n that comes next belongs to the \r before.

	joined []byte // The data of an event with several lines of it.
}

// event is one event, valid until the next fill.
type event struct {
	raw  []byte // With the empty line at its end.
	data []byte
	any  bool // It has data: it is not just a comment.
}

// firstBuffer is what a stream starts with. Most events are smaller.
const firstBuffer = 4 << 10

// greedyBuffer is what a stream has whose events come many at a time, so that fewer
// writes carry them.
const greedyBuffer = 32 << 10

func (e *events) reset(from io.Reader, most int) {
	if e.buf == nil {
		e.buf = make([]byte, firstBuffer)
	}
	*e = events{from: from, buf: e.buf[:min(cap(e.buf), most)], most: most, joined: e.joined[:0]}
}

// next returns the next event of those that arrived whole.
func (e *events) next() (event, bool) {
	for e.line <= e.end {
		if e.afterCR && e.line < e.end {
			e.afterCR = false
			if e.buf[e.line] == '\n' {
				e.line++
				e.seen = max(e.seen, e.line)
			}
		}
		rest := e.buf[e.seen:e.end]
		n := bytes.IndexByte(rest, '\n')
		if n >= 0 {
			rest = rest[:n]
		}
		if r := bytes.IndexByte(rest, '\r'); r >= 0 {
			n = r
		}
		if n < 0 {
			e.seen = e.end
			return event{}, false
		}
		at := e.seen + n
		line := span{e.line, at}
		e.afterCR = e.buf[at] == '\r'
		e.line, e.seen = at+1, at+1
		if line.empty() {
			return e.finish(), true
		}
		e.field(line)
	}
	return event{}, false
}

// finish returns the event that ends here.
func (e *events) finish() event {
	if e.afterCR && e.line < e.end && e.buf[e.line] == '\n' {
		e.afterCR = false
		e.line++
		e.seen = e.line
	}
	ev := event{raw: e.buf[e.start:e.line], any: e.fields > 0}
	if e.fields == 1 {
		ev.data = e.dataAt.of(ev.raw)
	} else if e.fields > 1 {
		ev.data = e.joined
	}
	e.start, e.fields = e.line, 0
	return ev
}

// field reads one line.
func (e *events) field(at span) {
	b := at.of(e.buf)
	if !e.started {
		e.started = true
		// A mark that some put at the start of a text.
		if mark := []byte("\xef\xbb\xbf"); bytes.HasPrefix(b, mark) {
			b, at.from = b[len(mark):], at.from+len(mark)
		}
	}
	if !bytes.HasPrefix(b, []byte("data")) {
		return
	}
	switch {
	case len(b) == len("data"):
		at.from = at.to
	case b[4] != ':':
		return
	case len(b) > 5 && b[5] == ' ':
		at.from += 6
	default:
		at.from += 5
	}
	if e.fields++; e.fields == 1 {
		e.dataAt = span{at.from - e.start, at.to - e.start}
		return
	}
	if e.fields == 2 {
		e.joined = append(e.joined[:0], e.buf[e.start+e.dataAt.from:e.start+e.dataAt.to]...)
	}
	e.joined = append(append(e.joined, '\n'), at.of(e.buf)...)
}

// fill reads more. Events that next returned are no longer valid. At the end it
// returns io.EOF, or io.ErrUnexpectedEOF in the middle of an event.
func (e *events) fill() error {
	if e.start > 0 && (e.start == e.end || e.end == len(e.buf)) {
		n := copy(e.buf, e.buf[e.start:e.end])
		e.line -= e.start
		e.seen -= e.start
		e.start, e.end = 0, n
	}
	if e.end == len(e.buf) {
		if e.end >= e.most {
			return fmt.Errorf("an event has more than %d bytes", e.most)
		}
		bigger := make([]byte, min(2*len(e.buf), e.most))
		copy(bigger, e.buf)
		e.buf = bigger
	}
	if e.full && e.start == e.end && len(e.buf) < min(greedyBuffer, e.most) {
		e.buf = make([]byte, min(2*len(e.buf), e.most)) // Events come faster than they are read.
		e.start, e.line, e.seen, e.end = 0, 0, 0, 0
	}
	n, err := e.from.Read(e.buf[e.end:])
	e.end += n
	e.full = e.end == len(e.buf)
	if n > 0 {
		return nil // The error comes again.
	}
	if errors.Is(err, io.EOF) && len(bytes.TrimSpace(e.buf[e.start:e.end])) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// rest is the part of an event at the end of the stream.
func (e *events) rest() []byte { return e.buf[e.start:e.end] }
