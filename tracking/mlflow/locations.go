package mlflow

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

const maxLocation = 2048 // bytes of an artifact location

// remoteSchemes are the schemes of the places that a client may choose for the
// artifacts of an experiment: the server's own store, and stores that need
// credentials to get at. Everything on the server's disk, and every http
// address, which would make the server send requests for its callers, needs
// Options.AllowLocations.
var remoteSchemes = []string{"mlflow-artifacts", "s3", "gs", "abfss", "wasbs", "hdfs"}

// checkLocation reports whether a client may make uri the artifact location of
// an experiment. The syntax is checked whatever Options.AllowLocations says.
func (h *Handler) checkLocation(uri string) error {
	if err := locationSyntax(uri); err != nil {
		return err
	}
	u, err := url.Parse(uri)
	if err == nil && u.Scheme == proxyScheme && h.opts.Authorize != nil {
		// The first segment of a key says which experiment's rights count.
		if first, _, _ := strings.Cut(strings.Trim(u.Path, "/"), "/"); isDigits(first) {
			return badLocation(uri, "the places below a number are those of the experiment with this ID")
		}
	}
	allow := h.opts.AllowLocations
	if allow == nil {
		allow = allowRemoteLocation
	}
	if err := allow(uri); err != nil {
		if _, ok := errors.AsType[*mlflowapi.Error](err); ok {
			return err
		}
		return badLocation(uri, err.Error())
	}
	return nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// allowRemoteLocation is the rule where Options.AllowLocations is nil.
func allowRemoteLocation(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return badLocation(uri, "it is not a URI")
	case !slices.Contains(remoteSchemes, u.Scheme):
		return badLocation(uri, "this server takes only locations with one of the schemes "+strings.Join(remoteSchemes, ", "))
	case u.Scheme == proxyScheme && u.Host != "":
		return badLocation(uri, "an mlflow-artifacts location of this server names no host")
	case u.Scheme != proxyScheme && u.Host == "":
		return badLocation(uri, "it names no bucket or host")
	}
	return nil
}

// locationSyntax refuses what would mean another place to another parser.
func locationSyntax(uri string) error {
	if len(uri) > maxLocation {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid artifact location: it is longer than %d bytes.", maxLocation)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return badLocation(uri, "it is not a URI")
	}
	switch {
	case strings.ContainsAny(uri, "#;?"):
		return badLocation(uri, "it has a fragment, a query or parameters")
	case strings.ContainsRune(uri, '\\'):
		return badLocation(uri, "it holds a backslash")
	case strings.IndexFunc(uri, isControl) >= 0:
		return badLocation(uri, "it holds a control character")
	case u.User != nil:
		return badLocation(uri, "it holds credentials")
	case u.Scheme == "runs" || u.Scheme == "models":
		return badLocation(uri, "a location cannot depend on a run or a model")
	case u.Opaque != "":
		return badLocation(uri, "it has no slash after the scheme")
	}
	// Stores take the text after the bucket as it is or unescaped once, so that
	// every layer must be harmless.
	layer := strings.Trim(strings.TrimPrefix(uri, u.Scheme+":"), "/")
	for range maxDecodings {
		for segment := range strings.SplitSeq(layer, "/") {
			if segment == ".." || segment == "." {
				return badLocation(uri, `it has a "." or ".." segment`)
			}
		}
		if layer != "" && (strings.ContainsAny(layer, "\\#") || strings.IndexFunc(layer, isControl) >= 0) {
			return badLocation(uri, "it holds an escaped backslash, # or control character")
		}
		next := unescapeOnce(layer)
		if next == layer {
			return nil
		}
		layer = next
	}
	return badLocation(uri, "it is escaped too many times")
}

func badLocation(uri, why string) error {
	return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid artifact location %.200q: %s.", uri, why)
}
