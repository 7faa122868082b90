package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
)

// remote writes and reads the table of features through an S3 server on this
// machine. What counts is the bytes a second of the client's processor.
func (b *bench) remote(ctx context.Context) error {
	if b.s3 == "" || !b.wanted("s3") {
		return nil
	}
	a, stop, err := startS3(ctx, b.s3, filepath.Join(b.dir, "s3"))
	if err != nil {
		return err
	}
	defer stop()
	rows := b.rows / 2
	s := shapes()[0]
	p := plan{Source: filepath.Join(b.dir, "remote.arrow"), S3: a}
	size, err := s.generate(p.Source, rows)
	if err != nil {
		return err
	}
	store, err := openS3(ctx, a)
	if err != nil {
		return err
	}
	schema, recs, err := load(p.Source)
	if err != nil {
		return err
	}
	if _, err := write(ctx, dataset.New(store, nil), tableName, schema, recs, nil); err != nil {
		return err
	}
	for _, measure := range []string{"s3write", "s3read"} {
		p.URL = "s3://" + a.Bucket + "/" + tableName
		if measure == "s3write" {
			p.URL += "-written"
		}
		p.Table = p.URL
		// The client's processor counts on two cores, too: the server has a share
		// of them.
		err := b.each(ctx, measure, measure, p, func(cores int, party string, all []figures) error {
			b.table.add(measure+" "+s.name, "MB/CPU-s", cores, false, party, float64(size)/best(1, all)/1e6)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *account) options() *s3blob.Options {
	return &s3blob.Options{Endpoint: "http://" + a.Endpoint, PathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(a.Key, a.Secret, "")}
}

// startS3 runs versitygw on an empty bucket.
func startS3(ctx context.Context, program, dir string) (a *account, stop func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	a = &account{Endpoint: l.Addr().String(), Key: "millwright", Secret: rand.Text(), Bucket: "b-" + strings.ToLower(rand.Text())}
	_ = l.Close()
	cmd := exec.CommandContext(ctx, program, "--keep-alive", "--quiet", "--port", a.Endpoint, "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+a.Key, "ROOT_SECRET_KEY="+a.Secret)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + a.Endpoint), UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(a.Key, a.Secret, ""),
	})
	for range 100 {
		if _, err = client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &a.Bucket}); err == nil {
			return a, stop, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	stop()
	return nil, nil, fmt.Errorf("%s does not answer: %w", program, err)
}
