package mlflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

// copyAttempts is how often a file is begun anew when the source fails in the
// middle of it, which no resend of a request can cure.
const copyAttempts = 3

// filesSummary is what was copied of one run or logged model.
type filesSummary struct {
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest,omitempty"` // of the paths, sizes and digests in the order of the paths
	sum    hash.Hash
}

func (s *filesSummary) add(path string, size int64, digest string) {
	if s.sum == nil {
		s.sum = sha256.New()
	}
	fmt.Fprintf(s.sum, "%q %d %s\n", path, size, digest)
	s.Files++
	s.Bytes += size
	s.Digest = hex.EncodeToString(s.sum.Sum(nil))
}

// filesAt is a place of files.
type filesAt struct {
	files  tracking.Artifacts
	prefix string // of the keys
}

// place finds the folder that an artifact URI names. ErrUnsupported when
// neither store nor open leads there.
func place(ctx context.Context, uri string, store tracking.Artifacts, open func(context.Context, string) (tracking.Artifacts, error)) (filesAt, error) {
	key, err := tracking.ArtifactKey(uri)
	if err != nil {
		return filesAt{}, err
	}
	scheme, _, _ := strings.Cut(uri, ":")
	switch {
	case strings.EqualFold(scheme, "mlflow-artifacts") && store != nil && key != "":
		return filesAt{store, key + "/"}, nil
	case !strings.EqualFold(scheme, "mlflow-artifacts") && open != nil:
		files, err := open(ctx, uri)
		return filesAt{files, ""}, err
	}
	return filesAt{}, fmt.Errorf("nothing is set that leads to %q, see ImportOptions: %w", shownSubject(uri), errs.ErrUnsupported)
}

// withFiles reports whether the import copies artifacts.
func (im *importer) withFiles() bool { return im.opts.To != nil || im.opts.OpenTo != nil }

// copyFiles copies the files of one artifact URI to another, each checked
// afterwards by its digest.
func (im *importer) copyFiles(ctx context.Context, d Difference, from, to string) (filesSummary, error) {
	var summary filesSummary
	if !im.withFiles() || from == "" {
		return summary, nil
	}
	d.What = "artifacts"
	source, err := place(ctx, from, im.opts.From, im.opts.OpenFrom)
	if err != nil {
		return summary, im.noPlace(ctx, d, err)
	}
	target, err := place(ctx, to, im.opts.To, im.opts.OpenTo)
	if err != nil {
		return summary, im.noPlace(ctx, d, err)
	}
	for info, err := range source.files.List(ctx, source.prefix) {
		if err != nil {
			return summary, im.refused(ctx, d, err)
		}
		path, ok := strings.CutPrefix(info.Name(), source.prefix)
		if !ok {
			continue
		}
		d.What = fmt.Sprintf("artifact %q", path)
		if err := tracking.ValidateArtifactPath(path); err != nil {
			if err := im.refused(ctx, d, err); err != nil {
				return summary, err
			}
			continue
		}
		size, digest, err := im.copyFile(ctx, source.files, info, target.files, target.prefix+path)
		if err != nil {
			if err := im.refused(ctx, d, fileKind(err)); err != nil {
				return summary, err
			}
			continue
		}
		summary.add(path, size, digest)
		im.count(func(p *ImportProgress, r *ImportResult) {
			p.Files, p.Bytes = p.Files+1, p.Bytes+size
			r.Files, r.Bytes = r.Files+1, r.Bytes+size
		})
	}
	return summary, nil
}

// noPlace is refused for a URI that nothing leads to.
func (im *importer) noPlace(ctx context.Context, d Difference, err error) error {
	if errors.Is(err, errs.ErrUnsupported) {
		d.Source, d.Destination = "may have some", err.Error()
		im.differ(d)
		return nil
	}
	return im.refused(ctx, d, err)
}

// fileKind gives the errors of file systems the kinds of this module.
func fileKind(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", err, errs.ErrNotFound)
	case errors.Is(err, fs.ErrInvalid):
		return fmt.Errorf("%w: %w", err, errs.ErrInvalid)
	}
	return err
}

// copyFile copies one file and compares what arrived. A file that is there
// already, of the same size, is compared and not written again.
func (im *importer) copyFile(ctx context.Context, files tracking.Artifacts, info fs.FileInfo, target tracking.Artifacts, to string) (int64, string, error) {
	select {
	case im.files <- struct{}{}:
		defer func() { <-im.files }()
	case <-ctx.Done():
		return 0, "", ctx.Err()
	}
	there, err := target.Stat(ctx, to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, "", err
	}
	if err == nil && there.Size() == info.Size() {
		size, want, err := digestOf(ctx, files, info.Name())
		if err != nil {
			return 0, "", err
		}
		_, have, err := digestOf(ctx, target, to)
		if err == nil && have == want {
			return size, want, nil
		}
		if err != nil {
			return 0, "", err
		}
	}
	var size int64
	var want string
	for attempt := 1; ; attempt++ {
		if size, want, err = transfer(ctx, files, info, target, to); err == nil {
			break
		}
		if attempt == copyAttempts || ctx.Err() != nil || !errors.Is(err, errs.ErrUnavailable) {
			return 0, "", err
		}
	}
	_, have, err := digestOf(ctx, target, to)
	if err == nil && have != want {
		err = fmt.Errorf("its SHA-256 is %s there, %s in the source: %w", have, want, errs.ErrConflict)
	}
	return size, want, err
}

func transfer(ctx context.Context, files tracking.Artifacts, info fs.FileInfo, target tracking.Artifacts, to string) (int64, string, error) {
	body, err := files.Get(ctx, info.Name(), 0, -1)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = body.Close() }() // it was read to its end, or failed
	sum := &countingSum{r: body, sum: sha256.New()}
	if err := target.Put(ctx, to, sum, info.Size()); err != nil {
		return 0, "", err
	}
	return sum.n, hex.EncodeToString(sum.sum.Sum(nil)), nil
}

// countingSum is a reader that adds up what it reads.
type countingSum struct {
	r   io.Reader
	n   int64
	sum hash.Hash
}

// Read implements io.Reader.
func (c *countingSum) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	return n, err
}

func digestOf(ctx context.Context, files tracking.Artifacts, key string) (int64, string, error) {
	var err error
	for range copyAttempts {
		var body io.ReadCloser
		if body, err = files.Get(ctx, key, 0, -1); err == nil {
			sum := sha256.New()
			var n int64
			n, err = io.Copy(sum, body)
			_ = body.Close() // it was read to its end, or failed
			if err == nil {
				return n, hex.EncodeToString(sum.Sum(nil)), nil
			}
		}
		if ctx.Err() != nil || !errors.Is(err, errs.ErrUnavailable) {
			break
		}
	}
	return 0, "", err
}

// sumFiles reads the files of an artifact URI of the destination back.
func (im *importer) sumFiles(ctx context.Context, uri string) (filesSummary, error) {
	var summary filesSummary
	at, err := place(ctx, uri, im.opts.To, im.opts.OpenTo)
	if err != nil {
		return summary, err
	}
	for info, err := range at.files.List(ctx, at.prefix) {
		if err != nil {
			return summary, err
		}
		size, digest, err := digestOf(ctx, at.files, info.Name())
		if err != nil {
			return summary, fileKind(err)
		}
		summary.add(strings.TrimPrefix(info.Name(), at.prefix), size, digest)
	}
	return summary, nil
}
