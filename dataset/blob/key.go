package blob

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a key in bytes: what every S3 server and every usual file system
// accepts.
const (
	maxKey     = 900
	maxSegment = 255
)

// ValidateKey reports whether key is portable: slash separated, no leading or
// trailing slash, no empty, "." or ".." segment, segments of at most 255 bytes
// and 900 bytes in all, valid UTF-8 without control characters. The error is an
// [fs.ErrInvalid] in an *[fs.PathError] and says what is wrong.
func ValidateKey(key string) error {
	if why := keyFault(key); why != "" {
		return invalid("validate", key, why)
	}
	return nil
}

// ValidatePrefix reports whether some valid key can start with prefix: its
// segments up to the last slash are those of a key, and what follows is free.
// The empty prefix, which every key has, is valid.
func ValidatePrefix(prefix string) error {
	why := textFault(prefix)
	if i := strings.LastIndexByte(prefix, '/'); why == "" && i >= 0 {
		why = keyFault(prefix[:i])
	}
	if why == "" && len(prefix)-1-strings.LastIndexByte(prefix, '/') > maxSegment {
		why = fmt.Sprintf("a segment is longer than %d bytes", maxSegment)
	}
	if why != "" {
		return invalid("validate", prefix, "prefix: "+why)
	}
	return nil
}

func invalid(op, key, why string) error {
	const shown = 100
	if len(key) > shown {
		// A hostile key must not fill the log that the error ends in.
		key = strings.ToValidUTF8(key[:shown], "") + "…"
	}
	return &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("%s: %w", why, fs.ErrInvalid)}
}

func keyFault(key string) string {
	if key == "" {
		return "the key is empty"
	}
	if why := textFault(key); why != "" {
		return why
	}
	if key[0] == '/' || key[len(key)-1] == '/' {
		return "the key starts or ends with a slash"
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return "a segment is empty"
		case segment == "." || segment == "..":
			return "a segment is . or .."
		case len(segment) > maxSegment:
			return fmt.Sprintf("a segment is longer than %d bytes", maxSegment)
		}
	}
	return ""
}

func textFault(s string) string {
	if len(s) > maxKey {
		return fmt.Sprintf("longer than %d bytes", maxKey)
	}
	if !utf8.ValidString(s) {
		return "not valid UTF-8"
	}
	for _, r := range s {
		// U+FFFE and U+FFFF are no XML characters: one such key would make every
		// S3 listing around it unreadable.
		if unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF {
			return fmt.Sprintf("holds the control character %U", r)
		}
	}
	return ""
}
