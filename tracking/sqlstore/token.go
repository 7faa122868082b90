package sqlstore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/millwright-ml/millwright/tracking"
)

// A page token is the key of the last entry of the page before, so that a page
// costs the same wherever it is and writers cannot shift it. Around it stand
// the kind of list with its version and a checksum that covers the query too,
// which catches a damaged token and one used with another query. A token holds
// no secret: all that a forged one can do is move within the answer.
type tokenKind byte

const (
	historyToken tokenKind = 'h'

	checksumSize  = 4
	maxTokenBytes = 512
)

// checksum covers a token's body and what its query asks for.
func checksum(body []byte, query []string) []byte {
	h := fnv.New32a()
	_, _ = h.Write(body)
	for _, part := range query {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(part)))) // "ab","c" is not "a","bc"
		_, _ = h.Write([]byte(part))
	}
	return h.Sum(nil)
}

func seal(body []byte, query []string) string {
	return base64.RawURLEncoding.EncodeToString(append(body, checksum(body, query)...))
}

// tokenReader takes a token apart and remembers whether it was at fault.
type tokenReader struct {
	rest []byte
	bad  bool
}

func unseal(token string, kind tokenKind, query []string) *tokenReader {
	bad := &tokenReader{bad: true}
	if base64.RawURLEncoding.DecodedLen(len(token)) > maxTokenBytes {
		return bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 1+checksumSize || tokenKind(raw[0]) != kind {
		return bad
	}
	body, sum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if string(checksum(body, query)) != string(sum) {
		return bad
	}
	return &tokenReader{rest: body[1:]}
}

func (r *tokenReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *tokenReader) float() float64 {
	if len(r.rest) < 8 {
		r.bad, r.rest = true, nil
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(r.rest))
	r.rest = r.rest[8:]
	r.bad = r.bad || math.IsNaN(v) // NaN is written as 0 with a flag
	return v
}

func (r *tokenReader) err() error {
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("the page token is damaged or belongs to another query: %w", tracking.ErrInvalid)
	}
	return nil
}

func (c historyCursor) token(query ...string) string {
	body := binary.AppendVarint([]byte{byte(historyToken)}, c.tsMS)
	body = binary.AppendVarint(body, c.step)
	body = binary.BigEndian.AppendUint64(body, math.Float64bits(c.value))
	return seal(binary.AppendVarint(body, c.isNaN), query)
}

func parseHistoryCursor(token string, query ...string) (historyCursor, error) {
	if token == "" {
		return firstHistoryCursor(), nil
	}
	r := unseal(token, historyToken, query)
	c := historyCursor{tsMS: r.varint(), step: r.varint(), value: r.float(), isNaN: r.varint()}
	r.bad = r.bad || c.isNaN < 0 || c.isNaN > 1
	return c, r.err()
}
