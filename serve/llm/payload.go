package llm

import (
	"bytes"
	"io"
	"sync/atomic"
)

// payload is what is sent to an upstream. A transport may go on reading it when it has
// returned already, for instance where an upstream answers before it has read
// everything. Until all readers are closed the bytes must not be used again: another
// tenant's prompt would go there instead.
type payload struct {
	bytes []byte
	open  atomic.Int32
	first payloadReader
}

func newPayload(b []byte) *payload {
	p := &payload{bytes: b}
	p.reader(&p.first)
	return p
}

func (p *payload) reader(r *payloadReader) {
	p.open.Add(1)
	r.of = p
	r.Reset(p.bytes)
}

// again is another reader, for a transport that sends the same once more.
func (p *payload) again() (io.ReadCloser, error) {
	r := new(payloadReader)
	p.reader(r)
	return r, nil
}

// payloadReader is a body.
type payloadReader struct {
	bytes.Reader

	of     *payload
	closed atomic.Bool
}

// Close implements io.Closer. Transports may call it more than once.
func (r *payloadReader) Close() error {
	if !r.closed.Swap(true) {
		r.of.open.Add(-1)
	}
	return nil
}

// unread reports whether some of what was sent may still be read.
func unread(list []*payload) bool {
	for _, p := range list {
		if p.open.Load() != 0 {
			return true
		}
	}
	return false
}
