package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// protect makes the handler ask who somebody is when the flags say so.
func protect(cfg *config, opts *mlflow.Options, log *slog.Logger) error {
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
	opts.Authorize = auth.Authorize
	var mu sync.Mutex
	opts.Created = func(r *http.Request, id tracking.ExperimentID) {
		auth.Created(r, id)
		// Who made an experiment must still manage it after a restart.
		mu.Lock()
		defer mu.Unlock()
		if err := writeUsers(cfg.users, auth.Config()); err != nil {
			log.Error("users", "error", err)
		}
	}
	return nil
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

// writeUsers replaces the file in one step.
func writeUsers(path string, users mlflow.AuthConfig) (err error) {
	data, err := json.MarshalIndent(users, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".users-*") // readable by its owner only
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
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
