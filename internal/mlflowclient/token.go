package mlflowclient

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// A page token of a client is the server's token behind eight bytes that tie it
// to the query, since servers take a token of another query for their own and
// answer with a wrong page.

const tokenMark = 8

func markOf(query, token string) []byte {
	sum := sha256.Sum256([]byte(query + "\x00" + token))
	return sum[:tokenMark]
}

// SealToken returns the client's token for what the server answered.
func SealToken(query, token string) string {
	if token == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(markOf(query, token), token...))
}

// OpenToken returns the server's token. ErrInvalid when it is damaged or
// belongs to another query.
func OpenToken(query, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil && len(data) > tokenMark && string(data[:tokenMark]) == string(markOf(query, string(data[tokenMark:]))) {
		return string(data[tokenMark:]), nil
	}
	return "", fmt.Errorf("page token %q is damaged or belongs to another query: %w", Shown(token), errs.ErrInvalid)
}
