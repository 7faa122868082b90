package mlflow

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

const (
	// maxFiles bounds the entries of one answer.
	maxFiles = 20_000
	// maxScanned bounds the keys that one answer looks at: stores know no
	// folders, so that a folder costs what lies below it.
	maxScanned = 5_000_000
)

// list returns what lies in a folder: its files and the folders of its other
// keys, ordered by name, those after the name after. The paths are bare names.
// more tells that there is more than one answer takes.
func (f folder) list(ctx context.Context, dir, after string) (files []mlflowapi.FileInfo, more bool, err error) {
	prefix := f.key(dir)
	if prefix != "" {
		prefix += "/"
	}
	scanned := 0
	last := "" // the folder that is being walked through
	for info, err := range f.store.List(ctx, prefix) {
		if err != nil {
			return nil, false, artifactError(err, dir)
		}
		if scanned++; scanned > maxScanned {
			return nil, false, mlflowapi.Errorf(mlflowapi.CodeInvalid, "There are more than %d artifacts below '%s'.", maxScanned, dir)
		}
		rest, ok := strings.CutPrefix(info.Name(), prefix)
		if !ok || rest == "" {
			continue
		}
		name, _, isDir := strings.Cut(rest, "/")
		if name <= after || isDir && name == last {
			continue
		}
		file := mlflowapi.FileInfo{Path: name, IsDir: isDir}
		if isDir {
			last = name
		} else {
			file.FileSize = new(info.Size())
		}
		// Keys come in the order of bytes, where "a.b" is before "a/": the order
		// of names is nearly that. Twice the answer is enough to cut it right.
		if files = append(files, file); len(files) > 2*maxFiles {
			sortFiles(files)
			files, more = files[:maxFiles], true
		}
	}
	sortFiles(files)
	if len(files) > maxFiles {
		files, more = files[:maxFiles], true
	}
	return files, more, nil
}

func sortFiles(files []mlflowapi.FileInfo) {
	slices.SortFunc(files, func(a, b mlflowapi.FileInfo) int { return strings.Compare(a.Path, b.Path) })
}

// exists reports whether some key is below dir.
func (f folder) exists(ctx context.Context, dir string) (bool, error) {
	prefix := f.key(dir)
	if prefix != "" {
		prefix += "/"
	}
	for _, err := range f.store.List(ctx, prefix) {
		return err == nil, artifactError(err, dir)
	}
	return false, nil
}

// page lists a folder of a run or a logged model, with paths below its root.
func (f folder) page(ctx context.Context, root, dir, token string) (*mlflowapi.ListArtifactsResponse, error) {
	dir, err := mlflowhttp.CheckDir(dir)
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid page token.")
	}
	files, more, err := f.list(ctx, dir, string(after))
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.ListArtifactsResponse{RootURI: root, Files: files}
	if more {
		out.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(files[len(files)-1].Path))
	}
	for i := range files {
		files[i].Path = folder{base: dir}.key(files[i].Path)
	}
	return out, nil
}
