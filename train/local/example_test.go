//go:build unix

package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "jobs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	l, err := local.Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := l.Submit(ctx, train.Spec{
		Name:    "fraud",
		Command: []string{"sh", "-c", "echo epoch 1; echo no such column: amuont >&2; exit 1"},
	}, &train.SubmitOptions{Key: "fraud-2026-01-31"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = job.Wait(ctx)

	if user, ok := errors.AsType[*train.UserError](err); ok {
		fmt.Println("exit status", user.ExitCode)
		fmt.Println(user.LastLines[0])
	}
	// Output:
	// exit status 1
	// no such column: amuont
}
