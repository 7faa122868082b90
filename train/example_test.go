package train_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

func ExampleSpec_Validate() {
	err := train.Spec{Deadline: -time.Second}.Validate()
	fmt.Println(err)
	// Output:
	// train: spec: name is empty; command is empty; deadline is -1s, want 0 (none) or more: invalid
}

// A training program written in Go reads its own Spec like this, from the file
// named by the environment variable train.EnvSpec.
func ExampleReadSpec() {
	file := strings.NewReader(`{"name":"fraud","command":["train"],"inputs":[{"name":"transactions","version":"4"}]}`)
	spec, err := train.ReadSpec(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(spec.Name, "reads", spec.Inputs[0].Name, "version", spec.Inputs[0].Version)
	// Output: fraud reads transactions version 4
}
