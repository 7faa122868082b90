package dataset_test

import (
	"context"
	"io"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// gate lets another writer in right before a log entry is written, once.
type gate struct {
	blob.Store
	before func()
}

func (g *gate) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	if f := g.before; f != nil && strings.Contains(key, "_delta_log/") {
		g.before = nil
		f()
	}
	return g.Store.Create(ctx, key, body, size)
}
