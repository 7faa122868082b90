package flight_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	array18 "github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/feed"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/flight"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
}, nil)

func catalog(t testing.TB, groups int) *dataset.Catalog {
	t.Helper()
	c := dataset.New(&blob.Mem{}, nil)
	d, err := c.Create(context.Background(), "trips", schema, nil)
	require.NoError(t, err)
	for g := range int64(groups) {
		grow(t, d, g*100)
	}
	return c
}

func grow(t testing.TB, d *dataset.Dataset, from int64) {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for id := from; id < from+100; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		list := b.Field(1).(*array.ListBuilder)
		if list.Append(id%5 != 0); id%5 != 0 {
			list.ValueBuilder().(*array.StringBuilder).Append("x")
		}
	}
	rr, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
	require.NoError(t, err)
	_, err = d.Append(context.Background(), rr, nil)
	require.NoError(t, err)
}

// connect serves the catalog on the loopback and returns a client.
func connect(t testing.TB, c *dataset.Catalog, opts *flight.Options) arrowflight.Client {
	t.Helper()
	service, err := flight.New(c, opts)
	require.NoError(t, err)
	server := grpc.NewServer()
	service.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := arrowflight.NewClientWithMiddleware(listener.Addr().String(), nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func command(t testing.TB, req any) *arrowflight.FlightDescriptor {
	t.Helper()
	text, err := json.Marshal(req)
	require.NoError(t, err)
	return &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorCMD, Cmd: text}
}

// get reads a ticket to its end: the ids, and the tokens of the records.
func get(ctx context.Context, client arrowflight.Client, ticket []byte) (ids []int64, tokens []string, err error) {
	stream, err := client.DoGet(ctx, &arrowflight.Ticket{Ticket: ticket})
	if err != nil {
		return nil, nil, err
	}
	r, err := arrowflight.NewRecordReader(stream)
	if err != nil {
		return nil, nil, err
	}
	defer r.Release()
	for r.Next() {
		ids = append(ids, r.RecordBatch().Column(0).(*array18.Int64).Int64Values()...)
		tokens = append(tokens, string(r.LatestAppMetadata()))
	}
	return ids, tokens, r.Err()
}

func TestEveryRankGetsItsEndpoint(t *testing.T) {
	t.Parallel()
	c := catalog(t, 7)
	client := connect(t, c, nil)
	info, err := client.GetFlightInfo(t.Context(), command(t, feed.Request{
		Dataset: "trips", Shuffle: true, Seed: 3, Window: 2, BatchRows: 40, World: 3, Epoch: 2,
	}))
	require.NoError(t, err)
	require.Len(t, info.GetEndpoint(), 3)
	require.EqualValues(t, 700, info.GetTotalRecords())
	s, err := arrowflight.DeserializeSchema(info.GetSchema(), nil)
	require.NoError(t, err)
	require.Equal(t, "tags", s.Field(1).Name)

	// What is committed now is not in the tickets.
	d, err := c.Open(t.Context(), "trips")
	require.NoError(t, err)
	grow(t, d, 700)

	var all []int64
	for rank, e := range info.GetEndpoint() {
		ids, tokens, err := get(t.Context(), client, e.GetTicket().GetTicket())
		require.NoError(t, err)
		all = append(all, ids...)

		var again feed.Request
		require.NoError(t, json.Unmarshal(e.GetTicket().GetTicket(), &again))
		require.Equal(t, rank, again.Rank)
		again.Token = tokens[2]
		text, err := json.Marshal(again)
		require.NoError(t, err)
		rest, _, err := get(t.Context(), client, text)
		require.NoError(t, err)
		require.Equal(t, ids[3*40:], rest)
	}
	slices.Sort(all)
	require.Len(t, all, 700)
	require.Len(t, slices.Compact(all), 700)
}

func TestAPathIsTheNameOfADataset(t *testing.T) {
	t.Parallel()
	client := connect(t, catalog(t, 1), nil)
	d := &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorPATH, Path: []string{"trips"}}
	info, err := client.GetFlightInfo(t.Context(), d)
	require.NoError(t, err)
	ids, _, err := get(t.Context(), client, info.GetEndpoint()[0].GetTicket().GetTicket())
	require.NoError(t, err)
	require.Len(t, ids, 100)
	result, err := client.GetSchema(t.Context(), d)
	require.NoError(t, err)
	s, err := arrowflight.DeserializeSchema(result.GetSchema(), nil)
	require.NoError(t, err)
	require.Equal(t, 2, s.NumFields())
}

func TestAnEmptyStreamHasASchema(t *testing.T) {
	t.Parallel()
	client := connect(t, catalog(t, 1), nil)
	info, err := client.GetFlightInfo(t.Context(), command(t, feed.Request{Dataset: "trips", Where: filter.Lt("id", 0)}))
	require.NoError(t, err)
	require.EqualValues(t, -1, info.GetTotalRecords())
	ids, _, err := get(t.Context(), client, info.GetEndpoint()[0].GetTicket().GetTicket())
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestRefusalsHaveCodes(t *testing.T) {
	t.Parallel()
	client := connect(t, catalog(t, 1), nil)
	for want, tickets := range map[codes.Code][]string{
		codes.InvalidArgument: {"", "{", `{"dataset":"trips","colums":["id"]}`, `{"dataset":"trips"} {}`, `{"dataset":"trips","columns":["nope"]}`, `{"dataset":"trips","rank":3}`, `{"dataset":"trips","token":"x"}`, `{"dataset":"trips","where":"id >"}`},
		codes.NotFound:        {`{"dataset":"planes"}`, `{"dataset":"trips","ref":"99"}`},
	} {
		for _, ticket := range tickets {
			_, _, err := get(t.Context(), client, []byte(ticket))
			require.Equal(t, want, status.Code(err), "%s: %v", ticket, err)
		}
	}
	for _, req := range []feed.Request{{Dataset: "trips", World: 1 << 16}, {Dataset: "trips", Rank: 1, World: 2}, {Dataset: "trips", Token: "x"}} {
		_, err := client.GetFlightInfo(t.Context(), command(t, req))
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	}
	_, err := client.GetFlightInfo(t.Context(), &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorPATH, Path: []string{"a", "b"}})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	flights, err := client.ListFlights(t.Context(), &arrowflight.Criteria{})
	require.NoError(t, err)
	_, err = flights.Recv()
	require.Equal(t, codes.Unimplemented, status.Code(err))
}

func TestAuthorizeRefusesAndNarrows(t *testing.T) {
	t.Parallel()
	client := connect(t, catalog(t, 2), &flight.Options{Authorize: func(ctx context.Context, req *feed.Request) error {
		md, _ := metadata.FromIncomingContext(ctx)
		switch user := md.Get("user"); {
		case len(user) == 0:
			return feed.ErrUnauthenticated
		case user[0] != "ada":
			return feed.ErrDenied
		}
		req.Where = filter.And(req.Where, filter.Ge("id", 150))
		return nil
	}})
	ticket := []byte(`{"dataset":"trips"}`)
	_, _, err := get(t.Context(), client, ticket)
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	_, _, err = get(metadata.AppendToOutgoingContext(t.Context(), "user", "bob"), client, ticket)
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	ids, _, err := get(metadata.AppendToOutgoingContext(t.Context(), "user", "ada"), client, ticket)
	require.NoError(t, err)
	require.Len(t, ids, 50)
}

func TestASlowClientHoldsOneStream(t *testing.T) {
	t.Parallel()
	client := connect(t, catalog(t, 30), &flight.Options{MaxStreams: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Records of one row fill the window of flow control long before the end.
	stream, err := client.DoGet(ctx, &arrowflight.Ticket{Ticket: []byte(`{"dataset":"trips","batch_rows":1}`)})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	_, _, err = get(t.Context(), client, []byte(`{"dataset":"trips"}`))
	require.Equal(t, codes.Unavailable, status.Code(err))
	cancel()
	for err == nil || status.Code(err) == codes.Unavailable {
		if _, _, err = get(t.Context(), client, []byte(`{"dataset":"trips"}`)); err == nil {
			break
		}
	}
	require.NoError(t, err)
	_, err = stream.Recv()
	for err == nil {
		_, err = stream.Recv()
	}
	require.NotErrorIs(t, err, io.EOF)
}

func TestFaultsOfTheOptions(t *testing.T) {
	t.Parallel()
	_, err := flight.New(nil, &flight.Options{MaxStreams: -1})
	require.ErrorContains(t, err, "max streams is -1")
	_, err = flight.New(nil, nil)
	require.ErrorContains(t, err, "the catalog is nil")
}
