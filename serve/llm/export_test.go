package llm

import (
	"errors"
	"io"
)

// ScanRequest shows what was found in a body to the tests.
func ScanRequest(b []byte) (model string, stream, wantsUsage bool, maxTokens int, user string, err error) {
	f, err := scanRequest(b)
	return f.model, f.stream, f.wantsUsage, f.maxTokens, f.user, err
}

// ScanAnswer shows what was found in an answer, and the answer without its usage.
func ScanAnswer(b []byte) (u Usage, has bool, without []byte, err error) {
	f, err := scanAnswer(b)
	without = b
	if err == nil && !f.usageAt.empty() {
		without = f.withoutUsage(nil, b)
	}
	return f.usage, f.hasUsage, without, err
}

// ReadEvents returns the data and the bytes of the events of a stream.
func ReadEvents(r io.Reader, most int) (data, raw []string, err error) {
	var e events
	e.reset(r, most)
	for {
		for ev, ok := e.next(); ok; ev, ok = e.next() {
			raw = append(raw, string(ev.raw))
			if ev.any {
				data = append(data, string(ev.data))
			}
		}
		if err := e.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return data, append(raw, string(e.rest())), err
		}
	}
}

// IsField says that a body was refused for the value of a field.
func IsField(err error) bool {
	_, ok := errors.AsType[*errField](err)
	return ok
}

// ReadSignals reads a page of metrics.
func ReadSignals(r io.Reader) (*Signals, error) { return readSignals(r) }

// Remembered is the number of blocks of all upstreams.
func (p *PrefixAffinity) Remembered() (n int) {
	for _, b := range p.seen {
		n += len(b.at)
	}
	return n
}

// Matched is how many blocks of a prompt the upstream "u0" has, of how many.
func (p *PrefixAffinity) Matched(q *Query) (n, of int) {
	list := p.hashes(nil, q)
	if b := p.seen["u0"]; b != nil {
		n = b.match(list)
	}
	return n, len(list)
}

// Waiting is the number of requests that wait for room at a model.
func (g *Gateway) Waiting(model string) int {
	q := g.models[model].queue
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}
