package webhook

import "net/netip"

// CheckURL is what Create asks of a URL without resolving its host.
func CheckURL(o *Options, text string) (host string, err error) {
	opts := o.withDefaults()
	r := rules{opts.AllowHTTP, opts.AllowNetworks, opts.Resolver}
	return r.checkURL(text)
}

// Allows reports whether a connection to the address would be made.
func Allows(o *Options, a netip.Addr) bool {
	opts := o.withDefaults()
	r := rules{networks: opts.AllowNetworks}
	return r.allows(a)
}
