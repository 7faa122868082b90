package sqlsearch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// A page token of a search is the place of the last entry of the page before,
// so that a page costs the same wherever it is and writers cannot shift it.
// With it goes a checksum over the place and the whole query, which catches a
// damaged token and one used with another query. A token holds no secret: all
// that a forged one can do is move within the answer.

// maxSearchToken bounds what is decoded: the values of a place are the texts
// that an entry is ordered by.
const maxSearchToken = 1 << 20

// QuerySum identifies a query by all that makes its answer.
func QuerySum(kind byte, parts ...string) [8]byte {
	h := sha256.New()
	h.Write([]byte{kind})
	for _, part := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(part)))) // "ab","c" is not "a","bc"
		h.Write([]byte(part))
	}
	return [8]byte(h.Sum(nil))
}

// ListPart is one part of a query that holds several.
func ListPart[T ~string](list []T) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(strconv.Itoa(len(s)) + ":" + string(s))
	}
	return b.String()
}

// Seal makes a page token of a place in the answer to a query.
func Seal(kind byte, query [8]byte, p Place) string {
	body := append([]byte{kind}, byte(p.Stage))
	for _, v := range p.Values {
		switch v := v.(type) {
		case int64:
			body = binary.AppendVarint(append(body, IntValue), v)
		case float64:
			body = binary.BigEndian.AppendUint64(append(body, FloatValue), math.Float64bits(v))
		case string:
			body = append(binary.AppendUvarint(append(body, TextValue), uint64(len(v))), v...)
		}
	}
	return base64.RawURLEncoding.EncodeToString(append(body, placeSum(query, body)...))
}

func placeSum(query [8]byte, body []byte) []byte {
	sum := sha256.Sum256(append(query[:], body...))
	return sum[:8]
}

// Open reads a token; nil is the place before the first page. fits checks
// that the place is one of this answer.
func Open(kind byte, query [8]byte, token string, fits func(p Place) bool) (*Place, error) {
	if token == "" {
		return nil, nil
	}
	p, ok := decodePlace(kind, query, token)
	if !ok || !fits(p) {
		return nil, fmt.Errorf("the page token is damaged or belongs to another query: %w", errs.ErrInvalid)
	}
	return &p, nil
}

func decodePlace(kind byte, query [8]byte, token string) (p Place, ok bool) {
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
	p.Stage = int(body[1])
	for rest := body[2:]; len(rest) > 0; {
		what := rest[0]
		rest = rest[1:]
		switch what {
		case IntValue:
			v, n := binary.Varint(rest)
			if n <= 0 {
				return p, false
			}
			p.Values, rest = append(p.Values, v), rest[n:]
		case FloatValue:
			if len(rest) < 8 {
				return p, false
			}
			v := math.Float64frombits(binary.BigEndian.Uint64(rest))
			if math.IsNaN(v) {
				return p, false
			}
			p.Values, rest = append(p.Values, v), rest[8:]
		case TextValue:
			v, n := binary.Uvarint(rest)
			if n <= 0 || v > uint64(len(rest)-n) {
				return p, false
			}
			p.Values, rest = append(p.Values, string(rest[n:n+int(v)])), rest[n+int(v):]
		default:
			return p, false
		}
	}
	return p, true
}

// Fits reports whether a place is one of the lookup's answer.
func (l *Lookup) Fits(p Place) bool {
	stages := l.stages()
	if p.Stage >= len(stages) {
		return false
	}
	cols := l.columns(stages[p.Stage])
	if len(cols) != len(p.Values) {
		return false
	}
	for i, c := range cols {
		kind := TextValue
		switch p.Values[i].(type) {
		case int64:
			kind = IntValue
		case float64:
			kind = FloatValue
		}
		if kind != c.Kind {
			return false
		}
	}
	return true
}
