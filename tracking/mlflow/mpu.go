package mlflow

import (
	"context"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// PresignedArtifacts is a store of artifacts that can sign URLs with which
// whoever has them reads or writes one key, past this server. Package
// dataset/blob/s3blob is one. Clients use them on their own for large files: a
// server whose clients cannot reach the store hides these methods, and those of
// MultipartArtifacts, in a type of its own around the store.
type PresignedArtifacts interface {
	SignGet(ctx context.Context, key string, expires time.Duration) (url string, err error)
	SignPut(ctx context.Context, key string, expires time.Duration) (url string, err error)
}

// MultipartArtifacts is a store of artifacts that takes a file in parts, which
// clients send to signed URLs. Package dataset/blob/s3blob is one.
type MultipartArtifacts interface {
	// CreateUpload begins an upload of 1 to 10,000 parts, which are numbered
	// from 1 in the order of the URLs.
	CreateUpload(ctx context.Context, key string, parts int, expires time.Duration) (upload string, urls []string, err error)
	// CompleteUpload makes the file of parts, by number, whose ETags the
	// answers to them had.
	CompleteUpload(ctx context.Context, key, upload string, etags map[int]string) error
	// AbortUpload forgets the upload; one that is not there is no error.
	AbortUpload(ctx context.Context, key, upload string) error
}

const (
	maxUploadParts = 10_000
	partTime       = time.Hour       // for a whole upload, whose URLs are signed at once
	downloadTime   = 5 * time.Minute // what MLflow's server gives
	uploadTime     = 15 * time.Minute
	maxSignedTime  = 7 * 24 * time.Hour // what cloud stores allow
)

// Clients tell by the beginning of these texts that they have to send files
// whole.
var (
	errNoParts    = mlflowapi.Errorf(mlflowapi.CodeNotImplemented, "Multipart upload is not supported for the current artifact repository")
	errNoDownload = mlflowapi.Errorf(mlflowapi.CodeNotImplemented, "Multipart download is not supported for the current artifact repository")
	errNoSigned   = mlflowapi.Errorf(mlflowapi.CodeNotImplemented, "Presigned URLs are not supported for the current artifact repository")
)

// multipart reports what of this the proxy's store can, for server-info.
func (h *Handler) multipart() (uploads, downloads bool) {
	_, uploads = h.opts.Artifacts.(MultipartArtifacts)
	_, downloads = h.opts.Artifacts.(PresignedArtifacts)
	return uploads, downloads
}

// uploadTarget returns the store, and the key of a file of the client's machine
// in the folder that the URL names.
func (h *Handler) uploadTarget(c *call, local string) (MultipartArtifacts, string, error) {
	dir, err := mlflowhttp.CheckDir(c.Path("path"))
	if err != nil {
		return nil, "", err
	}
	// Only the name counts, of a path in the style of any system.
	name := path.Base(strings.ReplaceAll(local, `\`, "/"))
	if err := mlflowhttp.CheckPath(name); err != nil || strings.ContainsRune(name, '/') {
		return nil, "", mlflowhttp.InvalidPath(local, "it has no usable file name")
	}
	if h.ofRegistry(path.Join(dir, name)) {
		return nil, "", errNoParts // only the registry writes there
	}
	proxy, err := h.proxy()
	if err != nil {
		return nil, "", err
	}
	store, ok := proxy.(MultipartArtifacts)
	if !ok {
		return nil, "", errNoParts
	}
	key := folder{base: dir}.key(name)
	return store, key, mlflowhttp.CheckPath(key)
}

func (h *Handler) createUpload(c *call, m *mlflowapi.CreateMultipartUpload) (any, error) {
	store, key, err := h.uploadTarget(c, m.Path)
	if err != nil {
		return nil, err
	}
	if m.NumParts < 1 || m.NumParts > maxUploadParts {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "num_parts must be between 1 and %d, not %d.", maxUploadParts, m.NumParts)
	}
	id, urls, err := store.CreateUpload(c.Ctx(), key, int(m.NumParts), partTime)
	if err != nil {
		return nil, artifactError(err, key)
	}
	out := &mlflowapi.CreateMultipartUploadResponse{UploadID: id}
	for i, u := range urls {
		out.Credentials = append(out.Credentials, mlflowapi.MultipartUploadCredential{URL: u, PartNumber: int64(i + 1)})
	}
	return out, nil
}

func (h *Handler) completeUpload(c *call, m *mlflowapi.CompleteMultipartUpload) (any, error) {
	store, key, err := h.uploadTarget(c, m.Path)
	if err != nil {
		return nil, err
	}
	if len(m.Parts) > maxUploadParts {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "An upload has at most %d parts.", maxUploadParts)
	}
	etags := make(map[int]string, len(m.Parts))
	for _, p := range m.Parts {
		if p.PartNumber < 1 || p.PartNumber > maxUploadParts || p.ETag == "" {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "A part needs an etag and a part_number between 1 and %d, not %d.", maxUploadParts, p.PartNumber)
		}
		etags[int(p.PartNumber)] = p.ETag
	}
	if len(etags) != len(m.Parts) {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Two parts have the same part_number.")
	}
	return nil, artifactError(store.CompleteUpload(c.Ctx(), key, m.UploadID, etags), key)
}

func (h *Handler) abortUpload(c *call, m *mlflowapi.AbortMultipartUpload) (any, error) {
	store, key, err := h.uploadTarget(c, m.Path)
	if err != nil {
		return nil, err
	}
	return nil, artifactError(store.AbortUpload(c.Ctx(), key, m.UploadID), key)
}

func (h *Handler) presignProxied(c *call) error {
	file := c.Path("path")
	if err := mlflowhttp.CheckPath(file); err != nil {
		return err
	}
	if h.ofRegistry(file) {
		// The registry sends its files itself, verified.
		return c.JSON(&mlflowapi.PresignedDownload{URL: strings.Replace(c.R.URL.EscapedPath(), "/presigned/", "/artifacts/", 1)})
	}
	proxy, err := h.proxy()
	if err != nil {
		return err
	}
	store, ok := proxy.(PresignedArtifacts)
	if !ok {
		return errNoDownload
	}
	info, err := proxy.Stat(c.Ctx(), file)
	if err != nil {
		return artifactError(err, file)
	}
	signed, err := store.SignGet(c.Ctx(), file, downloadTime)
	if err != nil {
		return artifactError(err, file)
	}
	return c.JSON(&mlflowapi.PresignedDownload{URL: signed, FileSize: new(info.Size())})
}

// signedFolder opens the place of a run or a logged model for signing, and
// checks the request.
func (h *Handler) signedFolder(c *call, m *mlflowapi.CreatePresignedURL, byDefault time.Duration) (tracking.Artifacts, PresignedArtifacts, time.Duration, error) {
	if err := mlflowhttp.CheckPath(m.Path); err != nil {
		return nil, nil, 0, err
	}
	expires := byDefault
	if m.Expiration != nil {
		longest := int64(maxSignedTime / time.Second)
		if *m.Expiration < 1 || *m.Expiration > longest {
			return nil, nil, 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "expiration must be between 1 and %d seconds (got %d).", longest, *m.Expiration)
		}
		expires = time.Duration(*m.Expiration) * time.Second
	}
	location, err := h.locationOf(c, m)
	if err != nil {
		return nil, nil, 0, err
	}
	if u, err := url.Parse(location); err != nil || u.Scheme == proxyScheme || u.Scheme == "http" || u.Scheme == "https" {
		return nil, nil, 0, mlflowapi.Errorf(mlflowapi.CodeInvalid,
			"Presigned URLs are not supported for proxied artifact storage (artifact URI: %s): use the mlflow-artifacts routes.", mlflowhttp.Printable(location))
	}
	f, err := h.folderAt(c.Ctx(), location)
	if err != nil {
		return nil, nil, 0, err
	}
	signer, ok := f.store.(PresignedArtifacts)
	if !ok {
		return nil, nil, 0, errNoSigned
	}
	return f.store, signer, expires, nil
}

func (h *Handler) presignUpload(c *call, m *mlflowapi.CreatePresignedURL) (any, error) {
	_, signer, expires, err := h.signedFolder(c, m, uploadTime)
	if err != nil {
		return nil, err
	}
	signed, err := signer.SignPut(c.Ctx(), m.Path, expires)
	if err != nil {
		return nil, artifactError(err, m.Path)
	}
	return &mlflowapi.CreatePresignedURLResponse{PresignedURL: signed}, nil
}

func (h *Handler) presignDownload(c *call, m *mlflowapi.CreatePresignedURL) (any, error) {
	store, signer, expires, err := h.signedFolder(c, m, downloadTime)
	if err != nil {
		return nil, err
	}
	info, err := store.Stat(c.Ctx(), m.Path)
	if err != nil {
		return nil, artifactError(err, m.Path)
	}
	signed, err := signer.SignGet(c.Ctx(), m.Path, expires)
	if err != nil {
		return nil, artifactError(err, m.Path)
	}
	return &mlflowapi.CreatePresignedURLResponse{PresignedURL: signed, FileSize: new(info.Size())}, nil
}
