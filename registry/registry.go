package registry

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/room"
)

// Options configures a Registry; nil takes every default.
type Options struct {
	// MaxFileSize is the size in bytes of the largest file that may be
	// registered or opened; default 16 GiB.
	MaxFileSize int64
	// MaxFiles is how many files a version may have; default 10 000.
	MaxFiles int
	// MaxMemory is the size in bytes up to which an opened file is held in
	// memory while it is verified and read; a larger one is spooled to a
	// temporary file. Default 64 MiB.
	MaxMemory int64
	// Trust, unless nil, refuses to open versions that are not signed by one
	// of its keys. Default nil.
	Trust *Trust
	// CacheDir is a folder for verified files, which any number of processes
	// share: a version that was opened before is opened again without reading
	// its bytes. Only trusted users may be able to write there. Default "": no
	// cache.
	CacheDir string
	// CacheSize bounds that folder in bytes; what was used least recently goes
	// first. Default 50 GiB.
	CacheSize int64
	// TempDir is the folder for those temporary files; default os.TempDir().
	TempDir string
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.MaxFileSize <= 0 {
		out.MaxFileSize = 16 << 30
	}
	if out.MaxFiles <= 0 {
		out.MaxFiles = 10_000
	}
	if out.MaxMemory <= 0 {
		out.MaxMemory = 64 << 20
	}
	if out.CacheSize <= 0 {
		out.CacheSize = 50 << 30
	}
	return out
}

// Registry registers, finds and loads model versions, and moves aliases. It is
// a plain value for any number of goroutines.
type Registry struct {
	store Store
	files Files
	opts  Options
	cache *cache // nil: none
}

// New returns a registry over store, which must not be nil, and files. With
// nil files it serves records only: Register, Open and Profile return
// ErrUnsupported.
func New(store Store, files Files, opts *Options) *Registry {
	r := &Registry{store: store, files: files, opts: opts.withDefaults()}
	if r.opts.CacheDir != "" {
		r.cache = &cache{dir: r.opts.CacheDir, room: room.New(r.opts.CacheDir, r.opts.CacheSize)}
	}
	return r
}

// needFiles reports, for the operation op, a registry without Files.
func (r *Registry) needFiles(op string) error {
	if r.files != nil {
		return nil
	}
	return fmt.Errorf("registry: %s: this registry was made without a file store, pass one to registry.New: %w", op, ErrUnsupported)
}
