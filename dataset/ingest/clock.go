package ingest

import (
	"time"
)

// parseDay reads a date such as 2026-11-21 off the start of text, as the days
// since 1970.
func parseDay(text []byte) (days int64, rest []byte, ok bool) {
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		return 0, text, false
	}
	y, ok1 := digits(text[:4])
	m, ok2 := digits(text[5:7])
	d, ok3 := digits(text[8:10])
	if !ok1 || !ok2 || !ok3 || y < 1 || m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
		return 0, text, false
	}
	return civil(y, m, d), text[10:], true
}

func digits(b []byte) (n int, ok bool) {
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return n, true
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// civil counts the days from 1970-01-01 to a date of the Gregorian calendar, by
// years that start in March, so that the leap day is the last of its year.
func civil(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	year := y - era*400
	day := (153*(m-3)+2)/5 + d - 1
	return int64(era)*146097 + int64(year*365+year/4-year/100+day) - 719468
}

// parseTime reads a time such as 2026-11-21T17:00:00.5+01:00, as microseconds
// since 1970. The zone may be missing, and the T a space.
func parseTime(text []byte, c clock) (micros int64, zoned bool, reason string) {
	const shape = "is not a time such as 2026-11-21T17:00:00Z"
	days, rest, ok := parseDay(text)
	if !ok || len(rest) < 6 || rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ' || rest[3] != ':' {
		return 0, false, shape
	}
	hour, ok1 := digits(rest[1:3])
	minute, ok2 := digits(rest[4:6])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, false, shape
	}
	rest = rest[6:]
	second, nanos := 0, 0
	if len(rest) >= 3 && rest[0] == ':' {
		if second, ok = digits(rest[1:3]); !ok || second > 59 {
			return 0, false, shape
		}
		rest = rest[3:]
		if len(rest) >= 2 && (rest[0] == '.' || rest[0] == ',') {
			var n int
			if nanos, n = fraction(rest[1:]); n == 0 {
				return 0, false, shape
			}
			rest = rest[1+n:]
		}
	}
	if nanos%1000 != 0 && !c.round {
		return 0, false, "is finer than a microsecond: Options.Round cuts it"
	}
	offset, zoned, ok := parseZone(rest)
	if !ok {
		return 0, false, shape
	}
	if !zoned {
		switch c.zone {
		case nil:
			return 0, false, "is a time without a zone: say in Options.Location where its clock stood"
		case time.UTC:
		default:
			offset = offsetAt(c.zone, days*86400+int64(hour*3600+minute*60+second))
		}
	}
	return (days*86400+int64(hour*3600+minute*60+second)-offset)*1e6 + int64(nanos/1000), zoned, ""
}

// offsetAt is how many seconds a zone is ahead of UTC when its clock shows the
// Unix seconds local.
func offsetAt(zone *time.Location, local int64) int64 {
	t := time.Unix(local, 0).UTC()
	y, m, d := t.Date()
	return local - time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, zone).Unix()
}

// fraction reads the digits of a part of a second, which may be more than nine
// when those are zeros.
func fraction(text []byte) (nanos, length int) {
	scale := 100_000_000
	for length < len(text) && text[length]-'0' <= 9 {
		nanos += int(text[length]-'0') * scale
		if scale == 0 && text[length] != '0' {
			nanos |= 1 // Finer than can be told; no longer a whole microsecond.
		}
		scale /= 10
		length++
	}
	return nanos, length
}

// parseZone reads Z, +01:00, +0100, +01 or nothing.
func parseZone(text []byte) (seconds int64, zoned, ok bool) {
	if len(text) > 1 && text[0] == ' ' {
		text = text[1:] // As PostgreSQL and pandas do not, but some exports.
	}
	switch {
	case len(text) == 0:
		return 0, false, true
	case len(text) == 1 && (text[0] == 'Z' || text[0] == 'z'), string(text) == "UTC":
		return 0, true, true
	case text[0] != '+' && text[0] != '-':
		return 0, false, false
	}
	negative := text[0] == '-'
	text = text[1:]
	if len(text) == 5 && text[2] == ':' {
		text = []byte{text[0], text[1], text[3], text[4]}
	}
	if len(text) != 2 && len(text) != 4 {
		return 0, false, false
	}
	n, ok := digits(text)
	if !ok {
		return 0, false, false
	}
	if len(text) == 2 {
		n *= 100
	}
	if n/100 > 18 || n%100 > 59 {
		return 0, false, false
	}
	seconds = int64(n/100*3600 + n%100*60)
	if negative {
		seconds = -seconds
	}
	return seconds, true, true
}
