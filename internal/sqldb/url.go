package sqldb

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ParseURL returns the absolute file path that a database URL names.
//
// The forms are "sqlite:///absolute/path.db" and "sqlite:relative/path.db"
// (relative to the working directory at the time of the call); what follows
// "sqlite:" may also be an absolute path itself, which lets a program write
// "sqlite:" + filepath.ToSlash(path) on every system. The path is
// percent-decoded, so a '%', '?' or '#' in a file name is written %25, %3F or
// %23. The error of an unusable URL is errs.ErrInvalid, that of an in-memory
// database errs.ErrUnsupported. No error repeats more of a foreign URL
// than its scheme, because the rest may hold a password.
func ParseURL(rawURL string) (path string, err error) {
	scheme, rest, ok := strings.Cut(rawURL, ":")
	if !ok {
		return "", fmt.Errorf("the database URL has no scheme: want sqlite:///absolute/path.db, sqlite:relative/path.db or postgres://user@host/database: %w", errs.ErrInvalid)
	}
	switch strings.ToLower(scheme) {
	case "sqlite":
	default:
		return "", fmt.Errorf("the database URL has the scheme %q: want sqlite:///absolute/path.db, sqlite:relative/path.db or postgres://user@host/database: %w", printable(scheme), errs.ErrInvalid)
	}
	if after, found := strings.CutPrefix(rest, "//"); found {
		if !strings.HasPrefix(after, "/") {
			return "", fmt.Errorf("the database URL %q has two slashes after the colon: an absolute path takes three (sqlite:///path.db), a relative one none (sqlite:path.db): %w", printable(rawURL), errs.ErrInvalid)
		}
		rest = after
	}
	if strings.ContainsAny(rest, "?#") {
		return "", fmt.Errorf("the database URL %q has a query or a fragment: write ? as %%3F and # as %%23 in a file name, and set options in code: %w", printable(rawURL), errs.ErrInvalid)
	}
	path, err = url.PathUnescape(rest)
	if err != nil {
		return "", fmt.Errorf("the database URL %q has a bad percent escape (write %% as %%25): %w", printable(rawURL), errs.ErrInvalid)
	}
	switch {
	case path == "" || path == "/":
		return "", fmt.Errorf("the database URL %q names no file: %w", printable(rawURL), errs.ErrInvalid)
	case path == ":memory:" || path == "/:memory:":
		return "", fmt.Errorf("in-memory databases are not supported: name a file, for instance in a temporary folder: %w", errs.ErrUnsupported)
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return "", fmt.Errorf("the database URL %q names a path with control characters or invalid UTF-8: %w", printable(rawURL), errs.ErrInvalid)
	}
	if runtime.GOOS == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		path = path[1:] // "/C:/x" is how a URL writes the path C:/x.
	}
	path, err = filepath.Abs(filepath.FromSlash(path))
	if err != nil {
		return "", fmt.Errorf("resolve the database path against the working directory: %w", err)
	}
	return path, nil
}

// printable shortens text from outside for an error message; %q escapes the
// rest.
func printable(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

// dsn returns the driver's name for the file with the given parameters. The
// path is escaped as SQLite's URI parser wants it.
func dsn(path string, params []string) string {
	var b strings.Builder
	b.WriteString("file:")
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		b.WriteByte('/')
	}
	for i := range len(slashed) {
		switch c := slashed[i]; c {
		case '%', '?', '#':
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('?')
	b.WriteString(strings.Join(params, "&"))
	return b.String()
}
