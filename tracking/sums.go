package tracking

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// SumsFile is the name of the file that holds the digests of the files beside
// and below it, in the format of sha256sum: a digest, two spaces and a path a
// line.
const SumsFile = "SHA256SUMS"

// maxSums bounds a SumsFile that is read.
const maxSums = 64 << 20

// formatSums writes the text of a SumsFile. Paths have no line ends, as
// ValidateArtifactPath demands.
func formatSums(files []FileDigest) string {
	var b strings.Builder
	for _, file := range files {
		fmt.Fprintf(&b, "%s  %s\n", file.SHA256, file.Path)
	}
	return b.String()
}

// ParseSums reads the text of a SumsFile, at most 64 MiB and MaxTransferFiles
// lines; Size of the digests is 0. A path that leads out of the folder, or that
// comes twice, is ErrInvalid, which names the line.
func ParseSums(r io.Reader) ([]FileDigest, error) {
	var files []FileDigest
	seen := map[string]bool{}
	lines := bufio.NewScanner(io.LimitReader(r, maxSums+1))
	lines.Buffer(nil, 4096)
	read := 0
	for lines.Scan() {
		text := lines.Text()
		if read += len(text) + 1; read > maxSums || len(files) == MaxTransferFiles {
			return nil, fmt.Errorf("tracking: %s: it has more than %d lines or bytes than %d: %w", SumsFile, MaxTransferFiles, maxSums, ErrInvalid)
		}
		digest, path, ok := strings.Cut(text, " ")
		// A second space means text, an asterisk binary, which are the same.
		if path == "" || path[0] != ' ' && path[0] != '*' {
			ok = false
		} else {
			path = strings.TrimPrefix(path[1:], "./")
		}
		raw, err := hex.DecodeString(digest)
		switch {
		case !ok || err != nil || len(raw) != 32:
			return nil, fmt.Errorf("tracking: %s, line %d: want 64 hexadecimal digits, two spaces and a path: %w", SumsFile, len(files)+1, ErrInvalid)
		case ValidateArtifactPath(path) != nil:
			return nil, fmt.Errorf("tracking: %s, line %d: %q is no path of an artifact: %w", SumsFile, len(files)+1, shorten(path), ErrInvalid)
		case seen[path]:
			return nil, fmt.Errorf("tracking: %s, line %d: %q comes twice: %w", SumsFile, len(files)+1, shorten(path), ErrInvalid)
		}
		seen[path] = true
		files = append(files, FileDigest{Path: path, SHA256: strings.ToLower(digest)})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("tracking: %s, line %d: %w: %w", SumsFile, len(files)+1, err, ErrInvalid)
	}
	return files, nil
}

// byPath sorts digests, which come in the order in which transfers ended.
func byPath(files []FileDigest) []FileDigest {
	slices.SortFunc(files, func(a, b FileDigest) int { return strings.Compare(a.Path, b.Path) })
	return files
}
