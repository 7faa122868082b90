package kuberig

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Image makes an image of busybox and of further files, by their paths in it, and
// gives it to the node's container runtime. The command is its entry point.
func (n *RealNode) Image(ctx context.Context, name string, files map[string]string, command ...string) error {
	layer, err := n.layer(files)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(object{
		"architecture": "amd64", "os": "linux",
		"config": object{"Entrypoint": command, "Env": []string{"PATH=/bin"}},
		"rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]object{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, part := range []struct {
		path string
		data []byte
	}{{"layer.tar", layer}, {"config.json", config}, {"manifest.json", manifest}} {
		if err := addFile(w, part.path, part.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	path := filepath.Join(n.dir, "image.tar")
	if err := os.WriteFile(path, archive.Bytes(), 0o600); err != nil {
		return err
	}
	if out, err := n.ctr(ctx, "images", "import", path).CombinedOutput(); err != nil {
		return fmt.Errorf("kuberig: import the image %s: %w: %s", name, err, out)
	}
	return nil
}

// layer is the file system of an image.
func (n *RealNode) layer(files map[string]string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"bin/", "tmp/", "proc/", "sys/", "dev/", "etc/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	all := map[string]string{"bin/busybox": n.program("busybox")}
	for path, from := range files {
		all[path] = from
	}
	for path, from := range all {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if err := addFile(w, path, data); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox"}); err != nil {
		return nil, err
	}
	err := w.Close()
	return layer.Bytes(), err
}

func addFile(w *tar.Writer, path string, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
