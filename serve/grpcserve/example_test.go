package grpcserve_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// A model is deployed once and answers over HTTP and over gRPC.
func Example() {
	ctx := context.Background()
	s := serve.New(nil)
	if err := s.Deploy(ctx, serve.Deployment{Name: "count", Version: "1", Model: counter{}}); err != nil {
		log.Fatal(err)
	}
	g := grpc.NewServer()
	grpcserve.Register(g, s, nil)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := g.Serve(l); err != nil {
			log.Print(err)
		}
	}()

	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	c := grpcserve.NewClient(conn, nil)
	req := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewINT64("n", []int64{1}, []int64{3})}}
	for resp, err := range c.InferStream(ctx, "count", "", req) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resp.ModelName, resp.Output("i").INT64())
	}

	if err := conn.Close(); err != nil {
		log.Fatal(err)
	}
	g.GracefulStop()
	if err := s.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// count [0]
	// count [1]
	// count [2]
}
