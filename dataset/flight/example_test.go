package flight_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/feed"
	"github.com/millwright-ml/millwright/dataset/flight"
)

// A client asks for the endpoints of four ranks.
func Example() {
	ctx := context.Background()
	catalog := dataset.New(&blob.Mem{}, nil)
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	if _, err := catalog.Create(ctx, "numbers", schema, nil); err != nil {
		log.Fatal(err)
	}
	service, err := flight.New(catalog, nil)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer() // With grpc.Creds where the network is not trusted.
	service.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	client, err := arrowflight.NewClientWithMiddleware(listener.Addr().String(), nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	command, err := json.Marshal(feed.Request{Dataset: "numbers", Shuffle: true, World: 4})
	if err != nil {
		log.Fatal(err)
	}
	info, err := client.GetFlightInfo(ctx, &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorCMD, Cmd: command})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(info.GetEndpoint()[3].GetTicket().GetTicket()))
	// Output:
	// {"dataset":"numbers","ref":"main@0","shuffle":true,"rank":3,"world":4}
}
