package tracking

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// MaxTransferFiles is the number of files that one Upload or Download moves at
// most.
const MaxTransferFiles = 100_000

// TransferOptions of Files.Upload, Files.Download and Run.LogModel. The zero
// value is ready, and so is a nil pointer.
type TransferOptions struct {
	// Parallel is the number of files under way at once. Default 4.
	Parallel int
	// Progress is told when a file begins and ends, and between at most once a
	// megabyte. It is called by one goroutine at a time. Default nil.
	Progress func(Progress)
	// Sums has Upload write the file SumsFile beside the files, for Download
	// and for anyone's sha256sum -c. Default off.
	Sums bool
	// Want are digests that Download checks, beyond those that a SumsFile in
	// the folder gives: what an earlier Upload or Download returned. Size is
	// not looked at. Default none.
	Want []FileDigest
}

// Progress is how far a transfer is.
type Progress struct {
	Path              string // the file that moved on
	Files, TotalFiles int    // done, and to do altogether
	Bytes, TotalBytes int64
}

// FileDigest is what is known of the bytes of one file.
type FileDigest struct {
	Path   string // relative to the folder of the transfer
	Size   int64
	SHA256 string // 64 hexadecimal digits
}

func (o *TransferOptions) withDefaults() TransferOptions {
	var out TransferOptions
	if o != nil {
		out = *o
	}
	if out.Parallel <= 0 {
		out.Parallel = 4
	}
	return out
}

// transfer is one Upload or Download under way.
type transfer struct {
	opts TransferOptions

	mu   sync.Mutex
	now  Progress
	last int64 // bytes that were last reported
	done []FileDigest
}

func newTransfer(opts TransferOptions, files []FileDigest) *transfer {
	t := &transfer{opts: opts, now: Progress{TotalFiles: len(files)}}
	for _, file := range files {
		t.now.TotalBytes += file.Size
	}
	return t
}

// moved counts n bytes of a file.
func (t *transfer) moved(path string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Bytes += int64(n)
	if t.opts.Progress != nil && t.now.Bytes-t.last >= 1<<20 {
		t.tell(path)
	}
}

func (t *transfer) began(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opts.Progress != nil {
		t.tell(path)
	}
}

func (t *transfer) ended(d FileDigest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Files++
	t.done = append(t.done, d)
	if t.opts.Progress != nil {
		t.tell(d.Path)
	}
}

// tell calls Progress; the caller holds mu, which keeps the calls in order.
func (t *transfer) tell(path string) {
	t.last = t.now.Bytes
	now := t.now
	now.Path = path
	t.opts.Progress(now)
}

// each calls do for every file, Parallel at a time, and returns the first
// error, after which no further file is begun and those under way are
// cancelled.
func (t *transfer) each(ctx context.Context, files []FileDigest, do func(context.Context, FileDigest) (FileDigest, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan FileDigest)
	var wg sync.WaitGroup
	for range min(t.opts.Parallel, len(files)) {
		wg.Go(func() {
			for file := range next {
				t.began(file.Path)
				d, err := do(ctx, file)
				if err != nil {
					cancel(err)
					return
				}
				t.ended(d)
			}
		})
	}
	for _, file := range files {
		if ctx.Err() != nil {
			break
		}
		select {
		case next <- file:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// meter counts and digests what is read through it.
type meter struct {
	io.Reader
	transfer *transfer
	path     string
	size     int64
	hash     interface {
		io.Writer
		Sum(b []byte) []byte
	}
}

func (t *transfer) meter(path string, r io.Reader) *meter {
	return &meter{Reader: r, transfer: t, path: path, hash: sha256.New()}
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	_, _ = m.hash.Write(p[:n]) // never fails
	m.size += int64(n)
	m.transfer.moved(m.path, n)
	return n, err
}

func (m *meter) digest() FileDigest {
	return FileDigest{Path: m.path, Size: m.size, SHA256: hex.EncodeToString(m.hash.Sum(nil))}
}

// listFS lists the regular files of src. Folders without files leave no trace,
// since stores know files only.
func listFS(src fs.FS) ([]FileDigest, error) {
	var files []FileDigest
	var f faults
	err := fs.WalkDir(src, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := fs.Stat(src, path) // follows a link to a file
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			f.addf("%q is no regular file", path)
			return nil
		}
		if err := ValidateArtifactPath(path); err != nil {
			f.addf("%v", err)
		}
		if len(files) == MaxTransferFiles {
			return fmt.Errorf("there are more than %d files: %w", MaxTransferFiles, ErrInvalid)
		}
		files = append(files, FileDigest{Path: path, Size: info.Size()})
		return nil
	})
	if err == nil {
		err = f.err("the files")
	}
	return files, err
}
