package faults_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

// A write whose answer is lost: the caller has to look what happened.
func Example() {
	ctx := context.Background()
	s := faults.New(new(blob.Mem), nil)
	s.Inject(faults.Rule{Op: faults.Create, Key: "commits/", Fault: faults.LostReply()})

	err := s.Create(ctx, "commits/1.json", strings.NewReader("mine"), 4)
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	data, err := blob.ReadAll(ctx, s, "commits/1.json", 100)
	fmt.Println(string(data), err)
	// Output:
	// true
	// mine <nil>
}
