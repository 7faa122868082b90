package iceberg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors of this package, for errors.Is.
var (
	// ErrExists: the name was used for other content or another location.
	ErrExists = errs.ErrExists
	// ErrInvalid: the name or the location is not acceptable.
	ErrInvalid = errs.ErrInvalid
	// ErrUnsupported: a column has a type that Iceberg lacks.
	ErrUnsupported = errs.ErrUnsupported
)

const (
	folder       = "_iceberg"
	metadataFile = "v1.metadata.json"
	maxMetadata  = 64 << 20
)

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Export writes the Iceberg metadata of a version into the dataset's folder,
// under a name, and returns the URL of its metadata file.
//
// store is the store of the catalog that the version is of, and location is
// where readers find that store: an absolute path or a URL, such as
// "s3://bucket/prefix". Memory grows with the number of files of the version, by
// about 300 bytes each.
//
// Export may be repeated and may run in several processes: equal exports meet in
// the same files, and of different ones under one name the first stays and the
// others get ErrExists.
func Export(ctx context.Context, store blob.Store, location string, v *dataset.Version, name string) (string, error) {
	if v == nil {
		return "", fmt.Errorf("iceberg: export: the version is nil: %w", ErrInvalid)
	}
	subject := fmt.Sprintf("iceberg: export %q version %d as %q", v.Dataset, v.Number, name)
	var f errs.Faults
	f.Check(validName.MatchString(name), "a name has 1 to 128 letters, digits, '.', '_' or '-' and starts with a letter or digit")
	f.Check(store != nil, "the store is nil")
	if fault := locationFault(location); fault != "" {
		f.Addf("location %q %s", location, fault)
	}
	if err := f.Err(subject); err != nil {
		return "", err
	}
	v, err := v.Load(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", subject, err)
	}
	e := &export{
		store:    blob.Sub(store, path.Join(v.Dataset, folder, name, "metadata")),
		data:     strings.TrimRight(location, "/") + "/" + v.Dataset,
		version:  v,
		name:     name,
		snapshot: snapshotID(v.Digest),
	}
	e.location = e.data + "/" + folder + "/" + name
	if err := e.write(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", subject, err)
	}
	return e.location + "/metadata/" + metadataFile, nil
}

// locationFault says why readers could not find files below location.
func locationFault(location string) string {
	if strings.ContainsFunc(location, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return "holds control characters"
	}
	if strings.HasPrefix(location, "/") {
		return ""
	}
	u, err := url.Parse(location)
	switch {
	case err != nil || u.Scheme == "":
		return "is neither an absolute path nor a URL"
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "has a query, a fragment or a password; want a scheme, a bucket and a path"
	}
	return ""
}

// export is one run of Export.
type export struct {
	store    blob.Store // Rooted at the metadata folder.
	data     string     // Location of the dataset's folder.
	location string     // Location of the Iceberg table.
	version  *dataset.Version
	name     string
	snapshot int64
}

// write writes what the metadata file names before the metadata file.
func (e *export) write(ctx context.Context) error {
	root, err := tableSchema(e.version.Schema())
	if err != nil {
		return err
	}
	var manifests []manifest
	if len(e.version.Files) > 0 {
		body, err := e.manifest(root)
		if err != nil {
			return err
		}
		name, err := e.put(ctx, body)
		if err != nil {
			return err
		}
		manifests = append(manifests, manifest{e.location + "/metadata/" + name, int64(len(body))})
	}
	list, err := e.manifestList(manifests)
	if err != nil {
		return err
	}
	listName, err := e.put(ctx, list)
	if err != nil {
		return err
	}
	metadata, err := e.metadata(root, e.location+"/metadata/"+listName)
	if err != nil {
		return err
	}
	if err := e.putMetadata(ctx, metadata); err != nil {
		return err
	}
	err = e.create(ctx, "version-hint.text", []byte("1"))
	if errors.Is(err, fs.ErrExist) {
		return nil // It never says anything else.
	}
	return err
}

// put stores a file under the digest of its bytes, so one that is there already
// is the same.
func (e *export) put(ctx context.Context, body []byte) (name string, err error) {
	sum := sha256.Sum256(body)
	name = hex.EncodeToString(sum[:]) + ".avro"
	if err := e.create(ctx, name, body); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return name, nil
}

func (e *export) putMetadata(ctx context.Context, body []byte) error {
	err := e.create(ctx, metadataFile, body)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	there, err := blob.ReadAll(ctx, e.store, metadataFile, maxMetadata)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, body) {
		return fmt.Errorf("the name was exported from another version or for another location: %w", ErrExists)
	}
	return nil
}

func (e *export) create(ctx context.Context, key string, body []byte) error {
	return e.store.Create(ctx, key, bytes.NewReader(body), int64(len(body)))
}
