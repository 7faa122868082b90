package llm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Tenant is whose requests share limits and a budget.
type Tenant struct {
	// Name is what logs and metrics call it.
	Name string
	// Models are the models that it may use, also as fallbacks. Nil is all.
	Models []string
	// Requests and Tokens are how many a minute it may have, where the tokens are
	// those of prompts and answers. A minute's worth may come at once. 0 is no
	// limit.
	Requests, Tokens int64
	// Budget is the money that it may spend in a period, in what the prices are
	// in. 0 is no limit.
	Budget float64
	// Period is that of Budget. Default Month.
	Period Period
	// Priority is whose requests go first when a model has no room: the higher.
	Priority int
	// Share is its part of a model without room, against those of the same
	// priority. Default 1.
	Share float64
}

// Period is a time after which a budget begins anew, in UTC.
type Period int

// The periods.
const (
	Month Period = iota
	Day
)

// window is the name of the period that a time is in, and its end.
func (p Period) window(at time.Time) (string, time.Time) {
	at = at.UTC()
	if p == Day {
		return at.Format("2006-01-02"), time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, time.UTC)
	}
	return at.Format("2006-01"), time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// mostMoney is the most that fits in billionths.
const mostMoney = 9e9

// anyone is the tenant of a gateway without an Authenticator.
var anyone = Tenant{}

func (t *Tenant) may(model string) bool {
	return t.Models == nil || slices.Contains(t.Models, model)
}

// Authenticator says whose request it is.
type Authenticator interface {
	// Authenticate returns the tenant, which the gateway does not change, or an
	// error, of which an *Error is the client's answer.
	Authenticate(r *http.Request) (*Tenant, error)
}

// AuthenticatorFunc makes an Authenticator of a function.
type AuthenticatorFunc func(r *http.Request) (*Tenant, error)

// Authenticate implements Authenticator.
func (f AuthenticatorFunc) Authenticate(r *http.Request) (*Tenant, error) { return f(r) }

// Keys are tenants by their API keys. It holds hashes only, and is never changed.
type Keys struct {
	tenants map[[sha256.Size]byte]*Tenant
}

// HashKey is the form in which a key is stored: its SHA-256 in hexadecimal. Keys
// have to be long and random, as NewKey makes them; a password's hash would be
// guessed.
func HashKey(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

// NewKeys returns the tenants by the hashes of their keys (HashKey). Several keys
// may belong to one tenant.
func NewKeys(tenants map[string]*Tenant) (*Keys, error) {
	k := &Keys{tenants: make(map[[sha256.Size]byte]*Tenant, len(tenants))}
	var f errs.Faults
	for hash, t := range tenants {
		var sum [sha256.Size]byte
		b, err := hex.DecodeString(hash)
		if err != nil || copy(sum[:], b) != len(sum) || len(b) != len(sum) {
			// It may be a key that was taken for its hash.
			f.Addf("a key is not the hash of one (HashKey makes it)")
			continue
		}
		if t == nil {
			f.Addf("a key has no tenant")
			continue
		}
		f.Check(t.Name != "", "a tenant has no name")
		f.Check(t.Requests >= 0 && t.Tokens >= 0 && t.Budget >= 0 && t.Share >= 0, "tenant %q has a limit below 0", t.Name)
		f.Check(t.Budget <= mostMoney, "tenant %q has a budget above %g", t.Name, mostMoney)
		k.tenants[sum] = t
	}
	if err := f.Err("llm: keys"); err != nil {
		return nil, err
	}
	return k, nil
}

// Authenticate implements Authenticator by the bearer token.
func (k *Keys) Authenticate(r *http.Request) (*Tenant, error) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || key == "" {
		return nil, &Error{Status: http.StatusUnauthorized, Type: typeAuth, Code: "missing_api_key", Message: "there is no API key: send it in the header Authorization, as \"Bearer KEY\""}
	}
	// What a look-up gives away by its time is about the hash, of which nobody
	// can choose the bits.
	t := k.tenants[sha256.Sum256([]byte(strings.TrimSpace(key)))]
	if t == nil {
		return nil, &Error{Status: http.StatusUnauthorized, Type: typeAuth, Code: "invalid_api_key", Message: "the API key is not known"}
	}
	return t, nil
}

// String names the number of keys and no key.
func (k *Keys) String() string { return fmt.Sprintf("%d keys", len(k.tenants)) }
