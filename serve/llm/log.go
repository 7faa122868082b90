package llm

// Log keeps what was asked and answered.
type Log struct {
	// Recorder gets the records.
	Recorder Recorder
	// Redact appends text to dst without what must not be kept. It is called
	// before anything is copied into a record. Nil is RedactPII.
	Redact func(dst, text []byte) []byte
	// MaxBytes is how much of a request, and of an answer, is kept. What is longer
	// is cut. Default 64 KiB.
	MaxBytes int
}

// Record is a request and its answer, redacted. It belongs to the Recorder.
type Record struct {
	// Exchange is what is known of the request. It has no bodies.
	Exchange Exchange
	// Request is the body. Answer is that of the answer; of a stream, its text.
	Request, Answer []byte
	// Truncated says that one of them was cut.
	Truncated bool
}

// Recorder takes records. It is called on the path of the request and must not
// block.
type Recorder interface {
	Record(r Record)
}

func (l *Log) max() int {
	if l.MaxBytes <= 0 {
		return 64 << 10
	}
	return l.MaxBytes
}

// log remembers what goes to the client.
func (c *call) log(b []byte) {
	l := c.g.o.Log
	if l == nil {
		return
	}
	if c.logged == nil {
		c.logged = c.g.bufs.get()
	}
	// The text of a stream is a small part of its bytes.
	most := 16 * l.max()
	if !c.x.Stream {
		most = l.max() + 1
	}
	c.logged = append(c.logged, b[:min(len(b), max(most-len(c.logged), 0))]...)
}

// record hands a request over.
func (l *Log) record(c *call) {
	if l == nil || l.Recorder == nil {
		return
	}
	redact := l.Redact
	if redact == nil {
		redact = RedactPII
	}
	answer := c.logged
	if c.x.Stream {
		answer = streamText(c.logged)
	}
	r := Record{Exchange: c.x}
	r.Exchange.User = string(redact(nil, []byte(c.x.User)))
	r.Exchange.Session = string(redact(nil, []byte(c.x.Session)))
	// Redacted first: a cut in the middle of what has to go would let it stay.
	r.Request, r.Answer = redact(nil, c.body), redact(nil, answer)
	for _, b := range []*[]byte{&r.Request, &r.Answer} {
		if len(*b) > l.max() {
			*b, r.Truncated = (*b)[:l.max():l.max()], true
		}
	}
	l.Recorder.Record(r)
}
