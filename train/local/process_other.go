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

func (j *job) begin(context.Context) error { return supported() }

func isAlive(claim) bool        { return false }
func killOrphans(claim, string) {}
func signalGroup(claim, bool)   {}
func signalName(n int) string   { return "" }
func signalCause(n int) string  { return "" }
