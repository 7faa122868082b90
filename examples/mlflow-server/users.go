package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// protect makes the handler ask who somebody is when the flags say so.
func protect(cfg *config, opts *mlflow.Options) error {
	if !cfg.auth {
		return nil
	}
	users, err := readUsers(cfg.users)
	if errors.Is(err, fs.ErrNotExist) {
		users, err = firstAdmin(cfg)
	}
	if err != nil {
		return err
	}
	auth, err := mlflow.NewAuth(users)
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.users, err)
	}
	// A change is answered when it is on the disk, so that no kill -9 takes it
	// back, and a restart finds everyone with what they may do.
	auth.Changed = func(users mlflow.AuthConfig) error { return writeUsers(cfg.users, users) }
	opts.Auth = auth
	return nil
}

// forget ends the permissions for experiments that were removed for good.
func forget(ctx context.Context, auth *mlflow.Auth, store tracking.Store) error {
	if auth == nil {
		return nil
	}
	return auth.Sweep(ctx, store)
}

func readUsers(path string) (mlflow.AuthConfig, error) {
	f, err := os.Open(path)
	if err != nil {
		return mlflow.AuthConfig{}, err
	}
	users, err := mlflow.ParseAuthConfig(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return mlflow.AuthConfig{}, fmt.Errorf("%s: %w", path, err)
	}
	return users, nil
}

// firstAdmin makes the file of users with the admin that the environment names.
// There is no default password.
func firstAdmin(cfg *config) (mlflow.AuthConfig, error) {
	if cfg.admin.password == "" {
		return mlflow.AuthConfig{}, fmt.Errorf("there is no %s: the first admin needs a password of 12 bytes or more in MLFLOW_AUTH_ADMIN_PASSWORD", cfg.users)
	}
	hash, err := mlflow.HashPassword(cfg.admin.password)
	if err != nil {
		return mlflow.AuthConfig{}, fmt.Errorf("MLFLOW_AUTH_ADMIN_PASSWORD: %w", err)
	}
	users := mlflow.AuthConfig{
		Default: mlflow.ReadPermission, // MLflow's default
		Users:   []mlflow.AuthUser{{Name: cfg.admin.user, Password: hash, Admin: true}},
	}
	return users, writeUsers(cfg.users, users)
}

// writeUsers replaces the file in one step: whenever the machine stops, the
// file has the users of before or of after.
func writeUsers(path string, users mlflow.AuthConfig) error {
	data, err := json.MarshalIndent(users, "", "  ")
	if err != nil {
		return err
	}
	// A link stays one, to a file that is replaced.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	next := path + ".new" // one left by a stop on the way is overwritten
	if err := writeFile(next, append(data, '\n')); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// writeFile writes a file that only its owner may read, down to the disk.
func writeFile(path string, data []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// hash prints what a file of users has for a password, which is read from in,
// or a new token with what the file has for it.
func hash(what string, in io.Reader, out io.Writer) error {
	if what == "new-token" {
		token, hash := mlflow.NewToken()
		_, err := fmt.Fprintf(out, "token  %s\ntokens [%q]\n", token, hash)
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	text, err := mlflow.HashPassword(strings.TrimRight(line, "\r\n"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, text)
	return err
}
