package mlflowhttp

import (
	"net/http"
	"strconv"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

// flushAt is how much of an answer is held before it is sent.
const flushAt = 256 << 10

// Stream writes a long answer in constant memory: an object with one array
// and what follows it. What stays below flushAt is sent in one piece with its
// length, so that an error until then is still answered as one.
type Stream struct {
	c *Call
	// Buf is where elements are appended, after Next.
	Buf     *Buffer
	array   string // its name, which is left out when it is empty
	n       int    // elements so far
	flushed bool
}

// NewStream begins the object with the named array.
func NewStream(c *Call, array string) *Stream {
	return &Stream{c: c, Buf: NewBuffer(), array: array}
}

// Release gives the memory back.
func (s *Stream) Release() { s.Buf.Release() }

// Next prepares the buffer for another element.
func (s *Stream) Next() {
	if s.n > 0 {
		s.Buf.B = append(s.Buf.B, ',')
	} else {
		s.Buf.B = append(append(append(s.Buf.B, `{"`...), s.array...), `":[`...)
	}
	s.n++
}

// Add appends one element, a pointer to a message.
func (s *Stream) Add(msg any) {
	s.Next()
	s.Buf.B = mlflowapi.Append(s.Buf.B, msg)
	s.FlushFull()
}

// FlushFull sends what was written once it is enough.
func (s *Stream) FlushFull() {
	if len(s.Buf.B) < flushAt {
		return
	}
	if !s.flushed {
		s.flushed = true
		s.c.W.Header()["Content-Type"] = jsonType
		s.c.W.WriteHeader(http.StatusOK)
	}
	_, _ = s.c.W.Write(s.Buf.B) // a client that went away ends the request's context
	s.Buf.B = s.Buf.B[:0]
}

// Fail is how the answer ends when it cannot be completed: as an error while
// nothing was sent, else by breaking off the connection, so that no client
// takes a part for the whole.
func (s *Stream) Fail(err error) error {
	if !s.flushed {
		return err
	}
	s.c.Site.Log.WarnContext(s.c.Ctx(), "mlflow: an answer broke off", "route", s.c.Route.Name(), "error", err)
	panic(http.ErrAbortHandler)
}

// End completes the object with the token of the next page, if there is one.
func (s *Stream) End(token string) error {
	if s.n > 0 {
		s.Buf.B = append(s.Buf.B, ']')
	} else {
		s.Buf.B = append(s.Buf.B, '{')
	}
	if token != "" {
		if s.n > 0 {
			s.Buf.B = append(s.Buf.B, ',')
		}
		s.Buf.B = append(s.Buf.B, `"next_page_token":`...)
		s.Buf.B = mlflowapi.AppendText(s.Buf.B, token)
	}
	s.Buf.B = append(s.Buf.B, '}')
	if s.flushed {
		_, _ = s.c.W.Write(s.Buf.B) // see FlushFull
		return nil
	}
	header := s.c.W.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(s.Buf.B))}
	s.c.W.WriteHeader(http.StatusOK)
	_, _ = s.c.W.Write(s.Buf.B) // see FlushFull
	return nil
}

// Pages reads pages until max entries were read or there are no more, and
// returns the token of what is left. The store decides how many a page has.
func Pages(s *Stream, max int, token string, read func(s *Stream, limit int, token string) (n int, next string, err error)) error {
	defer s.Release()
	for {
		if err := s.c.Ctx().Err(); err != nil {
			return s.Fail(err)
		}
		n, next, err := read(s, max, token)
		if err != nil {
			return s.Fail(err)
		}
		if max -= n; next == "" || max <= 0 {
			return s.End(next)
		}
		token = next
	}
}
