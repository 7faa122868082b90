package mlflowhttp

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// hostRules decide which values of the Host header are served.
type hostRules struct {
	all      bool
	local    bool // localhost and private addresses
	patterns []string
}

func newHostRules(allowed []string) hostRules {
	rules := hostRules{local: len(allowed) == 0}
	for _, pattern := range allowed {
		if pattern == "*" {
			rules.all = true
		}
		rules.patterns = append(rules.patterns, strings.ToLower(pattern))
	}
	return rules
}

func (rules *hostRules) allow(host string) bool {
	if rules.all {
		return true
	}
	name := strings.ToLower(host)
	bare := name
	if h, port, err := net.SplitHostPort(name); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		bare = h
	}
	if inner, ok := strings.CutPrefix(bare, "["); ok {
		if bare, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
	}
	if rules.local {
		return localHost(bare)
	}
	for _, p := range rules.patterns {
		if wildcard(p, name) || wildcard(p, bare) || wildcard(p, "["+bare+"]") {
			return true
		}
	}
	return false
}

// localHost reports whether a page that names this host cannot be one of a
// foreign name: localhost and literal addresses of private networks.
func localHost(name string) bool {
	if name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified()
}

// wildcard reports whether s matches pattern, in which * stands for any text.
func wildcard(pattern, s string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	for ok {
		var part string
		if part, rest, found = strings.Cut(rest, "*"); !found {
			return strings.HasSuffix(s, part)
		}
		_, s, ok = strings.Cut(s, part)
	}
	return false
}

// Peers decide which requests that a browser may have sent are served.
type Peers struct {
	hosts   hostRules
	origins []string
}

// NewPeers serves requests for the given hosts, or for localhost and private
// addresses when there are none, and lets pages of the origins change things.
func NewPeers(hosts, origins []string) Peers {
	return Peers{hosts: newHostRules(hosts), origins: origins}
}

// AllowsHost reports whether requests with the Host header are served.
func (p *Peers) AllowsHost(host string) bool { return p.hosts.allow(host) }

// check refuses requests that a page of another site made a browser send:
// by a name that resolves to this server, or across origins. It answers these
// itself and returns false.
func (p *Peers) check(w http.ResponseWriter, r *http.Request, path string) bool {
	if path == "/health" || path == "/version" {
		return true
	}
	if !p.hosts.allow(r.Host) {
		refuse(w, "Invalid Host header - possible DNS rebinding attack detected")
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	listed := p.originListed(origin)
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		if !listed && !ownOrigin(origin, r.Host) && !localOrigin(origin) {
			refuse(w, "Cross-origin request blocked")
			return false
		}
	}
	if listed {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", origin)
		header.Add("Vary", "Origin")
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
			header.Set("Access-Control-Allow-Headers", "Content-Type, Authorization")
		}
	}
	return true
}

func (p *Peers) originListed(origin string) bool {
	for _, allowed := range p.origins {
		if wildcard(strings.ToLower(allowed), strings.ToLower(origin)) {
			return true
		}
	}
	return false
}

// ownOrigin reports whether origin is a page of the host that the request was
// sent to, which the host rules have accepted.
func ownOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// localOrigin reports whether origin is a page of this machine's browser's own
// machine, which MLflow trusts as well.
func localOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write([]byte(why)) // a client that went away needs no answer
}
