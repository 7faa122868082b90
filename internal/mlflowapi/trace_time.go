package mlflowapi

import (
	"strconv"
	"strings"
	"time"
)

// Timestamp is a moment: on the wire a text like "2026-01-02T03:04:05.678Z".
type Timestamp struct {
	time.Time
}

func (t *Timestamp) decode(s *scanner) *fault {
	start := s.pos
	if s.space() != '"' {
		return s.wrong("a time like 2026-01-02T03:04:05Z")
	}
	text, f := s.text()
	if f != nil {
		return f
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	// Beyond these years the number of milliseconds does not fit everywhere.
	if err != nil || at.Year() < 1 || at.Year() > 9999 {
		return bad(s.data[start:s.pos], "want a time like 2026-01-02T03:04:05Z.")
	}
	t.Time = at.UTC()
	return nil
}

func (t *Timestamp) appendJSON(dst []byte) []byte {
	at := t.UTC()
	dst = append(dst, '"')
	dst = at.AppendFormat(dst, "2006-01-02T15:04:05")
	dst = appendFraction(dst, int64(at.Nanosecond()))
	return append(dst, 'Z', '"')
}

// appendFraction appends nanoseconds with as many digits as protobuf does: 0,
// 3, 6 or 9.
func appendFraction(dst []byte, nanos int64) []byte {
	if nanos == 0 {
		return dst
	}
	digits := strconv.Itoa(int(1e9 + nanos))[1:]
	for strings.HasSuffix(digits, "000") {
		digits = digits[:len(digits)-3]
	}
	return append(append(dst, '.'), digits...)
}

// Duration is a length of time: on the wire a text like "1.250s".
type Duration struct {
	time.Duration
}

func (d *Duration) decode(s *scanner) *fault {
	start := s.pos
	if s.space() != '"' {
		return s.wrong("a duration like 1.5s")
	}
	text, f := s.text()
	if f != nil {
		return f
	}
	v, ok := parseDuration(string(text))
	if !ok {
		return bad(s.data[start:s.pos], "want a duration like 1.5s, of at most 292 years.")
	}
	d.Duration = v
	return nil
}

func parseDuration(text string) (time.Duration, bool) {
	digits, ok := strings.CutSuffix(text, "s")
	number, negative := strings.CutPrefix(digits, "-")
	whole, fraction, point := strings.Cut(number, ".")
	if !ok || !allDigits(whole) || point && (!allDigits(fraction) || len(fraction) > 9) || len(whole) > 10 {
		return 0, false
	}
	seconds, _ := strconv.ParseInt(whole, 10, 64)
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	const longest = int64(1<<63-1) / int64(time.Second)
	if seconds >= longest {
		return 0, false
	}
	v := seconds*int64(time.Second) + nanos
	if negative {
		v = -v
	}
	return time.Duration(v), true
}

func allDigits(s string) bool {
	for _, c := range []byte(s) {
		if !isDigit(c) {
			return false
		}
	}
	return s != ""
}

func (d *Duration) appendJSON(dst []byte) []byte {
	v := int64(d.Duration)
	dst = append(dst, '"')
	seconds, nanos := v/int64(time.Second), v%int64(time.Second)
	if v < 0 {
		dst = append(dst, '-')
		seconds, nanos = -seconds, -nanos
	}
	dst = strconv.AppendInt(dst, seconds, 10)
	dst = appendFraction(dst, nanos)
	return append(dst, 's', '"')
}
