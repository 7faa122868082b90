package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of error that this package returns, for errors.Is.
var (
	// ErrInvalid: the options or arguments can not be used as they are.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: the checkpoint that was asked for by its digest is not there.
	ErrNotFound = errs.ErrNotFound
	// ErrUnsupported: checkpoints are kept in folders only.
	ErrUnsupported = errs.ErrUnsupported
	// ErrDamaged: a checkpoint is not what its manifest says.
	ErrDamaged = errors.New("damaged")
)

const (
	format      = 1
	suffix      = ".manifest"
	maxManifest = 16 << 20
)

// Manifest is what is known of one checkpoint.
type Manifest struct {
	Format  int                `json:"format"` // 1
	Step    int64              `json:"step"`
	Attempt int                `json:"attempt"`           // of the job
	Restart int                `json:"restart,omitempty"` // by torchrun within the attempt
	Job     string             `json:"job,omitempty"`     // id; empty outside of jobs
	Start   string             `json:"start,omitempty"`   // train.EnvStart of rank 0
	Time    time.Time          `json:"time"`
	Folder  string             `json:"folder"` // beside the manifest
	Files   []File             `json:"files"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// File is one file of a checkpoint.
type File struct {
	Path   string `json:"path"` // within the folder, with "/"
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// ParseManifest reads a manifest's file and checks it against the digest that it
// ends with, which it returns as "sha256:…". ErrDamaged when it is cut off,
// changed or no manifest.
func ParseManifest(data []byte) (*Manifest, string, error) {
	text, rest, _ := bytes.Cut(data, []byte("\n"))
	digest := digestOf(text)
	if len(data) > maxManifest || string(rest) != digest+"\n" {
		return nil, "", fmt.Errorf("checkpoint: its manifest is cut off or was changed: %w", ErrDamaged)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, "", fmt.Errorf("checkpoint: its manifest is no manifest: %w: %w", err, ErrDamaged)
	}
	if m.Format != format {
		return nil, "", fmt.Errorf("checkpoint: its manifest has format %d, this version knows %d: %w", m.Format, format, ErrDamaged)
	}
	if m.Step < 0 || m.Attempt < 0 || len(m.Files) == 0 || !filepath.IsLocal(m.Folder) || strings.ContainsAny(m.Folder, `/\`) || m.Folder == "." {
		return nil, "", fmt.Errorf("checkpoint: its manifest is incomplete: %w", ErrDamaged)
	}
	for _, f := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) || f.Size < 0 {
			return nil, "", fmt.Errorf("checkpoint: its manifest names %q, which is no file in its folder: %w", f.Path, ErrDamaged)
		}
	}
	return &m, digest, nil
}

// encode is what ParseManifest reads.
func (m *Manifest) encode() (data []byte, digest string, err error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, "", err
	}
	digest = digestOf(text)
	return append(append(text, '\n'), digest+"\n"...), digest, nil
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// verify compares a checkpoint's files with its manifest.
func (m *Manifest) verify(dir string) error {
	for _, f := range m.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("checkpoint: %s is missing: %w: %w", f.Path, err, ErrDamaged)
		}
		if info.Size() != f.Size {
			return fmt.Errorf("checkpoint: %s has %d bytes, not %d: %w", f.Path, info.Size(), f.Size, ErrDamaged)
		}
		sum, err := sumFile(path)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		if sum != f.SHA256 {
			return fmt.Errorf("checkpoint: %s has another SHA-256 than its manifest says: %w", f.Path, ErrDamaged)
		}
	}
	return nil
}

func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
