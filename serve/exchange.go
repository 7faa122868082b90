package serve

import (
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Observer is told of each infer request, to count, log or monitor it. The
// calls come from the goroutines of the requests, several at once.
type Observer interface {
	// Observe is called once the response was computed and before its first
	// byte leaves, so that a client that has its answer knows that it was
	// observed. It must not block. The exchange and what it points to are
	// valid only during the call and must not be changed; a panic in it is
	// contained and logged.
	Observe(*Exchange)
}

// Exchange is one infer request for a deployed model and what became of it.
type Exchange struct {
	// Model and Version are the deployment that answered, Digest is that of
	// its files ([Deployment.Digest]). Version and Digest are empty when the
	// request came to no version: it could not be decoded, or was turned
	// away by the limits.
	Model, Version, Digest string
	// Variant is the name that a Router gave its choice, "" without one.
	Variant string
	// Tenant is whom Options.Tenant saw in the request.
	Tenant string
	// RequestID is the client's, or the one the server made up.
	RequestID string
	// Request is what the client sent, nil when it could not be decoded;
	// middleware may have put another in its place. It was checked against
	// the signature when Err is nil.
	Request *oip.InferRequest
	// Response is the model's answer with all its outputs, also those that
	// the client did not ask for; of a stream it is the last part. It is nil
	// when Err is not.
	Response *oip.InferResponse
	// Header is what came with the request beside its body, nil for none.
	Header Header
	// Start is when the request's headers had been read, Duration the time
	// from then until the response was encoded.
	Start    time.Time
	Duration time.Duration
	// Err is why there is no response, nil on success.
	Err error
	// Labels are the deployment's.
	Labels map[string]string
}

// Attach adds an observer, behind those there are, and returns what takes it
// away again. An exchange that is being told ends as it began.
func (s *Server) Attach(o Observer) (detach func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := &attached{o}
	list := append([]*attached{}, *s.observers.Load()...)
	list = append(list, mine)
	s.observers.Store(&list)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		var rest []*attached
		for _, a := range *s.observers.Load() {
			if a != mine {
				rest = append(rest, a)
			}
		}
		s.observers.Store(&rest)
	}
}

// attached tells two attachments of one observer apart.
type attached struct{ Observer }
