package inttest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// cpu is the processor time that this process, the client, has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails for itself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkS3 moves objects over the loopback and reports megabytes for each
// second of the client's processor time, which does not depend on the server.
func BenchmarkS3(b *testing.B) {
	server := inttest.StartVersityGW(b)
	bucket := server.NewBucket(b)
	s, err := s3blob.Open(b.Context(), "s3://"+bucket, server.Options())
	require.NoError(b, err)
	const size = 64 << 20
	data := make([]byte, size)
	_, _ = rand.Read(data)
	sum := sha256.Sum256(data)
	require.NoError(b, s.Put(b.Context(), "k", bytes.NewReader(data), size))
	buf := make([]byte, size)
	for name, c := range map[string]struct {
		bytes int64
		run   func(i int) error
	}{
		"put/hashed": {size, func(i int) error {
			return s.Put(b.Context(), fmt.Sprintf("w/%d", i%4), blob.NewHashed(data, sum), size)
		}},
		"put/parts": {size, func(i int) error {
			return s.Put(b.Context(), fmt.Sprintf("w/%d", i%4), bytes.NewReader(data), size)
		}},
		"get/stream": {size, func(int) error {
			r, err := s.Get(b.Context(), "k", 0, -1)
			if err == nil {
				_, err = io.ReadFull(r, buf)
				_ = r.Close()
			}
			return err
		}},
		"get/parallel": {size, func(int) error { return blob.ReadRange(b.Context(), s, "k", 0, buf, nil) }},
		"get/64KiB": {64 << 10, func(i int) error {
			return blob.ReadRange(b.Context(), s, "k", int64(i%1000)*64<<10, buf[:64<<10], nil)
		}},
		"put/4KiB": {4 << 10, func(i int) error {
			return s.Put(b.Context(), fmt.Sprintf("s/%d", i%100), bytes.NewReader(data[:4<<10]), 4<<10)
		}},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(c.bytes)
			b.ReportAllocs()
			before := cpu()
			i := 0
			for b.Loop() {
				if err := c.run(i); err != nil {
					b.Fatal(err)
				}
				i++
			}
			used := cpu() - before
			b.ReportMetric(float64(c.bytes)*float64(i)/1e6/used.Seconds(), "MB/cpu-s")
			b.ReportMetric(float64(used.Microseconds())/float64(i), "cpu-µs/op")
		})
	}
}
