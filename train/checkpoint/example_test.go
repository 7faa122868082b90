package checkpoint_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/millwright-ml/millwright/train/checkpoint"
)

// A program that is started again goes on where it was.
func Example() {
	dir, err := os.MkdirTemp("", "checkpoints")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	k, err := checkpoint.New(os.Getenv, &checkpoint.Options{URI: dir, Output: io.Discard})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = k.Save(500, func(folder string) error {
		return os.WriteFile(filepath.Join(folder, "weights.txt"), []byte("0.25"), 0o600)
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	found, err := k.Latest(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	weights, err := os.ReadFile(filepath.Join(found.Dir, "weights.txt"))
	fmt.Println("step", found.Step, "weights", string(weights), err)
	// Output: step 500 weights 0.25 <nil>
}

// A service hands the Python module out beside its job.
func ExamplePython() {
	dir, err := os.MkdirTemp("", "job")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	err = os.WriteFile(filepath.Join(dir, checkpoint.PythonName), checkpoint.Python(), 0o644)
	fmt.Println(checkpoint.PythonName, err)
	// Output: millwright_checkpoint.py <nil>
}
