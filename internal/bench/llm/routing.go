package main

import (
	"container/list"
	"context"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/millwright-ml/millwright/serve/llm"
)

// The fleet that is simulated. A replica reads one prompt after the other, at that many
// tokens a second but for those in its cache, and writes all answers at once, a token
// each 20 ms. Its cache holds 1,000 blocks of 512 tokens and throws out those that were
// not used for longest. None of this is measured; what is compared is the routers.
const (
	replicas   = 8
	readTokens = 8_000
	writeToken = 20 * time.Millisecond
	keptBlocks = 1_000
)

// replica is a simulated server.
type replica struct {
	cache   cache
	free    time.Duration // When it has read what it was given.
	running []work
	busy    time.Duration
}

type work struct {
	until  time.Duration
	tokens int64
}

// cache is what a replica remembers.
type cache struct {
	most  int
	at    map[uint64]*list.Element
	order list.List
}

// use is how many of the first blocks are there, which they are all behind it.
func (c *cache) use(blocks []uint64) (hits int) {
	for hits < len(blocks) && c.at[blocks[hits]] != nil {
		hits++
	}
	// The first is the one that was used last: those behind it are worth nothing
	// without it.
	for i := len(blocks) - 1; i >= 0; i-- {
		if e := c.at[blocks[i]]; e != nil {
			c.order.MoveToFront(e)
			continue
		}
		c.at[blocks[i]] = c.order.PushFront(blocks[i])
	}
	for c.order.Len() > c.most {
		last := c.order.Back()
		delete(c.at, c.order.Remove(last).(uint64))
	}
	return hits
}

// routed is what a router made of a trace.
type routed struct {
	requests, input, output, hits int
	first                         []time.Duration
	most, mean                    time.Duration // Busy reading: the busiest replica, and all.
}

// simulate sends the requests of a trace where the router says.
func simulate(ctx context.Context, s shape, router llm.Router, n, kept int) (*routed, error) {
	fleet := make([]replica, n)
	candidates := make([]llm.Candidate, n)
	signals := new(llm.Signals)
	for i := range fleet {
		fleet[i].cache = cache{most: kept, at: make(map[uint64]*list.Element)}
		candidates[i] = llm.Candidate{Upstream: strconv.Itoa(i), Model: "m", Weight: 1, Signals: signals}
	}
	out := new(routed)
	t := s.draw()
	for a := t.ask(); a != nil; a = t.ask() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for i := range fleet {
			r, c := &fleet[i], &candidates[i]
			still := r.running[:0]
			for _, w := range r.running {
				if w.until > a.at {
					still = append(still, w)
					continue
				}
				c.Tokens -= w.tokens
				c.Requests--
			}
			r.running = still
		}
		tokens := int64(a.input + a.output)
		i := router.Pick(&llm.Query{Model: "m", Tokens: int(tokens), Prompt: a.text}, candidates)
		r, c := &fleet[i], &candidates[i]
		hits := r.cache.use(a.blocks) * blockTokens
		reading := time.Duration(float64(a.input-hits) / readTokens * float64(time.Second))
		r.free = max(r.free, a.at) + reading
		r.busy += reading
		out.first = append(out.first, r.free-a.at)
		r.running = append(r.running, work{r.free + time.Duration(a.output)*writeToken, tokens})
		c.Tokens += tokens
		c.Requests++
		out.requests, out.input, out.output, out.hits = out.requests+1, out.input+a.input, out.output+a.output, out.hits+hits
	}
	for i := range fleet {
		out.most, out.mean = max(out.most, fleet[i].busy), out.mean+fleet[i].busy/time.Duration(n)
	}
	return out, nil
}

// routing compares routers on a simulated fleet.
func routing(ctx context.Context, _ *config) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, s := range shapes {
		turn := 0
		all, err := simulate(ctx, s, llm.RouterFunc(func(*llm.Query, []llm.Candidate) int { return 0 }), 1, 1<<30)
		if err != nil {
			return err
		}
		fmt.Printf("%s, %d simulated replicas: %d requests, tokens in %.0f (published: %.0f), out %.0f (%.0f), seen before %.0f %% (%.0f %%)\n", s.name, replicas, all.requests,
			float64(all.input)/float64(all.requests), s.input, float64(all.output)/float64(all.requests), s.output, percent(all.hits, all.input), 100*s.reused)
		fmt.Fprintln(out, "\ttokens in the cache\tto first token: mean s\tp50\tp90\tp99\tbusiest replica\t")
		for _, r := range []struct {
			name   string
			router llm.Router
		}{
			{"in turn", llm.RouterFunc(func(_ *llm.Query, c []llm.Candidate) int { turn++; return turn % len(c) })},
			{"least load of all", llm.RouterFunc(leastOfAll)},
			{"LeastTokens (least of two)", llm.LeastTokens{}},
			{"PrefixAffinity", llm.NewPrefixAffinity(&llm.PrefixOptions{Blocks: keptBlocks * blockTokens * tokenBytes / 256})},
		} {
			got, err := simulate(ctx, s, r.router, replicas, keptBlocks)
			if err != nil {
				return err
			}
			var sum time.Duration
			for _, d := range got.first {
				sum += d
			}
			fmt.Fprintf(out, "%s\t%.1f %%\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f×\t\n", r.name, percent(got.hits, got.input), sum.Seconds()/float64(got.requests),
				quantile(got.first, 0.5).Seconds(), quantile(got.first, 0.9).Seconds(), quantile(got.first, 0.99).Seconds(), float64(got.most)/float64(got.mean))
		}
		fmt.Fprintln(out)
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func leastOfAll(_ *llm.Query, c []llm.Candidate) int {
	best := 0
	for i := range c {
		if c[i].Tokens < c[best].Tokens {
			best = i
		}
	}
	return best
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }
