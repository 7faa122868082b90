//go:build !unix

package cacheblob

import "context"

// lock does nothing where the standard library has no lock on files: two
// processes may then fetch the same object, and both are right.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
