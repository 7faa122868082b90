package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a request.
const (
	HeaderSignature = "X-MLflow-Signature"
	HeaderTimestamp = "X-MLflow-Timestamp"
	HeaderID        = "X-MLflow-Delivery-Id"
)

const signatureVersion = "v1,"

// Sign returns the value of HeaderSignature for a body that is sent with this
// delivery id and timestamp, in seconds since 1970.
func Sign(secret, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return signatureVersion + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Verify checks, in a receiver, that a request with this body was signed with
// the secret, and no longer than tolerance ago; 0 stands for five minutes, -1
// for any time. An error is ErrInvalid, and says what does not fit.
func Verify(header http.Header, body []byte, secret string, tolerance time.Duration) error {
	id, timestamp, signature := header.Get(HeaderID), header.Get(HeaderTimestamp), header.Get(HeaderSignature)
	if secret == "" {
		return fmt.Errorf("webhook: verify: the secret is empty: %w", ErrInvalid)
	}
	if id == "" || timestamp == "" || signature == "" {
		return fmt.Errorf("webhook: verify: a header is missing of %s, %s and %s: %w", HeaderID, HeaderTimestamp, HeaderSignature, ErrInvalid)
	}
	if !hmac.Equal([]byte(signature), []byte(Sign(secret, id, timestamp, body))) {
		return fmt.Errorf("webhook: verify: the signature is not that of this body, id and timestamp with this secret: %w", ErrInvalid)
	}
	if tolerance < 0 {
		return nil
	}
	if tolerance == 0 {
		tolerance = 5 * time.Minute
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(timestamp), 10, 64)
	if err != nil {
		return fmt.Errorf("webhook: verify: %s is no number of seconds: %w", HeaderTimestamp, ErrInvalid)
	}
	if age := time.Since(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return fmt.Errorf("webhook: verify: the request is from %v ago, want %v at most: it is old, repeated, or the clocks differ: %w",
			age.Round(time.Second), tolerance, ErrInvalid)
	}
	return nil
}
