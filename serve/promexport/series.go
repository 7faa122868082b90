package promexport

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/serve"
)

// series is what the requests of one version are counted by.
type series struct {
	key                    key
	users                  int    // Deployments of the name. Guarded by Exporter.mu.
	digest, platform       string // Guarded by Exporter.mu.
	duration, queue, infer prometheus.Observer

	codes    [len(codes) + 1]atomic.Uint64 // The last is for others.
	failures [len(reasons)]atomic.Uint64

	rows, in, out atomic.Uint64

	trace func(x *serve.Exchange) string // Options.Exemplar

	front atomic.Pointer[named] // Of requests without a version: the default one.
}

// named is a version with its series, nil for none.
type named struct {
	version string
	series  *series
}

// codes are the statuses that requests end with.
var codes = [...]int{
	http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusTooManyRequests, 499, http.StatusInternalServerError,
	http.StatusNotImplemented, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// Observe implements serve.Observer.
func (s *series) Observe(x *serve.Exchange) {
	if s.trace == nil || !s.exemplar(x) {
		s.duration.Observe(x.Duration.Seconds())
	}
	s.queue.Observe(x.Queue.Seconds())
	s.infer.Observe(x.Infer.Seconds())
	s.count(x)
}

// count counts what needs no version.
func (s *series) count(x *serve.Exchange) {
	at := 0
	for at < len(codes) && codes[at] != x.Status {
		at++
	}
	s.codes[at].Add(1)
	if x.Err != nil {
		s.failures[reason(x)].Add(1)
	} else {
		s.rows.Add(uint64(x.Rows))
	}
	if x.BytesIn > 0 {
		s.in.Add(uint64(x.BytesIn))
	}
	if x.BytesOut > 0 {
		s.out.Add(uint64(x.BytesOut))
	}
}

// reasons are Triton's words for why a request failed.
var reasons = [...]string{"REJECTED", "CANCELED", "BACKEND", "OTHER"}

const (
	rejected = iota
	canceled
	backend
	other
)

// reason is Triton's for a request that failed.
func reason(x *serve.Exchange) int {
	switch {
	case x.Status == 499:
		return canceled
	case x.Status == http.StatusTooManyRequests, x.Status == http.StatusServiceUnavailable:
		return rejected
	case x.Status == http.StatusGatewayTimeout && x.Infer == 0:
		return rejected // It never got to the model.
	case x.Status >= http.StatusInternalServerError:
		return backend
	}
	return other
}
