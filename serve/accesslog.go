package serve

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// AccessLogOptions tune an access log. Nil means the defaults.
type AccessLogOptions struct {
	// Message is the text of each line. Default "request".
	Message string
	// Level is that of requests that succeeded. Those with a status from 400
	// up are at least slog.LevelWarn, from 500 up slog.LevelError. Default
	// slog.LevelInfo.
	Level slog.Level
	// Sample is the part of the requests that is logged, above 0 and at most
	// 1, chosen by their ids: services that hand an id on choose the same
	// requests. Requests that failed are always logged. Default 1.
	Sample float64
	// Slow is the duration from which a request is logged in any case.
	// Default 0: off.
	Slow time.Duration
	// Quiet are statuses that are logged only where Sample chooses them, for
	// example 429 and 503, whose number grows when there is no time to log
	// them. Default none.
	Quiet []int
}

// AccessLog returns an observer that writes one line for each request to a
// deployed model, with these attributes:
//
//	model, version, digest, variant   who answered; left out where unknown
//	request_id, trace_id              trace_id from the header "traceparent"
//	tenant                            left out when there is none
//	status                            that of the answer, see Exchange.Status
//	duration, queue, infer            as slog writes durations: in JSON, nanoseconds
//	rows, bytes_in, bytes_out
//	error                             the kind of error, see below
//	sample                            with Sample below 1: the part that is logged
//
// A line never has anything of a payload in it, so the error is one of
// "invalid", "not found", "overload", "unavailable", "closed", "unsupported",
// "deadline", "canceled", "too large" and "internal": the server's own Logger
// has the words of those that are the server's or the model's fault.
//
// The handler of logger is called before the answer is sent: give it one that
// does not block. An ErrInvalid when the options are wrong or there is no
// logger.
func AccessLog(logger *slog.Logger, opts *AccessLogOptions) (Observer, error) {
	l := &accessLog{}
	if opts != nil {
		l.o = *opts
	}
	l.o.Message = cmp.Or(l.o.Message, "request")
	l.o.Sample = cmp.Or(l.o.Sample, 1)
	var f errs.Faults
	f.Check(logger != nil, "the logger is nil")
	f.Check(l.o.Sample > 0 && l.o.Sample <= 1, "Sample is %v, want above 0 and at most 1", l.o.Sample)
	f.Check(l.o.Slow >= 0, "Slow is %v, want 0 or more", l.o.Slow)
	for _, status := range l.o.Quiet {
		f.Check(status >= 400 && status < 600, "Quiet has status %d, want 400 to 599", status)
		if status >= 400 && status < 600 {
			l.quiet[status-400] = true
		}
	}
	if err := f.Err("serve: access log"); err != nil {
		return nil, err
	}
	l.logger = logger
	// Of the 2^32 hashes, those below are logged.
	l.below = uint64(math.Round(l.o.Sample * (1 << 32)))
	return l, nil
}

// accessLog implements Observer.
type accessLog struct {
	logger *slog.Logger
	o      AccessLogOptions
	quiet  [200]bool
	below  uint64
}

// Observe implements Observer.
func (l *accessLog) Observe(x *Exchange) {
	level := l.o.Level
	switch {
	case x.Status >= http.StatusInternalServerError:
		level = max(level, slog.LevelError)
	case x.Status >= http.StatusBadRequest:
		level = max(level, slog.LevelWarn)
	}
	ctx := context.Background()
	if !l.chosen(x) || !l.logger.Enabled(ctx, level) {
		return
	}
	var room [16]slog.Attr
	list := append(room[:0], slog.String("model", x.Model))
	list = attr(list, "version", x.Version)
	list = attr(list, "digest", x.Digest)
	list = attr(list, "variant", x.Variant)
	list = append(list, slog.String("request_id", x.RequestID))
	list = attr(list, "trace_id", traceID(x.Header))
	list = attr(list, "tenant", x.Tenant)
	list = append(list,
		slog.Int("status", x.Status), slog.Duration("duration", x.Duration), slog.Duration("queue", x.Queue), slog.Duration("infer", x.Infer),
		slog.Int64("rows", x.Rows), slog.Int64("bytes_in", x.BytesIn), slog.Int64("bytes_out", x.BytesOut))
	if x.Err != nil {
		list = append(list, slog.String("error", kindOf(x.Err)))
	}
	if l.o.Sample < 1 {
		list = append(list, slog.Float64("sample", l.o.Sample))
	}
	l.logger.LogAttrs(ctx, level, l.o.Message, list...)
}

// chosen reports whether a request is logged.
func (l *accessLog) chosen(x *Exchange) bool {
	switch {
	case l.o.Sample >= 1, l.o.Slow > 0 && x.Duration >= l.o.Slow:
		return true
	case x.Status >= 400 && (x.Status >= 600 || !l.quiet[x.Status-400]):
		return true
	}
	return uint64(hash32(x.RequestID)) < l.below
}

// hash32 is FNV-1a with the mixing of MurmurHash3 at its end: ids that count up
// are to be spread evenly.
func hash32(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

func attr(list []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return list
	}
	return append(list, slog.String(key, value))
}

// traceID returns the trace's id of a W3C traceparent header, "" for none.
func traceID(h Header) string {
	if h == nil {
		return ""
	}
	p := h.Get("traceparent")
	// Version 00: 2 digits, 32 of the trace, 16 of the span, 2 flags.
	if len(p) < 55 || p[2] != '-' || p[35] != '-' || p[52] != '-' {
		return ""
	}
	id, zero := p[3:35], true
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
		zero = zero && c == '0'
	}
	if zero {
		return ""
	}
	return id
}

// kindOf names the kind of an error.
func kindOf(err error) string {
	var overload *OverloadError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &overload):
		return "overload"
	case errors.As(err, &large):
		return "too large"
	case errors.Is(err, ErrInvalid):
		return "invalid"
	case errors.Is(err, ErrNotFound):
		return "not found"
	case errors.Is(err, errs.ErrUnsupported):
		return "unsupported"
	case errors.Is(err, ErrClosed):
		return "closed"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "internal"
}
