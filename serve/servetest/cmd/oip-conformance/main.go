// Command oip-conformance asks a server of the Open Inference Protocol whether it
// does what the protocol says, and prints a table of the results or JSON. It ends
// with status 1 when a check has failed, with 2 when there is nothing to report.
//
//	go run github.com/millwright-ml/millwright/serve/servetest/cmd/oip-conformance -url http://localhost:8000 -model iris
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/servetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run does what the arguments say and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("oip-conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var opts servetest.Options
	url := flags.String("url", "http://localhost:8000", "base URL of the server")
	flags.StringVar(&opts.Model, "model", "", "model to ask (default the first of its repository)")
	flags.StringVar(&opts.Version, "version", "", "version of the model (default the server's choice)")
	flags.StringVar(&opts.Echo, "echo", "", "model that answers its inputs, for the extremes of each datatype")
	flags.DurationVar(&opts.Timeout, "timeout", time.Minute, "time for one question")
	sample := flags.String("sample", "", "file with an infer request in JSON (default one made up of the metadata)")
	extensions := flags.String("extensions", "", "extensions to ask for though they are not listed, with commas between")
	bearer := flags.String("bearer-file", "", "file with a token for the Authorization header")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	report, err := check(ctx, *url, &opts, *sample, *extensions, *bearer)
	if err == nil && *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else if err == nil {
		err = report.WriteTable(stdout)
	}
	if err != nil {
		// There is nobody else to tell.
		_, _ = fmt.Fprintln(stderr, "oip-conformance:", err)
		return 2
	}
	if report.Count(servetest.Fail) > 0 {
		return 1
	}
	return 0
}

// check reads what the flags name, and asks.
func check(ctx context.Context, url string, opts *servetest.Options, sample, extensions, bearer string) (*servetest.Report, error) {
	if sample != "" {
		text, err := os.ReadFile(sample)
		if err != nil {
			return nil, err
		}
		if opts.Sample, err = oip.DecodeRequest(text, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", sample, err)
		}
	}
	if extensions != "" {
		opts.Extensions = strings.Split(extensions, ",")
	}
	if bearer != "" {
		token, err := os.ReadFile(bearer)
		if err != nil {
			return nil, err
		}
		opts.HTTPClient = &http.Client{Transport: &authorized{
			value: "Bearer " + strings.TrimSpace(string(token)),
			next:  &http.Transport{DisableCompression: true, Proxy: http.ProxyFromEnvironment},
		}}
	}
	return servetest.Check(ctx, url, opts)
}

// authorized adds the header to each request.
type authorized struct {
	value string
	next  http.RoundTripper
}

func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", a.value)
	return a.next.RoundTrip(r)
}
