package s3blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// probeDir holds the result of the last probe, and the scratch objects of one
	// that was killed, a few bytes and harmless. Lists leave it out.
	probeDir = ".millwright-probe/"
	// probeResult is found below probeDir.
	probeResult = "result.json"
	// probeLife is how long a result is believed: servers are replaced.
	probeLife = 30 * 24 * time.Hour
	// Racers go at one key at once, in so many rounds.
	probeRacers = 6
	probeRounds = 3
)

// isProbe reports a key in the folder of some store's probes.
func isProbe(key string) bool {
	return strings.HasPrefix(key, probeDir) || strings.Contains(key, "/"+probeDir)
}

// verdict is what a probe found out about a server.
type verdict struct {
	Format  int       `json:"format"`  // 1.
	Server  string    `json:"server"`  // As it calls itself.
	Probed  time.Time `json:"probed"`  // By the clock of the prober.
	Creates bool      `json:"creates"` // If-None-Match decides races, on PUT and CompleteMultipartUpload.
	Swaps   bool      `json:"swaps"`   // If-Match decides races.
	Secret  string    `json:"secret"`  // The encryption that was proven; "" is none.
}

// probe proves that the bucket is there, the credentials are good, and racing
// writers are told apart. For a single writer it only reads. A verdict of an
// earlier probe is believed.
func (s *Store) probe(ctx context.Context) error {
	if s.singleWriter && s.crypt == (crypt{}) {
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix), MaxKeys: aws.Int32(1)}
		if _, err := s.client.ListObjectsV2(ctx, in, hasty); err != nil {
			return s.cause(ctx, err)
		}
		return nil
	}
	known, err := s.known(ctx)
	if err != nil {
		return err
	}
	if known != nil {
		s.swaps = known.Swaps
		return nil
	}
	p := &prober{s: s, base: s.prefix + probeDir + rand.Text()}
	err = p.run(ctx)
	if errors.Is(err, ErrUnavailable) {
		return err // a clean-up would only wait as long again
	}
	p.clean(ctx)
	return err
}

// known is the verdict of an earlier probe, nil when there is none that holds.
func (s *Store) known(ctx context.Context) (*verdict, error) {
	key := s.prefix + probeDir + probeResult
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key}, hasty)
	if code, _ := answer(err); code == "NoSuchKey" || code == codeDenied || statusOf(err) == http.StatusBadRequest {
		// Not there; or the bucket says so with a denial to those who may not list;
		// or it is encrypted with a customer key.
		return nil, nil
	}
	if err != nil {
		return nil, s.cause(ctx, err)
	}
	const most = 10_000
	data, err := io.ReadAll(io.LimitReader(out.Body, most))
	_ = out.Body.Close() // only read from
	var v verdict
	if err != nil || json.Unmarshal(data, &v) != nil || v.Format != 1 || !v.Creates || v.Secret != s.crypt.name() {
		return nil, nil
	}
	if age := time.Since(v.Probed); age < 0 || age > probeLife || v.Server != serverOf(out.ResultMetadata) {
		return nil, nil
	}
	return &v, nil
}

// serverOf is what the server calls itself.
func serverOf(m middleware.Metadata) string {
	if r, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response); ok && r != nil {
		return r.Header.Get("Server")
	}
	return ""
}

// prober is one probe.
type prober struct {
	s      *Store
	base   string // of its scratch keys
	server string

	mu   sync.Mutex
	keys []string
}

func (p *prober) run(ctx context.Context) error {
	v := verdict{Format: 1, Secret: p.s.crypt.name(), Probed: time.Now().UTC()}
	key := p.key("once")
	if err := p.creates(ctx, key); err != nil {
		return err
	}
	if err := p.secret(ctx, key); err != nil {
		return err
	}
	if !p.s.singleWriter {
		if err := p.multipart(ctx, key); err != nil {
			return err
		}
		if err := p.race(ctx); err != nil {
			return err
		}
		swaps, err := p.raceSwaps(ctx, key)
		if err != nil {
			return err
		}
		v.Creates, v.Swaps, p.s.swaps = true, swaps, swaps
	}
	if v.Creates {
		v.Server = p.server
		if data, err := json.Marshal(v); err == nil {
			// A bucket that does not let this be kept is probed again next time.
			_, _ = p.put(ctx, p.s.prefix+probeDir+probeResult, data, func(in *s3.PutObjectInput) {
				*in = s3.PutObjectInput{Bucket: in.Bucket, Key: in.Key, Body: in.Body} // readable without a customer key
			})
		}
	}
	return nil
}

// key names a scratch object, to be deleted in the end.
func (p *prober) key(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := p.base + "-" + name
	p.keys = append(p.keys, key)
	return key
}

func (p *prober) clean(ctx context.Context) {
	// That it fails is no reason to refuse the store.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, key := range p.keys {
		wg.Go(func() {
			_, _ = p.s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &p.s.bucket, Key: &key}, hasty)
		})
	}
	wg.Wait()
}

func ifAbsent(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }

// put writes a scratch object and returns its tag.
func (p *prober) put(ctx context.Context, key string, data []byte, set func(*s3.PutObjectInput)) (string, error) {
	for try := 0; ; try++ {
		in := &s3.PutObjectInput{Bucket: &p.s.bucket, Key: &key, Body: bytes.NewReader(data)}
		p.s.crypt.put(in)
		set(in)
		out, err := p.s.client.PutObject(ctx, in, hasty)
		// Others, who open the store too, remove the folder of the probes.
		if code, _ := answer(err); code == codeDenied && try < settleTries && pause(ctx, try) == nil {
			continue
		}
		if err != nil {
			return "", err
		}
		p.mu.Lock()
		p.server = serverOf(out.ResultMetadata)
		p.mu.Unlock()
		if in.ServerSideEncryption != "" || in.SSECustomerKey != nil {
			err = p.s.heeded(out.ServerSideEncryption, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5)
		}
		return tagOf(out.ETag), err
	}
}

func (p *prober) creates(ctx context.Context, key string) error {
	set := ifAbsent
	if p.s.singleWriter {
		set = func(*s3.PutObjectInput) {}
	}
	// A conflict on a key of our own making is a repeated request whose first
	// answer was lost; the second write tells what the store does all the same.
	if _, err := p.put(ctx, key, []byte("probe"), set); err != nil && !isConflict(err) {
		return p.s.unconditional(ctx, err)
	}
	if p.s.singleWriter {
		return nil
	}
	switch _, err := p.put(ctx, key, []byte("probe"), set); {
	case err == nil:
		return p.s.ignores("PUT")
	case !isConflict(err):
		return p.s.cause(ctx, err)
	}
	return nil
}

// secret proves the encryption of an object in parts, of which not every server
// says anything before it is whole, and reads a customer's object back without
// the key.
func (p *prober) secret(ctx context.Context, key string) error {
	if p.s.crypt == (crypt{}) {
		return nil
	}
	w := &write{s: p.s, op: "put", key: p.key("parts"), mark: "probe", part: p.s.part}
	if err := w.multipart(ctx, []byte("probe"), bytes.NewReader(nil)); err != nil {
		return err
	}
	head, err := w.head(ctx)
	if err != nil {
		return p.s.cause(ctx, err)
	}
	if err := p.s.heeded(head.ServerSideEncryption, head.SSECustomerAlgorithm, head.SSECustomerKeyMD5); err != nil {
		return err
	}
	if !p.s.crypt.customer() {
		return nil
	}
	out, err := p.s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &p.s.bucket, Key: &key}, hasty)
	if err == nil {
		_ = out.Body.Close() // that it comes at all is what counts
		return fmt.Errorf("bucket %q at %s: the server ignores the customer key and answers without it: %w", p.s.bucket, p.s.endpoint, ErrUnsupported)
	}
	if code, _ := answer(err); code == "" || statusOf(err) >= 500 {
		return p.s.cause(ctx, err)
	}
	return nil
}

// multipart asks the same of the request that ends a large upload: a store can
// heed the header on one and not on the other.
func (p *prober) multipart(ctx context.Context, key string) error {
	w := &write{s: p.s, key: key, op: "create", mark: "probe"}
	upload, err := w.begin(ctx)
	if err != nil {
		return err
	}
	part := &types.CompletedPart{PartNumber: aws.Int32(1)}
	if err := w.sendPart(ctx, upload, part, []byte("probe")); err != nil {
		w.abort(ctx, upload)
		return err
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &p.s.bucket, Key: &key, UploadId: upload, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{*part}},
	}
	p.s.crypt.complete(in)
	if _, err = p.s.client.CompleteMultipartUpload(ctx, in, hasty); err == nil {
		return p.s.ignores("CompleteMultipartUpload")
	}
	w.abort(ctx, upload)
	if !isConflict(err) {
		return p.s.unconditional(ctx, err)
	}
	return nil
}

// race has several writers create one key at once: some servers heed the
// condition only of writers that come one after the other.
func (p *prober) race(ctx context.Context) error {
	for round := range probeRounds {
		key := p.key(fmt.Sprintf("race-%d", round))
		won, err := p.atOnce(ctx, key, ifAbsent)
		if err != nil {
			return err
		}
		if won > 1 {
			return fmt.Errorf("bucket %q at %s: the server let %d of %d racing writers create one key, so writes would be lost; "+
				"use another server, or set Options.SingleWriter if only one process writes: %w", p.s.bucket, p.s.endpoint, won, probeRacers, ErrUnsupported)
		}
	}
	return nil
}

// raceSwaps finds out whether If-Match can be relied on.
func (p *prober) raceSwaps(ctx context.Context, key string) (bool, error) {
	match := func(tag string) func(*s3.PutObjectInput) {
		return func(in *s3.PutObjectInput) { in.IfMatch = aws.String(quoted(tag)) }
	}
	_, err := p.put(ctx, key, []byte("probe"), match("00000000000000000000000000000000"))
	switch {
	case err == nil || statusOf(err) == http.StatusNotImplemented:
		return false, nil
	case !isConflict(err):
		return false, p.s.cause(ctx, err)
	}
	for round := range probeRounds {
		tag, err := p.put(ctx, key, fmt.Appendf(nil, "round %d", round), func(*s3.PutObjectInput) {})
		if err != nil {
			return false, p.s.cause(ctx, err)
		}
		won, err := p.atOnce(ctx, key, match(tag))
		if err != nil {
			return false, err
		}
		if won > 1 {
			return false, nil
		}
	}
	return true, nil
}

// atOnce counts how many of the racers are told that they wrote the key.
func (p *prober) atOnce(ctx context.Context, key string, set func(*s3.PutObjectInput)) (won int, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for i := range probeRacers {
		wg.Go(func() {
			<-start
			_, putErr := p.put(ctx, key, fmt.Appendf(nil, "racer %d", i), set)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case putErr == nil:
				won++
			case !isConflict(putErr):
				err = p.s.cause(ctx, putErr)
			}
		})
	}
	close(start)
	wg.Wait()
	return won, err
}

// unconditional tells a store that answers the header with an error from one
// that fails for another reason.
func (s *Store) unconditional(ctx context.Context, err error) error {
	if errors.Is(err, ErrUnsupported) {
		return err
	}
	if statusOf(err) == http.StatusNotImplemented {
		return s.ignores("PUT")
	}
	return s.cause(ctx, err)
}

func (s *Store) ignores(request string) error {
	return fmt.Errorf("bucket %q at %s: the server does not heed If-None-Match on %s, so of two writers of one key both would win; "+
		"use another server, or set Options.SingleWriter if only one process writes: %w", s.bucket, s.endpoint, request, ErrUnsupported)
}

// hasty gives up early: a wrong endpoint should show at once.
func hasty(o *s3.Options) { o.RetryMaxAttempts = openAttempts }
