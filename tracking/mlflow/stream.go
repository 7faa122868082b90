package mlflow

import (
	"net/http"
	"strconv"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// flushAt is how much of an answer is held before it is sent.
const flushAt = 256 << 10

// stream writes a long answer in constant memory: an object with one array
// and what follows it. What stays below flushAt is sent in one piece with its
// length, so that an error until then is still answered as one.
type stream struct {
	c       *call
	buf     *buffer
	array   string // its name, which is left out when it is empty
	n       int    // elements so far
	flushed bool
}

// newStream begins the object with the named array.
func newStream(c *call, array string) *stream {
	return &stream{c: c, buf: newBuffer(), array: array}
}

// release gives the memory back.
func (s *stream) release() { s.buf.release() }

// next prepares the buffer for another element.
func (s *stream) next() {
	if s.n > 0 {
		s.buf.b = append(s.buf.b, ',')
	} else {
		s.buf.b = append(append(append(s.buf.b, `{"`...), s.array...), `":[`...)
	}
	s.n++
}

// add appends one element, a pointer to a message.
func (s *stream) add(msg any) {
	s.next()
	s.buf.b = mlflowapi.Append(s.buf.b, msg)
	s.flushFull()
}

func (s *stream) flushFull() {
	if len(s.buf.b) < flushAt {
		return
	}
	if !s.flushed {
		s.flushed = true
		s.c.w.Header()["Content-Type"] = jsonType
		s.c.w.WriteHeader(http.StatusOK)
	}
	_, _ = s.c.w.Write(s.buf.b) // a client that went away ends the request's context
	s.buf.b = s.buf.b[:0]
}

// fail is how the answer ends when it cannot be completed: as an error while
// nothing was sent, else by breaking off the connection, so that no client
// takes a part for the whole.
func (s *stream) fail(err error) error {
	if !s.flushed {
		return err
	}
	s.c.h.log.WarnContext(s.c.ctx(), "mlflow: an answer broke off", "route", s.c.route.name(), "error", err)
	panic(http.ErrAbortHandler)
}

// end completes the object with the token of the next page, if there is one.
func (s *stream) end(token string) error {
	if s.n > 0 {
		s.buf.b = append(s.buf.b, ']')
	} else {
		s.buf.b = append(s.buf.b, '{')
	}
	if token != "" {
		if s.n > 0 {
			s.buf.b = append(s.buf.b, ',')
		}
		s.buf.b = append(s.buf.b, `"next_page_token":`...)
		s.buf.b = mlflowapi.AppendText(s.buf.b, token)
	}
	s.buf.b = append(s.buf.b, '}')
	if s.flushed {
		_, _ = s.c.w.Write(s.buf.b) // see flushFull
		return nil
	}
	header := s.c.w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(s.buf.b))}
	s.c.w.WriteHeader(http.StatusOK)
	_, _ = s.c.w.Write(s.buf.b) // see flushFull
	return nil
}

// pages reads pages until max entries were read or there are no more, and
// returns the token of what is left. The store decides how many a page has.
func pages(s *stream, max int, token string, read func(s *stream, limit int, token string) (n int, next string, err error)) error {
	defer s.release()
	for {
		if err := s.c.ctx().Err(); err != nil {
			return s.fail(err)
		}
		n, next, err := read(s, max, token)
		if err != nil {
			return s.fail(err)
		}
		if max -= n; next == "" || max <= 0 {
			return s.end(next)
		}
		token = next
	}
}

// addRun appends one run.
func (s *stream) addRun(r *tracking.RunInfo) {
	run := wireRun(r)
	s.add(&run)
}
