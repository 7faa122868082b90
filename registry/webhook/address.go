package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rules say where requests may go.
type rules struct {
	http     bool
	networks []netip.Prefix
	resolver *net.Resolver
}

// errRefused: an address is not allowed. It is not tried again.
var errRefused = errors.New("the address is not public, and not in Options.AllowNetworks")

const (
	maxURL      = 2048
	resolveTime = 5 * time.Second
)

// reserved are the networks that are not for everyone, or not for one
// receiver, by the registries of IANA. Of IPv6 only 2000::/3 is given out.
var reserved = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

var (
	unicast6 = netip.MustParsePrefix("2000::/3")
	nat64    = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// allows reports whether a connection may be made to an address.
func (r *rules) allows(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	if slices.ContainsFunc(r.networks, within) {
		return true
	}
	if nat64.Contains(a) {
		b := a.As16()
		return r.allows(netip.AddrFrom4([4]byte(b[12:])))
	}
	if a.Is6() && !unicast6.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(reserved, within)
}

// control is called with the address that a connection is about to be made to,
// after names were resolved.
func (r *rules) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !r.allows(at.Addr()) {
		return errRefused
	}
	return nil
}

// checkURL reports what is wrong with the URL of a webhook, without asking
// anyone.
func (r *rules) checkURL(text string) (host string, err error) {
	if text == "" || len(text) > maxURL {
		return "", fmt.Errorf("the URL has %d bytes, want 1 to %d", len(text), maxURL)
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' || c == 0xfffd }) {
		return "", errors.New("the URL holds a space, a control character or a backslash")
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("the URL is malformed")
	}
	host = u.Hostname()
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !r.http):
		want := "https"
		if r.http {
			want = "https or http"
		}
		return "", fmt.Errorf("the URL's scheme is %q, want %s", u.Scheme, want)
	case u.Opaque != "" || host == "":
		return "", errors.New("the URL has no host")
	case u.User != nil:
		return "", errors.New("the URL holds credentials, which everyone who lists webhooks would see: use a secret")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", fmt.Errorf("the URL's port %q is none", port)
		}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if !r.allows(a) {
			return "", fmt.Errorf("%s: %w", host, errRefused)
		}
		return "", nil
	}
	if strings.Contains(host, ":") || isNumber(host) {
		return "", fmt.Errorf("the URL's host %q looks like an address and is none in its usual form", host)
	}
	for _, c := range []byte(host) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._", rune(c)) {
			return "", fmt.Errorf("the URL's host %q has other characters than letters, digits, dots, hyphens and underscores", host)
		}
	}
	return host, nil
}

// isNumber reports a host that some resolvers take for an address, such as
// 127.1, 2130706433 and 0x7f.1: its last label is a number.
func isNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// check is checkURL, and refuses a name that does not resolve, or to what is
// not allowed. It spares an honest user a delivery that fails; what guards is
// control.
func (r *rules) check(ctx context.Context, text string) error {
	host, err := r.checkURL(text)
	if err != nil || host == "" {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	addrs, err := r.resolver.LookupNetIP(asking, "ip", host)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil || len(addrs) == 0 {
		return fmt.Errorf("the URL's host %q does not resolve", host)
	}
	for _, a := range addrs {
		if !r.allows(a) {
			return fmt.Errorf("the URL's host %q: %w", host, errRefused)
		}
	}
	return nil
}
