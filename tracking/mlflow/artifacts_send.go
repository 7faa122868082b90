package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// send answers with a file, or the part of it that a Range header asks for. It
// is streamed, and always offered for saving: a page that someone logged must
// not run as one of this server.
func (f folder) send(c *call, file string) error {
	if err := checkArtifactPath(file); err != nil {
		return err
	}
	key := f.key(file)
	info, err := f.store.Stat(c.ctx(), key)
	if errors.Is(err, fs.ErrNotExist) {
		dir, listErr := f.exists(c.ctx(), file)
		if listErr != nil {
			return listErr
		}
		if dir {
			return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Artifact path refers to a directory, not a file: '%s'", printable(file))
		}
	}
	if err != nil {
		return artifactError(err, file)
	}
	attachment(c.w.Header(), path.Base(file))
	if strings.Contains(c.r.Header.Get("Range"), ",") {
		c.r.Header.Del("Range") // each range would be a request of its own to the store
	}
	body := &fileReader{ctx: c.ctx(), store: f.store, key: key, size: info.Size()}
	defer body.close()
	http.ServeContent(c.w, c.r, "", info.ModTime().Truncate(time.Second), body)
	if body.err != nil && c.ctx().Err() == nil {
		c.h.log.WarnContext(c.ctx(), "mlflow: sending an artifact broke off", "key", key, "error", body.err)
	}
	return nil
}

// attachment sets the headers of a file for saving.
func attachment(header http.Header, name string) {
	header.Set("Content-Type", contentType(name))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("Cache-Control", "no-cache")
}

// textExtensions are the files that MLflow's UI shows as text, whatever else
// they are.
const textExtensions = " txt log err cfg conf cnf cf ini properties prop hocon toml yaml yml xml json js py py3 csv tsv md rst ipynb MLmodel MLproject "

// contentTypes are the types of other files. It is a table of its own since
// that of package mime depends on the machine.
var contentTypes = map[string]string{
	"html": "text/html", "htm": "text/html", "css": "text/css",
	"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "svg": "image/svg+xml",
	"webp": "image/webp", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff", "ico": "image/vnd.microsoft.icon",
	"mp3": "audio/mpeg", "wav": "audio/x-wav", "ogg": "audio/ogg", "flac": "audio/flac",
	"mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "avi": "video/x-msvideo", "mpeg": "video/mpeg",
	"pdf": "application/pdf", "zip": "application/zip", "tar": "application/x-tar", "gz": "application/gzip",
	"mjs": "text/javascript", "wasm": "application/wasm", "doc": "application/msword", "xls": "application/vnd.ms-excel",
	"geojson": "application/geo+json", "h5": "application/x-hdf5", "hdf5": "application/x-hdf5", "sh": "application/x-sh",
}

// contentType tells a file's type by its name.
func contentType(name string) string {
	ext := strings.TrimPrefix(path.Ext(name), ".")
	if ext == "" {
		ext = name
	}
	if strings.Contains(textExtensions, " "+ext+" ") {
		return "text/plain"
	}
	if t, ok := contentTypes[strings.ToLower(ext)]; ok {
		return t
	}
	return "application/octet-stream"
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
