package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

// streams opens many streams at once, each with an event every two seconds, and
// measures what a proxy holds in memory for one and how late events are.
func streams(ctx context.Context, c *config) error {
	n, err := enoughFiles(c.streams)
	if err != nil {
		return err
	}
	up, err := self("upstream").start(ctx, c.dir, "")
	if err != nil {
		return err
	}
	defer up.stop()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Printf("%d streams at a time, an event each 2 s\n", n)
	fmt.Fprint(out, "\tMiB before\tMiB\tKiB a stream\topened in s\tCPU µs an event\tfailed\tlate p50 ms\tp99\t\n")
	for _, k := range []kind{self("gateway"), self("ReverseProxy")} {
		p, err := k.start(ctx, c.dir, "http://"+up.addr)
		if err != nil {
			return err
		}
		var f *crowded
		if err = p.first(ctx); err == nil {
			f, err = p.crowd(ctx, n, 3*time.Second+c.length())
		}
		p.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		fmt.Fprintf(out, "%s\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%d\t%.1f\t%.1f\t\n", k.name, f.before/(1<<20), f.memory/(1<<20), (f.memory-f.before)/1024/float64(n),
			f.opened.Seconds(), float64(f.cpu.Microseconds())/float64(len(f.late)), f.failed.Load(), float64(quantile(f.late, 0.5).Microseconds())/1e3, float64(quantile(f.late, 0.99).Microseconds())/1e3)
	}
	fmt.Fprintln(out)
	return out.Flush()
}

// enoughFiles lets this process and those that it starts open enough files for the
// streams, of which a proxy needs two each. Where it may not, it says what to do, and
// how many streams there can be.
func enoughFiles(streams int) (int, error) {
	const others = 60
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	want := uint64(2*streams + others)
	raised := syscall.Rlimit{Cur: want, Max: max(want, limit.Max)}
	if limit.Cur >= want || syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		return streams, nil
	}
	// The hard limit is root's, and not every root's.
	fewer := int(limit.Max)/2 - others/2
	if fewer <= 0 {
		return 0, fmt.Errorf("the limit of open files is %d (ulimit -Hn): nothing can be measured", limit.Max)
	}
	fmt.Printf("%d streams take %d open files in a proxy, and the limit is %d: raise it as root (ulimit -Hn %d). Here it is %d streams.\n", streams, want, limit.Max, want, fewer)
	return fewer, nil
}

// crowded is what came of many streams.
type crowded struct {
	before, memory float64
	opened, cpu    time.Duration
	failed         atomic.Int64
	mu             sync.Mutex
	late           []time.Duration
}

// crowd opens the streams and listens to all of them for that long.
func (p *process) crowd(ctx context.Context, n int, length time.Duration) (*crowded, error) {
	f := new(crowded)
	_, f.before = rivals.Used(p.cmd.Process.Pid)
	req := request(crowd, true)
	var all sync.WaitGroup
	clients := make([]*client, n)
	var open, counting atomic.Bool
	open.Store(true)
	began := time.Now()
	slots := make(chan struct{}, 256) // As many connect at a time.
	var ready sync.WaitGroup
	for i := range clients {
		ready.Add(1)
		slots <- struct{}{}
		c, err := dial(p.addr)
		if err != nil {
			return nil, fmt.Errorf("stream %d: %w", i, err)
		}
		clients[i] = c
		all.Go(func() {
			resp, err := c.begin(req)
			<-slots
			ready.Done()
			if err != nil {
				f.failed.Add(1)
				return
			}
			lines := bufio.NewReaderSize(resp.Body, 512)
			for {
				line, err := lines.ReadSlice('\n')
				if err != nil {
					if open.Load() {
						f.failed.Add(1)
					}
					return
				}
				if at, ok := sent(line); ok && counting.Load() {
					late := time.Since(at)
					f.mu.Lock()
					f.late = append(f.late, late)
					f.mu.Unlock()
				}
			}
		})
	}
	ready.Wait()
	f.opened = time.Since(began)
	counting.Store(true)
	before, _ := rivals.Used(p.cmd.Process.Pid)
	// The memory is the greatest of what is seen, while events go through.
	for end := time.Now().Add(length); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(length / 10) {
		_, memory := rivals.Used(p.cmd.Process.Pid)
		f.memory = max(f.memory, memory)
	}
	after, _ := rivals.Used(p.cmd.Process.Pid)
	f.cpu = after - before
	counting.Store(false)
	open.Store(false)
	for _, c := range clients {
		_ = c.conn.Close()
	}
	all.Wait()
	if len(f.late) == 0 {
		return nil, errors.New("no event came through")
	}
	return f, nil
}

// sent is when the upstream sent an event.
func sent(line []byte) (time.Time, bool) {
	_, rest, ok := bytes.Cut(line, []byte(`"created":`))
	if !ok {
		return time.Time{}, false
	}
	number, _, _ := bytes.Cut(rest, []byte(","))
	micros, err := strconv.ParseInt(string(number), 10, 64)
	return time.UnixMicro(micros), err == nil
}
