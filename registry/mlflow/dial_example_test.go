package mlflow_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing/fstest"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// exampleServer stands for an MLflow server with a model on it.
func exampleServer(ctx context.Context) (*httptest.Server, error) {
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	for _, weights := range []string{"0.1", "0.2"} {
		files := fstest.MapFS{"model.txt": {Data: []byte(weights)}}
		if _, err := reg.Register(ctx, "fraud", registry.Draft{Files: files, Source: "s3://models/fraud"}); err != nil {
			return nil, err
		}
	}
	if err := reg.SetAlias(ctx, "fraud", "champion", 1, nil); err != nil {
		return nil, err
	}
	handler, err := mlflow.NewHandler(reg, nil)
	if err != nil {
		return nil, err
	}
	return httptest.NewServer(handler), nil
}

// The registry of an MLflow server behind the API of package registry.
func ExampleDial() {
	ctx := context.Background()
	server, err := exampleServer(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	conn, err := mlflow.Dial(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	reg := registry.New(conn, nil, nil)
	champion, err := reg.Resolve(ctx, "fraud@champion")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(champion.Ref(), champion.Source)
	if err := reg.SetAlias(ctx, "fraud", "champion", 2, &registry.AliasOptions{Expect: champion.Number}); err != nil {
		fmt.Println(err)
		return
	}
	n, err := reg.Alias(ctx, "fraud", "champion")
	fmt.Println(n, err)
	// Output:
	// fraud/1 s3://models/fraud
	// 2 <nil>
}

// A registry of one's own out of that of a running MLflow server.
func ExampleImport() {
	ctx := context.Background()
	server, err := exampleServer(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	conn, err := mlflow.Dial(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	own := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	result, err := mlflow.Import(ctx, conn, own, nil)
	fmt.Println(result.Models, result.Versions, result.Files, err)
	champion, err := own.Resolve(ctx, "fraud@champion")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(champion.Ref(), champion.Files[0].Path, champion.Files[0].SHA256[:8])
	// Output:
	// 1 2 2 <nil>
	// fraud/1 model.txt 14be4b45
}
