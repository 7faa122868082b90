//go:build !unix

package remote

import "os/exec"

// group does nothing where there are no groups.
func group(*exec.Cmd) {}

// killGroup kills the process. It may have ended.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
