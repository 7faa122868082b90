package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
)

// On disk a model has a folder with one folder for each version, "3/files/…" and
// "3/facts.json", and "state.json" with the aliases. A folder is written under
// another name and renamed when it is whole; what is read is compared with its
// digests each time.

// state is the content of state.json.
type state struct {
	Format  int            `json:"format"`
	Aliases map[string]int `json:"aliases"`
}

func folder(dir, name string) string { return filepath.Join(dir, "model-"+url.PathEscape(name)) }

// readState returns where the aliases were, nothing when that is not known.
func readState(dir, name string) (map[string]int, error) {
	b, err := os.ReadFile(filepath.Join(folder(dir, name), "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil || s.Format != 1 {
		return nil, fmt.Errorf("state.json is damaged or of another format: %w", ErrInvalid)
	}
	return s.Aliases, nil
}

// writeState notes where the aliases are whose versions are loaded, and removes
// the other versions' files.
func writeState(dir, name string, want map[string]int, loaded map[int]int64) error {
	s := state{Format: 1, Aliases: make(map[string]int)}
	for alias, n := range want {
		if _, ok := loaded[n]; ok {
			s.Aliases[alias] = n
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	root := folder(dir, name)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := writeFile(root, "state.json", b); err != nil {
		return err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		if _, ok := loaded[n]; !ok {
			if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeFile replaces a file in one step.
func writeFile(dir, name string, b []byte) error {
	tmp := filepath.Join(dir, "."+name)
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, name))
}

// files returns a version's files and facts: from disk where they are, else from
// the source, by way of the disk.
func (k *Keeper) files(ctx context.Context, m *kept, number int, local bool) (fs.FS, []byte, func(), error) {
	if k.opts.Dir == "" {
		files, text, err := k.source.Bundle(ctx, m.Name, number)
		return files, text, func() {}, err
	}
	at := filepath.Join(folder(k.opts.Dir, m.Name), version(number))
	files, text, done, err := openVersion(at)
	if err == nil || local {
		return files, text, done, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		k.report(fmt.Errorf("deploy: %q version %d: the copy on disk is fetched again: %w", m.Name, number, err))
	}
	from, text, err := k.source.Bundle(ctx, m.Name, number)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := keepVersion(at, from, text); err != nil {
		return nil, nil, nil, err
	}
	return openVersion(at)
}

// openVersion opens a version on disk, after all its files were compared with
// their digests.
func openVersion(at string) (fs.FS, []byte, func(), error) {
	text, err := os.ReadFile(filepath.Join(at, "facts.json"))
	if err != nil {
		return nil, nil, nil, err
	}
	var v facts
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, nil, nil, fmt.Errorf("facts.json: %w", err)
	}
	// A root does not follow links out of it.
	root, err := os.OpenRoot(filepath.Join(at, "files"))
	if err != nil {
		return nil, nil, nil, err
	}
	for _, f := range v.Files {
		if err := copyFile(io.Discard, root.FS(), f); err != nil {
			return nil, nil, nil, errors.Join(err, root.Close())
		}
	}
	return root.FS(), text, func() { _ = root.Close() }, nil
}

// keepVersion writes a version to disk.
func keepVersion(at string, from fs.FS, text []byte) error {
	var v facts
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("the facts about the version: %w: %w", err, ErrInvalid)
	}
	tmp := filepath.Join(filepath.Dir(at), ".new-"+filepath.Base(at))
	if err := errors.Join(os.RemoveAll(tmp), os.RemoveAll(at), os.MkdirAll(filepath.Join(tmp, "files"), 0o755)); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(tmp, "files"))
	if err != nil {
		return err
	}
	for _, f := range v.Files {
		if err := keepFile(root, from, f); err != nil {
			return errors.Join(err, root.Close(), os.RemoveAll(tmp))
		}
	}
	if err := errors.Join(root.Close(), writeFile(tmp, "facts.json", text)); err != nil {
		return err
	}
	return os.Rename(tmp, at)
}

func keepFile(root *os.Root, from fs.FS, f file) error {
	if !fs.ValidPath(f.Path) {
		return fmt.Errorf("file %.100q is no path: %w", f.Path, ErrInvalid)
	}
	if dir := path.Dir(f.Path); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	to, err := root.Create(f.Path)
	if err != nil {
		return err
	}
	err = copyFile(to, from, f)
	return errors.Join(err, to.Sync(), to.Close())
}

// copyFile copies a file and compares it with its size and digest.
func copyFile(to io.Writer, from fs.FS, f file) error {
	in, err := from.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), io.LimitReader(in, f.Size+1))
	if err != nil {
		return err
	}
	if have := hex.EncodeToString(sum.Sum(nil)); n != f.Size || have != f.SHA256 {
		return fmt.Errorf("file %q has %d bytes with SHA-256 %s, the registry has %d with %s on record", f.Path, n, have, f.Size, f.SHA256)
	}
	return nil
}
