package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// mismatch is a stored object that is not what the manifest says.
type mismatch struct {
	have  string // SHA-256 of the stored bytes, "" when unknown
	found string // in words

	missing bool
}

func (m *mismatch) Error() string { return "the stored object " + m.found }

// verify copies the object of f to w while it computes the digest. The bytes
// in w are good only when it returns nil; a *mismatch says that they are not
// those of f, any other error that they could not be read.
func (r *Registry) verify(ctx context.Context, f File, w io.Writer) error {
	body, err := r.files.Get(ctx, objectKey(f.SHA256), 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		// Not passed on as fs.ErrNotExist: a caller would take the file for
		// one that the version never had.
		return &mismatch{found: "is missing", missing: true}
	}
	if err != nil {
		return fmt.Errorf("reading the stored object of %q: %w", f.Path, err)
	}
	defer body.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(sum, w), io.LimitReader(body, f.Size+1))
	if err != nil {
		return fmt.Errorf("reading the stored object of %q: %w", f.Path, err)
	}
	have := hex.EncodeToString(sum.Sum(nil))
	switch {
	case n > f.Size:
		return &mismatch{found: fmt.Sprintf("has more than the %d bytes registered", f.Size)}
	case n < f.Size:
		return &mismatch{have: have, found: fmt.Sprintf("has %d of the %d bytes registered", n, f.Size)}
	case have != f.SHA256:
		return &mismatch{have: have, found: "has SHA-256 " + have}
	}
	return nil
}
