package mlflowhttp

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

const (
	maxPath = 900 // bytes, what every store of artifacts takes
	// MaxDecodings bounds how often a path is unescaped to look for what hides
	// behind several layers.
	MaxDecodings = 10
)

// CheckPath reports whether path, as a client sent it and once
// unescaped, is safe below any root: relative, slash separated, without empty,
// "." or ".." segments, and no matter how often something behind us unescapes
// it again.
func CheckPath(path string) error {
	layer := path
	for range MaxDecodings {
		if why := pathFault(layer); why != "" {
			return InvalidPath(path, why)
		}
		next := UnescapeOnce(layer)
		if next == layer {
			return nil
		}
		layer = next
	}
	return InvalidPath(path, "it is escaped too many times")
}

// CheckDir is CheckPath for a folder: the empty path is the
// root, and one slash at the end is dropped.
func CheckDir(path string) (string, error) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return "", nil
	}
	return path, CheckPath(path)
}

// InvalidPath is the error of a path that CheckPath refuses.
func InvalidPath(path, why string) error {
	const shown = 100
	if len(path) > shown {
		path = path[:shown] + "…"
	}
	return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid path %q: %s.", strings.ToValidUTF8(path, "\uFFFD"), why)
}

func pathFault(p string) string {
	switch {
	case p == "":
		return "it is empty"
	case len(p) > maxPath:
		return "it is longer than 900 bytes"
	case !utf8.ValidString(p):
		return "it is not UTF-8"
	case strings.ContainsRune(p, '\\'):
		return "it holds a backslash"
	case strings.ContainsRune(p, '#'):
		return "it holds a #"
	case strings.IndexFunc(p, IsControl) >= 0:
		return "it holds a control character"
	case p[0] == '/':
		return "it is absolute"
	case hasScheme(p):
		return "it starts with a drive letter or a scheme"
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return `a segment is empty, "." or ".."`
		}
	}
	return ""
}

// IsControl reports characters that no store can keep in a name.
func IsControl(r rune) bool {
	return unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF
}

// hasScheme reports C:… and file:…, which Windows and URL parsers take for
// roots of their own. A colon further back in a name is an ordinary character.
func hasScheme(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	scheme, _, ok := strings.Cut(first, ":")
	return ok && (len(scheme) == 1 && isLetter(scheme[0]) || strings.EqualFold(scheme, "file"))
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// UnescapeOnce replaces every valid %XX and leaves the others.
func UnescapeOnce(s string) string {
	if !strings.ContainsRune(s, '%') {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := hexDigit(s[i+1])
			lo, ok2 := hexDigit(s[i+2])
			if ok1 && ok2 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
