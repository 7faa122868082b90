// Package flight serves shards of datasets with Arrow Flight, the gRPC protocol
// of Apache Arrow, which pyarrow speaks out of the box.
//
//	service, err := flight.New(catalog, nil)
//	server := grpc.NewServer(grpc.Creds(credentials))
//	service.Register(server)
//	err = server.Serve(listener)
//
// A client describes what it wants with the JSON of a feed.Request:
//
//	client = pyarrow.flight.connect("grpc+tls://feed:8815")
//	command = json.dumps({"dataset": "churn", "shuffle": True, "seed": 1, "world": 4})
//	info = client.get_flight_info(FlightDescriptor.for_command(command))
//	reader = client.do_get(info.endpoints[rank].ticket)
//	chunk = reader.read_chunk()        # chunk.data, chunk.app_metadata
//
// GetFlightInfo finds the version, and answers one endpoint a rank. Its tickets
// are requests too, with the rank and the version filled in, so that all ranks
// read the same one. A ticket may also be written by hand, with a token to
// resume: DoGet streams what the HTTP handler of package feed would. The
// token of a record is its application metadata.
//
// This package is apart because it links gRPC's server. Nothing else of the
// module imports it.
package flight
