package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

// cold measures how long it takes from the start of a process to its first answer.
func cold(ctx context.Context, c *config) error {
	up, err := self("upstream").start(ctx, c.dir, "")
	if err != nil {
		return err
	}
	defer up.stop()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "cold start\tto the first answer, ms\tthe fastest\tMiB then\t")
	for _, k := range c.kinds() {
		var list []time.Duration
		var memory float64
		repeats := 9
		if k.name == "LiteLLM" {
			repeats = 3
		}
		for range repeats {
			p, err := k.start(ctx, c.dir, "http://"+up.addr)
			if err != nil {
				return err
			}
			err = p.first(ctx)
			list = append(list, time.Since(p.ran))
			_, memory = rivals.Used(p.cmd.Process.Pid)
			p.stop()
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
		fmt.Fprintf(out, "%s\t%.1f\t%.1f\t%.0f\t\n", k.name, float64(quantile(list, 0.5).Microseconds())/1e3, float64(quantile(list, 0).Microseconds())/1e3, memory/(1<<20))
	}
	fmt.Fprintln(out)
	return out.Flush()
}

// first asks until there is an answer: what listens may not be ready yet.
func (p *process) first(ctx context.Context) (err error) {
	for time.Since(p.ran) < 5*time.Minute && ctx.Err() == nil {
		var c *client
		if c, err = dial(p.addr); err == nil {
			_, _, err = c.ask(request(whole, false), new(bytes.Buffer))
			_ = c.conn.Close()
			if err == nil {
				return nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return err
}
