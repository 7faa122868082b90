package mlflow

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

const (
	// stallTime is how long an upload may send nothing.
	stallTime = time.Minute
	// deleteBatch is how many keys are looked up before they are deleted.
	deleteBatch = 1000
)

// listOrRegistry lists a folder of the proxy. The files of registered versions
// are listed by the registry, which asks for rights of its own.
func (h *Handler) listOrRegistry(c *call) error {
	m, err := message[mlflowapi.ListProxiedArtifacts](c)
	if err != nil {
		return err
	}
	if h.ofRegistry(m.Path) {
		h.opts.Registry.ServeHTTP(c.W, c.R)
		return nil
	}
	return rpc(h.listProxied)(c)
}

func (h *Handler) listProxied(c *call, m *mlflowapi.ListProxiedArtifacts) (any, error) {
	store, err := h.proxy()
	if err != nil {
		return nil, err
	}
	dir, err := mlflowhttp.CheckDir(m.Path)
	if err != nil {
		return nil, err
	}
	files, more, err := folder{store: store}.list(c.Ctx(), dir, "")
	if err != nil {
		return nil, err
	}
	if more {
		// The protocol has no next page here, and half a list is a wrong one.
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "'%s' has more than %d entries.", mlflowhttp.Printable(dir), maxFiles)
	}
	return &mlflowapi.ListArtifactsResponse{Files: files}, nil
}

func (h *Handler) getProxied(c *call) error {
	store, err := h.proxy()
	if err != nil {
		return err
	}
	return folder{store: store}.send(c, c.Path("path"))
}

func (h *Handler) putProxied(c *call) error {
	store, err := h.proxy()
	if err != nil {
		return err
	}
	return folder{store: store}.receive(c, c.Path("path"))
}

// receive stores the body of a request as a file.
func (f folder) receive(c *call, file string) error {
	if err := mlflowhttp.CheckPath(file); err != nil {
		return err
	}
	body := newUpload(c)
	defer body.end()
	err := f.store.Put(c.Ctx(), f.key(file), body, c.R.ContentLength)
	if err != nil && body.err != nil {
		return body.fault()
	}
	if err != nil {
		return artifactError(err, file)
	}
	return c.Send(http.StatusOK, []byte("{}"))
}

// upload is the body of a request that must keep coming.
type upload struct {
	c       *call
	control *http.ResponseController
	until   time.Time
	err     error // why reading failed
}

func newUpload(c *call) *upload {
	return &upload{c: c, control: http.NewResponseController(c.W)}
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	if now := time.Now(); u.until.Sub(now) < stallTime/2 {
		u.until = now.Add(stallTime)
		_ = u.control.SetReadDeadline(u.until) // a writer that knows none leaves them to its server
	}
	n, err := u.c.R.Body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		u.err = err
	}
	return n, err
}

func (u *upload) end() { _ = u.control.SetReadDeadline(time.Time{}) }

// fault is the answer to a body that broke off.
func (u *upload) fault() error {
	if _, ok := errors.AsType[*http.MaxBytesError](u.err); ok {
		return u.err
	}
	if err := u.c.Ctx().Err(); err != nil {
		return err
	}
	return mlflowapi.Errorf(mlflowapi.CodeBadRequest, "The request body ended early or came too slowly; nothing was stored.")
}

func (h *Handler) deleteProxied(c *call) error {
	store, err := h.proxy()
	if err != nil {
		return err
	}
	file, err := mlflowhttp.CheckDir(c.Path("path"))
	if err != nil {
		return err
	}
	if file == "" {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid path: the root cannot be deleted.")
	}
	if err := (folder{store: store}).remove(c.Ctx(), file); err != nil {
		return err
	}
	return c.Send(http.StatusOK, []byte("{}"))
}

// remove deletes a file, or a folder with all that is in it. Nothing there is
// fine.
func (f folder) remove(ctx context.Context, path string) error {
	key := f.key(path)
	// A key is a file or the folder of others, never both.
	if err := f.store.Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return artifactError(err, path)
	}
	for {
		var batch []string
		for info, err := range f.store.List(ctx, key+"/") {
			if err != nil {
				return artifactError(err, path)
			}
			if batch = append(batch, info.Name()); len(batch) == deleteBatch {
				break
			}
		}
		for _, key := range batch {
			if err := f.store.Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return artifactError(err, path)
			}
		}
		if len(batch) < deleteBatch {
			return nil
		}
	}
}
