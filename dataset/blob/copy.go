package blob

import (
	"context"
	"errors"
	"io"
)

// Copier is a [Store] that copies without passing the bytes through this
// process. Call the function [Copy], which has a way for every store; this
// interface is for implementations, and one that wraps another store may report
// [ErrUnsupported].
type Copier interface {
	// Copy writes the bytes of the object at from to the key to, replacing what
	// is there as Put does. [fs.ErrNotExist] when from is absent. The new object
	// is independent of the old one, and its time is now.
	Copy(ctx context.Context, from, to string) error
}

// Copy copies an object within a store, on the server where the store can do
// that; see [Copier].
func Copy(ctx context.Context, s Store, from, to string) error {
	if c, ok := s.(Copier); ok {
		if err := c.Copy(ctx, from, to); !errors.Is(err, ErrUnsupported) {
			return err
		}
	}
	if err := ValidateKey(to); err != nil {
		return err
	}
	r, err := s.Get(ctx, from, 0, -1)
	if err != nil {
		return err
	}
	size := int64(-1)
	if fi := Opened(r); fi != nil {
		size = fi.Size() // a body that breaks off is then noticed
	}
	err = s.Put(ctx, to, onlyReader{r}, size)
	return errors.Join(err, r.Close())
}

// onlyReader hides what else the reader can do: a store must not mistake its
// description for the new object's.
type onlyReader struct{ io.Reader }
