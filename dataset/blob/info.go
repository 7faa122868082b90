package blob

import (
	"io/fs"
	"time"
)

// NewInfo describes one object, for implementations: Name() is the full key,
// Mode() that of a plain file, Sys() nil.
func NewInfo(key string, size int64, modified time.Time) fs.FileInfo {
	return info{key: key, size: size, modified: modified}
}

// NewTaggedInfo is NewInfo with what [Tag] returns.
func NewTaggedInfo(key string, size int64, modified time.Time, tag string) fs.FileInfo {
	return info{key: key, size: size, modified: modified, tag: tag}
}

type info struct {
	key      string
	size     int64
	modified time.Time
	tag      string
}

func (i info) Name() string       { return i.key }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
func (i info) Tag() string        { return i.tag }
func (i info) String() string     { return fs.FormatFileInfo(i) }
