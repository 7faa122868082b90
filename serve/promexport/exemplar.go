package promexport

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/serve"
)

// maxTrace bounds the name of a trace: OpenMetrics allows 128 characters for all
// labels of an exemplar, and client_golang panics at more.
const maxTrace = 64

// exemplar counts the duration together with the request's trace, if it has one.
func (s *series) exemplar(x *serve.Exchange) bool {
	id := s.trace(x)
	if id == "" || len(id) > maxTrace || !utf8.ValidString(id) {
		return false
	}
	o, ok := s.duration.(prometheus.ExemplarObserver)
	if ok {
		o.ObserveWithExemplar(x.Duration.Seconds(), prometheus.Labels{"trace_id": id})
	}
	return ok
}

// Traceparent is the trace that the request's header traceparent names (W3C Trace
// Context), if the caller has it sampled, and "" otherwise. It is one for
// Options.Exemplar.
func Traceparent(x *serve.Exchange) string {
	if x.Header == nil {
		return ""
	}
	// Version, trace, parent and flags: 00-<32 digits>-<16 digits>-<2 digits>.
	const from, to, flags, length = 3, 35, 53, 55
	h := x.Header.Get("traceparent")
	if len(h) < length || h[:from] != "00-" || h[to] != '-' || h[flags-1] != '-' {
		return ""
	}
	for _, c := range []byte(h[from:to]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	if strings.Trim(h[from:to], "0") == "" || strings.IndexByte("13579bdf", h[flags+1]) < 0 {
		return "" // No trace, or one that is not sampled.
	}
	return h[from:to]
}
