package llm

import (
	"bytes"
	"context"
)

// Hook is a RequestHook, an AnswerHook, a StreamHook, or several of them.
type Hook any

// RequestHook looks at requests before anything is done for them. It may return
// another body, and refuse the request with an error, of which an *Error is the
// client's answer. The body it gets is valid during the call.
type RequestHook interface {
	Request(ctx context.Context, x *Exchange, body []byte) ([]byte, error)
}

// AnswerHook does the same with answers that are not streams.
type AnswerHook interface {
	Answer(ctx context.Context, x *Exchange, body []byte) ([]byte, error)
}

// StreamHook looks at streams. It may return nil for those it leaves alone.
type StreamHook interface {
	Stream(ctx context.Context, x *Exchange) StreamFilter
}

// StreamFilter sees the data of the events of one stream, in their order, without
// the last, "[DONE]". It sends on what the client gets, which may be later or
// something else. An error ends the stream with an event of that error.
type StreamFilter interface {
	// Event gets one event. The data is valid during the call.
	Event(data []byte, send func(data []byte)) error
	// End is called behind the last event of a stream that was complete.
	End(send func(data []byte)) error
}

// hookError is an error of a hook, as against one of an upstream.
type hookError struct{ err error }

func (e *hookError) Error() string { return e.err.Error() }
func (e *hookError) Unwrap() error { return e.err }

// requestHooks runs the hooks on the request.
func (c *call) requestHooks() error {
	changed := false
	for _, h := range c.g.o.Hooks {
		hook, ok := h.(RequestHook)
		if !ok {
			continue
		}
		body, err := hook.Request(c.r.Context(), &c.x, c.body)
		if err != nil {
			return err
		}
		if len(body) != len(c.body) || len(body) > 0 && &body[0] != &c.body[0] {
			c.body, changed = append([]byte(nil), body...), true
		}
	}
	if changed {
		return c.scan()
	}
	return nil
}

// answerHooks runs the hooks on an answer.
func (c *call) answerHooks(answer []byte) ([]byte, error) {
	for _, h := range c.g.o.Hooks {
		if hook, ok := h.(AnswerHook); ok {
			var err error
			if answer, err = hook.Answer(c.r.Context(), &c.x, answer); err != nil {
				return nil, err
			}
		}
	}
	return answer, nil
}

// startFilters asks the hooks for filters of the stream.
func (c *call) startFilters() {
	c.filters = nil
	for _, h := range c.g.o.Hooks {
		if hook, ok := h.(StreamHook); ok {
			if f := hook.Stream(c.r.Context(), &c.x); f != nil {
				c.filters = append(c.filters, f)
			}
		}
	}
}

// filter appends what the client gets of an event.
func (c *call) filter(data, raw []byte, e event) error {
	if len(c.filters) == 0 {
		c.out = append(c.out, raw...)
		return nil
	}
	// The name of an event, which the Responses API has, goes with its data.
	var name []byte
	for line := range bytes.Lines(e.raw) {
		if bytes.HasPrefix(line, []byte("event:")) {
			name = line
		}
	}
	return c.pass(0, data, func(data []byte) { c.appendEvent(name, data) })
}

func (c *call) appendEvent(name, data []byte) {
	c.out = append(c.out, name...)
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		c.out = append(append(append(c.out, "data: "...), line...), '\n')
	}
	c.out = append(c.out, '\n')
}

// pass gives data to the filters from the i-th on.
func (c *call) pass(i int, data []byte, last func(data []byte)) (err error) {
	if i == len(c.filters) {
		last(data)
		return nil
	}
	fault := c.filters[i].Event(data, func(data []byte) {
		if e := c.pass(i+1, data, last); e != nil && err == nil {
			err = e
		}
	})
	if fault != nil {
		return &hookError{fault}
	}
	return err
}

// endFilters lets the filters send what they kept back.
func (c *call) endFilters() (err error) {
	last := func(data []byte) { c.appendEvent(nil, data) }
	for i, f := range c.filters {
		fault := f.End(func(data []byte) {
			if e := c.pass(i+1, data, last); e != nil && err == nil {
				err = e
			}
		})
		if fault != nil {
			return &hookError{fault}
		}
	}
	c.filters = nil
	return err
}

// stopped ends a stream that a hook refused.
func (c *call) stopped(e *hookError) {
	if !c.started {
		c.refuse(e.err)
		return
	}
	c.report(asError(e.err))
}
