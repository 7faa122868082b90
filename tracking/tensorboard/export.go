package tensorboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

// ExportOptions of Export. The zero value is ready, and so is a nil pointer.
type ExportOptions struct {
	// Folder below dir, which is what TensorBoard calls the run. Default: the
	// run's name and the first eight characters of its id.
	Folder string
	// Exact keeps all 64 bits of a value, see Writer. Default: 32 bits.
	Exact bool
	// Keys are the metrics to write. Default: all.
	Keys []string
}

// Export writes all stored points of a run, and its params, to an event file
// below dir, and returns the file's path. The file appears when it is complete
// and replaces one that an earlier Export of the run left there; call Run.Flush
// first where points may still be in the buffer.
func Export(ctx context.Context, run *tracking.Run, dir string, opts *ExportOptions) (path string, err error) {
	var o ExportOptions
	if opts != nil {
		o = *opts
	}
	info, err := run.Info(ctx)
	if err != nil {
		return "", err
	}
	if o.Folder == "" {
		o.Folder = folderName(info)
	}
	if !filepath.IsLocal(o.Folder) {
		return "", fmt.Errorf("tensorboard: export run %q: folder %q leads out of %s: %w", info.ID, o.Folder, dir, ErrInvalid)
	}
	keys := o.Keys
	if keys == nil {
		keys = slices.Sorted(maps.Keys(info.Metrics))
	}
	folder := filepath.Join(dir, o.Folder)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return "", fmt.Errorf("tensorboard: export run %q: %w", info.ID, err)
	}
	// TensorBoard finds files by "tfevents" in the name.
	path = filepath.Join(folder, fmt.Sprintf("events.out.tfevents.%010d.%s", info.Start.Unix(), info.ID))
	file, err := os.CreateTemp(folder, ".part-*")
	if err != nil {
		return "", fmt.Errorf("tensorboard: export run %q: %w", info.ID, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	err = errors.Join(write(ctx, file, run, &info, keys, o.Exact), file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("tensorboard: export run %q: %w", info.ID, err)
	}
	return path, nil
}

func write(ctx context.Context, file io.Writer, run *tracking.Run, info *tracking.RunInfo, keys []string, exact bool) error {
	buffer := bufio.NewWriterSize(file, 256<<10)
	w := &Writer{w: buffer, Exact: exact}
	if err := w.session(info); err != nil {
		return err
	}
	for _, key := range keys {
		for m, err := range run.Points(ctx, key) {
			if err != nil {
				return err
			}
			if err := w.Write(Scalar{Tag: m.Key, Value: m.Value, Step: m.Step, Time: m.Time}); err != nil {
				return err
			}
		}
	}
	return buffer.Flush()
}

// folderName is a name for people that is one folder and belongs to one run.
func folderName(info tracking.RunInfo) string {
	name := strings.Map(func(c rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, c) || c < ' ' {
			return '_'
		}
		return c
	}, info.Name)
	return strings.TrimLeft(name, ".") + "-" + string(info.ID[:min(8, len(info.ID))])
}
