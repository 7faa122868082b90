package llm

import (
	"maps"
	"net/http"
	"net/textproto"
	"strings"
)

// dropped are the headers of a request that stay here: those of the connection,
// those that tell who the client is, and those that the gateway writes itself.
var dropped = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Expect": true, "Host": true,
	"Authorization": true, "Api-Key": true, "X-Api-Key": true, "Cookie": true, "Set-Cookie": true,
	"Content-Length": true, "Accept-Encoding": true, "Content-Encoding": true,
	"X-Request-Id": true, "Retry-After": true, "Content-Type": true, "Www-Authenticate": true,
	"Forwarded": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Real-Ip": true,
	// Marks of a server's own.
	"Server": true, "Date": true, "X-Powered-By": true,
}

// copyHeader copies what belongs to the message and not to the connection.
func copyHeader(dst, src http.Header) {
	// What the sender names in Connection belongs to the connection, too.
	var named []string
	for _, line := range src["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			named = append(named, http.CanonicalHeaderKey(textproto.TrimString(name)))
		}
	}
next:
	for name, values := range src {
		if dropped[name] {
			continue
		}
		for _, n := range named {
			if n == name {
				continue next
			}
		}
		dst[name] = values
	}
}

var (
	jsonType     = []string{"application/json"}
	identity     = []string{"identity"}
	noBuffering  = []string{"no"}
	noCacheValue = []string{"no-cache"}
)

// requestHeader is the header of a request to an upstream.
func (c *call) requestHeader(u *upstream) http.Header {
	h := make(http.Header, len(c.r.Header)+len(u.Header)+4)
	copyHeader(h, c.r.Header)
	h["Content-Type"] = jsonType
	h["Accept-Encoding"] = identity
	h["X-Request-Id"] = []string{c.x.ID}
	maps.Copy(h, c.traced)
	if u.bearer != nil {
		h["Authorization"] = u.bearer
	}
	for name, values := range u.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

// answerHeader writes the header of an answer.
func (c *call) answerHeader(resp *http.Response) {
	h := c.w.Header()
	copyHeader(h, resp.Header)
	if t := resp.Header["Content-Type"]; len(t) > 0 {
		h["Content-Type"] = t
	}
	c.name()
}

// name writes into the header of the answer by what the request is found again,
// and what it was answered with.
func (c *call) name() {
	h := c.w.Header()
	h["X-Request-Id"] = []string{c.x.ID}
	if c.x.Prompt != "" {
		h["Millwright-Prompt"] = []string{c.x.Prompt + "/" + c.x.PromptVersion}
	}
	for _, a := range c.x.Arms {
		h["Millwright-Variant"] = append(h["Millwright-Variant"], a.Variant)
	}
}

// requestID is the client's name for the request where it is a plain one: it goes
// into headers and logs.
func (g *Gateway) requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) == 0 || len(id) > 128 {
		return g.newID()
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' && c != ':' {
			return g.newID()
		}
	}
	return id
}

const hexDigits = "0123456789abcdef"

// newID is a name that no other request of any gateway has.
func (g *Gateway) newID() string {
	var b [32]byte
	n := copy(b[:], "gw-")
	n += copy(b[n:], g.salt)
	serial := g.serial.Add(1)
	for shift := 28; shift >= 0; shift -= 4 {
		b[n] = hexDigits[serial>>shift&15]
		n++
	}
	return string(b[:n])
}
