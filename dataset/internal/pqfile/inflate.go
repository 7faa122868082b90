package pqfile

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// inflaters are decompressors that are not in use. What they read was checked
// against a digest, so they need not check it again.
var inflaters sync.Pool

func inflater() (*zstd.Decoder, error) {
	if d, ok := inflaters.Get().(*zstd.Decoder); ok {
		return d, nil
	}
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.IgnoreChecksum(true), zstd.WithDecoderMaxMemory(1<<31))
}
