// Command feed serves the datasets of a folder to training workers: shards as
// Arrow IPC over HTTP, and with Arrow Flight. torchfeed.py beside it is a PyTorch
// IterableDataset that reads them.
//
// It is a template: copy the folder, and put your store and your users in.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/feed"
	"github.com/millwright-ml/millwright/dataset/flight"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("feed", flag.ContinueOnError)
	dir := flags.String("dir", "data", "the folder of the datasets")
	httpAddr := flags.String("http", "127.0.0.1:8816", "where HTTP listens")
	flightAddr := flags.String("flight", "127.0.0.1:8815", "where Arrow Flight listens")
	demo := flags.Bool("demo", false, "make a dataset \"demo\" if there is none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	// Without a token everyone who reaches the ports reads everything.
	token := os.Getenv("FEED_TOKEN")

	store, err := dirblob.Open(*dir)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	catalog := dataset.New(store, nil)
	if *demo {
		if err := makeDemo(ctx, catalog); err != nil {
			return err
		}
	}

	service, err := flight.New(catalog, &flight.Options{Authorize: func(ctx context.Context, _ *feed.Request) error {
		md, _ := metadata.FromIncomingContext(ctx)
		return allowed(token, strings.Join(md.Get("authorization"), ""))
	}})
	if err != nil {
		return err
	}
	handler, err := feed.New(catalog, &feed.Options{
		Authorize: func(r *http.Request, _ *feed.Request) error { return allowed(token, r.Header.Get("Authorization")) },
		OnError:   func(r *http.Request, err error) { fmt.Fprintln(os.Stderr, r.URL, err) },
	})
	if err != nil {
		return err
	}
	return serve(ctx, out, handler, service, *httpAddr, *flightAddr)
}

// allowed compares what a request says with the token that it should have.
func allowed(token, header string) error {
	if token != "" && subtle.ConstantTimeCompare([]byte("Bearer "+token), []byte(header)) != 1 {
		return feed.ErrUnauthenticated
	}
	return nil
}

// serve serves both protocols until ctx ends.
func serve(ctx context.Context, out io.Writer, handler http.Handler, service *flight.Service, httpAddr, flightAddr string) error {
	var config net.ListenConfig
	httpListener, err := config.Listen(ctx, "tcp", httpAddr)
	if err != nil {
		return err
	}
	flightListener, err := config.Listen(ctx, "tcp", flightAddr)
	if err != nil {
		return errors.Join(err, httpListener.Close())
	}
	web := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	rpc := grpc.NewServer()
	service.Register(rpc)
	fmt.Fprintf(out, "Feeding at http://%s and grpc://%s\n", httpListener.Addr(), flightListener.Addr())

	ended := make(chan error, 2)
	go func() { ended <- web.Serve(httpListener) }()
	go func() { ended <- rpc.Serve(flightListener) }()
	var failed error
	select {
	case failed = <-ended:
	case <-ctx.Done():
	}
	// The workers resume with their tokens: nothing is gained by waiting for them.
	rpc.Stop()
	return errors.Join(failed, web.Close())
}
