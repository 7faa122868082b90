package mlflow

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
)

// Folder is the first segment of the artifact paths under which the files of
// versions are served, verified, to clients that download them:
// mlflow-artifacts:/model-registry/<model>/<version>/<path>.
const Folder = "model-registry"

func (h *Handler) fileRoutes() []route {
	const proxied = "2.0/mlflow-artifacts/artifacts"
	ofQuery := func(c *call) ([]string, error) {
		name, _, _, err := queryFile(c)
		return []string{name}, err
	}
	ofKey := func(c *call) ([]string, error) {
		name, _, _, err := splitKey(c.Path("path"))
		return []string{name}, err
	}
	ofList := func(c *call) ([]string, error) {
		m, err := message[mlflowapi.ListProxiedArtifacts](c)
		if err != nil {
			return nil, err
		}
		name, _, _, err := listKey(m.Path)
		return []string{name}, err
	}
	return []route{
		on(http.MethodGet, "model-versions/get-download-uri", Read, func(m *mlflowapi.ModelVersionName) string { return m.Name }, h.downloadURI),
		{method: http.MethodGet, path: "/model-versions/get-artifact", verb: Read, scope: ofQuery, serve: h.getArtifact},
		{method: http.MethodGet, path: proxied + "/" + Folder + "/{path...}", verb: Read, scope: ofKey, serve: h.getFile},
		{method: http.MethodGet, path: proxied, verb: Read, scope: ofList, serve: rpc(h.listFiles)},
	}
}

// downloadURI tells where a client gets the files: from here when they are
// here, else from where they were registered.
func (h *Handler) downloadURI(c *call, m *mlflowapi.ModelVersionName) (any, error) {
	v, err := c.version(m.Name, m.Version)
	if err != nil {
		return nil, err
	}
	h.resume(v)
	uri, err := h.placeOf(c.Ctx(), v)
	if err != nil {
		return nil, err
	}
	return &mlflowapi.GetModelVersionDownloadURIResponse{ArtifactURI: uri}, nil
}

// placeOf returns where a client reads the files of a version.
func (h *Handler) placeOf(ctx context.Context, v *registry.Version) (string, error) {
	if len(v.Files) > 0 {
		return "mlflow-artifacts:/" + Folder + "/" + folderName(v.Name) + "/" + strconv.Itoa(v.Number), nil
	}
	s, err := h.storedSource(ctx, v)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return v.Source, nil
	case err != nil:
		return "", err
	case s.version != nil && s.version.Created.Before(v.Created): // which ends
		return h.placeOf(ctx, s.version)
	case s.version != nil:
		return v.Source, nil
	}
	return s.location, nil
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// folderName is the segment for a model in paths, which clients neither escape
// nor unescape alike.
func folderName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return "~" + base64.RawURLEncoding.EncodeToString([]byte(name))
}

func modelOfFolder(segment string) (string, bool) {
	coded, ok := strings.CutPrefix(segment, "~")
	if !ok {
		return segment, plainName.MatchString(segment)
	}
	name, err := base64.RawURLEncoding.DecodeString(coded)
	return string(name), err == nil && len(name) > 0 && folderName(string(name)) == segment
}

// splitKey takes <model>/<version>/<path> apart; the path may be missing.
func splitKey(key string) (name, version, file string, err error) {
	if err := mlflowhttp.CheckPath(key); err != nil {
		return "", "", "", err
	}
	folder, rest, _ := strings.Cut(key, "/")
	version, file, _ = strings.Cut(rest, "/")
	name, ok := modelOfFolder(folder)
	if !ok || version == "" {
		return "", "", "", noFile(key)
	}
	return name, version, file, nil
}

// listKey takes the path of a listing apart.
func listKey(key string) (name, version, dir string, err error) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(key, "/"), Folder+"/")
	if !ok {
		return "", "", "", noFile(key)
	}
	return splitKey(rest)
}

func noFile(file string) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "No such artifact: '%s'", mlflowhttp.Printable(file))
}

// queryFile returns what the URL of get-artifact names.
func queryFile(c *call) (name, version, file string, err error) {
	query, err := mlflowhttp.Query(c.R)
	if err != nil {
		return "", "", "", err
	}
	for _, p := range []struct {
		key  string
		into *string
	}{{"name", &name}, {"version", &version}, {"path", &file}} {
		if *p.into = query.Get(p.key); *p.into == "" {
			return "", "", "", mlflowapi.Missing(p.key)
		}
	}
	return name, version, file, mlflowhttp.CheckPath(file)
}

func (h *Handler) getArtifact(c *call) error {
	name, version, file, err := queryFile(c)
	if err != nil {
		return err
	}
	return h.sendFile(c, name, version, file)
}

func (h *Handler) getFile(c *call) error {
	name, version, file, err := splitKey(c.Path("path"))
	if err != nil {
		return err
	}
	return h.sendFile(c, name, version, file)
}

// sendFile sends a verified file of a version, for saving only. It reads
// nothing but what the version's manifest names.
func (h *Handler) sendFile(c *call, name, version, file string) error {
	v, err := c.version(name, version)
	if err != nil {
		return err
	}
	at, found := slices.BinarySearchFunc(v.Files, file, func(f registry.File, file string) int { return strings.Compare(f.Path, file) })
	if !found {
		if at < len(v.Files) && strings.HasPrefix(v.Files[at].Path, file+"/") {
			return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Artifact path refers to a directory, not a file: '%s'", mlflowhttp.Printable(file))
		}
		return noFile(file)
	}
	mlflowhttp.Attachment(c.W.Header(), path.Base(file))
	c.W.Header().Set("ETag", `"`+v.Files[at].SHA256+`"`)
	if c.R.Method == http.MethodHead {
		c.W.Header().Set("Content-Length", strconv.FormatInt(v.Files[at].Size, 10))
		return nil
	}
	files, err := h.reg.Open(c.Ctx(), v)
	if err != nil {
		return err
	}
	f, err := files.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	body, ok := f.(io.ReadSeeker)
	if !ok {
		return &fs.PathError{Op: "seek", Path: file, Err: fs.ErrInvalid}
	}
	http.ServeContent(c.W, c.R, "", v.Created, body)
	return nil
}

// listFiles lists a folder of a version, as the artifact proxy does: bare
// names, sorted.
func (h *Handler) listFiles(c *call, m *mlflowapi.ListProxiedArtifacts) (any, error) {
	name, version, dir, err := listKey(m.Path)
	if err != nil {
		return nil, err
	}
	v, err := c.version(name, version)
	if err != nil {
		return nil, err
	}
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	out := &mlflowapi.ListArtifactsResponse{}
	for _, f := range v.Files {
		rest, ok := strings.CutPrefix(f.Path, prefix)
		if !ok {
			continue
		}
		entry, _, isDir := strings.Cut(rest, "/")
		if isDir {
			if n := len(out.Files); n > 0 && out.Files[n-1].Path == entry { // v.Files are sorted
				continue
			}
			out.Files = append(out.Files, mlflowapi.FileInfo{Path: entry, IsDir: true})
			continue
		}
		out.Files = append(out.Files, mlflowapi.FileInfo{Path: entry, FileSize: new(f.Size)})
	}
	slices.SortFunc(out.Files, func(a, b mlflowapi.FileInfo) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}
