package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func TestUsersFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "really.json"), filepath.Join(dir, "users.json")
	users := mlflow.AuthConfig{Default: mlflow.ReadPermission, Users: []mlflow.AuthUser{{Name: "a", Tokens: []string{mlflow.HashToken("a")}, Admin: true}}}
	require.NoError(t, writeUsers(file, users))
	require.NoError(t, os.Symlink(file, link))
	// What a stop on the way left is in nobody's way.
	require.NoError(t, os.WriteFile(file+".new", []byte(`{"users":[`), 0o644)) //nolint:gosec // As if by another program.

	opts := &mlflow.Options{}
	require.NoError(t, protect(&config{auth: true, users: link}, opts))
	require.NoError(t, opts.Auth.Grant("a", "7", mlflow.EditPermission))
	kept, err := readUsers(file)
	require.NoError(t, err)
	require.Equal(t, opts.Auth.Config(), kept)
	require.Equal(t, map[tracking.ExperimentID]mlflow.Permission{"7": mlflow.EditPermission}, kept.Users[0].Experiments)
	for _, path := range []string{file, link} {
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, path == link, info.Mode()&os.ModeSymlink != 0)
		if path == file {
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		}
	}
	require.NoFileExists(t, file+".new")

	require.NoError(t, forget(t.Context(), opts.Auth, new(trackingtest.Memory)))
	kept, err = readUsers(link)
	require.NoError(t, err)
	require.Empty(t, kept.Users[0].Experiments)
	require.NoError(t, forget(t.Context(), nil, nil), "there are no users")

	// A change that cannot be written is none.
	require.NoError(t, os.RemoveAll(dir))
	require.Error(t, opts.Auth.Grant("a", "8", mlflow.EditPermission))
	require.Empty(t, opts.Auth.Config().Users[0].Experiments)
	require.NoFileExists(t, file)

	require.ErrorContains(t, protect(&config{auth: true, users: link}, opts), "MLFLOW_AUTH_ADMIN_PASSWORD")
	require.ErrorContains(t, protect(&config{auth: true, users: link, admin: credentials{"a", "short"}}, opts), "want 12 to 1024")
	require.NoError(t, os.MkdirAll(dir, 0o750))
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("x", 10)), 0o600))
	require.ErrorIs(t, protect(&config{auth: true, users: file}, opts), tracking.ErrInvalid)
}
