//go:build !unix

package local

import (
	"context"
	"fmt"
	"runtime"

	"github.com/millwright-ml/millwright/train"
)

func supported() error {
	return fmt.Errorf("processes are supervised by /bin/sh, which %s lacks: %w", runtime.GOOS, train.ErrUnsupported)
}

var supervisor string

func (j *job) begin(context.Context, int) error { return supported() }

func isAlive(claim) bool               { return false }
func rebooted(claim) bool              { return false }
func killOrphans(claim, string)        {}
func signalGroup(claim, bool)          {}
func signalName(n int) string          { return "" }
func signalCause(n int) string         { return "" }
func (l *Launcher) locked(device) bool { return false }
