package mlflowhttp

import (
	"fmt"
	"net/url"
	"strings"
)

const maxLocation = 2048 // bytes

// LocationFault says why a URI that a client chose may not name a place for
// files: it would mean another place to another parser, or leads out of its
// folder. Empty when nothing is wrong with its form.
func LocationFault(uri string) string {
	if len(uri) > maxLocation {
		return fmt.Sprintf("it is longer than %d bytes", maxLocation)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "it is not a URI"
	}
	switch {
	case strings.ContainsAny(uri, "#;?"):
		return "it has a fragment, a query or parameters"
	case strings.ContainsRune(uri, '\\'):
		return "it holds a backslash"
	case strings.IndexFunc(uri, IsControl) >= 0:
		return "it holds a control character"
	case u.User != nil:
		return "it holds credentials"
	case u.Opaque != "":
		return "it has no slash after the scheme"
	}
	// Stores take the text after the bucket as it is or unescaped once, so that
	// every layer must be harmless.
	layer := strings.Trim(strings.TrimPrefix(uri, u.Scheme+":"), "/")
	for range MaxDecodings {
		for segment := range strings.SplitSeq(layer, "/") {
			if segment == ".." || segment == "." {
				return `it has a "." or ".." segment`
			}
		}
		if layer != "" && (strings.ContainsAny(layer, "\\#") || strings.IndexFunc(layer, IsControl) >= 0) {
			return "it holds an escaped backslash, # or control character"
		}
		next := UnescapeOnce(layer)
		if next == layer {
			return ""
		}
		layer = next
	}
	return "it is escaped too many times"
}
