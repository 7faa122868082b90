package sqlstore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

// A page token of a search is the place of the last entry of the page before,
// so that a page costs the same wherever it is and writers cannot shift it.
// With it goes a checksum over the place and the whole query, which catches a
// damaged token and one used with another query. A token holds no secret: all
// that a forged one can do is move within the answer.

// The kinds of searches, the first byte of their tokens.
const (
	experimentSearch byte = 'E'
	runSearch        byte = 'R'
	modelSearch      byte = 'M'
	traceSearch      byte = 'T'
)

// maxSearchToken bounds what is decoded: the values of a place are the texts
// that an entry is ordered by.
const maxSearchToken = 1 << 20

// querySum identifies a query by all that makes its answer.
func querySum(kind byte, parts ...string) [8]byte {
	h := sha256.New()
	h.Write([]byte{kind})
	for _, part := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(part)))) // "ab","c" is not "a","bc"
		h.Write([]byte(part))
	}
	return [8]byte(h.Sum(nil))
}

// list is one part of a query that holds several.
func listPart[T ~string](list []T) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(strconv.Itoa(len(s)) + ":" + string(s))
	}
	return b.String()
}

func sealPlace(kind byte, query [8]byte, p place) string {
	body := append([]byte{kind}, byte(p.stage))
	for _, v := range p.values {
		switch v := v.(type) {
		case int64:
			body = binary.AppendVarint(append(body, intValue), v)
		case float64:
			body = binary.BigEndian.AppendUint64(append(body, floatValue), math.Float64bits(v))
		case string:
			body = append(binary.AppendUvarint(append(body, textValue), uint64(len(v))), v...)
		}
	}
	return base64.RawURLEncoding.EncodeToString(append(body, placeSum(query, body)...))
}

func placeSum(query [8]byte, body []byte) []byte {
	sum := sha256.Sum256(append(query[:], body...))
	return sum[:8]
}

// openPlace reads a token; nil is the place before the first page. fits checks
// that the place is one of this answer.
func openPlace(kind byte, query [8]byte, token string, fits func(p place) bool) (*place, error) {
	if token == "" {
		return nil, nil
	}
	p, ok := decodePlace(kind, query, token)
	if !ok || !fits(p) {
		return nil, fmt.Errorf("the page token is damaged or belongs to another query: %w", tracking.ErrInvalid)
	}
	return &p, nil
}

func decodePlace(kind byte, query [8]byte, token string) (p place, ok bool) {
	if base64.RawURLEncoding.DecodedLen(len(token)) > maxSearchToken {
		return p, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 10 || raw[0] != kind {
		return p, false
	}
	body, sum := raw[:len(raw)-8], raw[len(raw)-8:]
	if string(placeSum(query, body)) != string(sum) {
		return p, false
	}
	p.stage = int(body[1])
	for rest := body[2:]; len(rest) > 0; {
		what := rest[0]
		rest = rest[1:]
		switch what {
		case intValue:
			v, n := binary.Varint(rest)
			if n <= 0 {
				return p, false
			}
			p.values, rest = append(p.values, v), rest[n:]
		case floatValue:
			if len(rest) < 8 {
				return p, false
			}
			v := math.Float64frombits(binary.BigEndian.Uint64(rest))
			if math.IsNaN(v) {
				return p, false
			}
			p.values, rest = append(p.values, v), rest[8:]
		case textValue:
			v, n := binary.Uvarint(rest)
			if n <= 0 || v > uint64(len(rest)-n) {
				return p, false
			}
			p.values, rest = append(p.values, string(rest[n:n+int(v)])), rest[n+int(v):]
		default:
			return p, false
		}
	}
	return p, true
}

// fits reports whether a place is one of the lookup's answer.
func (l *lookup) fits(p place) bool {
	stages := l.stages()
	if p.stage >= len(stages) {
		return false
	}
	cols := l.columns(stages[p.stage])
	if len(cols) != len(p.values) {
		return false
	}
	for i, c := range cols {
		kind := textValue
		switch p.values[i].(type) {
		case int64:
			kind = intValue
		case float64:
			kind = floatValue
		}
		if kind != c.kind {
			return false
		}
	}
	return true
}
