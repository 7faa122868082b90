package mlflow

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

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
	if fault := mlflowhttp.LocationFault(uri); fault != "" {
		return badLocation(uri, fault)
	}
	if scheme, _, _ := strings.Cut(uri, ":"); scheme == "runs" || scheme == "models" {
		return badLocation(uri, "a location cannot depend on a run or a model")
	}
	return nil
}

func badLocation(uri, why string) error {
	return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid artifact location %.200q: %s.", uri, why)
}
