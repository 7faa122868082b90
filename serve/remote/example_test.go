package remote_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/remote"
)

// A model on another server is deployed like one in Go.
func ExampleDial() {
	ctx := context.Background()
	// Stands for Triton, KServe or MLServer.
	there := serve.New(nil)
	if err := there.Deploy(ctx, serve.Deployment{Name: "double", Version: "4", Model: doubler{}}); err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(there)
	defer web.Close()

	m, err := remote.Dial(ctx, web.URL, &remote.Options{Model: "double"})
	if err != nil {
		log.Fatal(err)
	}
	server := serve.New(nil)
	if err := server.Deploy(ctx, serve.Deployment{Name: "d", Version: "1", Model: m}); err != nil {
		log.Fatal(err)
	}
	resp, served, err := server.Infer(ctx, "d", "", numbers(1, 2))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(served.Model, served.Version, resp.Output("y").FP32())
	if err := server.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// d 1 [2 4]
}
