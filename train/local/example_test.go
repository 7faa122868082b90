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

// A job that is suspended gives its machine back, and goes on in a new attempt.
func ExampleLauncher_suspend() {
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
		Name: "fraud",
		Command: []string{"sh", "-c", `
			exec 2>/dev/null
			trap 'echo checkpoint written; exit 143' TERM
			echo attempt $MILLWRIGHT_ATTEMPT
			while [ $MILLWRIGHT_ATTEMPT = 0 ]; do sleep 0.01; done`},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for line, err := range job.Logs(ctx, &train.LogOptions{Follow: true}) {
		fmt.Println(line.Text, err)
		switch line.Text {
		case "attempt 0":
			err = job.Suspend(ctx)
		case "checkpoint written":
			err = job.Resume(ctx, nil)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	result, err := job.Wait(ctx)
	fmt.Println("exit status", result.ExitCode, "after", result.Attempts, "attempts", err)
	// Output:
	// attempt 0 <nil>
	// checkpoint written <nil>
	// attempt 1 <nil>
	// exit status 0 after 2 attempts <nil>
}
