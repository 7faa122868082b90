// Command leaks loads a model and runs it, many times over, and fails when the
// process grows: what one run would leave behind, all of them would.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/ort"
)

const (
	rounds = 40
	runs   = 100
	rows   = 1000
	// grown is the most that the process may grow by. One answer is 12 kB, so
	// that all of them are 48 MB; the weights of all models are 100 kB.
	grown = 16 << 20
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, dir string) error {
	library, err := ort.Open(path)
	if err != nil {
		return err
	}
	defer library.Close()
	x := make([]float32, rows*16)
	good := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("x", []int64{rows, 16}, x)}}
	bad := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("x", []int64{rows * 2, 8}, x)}}
	var before int64
	for round := range rounds + 4 {
		m, err := library.Load(os.DirFS(dir), nil)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		for range runs {
			var resp oip.InferResponse
			if err := m.Infer(ctx, good, &resp); err != nil {
				return err
			}
			if err := m.Infer(ctx, bad, &resp); !errors.Is(err, ort.ErrInvalid) {
				return fmt.Errorf("a wrong request: %w", err)
			}
		}
		cancel()
		if err := m.Close(); err != nil {
			return err
		}
		if round == 3 { // What stays has come by then.
			before = resident()
		}
	}
	after := resident()
	fmt.Printf("%d MB after 4 rounds, %d MB after %d\n", before>>20, after>>20, rounds+4)
	if after-before > grown {
		return fmt.Errorf("the process has grown by %d MB", (after-before)>>20)
	}
	return nil
}

// resident is the memory of the process.
func resident() int64 {
	debug.FreeOSMemory()
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(strings.TrimSpace(string(raw)), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
