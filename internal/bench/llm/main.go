// Command llm measures the gateway serve/llm on one machine, in one run: what a request
// and an event cost in processor time and in latency beside a direct call,
// httputil.ReverseProxy and LiteLLM's proxy; its own logic without a network; the start
// of its process; 10,000 streams at a time; and what routing by prefixes saves on a
// simulated fleet.
//
//	python3 -m venv litellm && litellm/bin/pip install 'litellm[proxy]==1.106.2'
//	go run ./llm -litellm litellm/bin/python
//
// Run it in internal/bench. The upstream, each proxy and the load generator are
// processes of their own, so that processor time is each one's own: what is compared is
// the time of the proxy alone, which hardly depends on what else the machine does. Ours
// and ReverseProxy are told to use one core for Go, as LiteLLM's one worker does. All
// have one upstream, one key and no limits, and log nothing; ours counts the tokens of
// each request all the same. The upstream computes nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

type config struct {
	litellm string
	seconds float64
	only    string
	streams int
	dir     string
}

func main() {
	var c config
	flag.StringVar(&c.litellm, "litellm", "", "the interpreter with litellm[proxy]; default: it is left out")
	flag.Float64Var(&c.seconds, "seconds", 4, "length of each measurement")
	flag.StringVar(&c.only, "only", "", "measure only what has this in its name: own, proxies, cold, streams, routing")
	flag.IntVar(&c.streams, "streams", 10_000, "how many streams at a time")
	be := flag.String("be", "", "(of the command itself) be the upstream, the gateway or ReverseProxy")
	port := flag.Int("port", 0, "(of the command itself) its port")
	to := flag.String("to", "", "(of the command itself) the upstream of a proxy")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if *be != "" {
		err = serveAs(*be, *port, *to)
	} else {
		err = run(ctx, &c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (c *config) length() time.Duration { return time.Duration(c.seconds * float64(time.Second)) }

func run(ctx context.Context, c *config) (err error) {
	if c.dir, err = os.MkdirTemp("", "bench-llm-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	for _, part := range []struct {
		name string
		f    func(context.Context, *config) error
	}{{"own", own}, {"proxies", proxies}, {"cold", cold}, {"streams", streams}, {"routing", routing}} {
		if !strings.Contains(part.name, c.only) || ctx.Err() != nil {
			continue
		}
		if err := part.f(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return ctx.Err()
}
