package train

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const idPrefix = "job-"

// JobID is the id of the job with the key: "job-" and 20 hexadecimal digits, fit
// for a DNS label. Launchers derive their objects' names from it.
func JobID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return idPrefix + hex.EncodeToString(sum[:10])
}

// NewJobID is a random id for a job without a key.
func NewJobID() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // documented to never fail
	return idPrefix + hex.EncodeToString(b)
}

// ValidJobID reports whether the text has the form of an id. Ids come from
// outside in Attach: what is none must not reach paths and queries.
func ValidJobID(id string) bool {
	rest, ok := strings.CutPrefix(id, idPrefix)
	return ok && len(rest) == 20 && strings.Trim(rest, "0123456789abcdef") == ""
}
