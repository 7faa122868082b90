package registrytest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// The test of a program that uses a registry takes one in memory.
func ExampleMem() {
	ctx := context.Background()
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	v, err := reg.Register(ctx, "fraud", registry.Draft{Profile: []byte(`{"format":1}`)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Ref(), v.Files[0].Path)
	// Output:
	// fraud/1 profile.json
}
