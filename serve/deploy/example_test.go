package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing/fstest"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/deploy"
)

// told is a place for the log that tells of each deployment.
type told chan string

func (c told) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "deploy: loaded") {
		c <- "loaded"
	}
	return len(p), nil
}

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	reg := fresh()
	for _, by := range []string{"10", "20"} {
		_, err := reg.Register(ctx, "price", registry.Draft{
			Files:     fstest.MapFS{"model.json": {Data: []byte(`{"by":` + by + `}`)}},
			Signature: json.RawMessage(signature),
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	promote := func(number int) {
		if err := reg.SetAlias(ctx, "price", "champion", number, &registry.AliasOptions{Expect: -1}); err != nil {
			fmt.Println(err)
		}
	}
	promote(1)

	loaded := make(told, 10)
	keeper, err := deploy.New(reg, []deploy.Model{{Name: "price", Runtime: factors{}}}, &deploy.Options{
		Logger: slog.New(slog.NewTextHandler(loaded, nil)),
	})
	if err != nil {
		fmt.Println(err)
	}
	server := serve.New(&serve.Options{OnDemand: keeper.OnDemand})
	done := make(chan error)
	go func() { done <- keeper.Run(ctx, server) }()

	<-loaded
	promote(2)
	<-loaded
	for {
		if y, served, err := answers(server, "price", ""); err == nil && served.Version == "2" {
			fmt.Println("version", served.Version, "says", y)
			break
		}
	}
	cancel()
	fmt.Println(<-done, server.Shutdown(context.Background()))
	// Output:
	// version 2 says 60
	// <nil> <nil>
}
