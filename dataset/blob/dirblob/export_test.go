package dirblob

import (
	"context"
	"io/fs"
	"iter"
)

// ListPages is List with a small page.
func ListPages(ctx context.Context, s *Store, prefix string, page int) iter.Seq2[fs.FileInfo, error] {
	return s.list(ctx, prefix, page)
}
