package llm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func isEvents(h http.Header) bool {
	t := h.Get("Content-Type")
	const want = "text/event-stream"
	return len(t) >= len(want) && strings.EqualFold(t[:len(want)], want)
}

// whole passes on an answer that is not a stream, once it is there whole: what
// breaks off is asked for again.
func (c *call) whole(u *upstream, w *watch, resp *http.Response) bool {
	if c.answer == nil {
		c.answer = c.g.bufs.get()
	}
	var err error
	c.answer, err = readAll(c.answer[:0], resp.Body, resp.ContentLength, c.g.o.MaxAnswer)
	if err != nil {
		return c.broken(u, w, err, "broke off its answer")
	}
	f, err := scanAnswer(c.answer)
	if err != nil {
		return c.broken(u, w, err, "answered something else than JSON")
	}
	u.breaker.leave(true)
	c.learn(&f, c.answer)
	if !f.hasUsage {
		c.x.Estimated = true
		c.x.Usage = Usage{Input: c.expected}
		if c.x.Operation != Embeddings {
			c.x.Usage.Output = len(c.answer)/c.g.o.BytesPerToken + 1
		}
	}
	answer, err := c.answerHooks(c.answer)
	if err != nil {
		c.refuse(err)
		return true
	}
	c.answerHeader(resp)
	c.keep(resp.StatusCode, answer)
	c.deliver(resp.StatusCode, answer)
	return true
}

// deliver writes a whole answer.
func (c *call) deliver(status int, answer []byte) {
	h := c.w.Header()
	h["Content-Length"] = []string{strconv.Itoa(len(answer))}
	c.log(answer)
	c.x.Status, c.x.First = status, time.Now()
	c.started = true
	c.w.WriteHeader(status)
	if _, err := c.w.Write(answer); err != nil {
		c.x.Err = goneError(err)
	}
}

// readAll reads up to most bytes, of which n are announced, -1 if it is not known.
func readAll(dst []byte, from io.Reader, n, most int64) ([]byte, error) {
	if n > most {
		return dst, fmt.Errorf("it has %d bytes, more than %d", n, most)
	}
	if want := int(min(n, 1<<20)) + 1; n > 0 && cap(dst) < want {
		dst = make([]byte, 0, want)
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		k, err := from.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+k]
		if int64(len(dst)) > most {
			return dst, fmt.Errorf("it has more than %d bytes", most)
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// learn takes from an answer, or an event of one, what is reported.
func (c *call) learn(f *answerFields, b []byte) {
	x := &c.x
	if f.hasUsage {
		x.Usage, x.Estimated = f.usage, false
	}
	if x.ResponseID == "" && !f.id.empty() {
		x.ResponseID = string(f.id.of(b))
	}
	if x.ResponseModel == "" && !f.model.empty() {
		x.ResponseModel = string(f.model.of(b))
	}
	if len(f.finish) > 0 && string(f.finish) != x.Finish {
		x.Finish = string(f.finish)
	}
}
