package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// ReadAll reads the whole object, of at most max bytes: a larger one is an
// [fs.ErrInvalid], so that a damaged or hostile object cannot take all memory.
func ReadAll(ctx context.Context, s Store, key string, max int64) ([]byte, error) {
	if max < 0 {
		return nil, invalid("read", key, fmt.Sprintf("the bound of %d bytes is negative", max))
	}
	limit := max
	if limit < math.MaxInt64 {
		limit++
	}
	r, err := s.Get(ctx, key, 0, limit)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, limit))
	err = errors.Join(err, r.Close())
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: key, Err: err}
	}
	if int64(len(data)) > max {
		return nil, invalid("read", key, fmt.Sprintf("the object is larger than the bound of %d bytes", max))
	}
	return data, nil
}
