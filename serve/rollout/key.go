package rollout

import (
	"strconv"

	"github.com/millwright-ml/millwright/serve"
)

// Key returns whom a request belongs to: a user, a session, a device; "" for
// nobody. It is called for each request that names no version, and must not
// block. Any func is one.
type Key func(c *serve.Call) string

// Header takes the key from a header of the request.
func Header(name string) Key {
	return func(c *serve.Call) string { return c.HeaderValue(name) }
}

// Param takes the key from a parameter of the request: a text or a whole number.
func Param(name string) Key {
	return func(c *serve.Call) string {
		switch v := c.Request.Parameters[name].(type) {
		case string:
			return v
		case int64:
			return strconv.FormatInt(v, 10)
		}
		return ""
	}
}

// RequestID makes each request a key of its own: the split is fair and not
// sticky.
func RequestID() Key {
	return func(c *serve.Call) string { return c.RequestID }
}
