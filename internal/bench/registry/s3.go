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

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

// fromS3 opens models on a real S3 server. The SDK of that store is none of
// this module's: the measuring is done by benchmarks of package registry, whose
// lines go into the table, and by MLflow's client.
func fromS3(ctx context.Context, c config, table *rivals.Results) error {
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
	server := "http://" + user + ":" + secret + "@" + address + "/bench"
	add := func(of, title, unit string, value float64) { table.Add(title, unit, unit == "MiB", of, value) }
	err = benchmarked(ctx, c, "^BenchmarkS3$", []string{"MILLWRIGHT_S3=" + server, "MILLWRIGHT_S3_SIZE=" + strconv.FormatInt(c.size, 10)}, func(name, unit string, value float64) {
		add(rivals.Ours, "cold open from S3: "+name, unit, value)
	})
	if err != nil {
		return err
	}
	// The same file by each client, in a process of its own.
	if err := os.RemoveAll(filepath.Join(data, "bench", "sha256")); err != nil {
		return err
	}
	dir, err := folder(c)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	title := fmt.Sprintf("%d MB on S3: ", c.size/1e6)
	err = benchmarked(ctx, c, "^BenchmarkS3Client$", []string{"MILLWRIGHT_S3=" + server, "MILLWRIGHT_S3_FOLDER=" + dir}, func(name, unit string, value float64) {
		add(rivals.Ours, title+name, unit, value)
	})
	if err != nil || c.mlflow == "" {
		return err
	}
	if err := os.RemoveAll(filepath.Join(data, "bench", "sha256")); err != nil {
		return err
	}
	python := exec.CommandContext(ctx, filepath.Join(filepath.Dir(c.mlflow), "python"), "-c", upstreamClient, filepath.Join(dir, "model.bin"), filepath.Join(c.dir, "downloaded"))
	python.Env = append(os.Environ(), "MLFLOW_S3_ENDPOINT_URL=http://"+address, "AWS_ACCESS_KEY_ID="+user, "AWS_SECRET_ACCESS_KEY="+secret, "AWS_DEFAULT_REGION=us-east-1")
	python.Stderr = os.Stderr
	out, err := python.Output()
	if err != nil {
		return fmt.Errorf("MLflow's client: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 3 {
			continue
		}
		value, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return err
		}
		add(rivals.MLflow, title+fields[0], fields[1], value)
	}
	return nil
}

// upstreamClient uploads a file and downloads it as MLflow's client does for
// models. What it takes to import it does not count, but for the memory.
const upstreamClient = `
import os, resource, sys, time
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
source, to = sys.argv[1:]
os.makedirs(to)
size = os.path.getsize(source)
repo = get_artifact_repository("s3://bench/upstream")
began = time.monotonic()
repo.log_artifact(source)
print("register|MB/s|%f" % (size / 1e6 / (time.monotonic() - began)))
began = time.monotonic()
repo.download_artifacts("", to)
print("cold open|MB/s|%f" % (size / 1e6 / (time.monotonic() - began)))
assert os.path.getsize(os.path.join(to, os.path.basename(source))) == size
print("peak memory of the client|MiB|%f" % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
`

// benchmarked runs a benchmark of package registry and hands over its figures.
func benchmarked(ctx context.Context, c config, which string, env []string, figure func(name, unit string, value float64)) error {
	test := exec.CommandContext(ctx, "go", "test", "-C", c.root, "-tags", "s3", "-run", "^$", "-bench", which, "-benchtime", "1x", "./registry")
	test.Env = append(append(os.Environ(), "TMPDIR="+c.dir), env...)
	out, err := test.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		head, name, ok := strings.Cut(strings.Join(fields[:min(1, len(fields))], ""), "/")
		if len(fields) < 4 || !ok || !strings.HasPrefix(head, "BenchmarkS3") {
			continue
		}
		if i := strings.LastIndexByte(name, '-'); i >= 0 {
			name = name[:i] // without the number of processors
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil || fields[i+1] == "ns/op" {
				continue
			}
			figure(strings.ReplaceAll(name, "_", " "), fields[i+1], value)
		}
	}
	return nil
}
