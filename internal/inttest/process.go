package inttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// supervise runs "$@" and kills it, with the processes that it started itself,
// when standard input ends, which happens also when the test process is killed.
// The watcher has to read a copy of the input, as a shell gives background
// commands none, and to outlive a signal to the whole group.
const supervise = `exec 3<&0
setsid "$@" </dev/null 3<&- & server=$!
{ trap "" HUP INT TERM; read -r _ <&3; kill -s KILL -- -$server || kill -s KILL $server; } 2>/dev/null & watcher=$!
exec 3<&-
wait $server; status=$?
kill -s KILL $watcher 2>/dev/null
exit $status`

// process is a server that runs.
type process struct {
	cmd  *exec.Cmd
	stop io.Closer
	done chan struct{} // closed when it has ended
	log  string
}

// start runs a program with extra environment variables. The test's end stops it,
// and shows what it said when the test failed.
func start(t testing.TB, env []string, name string, args ...string) *process {
	t.Helper()
	return startWith(t, env, nil, name, args...)
}

// startWith gives the program open files as well, from descriptor 4 on.
func startWith(t testing.TB, env []string, files []*os.File, name string, args ...string) *process {
	t.Helper()
	p := &process{done: make(chan struct{}), log: filepath.Join(t.TempDir(), filepath.Base(name)+".log")}
	// Not bound to a context: the shell has to live as long as the server.
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", supervise, "sh", name}, args...)...) //nolint:noctx // See above.
	p.cmd.Env = append(os.Environ(), env...)
	if files != nil {
		p.cmd.ExtraFiles = append([]*os.File{nil}, files...)
	}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stop = stdin
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // it is killed, so it always fails
		_ = log.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), p.tail())
		}
	})
	return p
}

// kill ends the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.stop.Close() // closing twice is no matter
	<-p.done
}

func (p *process) tail() string {
	const shown = 4000
	data, _ := os.ReadFile(p.log) // an absent log says nothing
	if len(data) > shown {
		data = data[len(data)-shown:]
	}
	return strings.ToValidUTF8(string(data), "?")
}

// Patience is how long these tests wait for what must come. It is long, since
// upstream's server alone takes two minutes to start on a slow and busy machine,
// and a test that waits in vain fails anyway.
const Patience = 10 * time.Minute

// await asks ready again and again until it answers nil, the process ends, or
// patience does.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("the server ended by itself:\n%s", p.tail())
		case <-ctx.Done():
			return fmt.Errorf("the server does not get ready: %w\n%s", err, p.tail())
		case <-ticker.C:
		}
	}
}

// freePort returns the address of a port that was free a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
