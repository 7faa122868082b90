package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

// request is what clients send, as bytes.
func request(model string, stream bool) []byte {
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"system","content":"You are a helpful assistant that answers in one sentence."},{"role":"user","content":"What is the capital of France, and how many people live there?"}],"temperature":0.7,"max_tokens":256,"stream":%v}`, model, stream)
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", key, len(body), body)
}

// client is one connection that stays open. It parses no more than it has to: it runs
// on the same cores.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 2048)}, nil
}

// begin sends a request and reads the header of its answer.
func (c *client) begin(req []byte) (*http.Response, error) {
	if _, err := c.conn.Write(req); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return nil, fmt.Errorf("the status is %d: %s", resp.StatusCode, b)
	}
	return resp, nil
}

// ask sends a request and reads its answer, which has to be whole. It returns the
// times to the first bytes of the body and to the last.
func (c *client) ask(req []byte, buf *bytes.Buffer) (first, all time.Duration, err error) {
	began := time.Now()
	resp, err := c.begin(req)
	if err != nil {
		return 0, 0, err
	}
	buf.Reset()
	if _, err := io.CopyN(buf, resp.Body, 1); err != nil {
		return 0, 0, err
	}
	first = time.Since(began)
	if _, err := buf.ReadFrom(resp.Body); err != nil {
		return 0, 0, err
	}
	all = time.Since(began)
	if b := buf.Bytes(); !bytes.HasSuffix(bytes.TrimSpace(b), []byte("data: [DONE]")) && !bytes.Contains(b, []byte(`"finish_reason":"stop"`)) {
		return 0, 0, fmt.Errorf("the answer is not whole: %.300q", b)
	}
	return first, all, nil
}

// times are how long requests took, and how many of them broke off. Through
// ReverseProxy streams do now and then, on a busy machine.
type times struct {
	first, all []time.Duration
	broken     int
}

func (t *times) add(o times) {
	t.first, t.all, t.broken = append(t.first, o.first...), append(t.all, o.all...), t.broken+o.broken
}

// keep asks until a time, and again with another connection where one breaks off.
func (t *times) keep(ctx context.Context, addr string, req []byte, until time.Time) error {
	var c *client
	var buf bytes.Buffer
	for time.Now().Before(until) && ctx.Err() == nil {
		if c == nil {
			var err error
			if c, err = dial(addr); err != nil {
				return err
			}
			defer c.conn.Close()
		}
		first, whole, err := c.ask(req, &buf)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			t.broken++
			c = nil
		case err != nil:
			return err
		default:
			t.first, t.all = append(t.first, first), append(t.all, whole)
		}
	}
	return nil
}

// load sends requests one behind the other on some connections, for that long.
func load(ctx context.Context, addr string, req []byte, connections int, length time.Duration) (t times, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	until := time.Now().Add(length)
	for range connections {
		all.Go(func() {
			var mine times
			failed := mine.keep(ctx, addr, req, until)
			mu.Lock()
			defer mu.Unlock()
			t.add(mine)
			if failed != nil {
				err = failed
			}
		})
	}
	all.Wait()
	return t, err
}

// workload is one kind of request.
type workload struct {
	title       string
	model       string
	stream      bool
	connections int
	events      float64 // Of a stream.
}

// rounds is how often each server is measured in turn, so that all of them meet the
// same disturbance.
const rounds = 4

// proxies compares what requests cost.
func proxies(ctx context.Context, c *config) error {
	up, err := self("upstream").start(ctx, c.dir, "")
	if err != nil {
		return err
	}
	defer up.stop()
	servers := []*process{{name: "direct", addr: up.addr}}
	for _, k := range c.kinds() {
		p, err := k.start(ctx, c.dir, "http://"+up.addr)
		if err != nil {
			return err
		}
		defer p.stop()
		servers = append(servers, p)
	}
	for _, w := range []workload{
		{"whole answers, 16 at a time", whole, false, 16, 0},
		{"streams of 100 events, one behind the other, 8 at a time", burst, true, 8, 100},
		{"streams of 100 events, one each 2 ms, 32 at a time", paced, true, 32, 100},
	} {
		if err := w.measure(ctx, servers, c.length()); err != nil {
			return err
		}
	}
	return nil
}

// figures are what a server did with one workload.
type figures struct {
	cpu    time.Duration
	memory float64
	took   time.Duration
	busy   times // With all connections,
	alone  times // and with one.
}

func (w workload) measure(ctx context.Context, servers []*process, length time.Duration) error {
	req := request(w.model, w.stream)
	all := make([]figures, len(servers))
	for round := range rounds + 1 {
		for i, s := range servers {
			if round == 0 { // It warms.
				if _, err := load(ctx, s.addr, req, w.connections, length/rounds/4); err != nil {
					return fmt.Errorf("%s: %s: %w", s.name, w.title, err)
				}
				continue
			}
			f := &all[i]
			t, err := load(ctx, s.addr, req, 1, length/rounds/4)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, w.title, err)
			}
			f.alone.add(t)
			var before time.Duration
			if s.cmd != nil {
				before, _ = rivals.Used(s.cmd.Process.Pid)
			}
			began := time.Now()
			if t, err = load(ctx, s.addr, req, w.connections, length/rounds); err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, w.title, err)
			}
			f.took += time.Since(began)
			f.busy.add(t)
			if s.cmd != nil {
				after, memory := rivals.Used(s.cmd.Process.Pid)
				f.cpu, f.memory = f.cpu+after-before, max(f.memory, memory)
			}
		}
	}
	return w.print(servers, all)
}

func (w workload) print(servers []*process, all []figures) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	unit := "CPU µs a request"
	if w.events > 0 {
		unit += "\tan event"
	}
	fmt.Println(w.title)
	fmt.Fprintf(out, "\t%s\tof ours\ta core-second\ta second\talone: first p50 µs\tp99\tlast p50\tp99\tMiB\tbroken\t\n", unit)
	cpu := func(f *figures) float64 { return float64(f.cpu.Nanoseconds()) / 1e3 / float64(len(f.busy.all)) }
	for i, s := range servers {
		f := &all[i]
		fmt.Fprintf(out, "%s\t", s.name)
		switch {
		case s.cmd == nil && w.events > 0:
			fmt.Fprint(out, "–\t–\t–\t–\t")
		case s.cmd == nil:
			fmt.Fprint(out, "–\t–\t–\t")
		default:
			v := cpu(f)
			fmt.Fprintf(out, "%.1f\t", v)
			if w.events > 0 {
				fmt.Fprintf(out, "%.2f\t", v/w.events)
			}
			fmt.Fprintf(out, "%.2f×\t%.0f\t", v/cpu(&all[1]), 1e6/v)
		}
		fmt.Fprintf(out, "%.0f\t", float64(len(f.busy.all))/f.took.Seconds())
		for _, list := range [][]time.Duration{f.alone.first, f.alone.all} {
			fmt.Fprintf(out, "%d\t%d\t", quantile(list, 0.5).Microseconds(), quantile(list, 0.99).Microseconds())
		}
		memory := "–"
		if f.memory > 0 {
			memory = strconv.Itoa(int(f.memory / (1 << 20)))
		}
		fmt.Fprintf(out, "%s\t%d\t\n", memory, f.busy.broken)
	}
	fmt.Fprintln(out)
	return out.Flush()
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}
