package llm

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
)

// Key is what a request is found by in a Cache: whose it is, what it asks, with
// each byte of its body.
type Key [sha256.Size]byte

// Answer is an answer in a Cache. It is not changed.
type Answer struct {
	// Body is the JSON, Usage what it cost to make.
	Body  []byte
	Usage Usage
	// Model is the model that made it, as the upstream calls it.
	Model string
}

// Cache keeps answers. Its methods are used by many requests at once, on their
// path. Streams are not kept, nor is what a client sends with Cache-Control:
// no-store; with no-cache it is asked anew and then kept.
type Cache interface {
	Get(key Key) (*Answer, bool)
	Put(key Key, a *Answer)
}

// Similar is a cache that knows requests that mean the same. It is asked where the
// Cache, if there is one, has nothing, on the path of the request, and under the
// same conditions.
type Similar interface {
	// Find returns an answer, or nil; then keep, unless it is nil as well, is called
	// with the answer that the request gets, if it gets one. The exchange and the
	// body are valid during the call.
	Find(ctx context.Context, x *Exchange, body []byte) (a *Answer, keep func(a *Answer))
}

// cacheKey is the key of the request.
func (c *call) cacheKey() Key {
	h := sha256.New()
	for _, s := range []string{c.x.Tenant, string(c.x.Operation)} {
		_, _ = h.Write([]byte(s)) // It never fails.
		_, _ = h.Write([]byte{0})
	}
	_, _ = h.Write(c.body)
	var k Key
	h.Sum(k[:0])
	return k
}

// fromCache answers the request if its answer is known.
func (c *call) fromCache() bool {
	if c.g.o.Cache == nil && c.g.o.Similar == nil || c.x.Stream || c.cacheControl("no-cache") || c.cacheControl("no-store") {
		return false
	}
	a, ok := (*Answer)(nil), false
	if c.g.o.Cache != nil {
		a, ok = c.g.o.Cache.Get(c.cacheKey())
	}
	if !ok && c.g.o.Similar != nil {
		a, c.keepSimilar = c.g.o.Similar.Find(c.r.Context(), &c.x, c.body)
		ok = a != nil
	}
	if !ok {
		return false
	}
	c.x.Cached, c.x.ResponseModel = true, a.Model
	c.w.Header()["Content-Type"] = jsonType
	c.name()
	c.deliver(http.StatusOK, a.Body)
	return true
}

// keep remembers an answer.
func (c *call) keep(status int, answer []byte) {
	if c.g.o.Cache == nil && c.keepSimilar == nil || status != http.StatusOK || c.x.Stream || c.cacheControl("no-store") {
		return
	}
	a := &Answer{Body: append([]byte(nil), answer...), Usage: c.x.Usage, Model: c.x.ResponseModel}
	if c.g.o.Cache != nil {
		c.g.o.Cache.Put(c.cacheKey(), a)
	}
	if c.keepSimilar != nil {
		c.keepSimilar(a)
	}
}

func (c *call) cacheControl(want string) bool {
	for _, line := range c.r.Header["Cache-Control"] {
		if strings.Contains(strings.ToLower(line), want) {
			return true
		}
	}
	return false
}
