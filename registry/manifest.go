package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/millwright-ml/millwright/internal/errs"
)

const manifestHeader = "millwright-manifest 1\n"

// EncodeManifest returns the canonical text of a version's files: the line
// "millwright-manifest 1", then for each file, in byte order of the paths, a
// line of its SHA-256 in lower-case hex, its size in decimal and its path, with
// one space between them. Every line ends with a newline. files may be in any
// order and is not changed. The same files always give the same bytes.
func EncodeManifest(files []File) []byte {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	n := len(manifestHeader)
	for _, f := range sorted {
		n += len(f.SHA256) + len(f.Path) + 22
	}
	out := append(make([]byte, 0, n), manifestHeader...)
	for _, f := range sorted {
		out = append(out, f.SHA256...)
		out = append(out, ' ')
		out = strconv.AppendInt(out, f.Size, 10)
		out = append(out, ' ')
		out = append(out, f.Path...)
		out = append(out, '\n')
	}
	return out
}

// DecodeManifest reads what EncodeManifest wrote and nothing else: any other
// bytes are an ErrInvalid. The files come back sorted by path.
func DecodeManifest(b []byte) ([]File, error) {
	rest, ok := bytes.CutPrefix(b, []byte(manifestHeader))
	if !ok {
		return nil, fmt.Errorf("registry: manifest: it does not start with %q: %w", manifestHeader, ErrInvalid)
	}
	files := make([]File, 0, bytes.Count(rest, []byte{'\n'}))
	for line := 2; len(rest) > 0; line++ {
		var row []byte
		if row, rest, ok = bytes.Cut(rest, []byte{'\n'}); !ok {
			return nil, fmt.Errorf("registry: manifest: line %d has no end, the text was cut: %w", line, ErrInvalid)
		}
		sum, tail, ok1 := strings.Cut(string(row), " ")
		num, name, ok2 := strings.Cut(tail, " ")
		size, err := strconv.ParseInt(num, 10, 64)
		if !ok1 || !ok2 || err != nil || strconv.FormatInt(size, 10) != num {
			return nil, fmt.Errorf("registry: manifest: line %d is not a digest, a size and a path: %w", line, ErrInvalid)
		}
		if n := len(files); n > 0 && files[n-1].Path >= name {
			return nil, fmt.Errorf("registry: manifest: line %d is out of order: %w", line, ErrInvalid)
		}
		files = append(files, File{Path: name, Size: size, SHA256: sum})
	}
	if err := checkFiles(files); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return files, nil
}

// ManifestDigest is the identity of a set of files: "sha256:" and the hex
// SHA-256 of their encoded manifest.
func ManifestDigest(files []File) string {
	sum := sha256.Sum256(EncodeManifest(files))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// checkFiles reports what makes files unfit for a manifest.
func checkFiles(files []File) error {
	if areFine(files) {
		return nil
	}
	var faults errs.Faults
	seen := make(map[string]bool, len(files))
	for _, f := range files {
		faults.Check(!seen[f.Path], "path %q appears twice", f.Path)
		seen[f.Path] = true
		checkPath(&faults, f.Path)
		faults.Check(f.Size >= 0, "file %q has size %d", f.Path, f.Size)
		faults.Check(isSHA256(f.SHA256), "file %q has digest %q, want 64 lower-case hex digits", f.Path, f.SHA256)
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if seen[dir] {
				faults.Addf("path %q is a file and a folder", dir)
				break
			}
		}
	}
	return faults.Err("manifest")
}

// areFine recognises what checkFiles finds nothing in, as nearly all files are,
// without allocating: every version that is read comes by here. Files that are
// not sorted by path it leaves to checkFiles.
func areFine(files []File) bool {
	var faults errs.Faults
	for i, f := range files {
		if i > 0 && files[i-1].Path >= f.Path || f.Size < 0 || !isSHA256(f.SHA256) {
			return false
		}
		checkPath(&faults, f.Path)
		for dir := f.Path; ; {
			slash := strings.LastIndexByte(dir, '/')
			if slash < 0 {
				break
			}
			dir = dir[:slash]
			if _, is := slices.BinarySearchFunc(files, dir, func(f File, path string) int { return strings.Compare(f.Path, path) }); is {
				return false
			}
		}
	}
	return faults.Err("manifest") == nil
}

// checkPath holds paths to what every file system and the manifest can carry.
func checkPath(faults *errs.Faults, p string) {
	switch {
	case !fs.ValidPath(p) || p == ".":
		faults.Addf("path %q is not a relative slash-separated path in UTF-8", p)
	case len(p) > maxPath:
		faults.Addf("path of %d bytes, want at most %d", len(p), maxPath)
	case strings.ContainsFunc(p, unicode.IsControl) || strings.Contains(p, `\`):
		faults.Addf("path %q holds a backslash or a control character", p)
	}
}

func isSHA256(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
