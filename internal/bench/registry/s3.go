package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fromS3 opens models on a real S3 server. The SDK of that store is none of
// this module's: the measuring is done by a benchmark of package registry, whose
// lines go into the table.
func fromS3(ctx context.Context, c config, ours func(string, string, bool, float64)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	const user = "millwright"
	secret, data := rand.Text(), filepath.Join(c.dir, "s3")
	if err := os.MkdirAll(filepath.Join(data, "bench"), 0o755); err != nil { // a bucket is a folder
		return err
	}
	gateway := exec.Command(c.s3, "--keep-alive", "--quiet", "--port", address, "posix", data)
	gateway.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+user, "ROOT_SECRET_KEY="+secret)
	if err := gateway.Start(); err != nil {
		return err
	}
	defer func() {
		_ = gateway.Process.Signal(syscall.SIGTERM)
		_ = gateway.Wait() // how it ends says nothing
	}()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get("http://" + address)
		if err == nil {
			response.Body.Close()
			break
		}
		if time.Since(began) > 30*time.Second || ctx.Err() != nil {
			return fmt.Errorf("%s did not start: %w", c.s3, err)
		}
	}
	test := exec.CommandContext(ctx, "go", "test", "-C", c.root, "-tags", "s3", "-run", "^$", "-bench", "S3", "-benchtime", "1x", "./registry")
	test.Env = append(os.Environ(), "MILLWRIGHT_S3=http://"+user+":"+secret+"@"+address+"/bench", "MILLWRIGHT_S3_SIZE="+strconv.FormatInt(c.size, 10), "TMPDIR="+c.dir)
	out, err := test.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "BenchmarkS3/") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "BenchmarkS3/")
		if i := strings.LastIndexByte(name, '-'); i >= 0 {
			name = name[:i] // without the number of processors
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil || fields[i+1] == "ns/op" {
				continue
			}
			ours("cold open from S3: "+strings.ReplaceAll(name, "_", " "), fields[i+1], fields[i+1] == "MiB", value)
		}
	}
	return nil
}
