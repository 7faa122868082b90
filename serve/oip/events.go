package oip

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Events writes server-sent events: the answer to …/generate_stream. The first
// Send writes the header, status 200, so that what goes wrong before it can
// still be an error of its own. It is a plain value of one request.
type Events struct {
	w       http.ResponseWriter
	flush   *http.ResponseController
	buffer  []byte
	started bool
}

// NewEvents returns a writer of events to w.
func NewEvents(w http.ResponseWriter) *Events {
	return &Events{w: w, flush: http.NewResponseController(w)}
}

// Started reports whether the header was written.
func (e *Events) Started() bool { return e.started }

// Send writes one event with the data, and flushes it to the client.
func (e *Events) Send(data []byte) error {
	if !e.started {
		e.started = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		// Nginx keeps what it can until there is more.
		h.Set("X-Accel-Buffering", "no")
		e.w.WriteHeader(http.StatusOK)
	}
	b := e.buffer[:0]
	for more := true; more; {
		var line []byte
		// Any of the line ends of the format in the data would end the line.
		i := bytes.IndexAny(data, "\r\n")
		switch {
		case i < 0:
			line, more = data, false
		case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
			line, data = data[:i], data[i+2:]
		default:
			line, data = data[:i], data[i+1:]
		}
		b = append(append(append(b, "data: "...), line...), '\n')
	}
	b = append(b, '\n')
	e.buffer = b
	if _, err := e.w.Write(b); err != nil {
		return fmt.Errorf("oip: send an event: %w", err)
	}
	if err := e.flush.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("oip: send an event: %w", err)
	}
	return nil
}

// EventReader reads server-sent events.
type EventReader struct {
	from *bufio.Reader
	most int
	data []byte
	err  error
	used bool
}

// NewEventReader returns a reader of the events in r. An event of more than most
// bytes is an ErrInvalid; -1 is off.
func NewEventReader(r io.Reader, most int) *EventReader {
	return &EventReader{from: bufio.NewReader(r), most: most}
}

// Next returns the data of the next event, valid until the next call, and io.EOF
// behind the last. An event that the stream ends in is not one.
func (r *EventReader) Next() ([]byte, error) {
	r.data = r.data[:0]
	any := false
	for r.err == nil {
		line, err := r.line()
		if err != nil {
			r.err = err
			break
		}
		if len(line) == 0 {
			if any {
				return r.data, nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			// Comments, and fields that this protocol does not use.
			continue
		}
		if any {
			r.data = append(r.data, '\n')
		}
		any = true
		r.data = append(r.data, bytes.TrimPrefix(value, []byte(" "))...)
		if r.tooLong(len(r.data)) {
			break
		}
	}
	return nil, r.err
}

func (r *EventReader) tooLong(n int) bool {
	if r.most >= 0 && n > r.most {
		r.err = fmt.Errorf("oip: read an event: it has more than %d bytes: %w", r.most, ErrInvalid)
		return true
	}
	return false
}

// line reads a line and takes its end off: \n, \r\n or \r.
func (r *EventReader) line() ([]byte, error) {
	var line []byte
	for {
		c, err := r.from.ReadByte()
		if err != nil {
			return nil, err
		}
		switch c {
		case '\r':
			// Only what has arrived is looked at: an event must not wait
			// for the first byte of the next.
			if r.from.Buffered() > 0 {
				if next, _ := r.from.Peek(1); len(next) == 1 && next[0] == '\n' {
					_, _ = r.from.Discard(1)
				}
			} else {
				r.used = true
			}
			return r.begin(line), nil
		case '\n':
			if r.used && len(line) == 0 {
				// The second half of a line's end that came apart.
				r.used = false
				continue
			}
			return r.begin(line), nil
		}
		r.used = false
		line = append(line, c)
		if r.tooLong(len(line) - len("data: ")) {
			return nil, r.err
		}
	}
}

// begin takes the mark off that some put at the start of a text.
func (r *EventReader) begin(line []byte) []byte {
	return bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
}
