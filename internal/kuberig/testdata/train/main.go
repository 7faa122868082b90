// Command train is a training program for containers: so many steps with the
// checkpoint helper, and what its environment asks for beside.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/train/checkpoint"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Println("train:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if code, _ := strconv.Atoi(os.Getenv("EXIT")); code > 0 {
		fmt.Println("ValueError: bad column")
		os.Exit(code)
	}
	if os.Getenv("EAT") != "" {
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 1<<14 {
				return fmt.Errorf("there is memory without end")
			}
		}
	}
	k, err := checkpoint.New(os.Getenv, &checkpoint.Options{ReportEvery: -1})
	if err != nil {
		return err
	}
	ctx, stop := k.Notify(ctx)
	defer stop()
	found, err := k.Latest(ctx)
	if err != nil {
		return err
	}
	first := int64(1)
	if found != nil {
		first = found.Step + 1
	}
	fmt.Printf("from step %d\n", first)
	const total = 40
	for step := first; step <= total; step++ {
		// Half-way it waits to be told to stop, or to go on.
		for step == 20 && ctx.Err() == nil {
			if _, err := os.Stat(os.Getenv("GO")); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Printf("step %d\n", step)
		if err := k.Report(step, total, map[string]float64{"loss": 1 / float64(step)}); err != nil {
			return err
		}
		if step == total || ctx.Err() != nil {
			write := func(dir string) error { return os.WriteFile(filepath.Join(dir, "weights"), []byte("w"), 0o600) }
			if _, err := k.Save(step, write, nil); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			os.Exit(checkpoint.ExitStopped)
		}
	}
	return nil
}
