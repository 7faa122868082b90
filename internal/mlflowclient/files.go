package mlflowclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

// proxyPath is where servers keep what mlflow-artifacts: names.
const proxyPath = "/api/2.0/mlflow-artifacts/artifacts"

// maxListDepth bounds how deep folders are followed.
const maxListDepth = 100

// Files are the files that the server keeps for its clients, those of artifact
// URIs with the scheme mlflow-artifacts; it is a tracking.Artifacts. A key is
// the path of such a URI without the slash in front.
type Files struct{ c *Client }

// Files returns them.
func (c *Client) Files() Files { return Files{c} }

// remoteFile describes a file of the server.
type remoteFile struct {
	key  string
	size int64
	time time.Time
}

func (f remoteFile) Name() string       { return f.key }
func (f remoteFile) Size() int64        { return f.size }
func (f remoteFile) Mode() fs.FileMode  { return 0o444 }
func (f remoteFile) ModTime() time.Time { return f.time }
func (f remoteFile) IsDir() bool        { return false }
func (f remoteFile) Sys() any           { return nil }

// remoteKeyFault says why key can be no artifact's, "" when it can.
func remoteKeyFault(key string) string {
	switch {
	case key == "":
		return "the key is empty"
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		return "the key is not valid UTF-8 or has a control character"
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return `the key has an empty, "." or ".." segment`
		}
	}
	return ""
}

// pathError is how artifact stores report errors. What is not there is an
// fs.ErrNotExist, a bad key an fs.ErrInvalid.
func pathError(op, key string, err error) error {
	switch {
	case errors.Is(err, errs.ErrNotFound) && !errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case errors.Is(err, errs.ErrInvalid) && !errors.Is(err, fs.ErrInvalid):
		err = fmt.Errorf("%w: %w", err, fs.ErrInvalid)
	}
	return &fs.PathError{Op: "mlflow: " + op + " artifact", Path: Shown(key), Err: err}
}

func badKey(op, key, fault string) error {
	return pathError(op, key, fmt.Errorf("%s: %w", fault, errs.ErrInvalid))
}

// Put is that of tracking.Artifacts.
func (f Files) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	if fault := remoteKeyFault(key); fault != "" {
		return badKey("put", key, fault)
	}
	if body == nil || size < -1 {
		return badKey("put", key, fmt.Sprintf("the body is nil or the size %d negative", size))
	}
	if err := ctx.Err(); err != nil {
		return pathError("put", key, err)
	}
	rule, start := Never, int64(0)
	seeker, _ := body.(io.Seeker)
	if seeker != nil {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err == nil {
			rule = Always
		}
	}
	sent := false
	err := f.c.retry(ctx, rule, func(ctx context.Context, _ int) error {
		if sent {
			if _, err := seeker.Seek(start, io.SeekStart); err != nil {
				return fmt.Errorf("the body cannot be read again: %w", err)
			}
		}
		sent = true
		return f.put(ctx, key, body, size)
	})
	if err != nil {
		return pathError("put", key, err)
	}
	return nil
}

func (f Files) put(ctx context.Context, key string, body io.Reader, size int64) error {
	upload := &uploadBody{body: body, left: size, sized: size >= 0}
	defer upload.release() // the transport may still read when Do has returned
	req, err := f.c.newRequest(ctx, http.MethodPut, f.c.base+proxyPath+"/"+escapeSegments(key), upload, nil)
	if err != nil {
		return err
	}
	req.ContentLength = size
	if size == 0 {
		req.Body, req.ContentLength = http.NoBody, 0
		if err := upload.checkEnd(); err != nil {
			return err
		}
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := f.c.do(req) //nolint:bodyclose // drainBody closes it
	if fault := upload.fault(); fault != nil {
		if err == nil {
			drainBody(resp.Body)
		}
		return fault // the caller's body broke, not the connection
	}
	if err != nil {
		return err
	}
	defer drainBody(resp.Body)
	if resp.StatusCode/100 != 2 {
		return f.c.refused(resp)
	}
	return nil
}

// Get is that of tracking.Artifacts. Servers that do not know ranges send the
// file from its start, of which the first off bytes are read and dropped.
func (f Files) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if fault := remoteKeyFault(key); fault != "" {
		return nil, badKey("get", key, fault)
	}
	if off < 0 {
		return nil, badKey("get", key, fmt.Sprintf("the offset %d is negative", off))
	}
	if err := ctx.Err(); err != nil {
		return nil, pathError("get", key, err)
	}
	header := http.Header{}
	switch {
	case off == 0 && n < 0:
	case n < 0:
		header.Set("Range", fmt.Sprintf("bytes=%d-", off))
	default:
		last := off + max(n, 1) - 1 // a range of no bytes cannot be asked for
		if last < off {
			last = math.MaxInt64
		}
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, last))
	}
	// The transport would unpack an answer and count other bytes than ours.
	header.Set("Accept-Encoding", "identity")
	var body io.ReadCloser
	err := f.c.retry(ctx, Always, func(ctx context.Context, _ int) error {
		var err error
		body, err = f.get(ctx, key, off, n, header)
		return err
	})
	if err != nil {
		return nil, pathError("get", key, err)
	}
	return body, nil
}

func (f Files) get(ctx context.Context, key string, off, n int64, header http.Header) (io.ReadCloser, error) {
	req, err := f.c.newRequest(ctx, http.MethodGet, f.c.base+proxyPath+"/"+escapeSegments(key), nil, header)
	if err != nil {
		return nil, err
	}
	resp, err := f.c.do(req)
	if err != nil {
		return nil, err
	}
	skip := off
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		start, ok := rangeStart(resp.Header.Get("Content-Range"))
		if !ok || start != off {
			drainBody(resp.Body)
			return nil, fmt.Errorf("%s answered with the range %q, asked for one from byte %d: %w", f.c.host, resp.Header.Get("Content-Range"), off, errs.ErrUnsupported)
		}
		skip = 0
	case http.StatusRequestedRangeNotSatisfiable:
		drainBody(resp.Body)
		return f.pastEnd(resp, off)
	default:
		defer drainBody(resp.Body)
		return nil, f.fileError(resp)
	}
	body := &downloadBody{body: resp.Body, left: n, all: n < 0, client: f.c}
	if skip > 0 {
		skipped, err := io.CopyN(io.Discard, resp.Body, skip)
		switch {
		case errors.Is(err, io.EOF):
			_ = resp.Body.Close() // the end was read
			return nil, fmt.Errorf("the offset %d is past the end at %d: %w", off, skipped, fs.ErrInvalid)
		case err != nil:
			_ = resp.Body.Close() // the first error tells more
			return nil, f.c.network(err)
		}
	}
	return body, nil
}

// pastEnd tells an offset at the end, where nothing is left to read, from one
// past it.
func (f Files) pastEnd(resp *http.Response, off int64) (io.ReadCloser, error) {
	_, size, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	if length, err := strconv.ParseInt(size, 10, 64); err == nil && length == off {
		return http.NoBody, nil
	}
	return nil, fmt.Errorf("the offset %d is past the end: %w", off, fs.ErrInvalid)
}

// rangeStart parses the first byte of "bytes 5-9/10".
func rangeStart(s string) (int64, bool) {
	s, ok := strings.CutPrefix(s, "bytes ")
	first, _, found := strings.Cut(s, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	return start, ok && found && err == nil
}

// Stat is that of tracking.Artifacts. It asks for the file's first byte, whose
// answer tells the length of the whole, and reads the listing of the folder
// where the server knows neither ranges nor lengths.
func (f Files) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	if fault := remoteKeyFault(key); fault != "" {
		return nil, badKey("stat", key, fault)
	}
	if err := ctx.Err(); err != nil {
		return nil, pathError("stat", key, err)
	}
	var info fs.FileInfo
	err := f.c.retry(ctx, Always, func(ctx context.Context, _ int) error {
		var err error
		info, err = f.stat(ctx, key)
		return err
	})
	if err == nil && info == nil {
		return f.statByList(ctx, key)
	}
	if err != nil {
		return nil, pathError("stat", key, err)
	}
	return info, nil
}

// stat returns nil when the server tells no length.
func (f Files) stat(ctx context.Context, key string) (fs.FileInfo, error) {
	header := http.Header{"Range": {"bytes=0-0"}, "Accept-Encoding": {"identity"}}
	req, err := f.c.newRequest(ctx, http.MethodGet, f.c.base+proxyPath+"/"+escapeSegments(key), nil, header)
	if err != nil {
		return nil, err
	}
	resp, err := f.c.do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		// All of the file is on its way. To let it come would cost more than
		// a new connection.
		defer func() { _ = resp.Body.Close() }()
	} else {
		defer drainBody(resp.Body)
	}
	info := remoteFile{key: key, size: -1}
	if at, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		info.time = at.UTC()
	}
	switch resp.StatusCode {
	case http.StatusOK:
		info.size = resp.ContentLength
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		_, size, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
		if n, err := strconv.ParseInt(size, 10, 64); err == nil && n >= 0 {
			info.size = n
		}
	default:
		return nil, f.fileError(resp)
	}
	if info.size < 0 {
		return nil, nil //nolint:nilnil // documented
	}
	return info, nil
}

// fileError is readError for the routes of files: a folder is no file.
func (f Files) fileError(resp *http.Response) error {
	err := f.c.refused(resp)
	if resp.StatusCode == http.StatusBadRequest && strings.Contains(err.Error(), "directory") {
		return fmt.Errorf("%v: %w", err, fs.ErrNotExist)
	}
	return err
}

func (f Files) statByList(ctx context.Context, key string) (fs.FileInfo, error) {
	dir, name := "", key
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		dir, name = key[:i], key[i+1:]
	}
	entries, err := f.folder(ctx, dir)
	if err != nil {
		return nil, pathError("stat", key, err)
	}
	for _, e := range entries {
		if e.Path == name && !e.IsDir {
			return f.known(ctx, key, e.FileSize)
		}
	}
	return nil, pathError("stat", key, fs.ErrNotExist)
}

// known describes a listed file. A server that lists no size tells it with
// the file.
func (f Files) known(ctx context.Context, key string, size *int64) (fs.FileInfo, error) {
	if size != nil {
		return remoteFile{key: key, size: *size}, nil
	}
	body, err := f.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // it was read
	n, err := io.Copy(io.Discard, body)
	if err != nil {
		return nil, pathError("stat", key, err)
	}
	return remoteFile{key: key, size: n}, nil
}

// folder lists one folder by base names.
func (f Files) folder(ctx context.Context, dir string) ([]mlflowapi.FileInfo, error) {
	var all []mlflowapi.FileInfo
	query := url.Values{}
	if dir != "" {
		query.Set("path", dir)
	}
	r := Call{Op: "list artifacts", Subject: dir, Method: http.MethodGet, Path: proxyPath, Query: query}
	for {
		var answer mlflowapi.ListArtifactsResponse
		err := f.c.Do(ctx, r, &answer)
		if errors.Is(err, errs.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, e := range answer.Files {
			// A hostile server must not name files outside of the folder.
			if remoteKeyFault(e.Path) == "" && !strings.Contains(e.Path, "/") {
				all = append(all, e)
			}
		}
		if answer.NextPageToken == "" || answer.NextPageToken == query.Get("page_token") {
			return all, nil
		}
		query.Set("page_token", answer.NextPageToken)
	}
}

// List is that of tracking.Artifacts: in byte order of the keys.
func (f Files) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		dir, rest := "", prefix
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir, rest = prefix[:i], prefix[i+1:]
			if fault := remoteKeyFault(dir); fault != "" {
				yield(nil, badKey("list", prefix, fault))
				return
			}
		}
		if !utf8.ValidString(rest) || strings.ContainsFunc(rest, unicode.IsControl) {
			yield(nil, badKey("list", prefix, "the prefix is not valid UTF-8 or has a control character"))
			return
		}
		if err := ctx.Err(); err != nil {
			yield(nil, pathError("list", prefix, err))
			return
		}
		f.walk(ctx, dir, rest, 0, yield)
	}
}

// walk yields the files below dir whose next segment starts with rest; it
// returns false when the sequence has ended.
func (f Files) walk(ctx context.Context, dir, rest string, depth int, yield func(fs.FileInfo, error) bool) bool {
	if depth > maxListDepth {
		yield(nil, badKey("list", dir, "the folders are nested too deeply"))
		return false
	}
	entries, err := f.folder(ctx, dir)
	if err != nil {
		yield(nil, pathError("list", dir, err))
		return false
	}
	// A folder sorts as its files do, whose keys go on with a slash.
	place := func(e mlflowapi.FileInfo) string {
		if e.IsDir {
			return e.Path + "/"
		}
		return e.Path
	}
	slices.SortFunc(entries, func(a, b mlflowapi.FileInfo) int { return cmp.Compare(place(a), place(b)) })
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, rest) {
			continue
		}
		key := e.Path
		if dir != "" {
			key = dir + "/" + e.Path
		}
		if e.IsDir {
			if !f.walk(ctx, key, "", depth+1, yield) {
				return false
			}
			continue
		}
		info, err := f.known(ctx, key, e.FileSize)
		if err != nil {
			yield(nil, err)
			return false
		}
		if !yield(info, nil) {
			return false
		}
	}
	return true
}

// Delete is that of tracking.Artifacts. The server's route removes folders
// with all they hold, so that the key is looked up first.
func (f Files) Delete(ctx context.Context, key string) error {
	_, err := f.Stat(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return pathError("delete", key, errors.Unwrap(err))
	}
	r := Call{Op: "delete artifact", Subject: key, Method: http.MethodDelete, Path: proxyPath + "/" + escapeSegments(key)}
	if err := f.c.Do(ctx, r, nil); err != nil && !errors.Is(err, errs.ErrNotFound) {
		return pathError("delete", key, err)
	}
	return nil
}
