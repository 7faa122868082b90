package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// send answers with a file, or the part of it that a Range header asks for. It
// is streamed, and always offered for saving: a page that someone logged must
// not run as one of this server.
func (f folder) send(c *call, file string) error {
	if err := mlflowhttp.CheckPath(file); err != nil {
		return err
	}
	key := f.key(file)
	info, err := f.store.Stat(c.Ctx(), key)
	if errors.Is(err, fs.ErrNotExist) {
		dir, listErr := f.exists(c.Ctx(), file)
		if listErr != nil {
			return listErr
		}
		if dir {
			return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Artifact path refers to a directory, not a file: '%s'", mlflowhttp.Printable(file))
		}
	}
	if err != nil {
		return artifactError(err, file)
	}
	mlflowhttp.Attachment(c.W.Header(), path.Base(file))
	if strings.Contains(c.R.Header.Get("Range"), ",") {
		c.R.Header.Del("Range") // each range would be a request of its own to the store
	}
	body := &fileReader{ctx: c.Ctx(), store: f.store, key: key, size: info.Size()}
	defer body.close()
	http.ServeContent(c.W, c.R, "", info.ModTime().Truncate(time.Second), body)
	if body.err != nil && c.Ctx().Err() == nil {
		c.h.log.WarnContext(c.Ctx(), "mlflow: sending an artifact broke off", "key", key, "error", body.err)
	}
	return nil
}

// fileReader reads an artifact from where it was seeked to. It opens the file
// when the first byte is wanted.
type fileReader struct {
	ctx   context.Context //nolint:containedctx // io.Reader has none to pass.
	store tracking.Artifacts
	key   string
	size  int64
	off   int64
	body  io.ReadCloser
	err   error // the first one that was no end
}

// Read implements io.Reader.
func (r *fileReader) Read(p []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	if r.body == nil {
		body, err := r.store.Get(r.ctx, r.key, r.off, -1)
		if err != nil {
			r.err = err
			return 0, err
		}
		r.body = body
	}
	n, err := r.body.Read(p)
	r.off += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && r.err == nil {
		r.err = err
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *fileReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("mlflow: seek to %d: %w", offset, fs.ErrInvalid)
	}
	if offset != r.off {
		r.close()
		r.off = offset
	}
	return offset, nil
}

func (r *fileReader) close() {
	if r.body != nil {
		_ = r.body.Close() // only read from
		r.body = nil
	}
}
