package tracking

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CleanLocation checks an artifact location, as a user gives it for an
// experiment, and returns it without slashes at its end. It must be an
// absolute URI of at most 2,048 bytes, like "s3://bucket/prefix" or
// "file:///var/lib/artifacts", without user, query or fragment and without
// anything that some reader could take for a way out of it: no "..", however
// encoded, no backslash, no control character.
//
// It looks at the form only. Whether a caller may choose a location, say a
// folder of the server, is for the program that holds the files to decide.
func CleanLocation(uri string) (string, error) {
	clean := strings.TrimRight(uri, "/") // so "mlflow-artifacts:/", the root, has one form
	if fault := locationFault(clean); fault != "" {
		return "", fmt.Errorf("tracking: artifact location %q: %s: %w", shorten(uri), fault, ErrInvalid)
	}
	return clean, nil
}

// locationFault checks a location in the form that CleanLocation returns.
func locationFault(uri string) string {
	if fault := uriFault(uri, maxLocation); fault != "" {
		return fault
	}
	if strings.HasSuffix(uri, "/") {
		return "it ends with a slash"
	}
	if strings.HasSuffix(uri, ":") && !strings.EqualFold(uri, "mlflow-artifacts:") {
		return "it names no bucket or folder"
	}
	return ""
}

// uriFault says in words what is wrong with a URI below which files live.
func uriFault(uri string, limit int) string {
	switch {
	case uri == "":
		return "it is empty"
	case len(uri) > limit:
		return fmt.Sprintf("it has %d bytes, the limit is %d", len(uri), limit)
	case !utf8.ValidString(uri):
		return "it is not valid UTF-8"
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return "it is no URI"
	case len(u.Scheme) < 2:
		return "it has no scheme, a folder is written as file:///path"
	case u.User != nil:
		return "it holds a user or password, which everyone who reads runs would see"
	case strings.ContainsAny(uri, "?#"):
		return "it has a query or a fragment"
	}
	// What the last reader of the URI will see is not known, so every way to
	// read it must be harmless.
	for text, last := uri, ""; text != last; {
		if fault := climbs(text); fault != "" {
			return fault
		}
		last = text
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
	}
	return ""
}

// climbs finds in one reading of a URI what could lead out of it.
func climbs(text string) string {
	switch {
	case strings.ContainsRune(text, '\\'):
		return "it has a backslash"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "it has a control character"
	case !utf8.ValidString(text):
		return "it is not valid UTF-8"
	}
	_, rest, _ := strings.Cut(text, ":")
	for segment := range strings.FieldsFuncSeq(rest, func(c rune) bool { return c == '/' || c == '?' || c == '#' || c == ';' }) {
		if s := strings.TrimSpace(segment); s == ".." || s == "." {
			return `it has a "." or ".." segment`
		}
	}
	return ""
}

// ArtifactKey returns the key in an Artifacts of the file or folder at the URI: its
// path without the first slash. It is how this package and the MLflow server
// name files of an artifact root, and so "mlflow-artifacts:/3/run/artifacts"
// and "mlflow-artifacts://host:5000/3/run/artifacts" have the same key. Percent
// escapes are kept as they are, since the URIs that stores make have none.
// ErrInvalid when uri is not as RunInfo.ArtifactURI is.
func ArtifactKey(uri string) (string, error) {
	if fault := uriFault(uri, maxArtifactURI+maxArtifactPath+1); fault != "" {
		return "", fmt.Errorf("tracking: artifact URI %q: %s: %w", shorten(uri), fault, ErrInvalid)
	}
	_, rest, _ := strings.Cut(uri, ":")
	if authority, ok := strings.CutPrefix(rest, "//"); ok {
		_, rest, _ = strings.Cut(authority, "/")
	}
	return strings.Trim(rest, "/"), nil
}
