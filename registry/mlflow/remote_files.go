package mlflow

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// DownloadURI returns where the server says that the files of a version are.
func (c *Conn) DownloadURI(ctx context.Context, name string, number int) (string, error) {
	r := remote("locate version", fmt.Sprintf("%s/%d", name, number), http.MethodGet, "model-versions/get-download-uri", nil)
	r.Query = url.Values{"name": {name}, "version": {strconv.Itoa(number)}}
	answer, err := do[mlflowapi.GetModelVersionDownloadURIResponse](ctx, c, r)
	if err != nil {
		return "", err
	}
	return answer.ArtifactURI, nil
}

// Files returns the files of a version as far as the server hands them out
// itself, at URIs of the scheme mlflow-artifacts; ErrUnsupported, which names
// the URI, when they are elsewhere. MLflow keeps no digests: nothing says that
// they are those that were registered. Files are read while they are open, with
// ctx.
func (c *Conn) Files(ctx context.Context, name string, number int) (fs.FS, error) {
	uri, err := c.DownloadURI(ctx, name, number)
	if err != nil {
		return nil, err
	}
	fail := func(err error) error {
		return fmt.Errorf("mlflow: files of version \"%s/%d\": %w", mlflowclient.Shown(name), number, err)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mlflow-artifacts" {
		return nil, fail(fmt.Errorf("they are at %q, which this server does not hand out: %w", mlflowclient.Shown(uri), errs.ErrUnsupported))
	}
	key, err := tracking.ArtifactKey(uri)
	if err == nil {
		err = mlflowhttp.CheckPath(key)
	}
	if err != nil {
		return nil, fail(err)
	}
	files, err := newArtifactFS(ctx, c.client.Files(), key)
	if err != nil {
		return nil, fail(err)
	}
	if len(files.files) == 0 {
		return nil, fail(fmt.Errorf("there are none at %q: %w", mlflowclient.Shown(uri), errs.ErrNotFound))
	}
	return files, nil
}
