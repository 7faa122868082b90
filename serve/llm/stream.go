package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
)

// streaming is the state of one stream.
type streaming struct {
	done   bool // Its last event came.
	finish bool // A choice said why it ended.
	usage  bool
}

var (
	errBrokeOff  = errors.New("it broke off its answer")
	errNotEvents = errors.New("it sent an event that is not JSON")
)

// stream passes on the events of an answer as they come. Those that arrive
// together go out together, and nothing is kept back.
func (c *call) stream(u *upstream, w *watch, resp *http.Response) bool {
	var s streaming
	c.startFilters()
	c.events.reset(resp.Body, int(c.g.o.MaxEvent))
	if c.out == nil {
		c.out = c.g.bufs.get()
	}
	c.out = c.out[:0]
	var err error
	for !s.done {
		came := false
		for !s.done {
			e, ok := c.events.next()
			if !ok {
				break
			}
			// Comments are no progress: a server may send them while it hangs.
			came = came || e.any
			if err = c.event(&s, e); err != nil {
				break
			}
		}
		if came {
			w.expect(c.g.o.Idle)
		}
		if len(c.out) > 0 {
			c.start(resp)
			if sendErr := c.send(); sendErr != nil {
				c.left(sendErr)
				c.close(u, &s)
				return true
			}
		}
		if err != nil || s.done {
			break
		}
		if err = c.events.fill(); err != nil {
			break
		}
	}
	if err != nil {
		err = c.ending(&s, err)
	}
	if err == nil {
		// Where the end was not an event of its own.
		err = c.endFilters()
		if len(c.out) > 0 {
			c.start(resp)
			_ = c.send() // The client may have gone: it has what it needs.
		}
	}
	if err == nil {
		c.drainEnd(w)
		u.breaker.leave(true)
		c.close(u, &s)
		return true
	}
	if hook, ok := errors.AsType[*hookError](err); ok {
		c.stopped(hook)
		c.close(u, &s)
		return true
	}
	if !c.started {
		return c.broken(u, w, err, "broke off before its first event")
	}
	if c.r.Context().Err() != nil {
		c.left(err)
		c.close(u, &s)
		return true
	}
	c.broken(u, w, err, "broke off its answer")
	c.report(c.failure.err)
	c.close(u, &s)
	return true
}

// ending judges how a stream ended, nil if it is complete.
func (c *call) ending(s *streaming, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		// Some servers leave the last event out.
		if s.finish && c.x.Operation != Responses {
			return nil
		}
		return errBrokeOff
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.Equal(bytes.TrimSpace(c.events.rest()), []byte("data: [DONE]")):
		// And some the empty line behind it.
		c.out = append(append(c.out, bytes.TrimSpace(c.events.rest())...), "\n\n"...)
		return nil
	}
	return err
}

// drainEnd reads the end of the answer, which is there already as a rule, so that
// the connection can be used again.
func (c *call) drainEnd(w *watch) {
	w.expect(time.Second)
	for c.events.fill() == nil {
		if _, ok := c.events.next(); !ok && len(c.events.rest()) > firstBuffer {
			return
		}
	}
}

// event appends what the client gets of an event.
func (c *call) event(s *streaming, e event) error {
	if !e.any {
		// A comment, which keeps connections alive. One before the first event
		// would be the first byte of the answer, and rule out another upstream.
		if c.started || len(c.out) > 0 {
			c.out = append(c.out, e.raw...)
		}
		return nil
	}
	if string(e.data) == "[DONE]" {
		if err := c.endFilters(); err != nil {
			return err
		}
		s.done = true
		c.out = append(c.out, e.raw...)
		return nil
	}
	if c.x.ResponseID != "" && c.x.Operation != Responses && justOutput(e.data) {
		c.x.Events++
		return c.filter(e.data, e.raw, e)
	}
	f, err := scanAnswer(e.data)
	if err != nil {
		return errNotEvents
	}
	c.learn(&f, e.data)
	s.usage = s.usage || f.hasUsage
	s.finish = s.finish || len(f.finish) > 0
	if f.output || bytes.HasSuffix(f.kind, []byte(".delta")) {
		c.x.Events++
	}
	if c.x.Operation == Responses {
		switch string(f.kind) {
		case "response.completed", "response.failed", "response.incomplete", "error":
			s.done = true
		}
	}
	if f.isError {
		c.x.Err = fmt.Errorf("llm: the upstream reported an error in the stream: %w", ErrUnavailable)
		s.finish = true // What comes behind it is the upstream's choice.
	}
	data, raw := e.data, e.raw
	if c.hidden && !f.usageAt.empty() {
		if f.choices <= 0 && f.hasUsage && !f.isError {
			return nil
		}
		// Only one line of data is ever written for this.
		c.withoutUsage(&data, &raw, &f)
	}
	return c.filter(data, raw, e)
}

// What events have that are not just a piece of the answer. Inside of a string the
// quotes would have backslashes.
var (
	noFinish  = []byte(`"finish_reason":null`)
	aFinish   = []byte(`"finish_reason":"`)
	someUsage = []byte(`"usage"`)
	anError   = []byte(`"error"`)
)

// justOutput reports whether an event, not the first, is a piece of the answer and
// nothing else, in the form that servers usually write. Of a hundred events all but
// three are, and need not be walked through.
func justOutput(data []byte) bool {
	return len(data) > 2 && data[0] == '{' && data[len(data)-1] == '}' && bytes.Contains(data, noFinish) &&
		!bytes.Contains(data, someUsage) && !bytes.Contains(data, aFinish) && !bytes.Contains(data, anError)
}

// withoutUsage takes the usage out of an event that has more than it.
func (c *call) withoutUsage(data, raw *[]byte, f *answerFields) {
	b := append(make([]byte, 0, len(*raw)), "data: "...)
	b = f.withoutUsage(b, *data)
	*data, *raw = b[len("data: "):], append(b, "\n\n"...)
}

// start writes the header of a stream, once.
func (c *call) start(resp *http.Response) {
	if c.started {
		return
	}
	c.started = true
	c.answerHeader(resp)
	h := c.w.Header()
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = noCacheValue
	}
	// Nginx keeps what it can until there is more.
	h["X-Accel-Buffering"] = noBuffering
	c.x.Status, c.x.First = resp.StatusCode, time.Now()
	c.w.WriteHeader(resp.StatusCode)
}

// send writes what is ready to the client.
func (c *call) send() error {
	ctl := http.NewResponseController(c.w)
	if stall := c.g.o.WriteStall; stall > 0 {
		// Not for every event, as it costs as much as the event.
		if now := time.Now(); now.Sub(c.wrote) > stall/8 {
			c.wrote = now
			_ = ctl.SetWriteDeadline(now.Add(stall + stall/8)) // A writer without has none.
		}
	}
	c.log(c.out)
	_, err := c.w.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return err
	}
	if err := ctl.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// left records that the client does not read any more.
func (c *call) left(err error) {
	c.x.Status = httperr.StatusClientClosed
	c.x.Err = goneError(err)
}

// close settles the usage of a stream.
func (c *call) close(_ *upstream, s *streaming) {
	if !c.wrote.IsZero() {
		_ = http.NewResponseController(c.w).SetWriteDeadline(time.Time{}) // The next request on the connection has its own.
	}
	if !s.usage {
		c.x.Estimated = true
		c.x.Usage = Usage{Input: c.expected, Output: c.x.Events}
	}
}

// report tells the client in the stream that it ended too early.
func (c *call) report(e *Error) {
	c.x.Err = e
	out := c.out[:0]
	if c.x.Operation == Responses {
		message, _ := json.Marshal(e.Message) //nolint:errchkjson // A string always has one.
		out = append(append(out, "event: error\ndata: {\"type\":\"error\",\"code\":\""+e.Code+"\",\"message\":"...), message...)
		out = append(out, ",\"param\":null}\n\n"...)
	} else {
		out = append(e.appendJSON(append(out, "data: "...)), "\n\n"...)
	}
	c.out = out
	_ = c.send() // The client may have gone, too.
}
