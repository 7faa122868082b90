package tensorboard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/tracking"
)

// ImportOptions of Import. The zero value is ready, and so is a nil pointer.
type ImportOptions struct {
	// Key gives the metric's key for a tag in the folder dir, "." is the one
	// that Import was given. An empty key leaves the curve out. Default:
	// DefaultKey.
	Key func(dir, tag string) string
	// Progress is told after each file and each thousand points. Default nil.
	Progress func(Report)
}

// Report tells what Import did.
type Report struct {
	Files, Points int
	Skipped       int      // values that are no single number, and curves that Key left out
	Truncated     []string // files that end in the middle of a record
}

// Import logs the scalars of all event files below src, which is usually
// os.DirFS of a log folder, as metrics of run. It stops at the first fault; what
// was logged before stays. Importing the same again changes nothing, so it may
// be repeated after an error, and while a training still writes.
//
// Two curves that Key gives the same key are an ErrInvalid.
func Import(ctx context.Context, run *tracking.Run, src fs.FS, opts *ImportOptions) (Report, error) {
	im := &importer{run: run, owners: map[string]string{}}
	if opts != nil {
		im.opts = *opts
	}
	if im.opts.Key == nil {
		im.opts.Key = DefaultKey
	}
	err := fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), "tfevents") {
			return err
		}
		return im.file(ctx, src, name)
	})
	if err == nil && im.report.Files == 0 {
		err = fmt.Errorf("there is no file with tfevents in its name: %w", tracking.ErrNotFound)
	}
	if err != nil {
		return im.report, fmt.Errorf("tensorboard: import: %w", err)
	}
	return im.report, nil
}

// DefaultKey is the tag below its folder, like "train/loss" for the tag "loss"
// in the folder train, with an underscore for each character that a metric's
// key cannot have.
func DefaultKey(dir, tag string) string {
	clean := func(s string) string {
		s = strings.Map(func(c rune) rune {
			switch {
			case unicode.IsLetter(c), unicode.IsNumber(c), strings.ContainsRune("_-./: ", c):
				return c
			}
			return '_'
		}, s)
		if s = strings.Trim(path.Clean("/"+s), "/"); s == "" {
			return "_"
		}
		return s
	}
	if tag = clean(tag); dir != "." {
		tag = clean(dir) + "/" + tag
	}
	if strings.HasPrefix(tag, "..") {
		tag = "_" + tag
	}
	return tag
}

// importer is one Import under way.
type importer struct {
	run    *tracking.Run
	opts   ImportOptions
	report Report
	owners map[string]string // the curve that has a key
	batch  []tracking.Metric
}

func (im *importer) file(ctx context.Context, src fs.FS, name string) (err error) {
	f, err := src.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var rest Rest
	keys := map[string]string{} // by tag
	for s, err := range Read(f, &rest) {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		key, known := keys[s.Tag]
		if !known {
			if key, err = im.key(path.Dir(name), s.Tag); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			keys[s.Tag] = key
		}
		if key == "" {
			rest.Skipped++
			continue
		}
		im.batch = append(im.batch, tracking.Metric{Key: key, Value: s.Value, Step: s.Step, Time: s.Time})
		if len(im.batch) == tracking.MaxBatchMetrics {
			if err := im.flush(ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	im.report.Files++
	im.report.Skipped += rest.Skipped
	if rest.Truncated {
		im.report.Truncated = append(im.report.Truncated, name)
	}
	if err := im.flush(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// key finds the key of a curve and keeps it for that curve.
func (im *importer) key(dir, tag string) (string, error) {
	curve := dir + "\x00" + tag
	key := im.opts.Key(dir, tag)
	if key == "" {
		return "", nil
	}
	if err := tracking.ValidateKey(key); err != nil {
		return "", fmt.Errorf("tag %s: %w", quote(tag), err)
	}
	owner, taken := im.owners[key]
	switch {
	case taken && owner != curve:
		dir2, tag2, _ := strings.Cut(owner, "\x00")
		return "", fmt.Errorf("tags %s in %s and %s in %s both become the metric %q, tell them apart with ImportOptions.Key: %w",
			quote(tag2), dir2, quote(tag), dir, key, ErrInvalid)
	case !taken && len(im.owners) >= tracking.MaxRunMetricKeys:
		return "", fmt.Errorf("there are more than %d curves: %w", tracking.MaxRunMetricKeys, ErrInvalid)
	}
	im.owners[key] = curve
	return key, nil
}

func quote(tag string) string {
	if len(tag) > 100 {
		tag = tag[:100] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(tag, string(utf8.RuneError)))
}

func (im *importer) flush(ctx context.Context) error {
	if len(im.batch) > 0 {
		if err := im.run.LogBatch(ctx, tracking.Batch{Metrics: im.batch}); err != nil {
			return err
		}
		im.report.Points += len(im.batch)
		im.batch = im.batch[:0]
	}
	if im.opts.Progress != nil {
		im.opts.Progress(im.report)
	}
	return nil
}
