package s3blob

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Errors beside those of [blob.Store].
var (
	// ErrInvalid is a bad URL or bad options; every fault is named.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound is a missing bucket.
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable is a server that cannot be reached, or is overloaded, after
	// all attempts.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported is a store that ignores If-None-Match.
	ErrUnsupported = errs.ErrUnsupported
)

const (
	maxAttempts  = 5 // in normal use
	openAttempts = 3 // in Open, which should say quickly that a URL is wrong
	dialTimeout  = 3 * time.Second
	anyRegion    = "us-east-1"
)

// Store is a [blob.Store] below a prefix of a bucket. It is a plain value with
// nothing to close. Create it with [Open].
type Store struct {
	client       *s3.Client
	bucket       string
	prefix       string // "" or ends with a slash
	endpoint     string // for error texts
	singleWriter bool
	swaps        bool // the server heeds If-Match
	crypt        crypt
	checksum     types.ChecksumAlgorithm
	part         int64
	inFlight     int
	progress     func(Transfer)
	copyPart     int64
	buffers      sync.Pool // of *[]byte, each of a part
}

var (
	_ blob.Store   = (*Store)(nil)
	_ blob.Swapper = (*Store)(nil)
	_ blob.Copier  = (*Store)(nil)
)

// Open connects to the bucket and the prefix that the URL "s3://bucket/prefix"
// names; the prefix may be absent. Nothing in it is decoded: "%20" is three
// characters.
//
// Unless Options.SingleWriter is set Open proves that the store decides races of
// creators: it writes a small scratch object below the prefix, finds the second
// write and the second multipart upload refused, and deletes it. A store that
// does not refuse them is an [ErrUnsupported]. See the package comment for the
// other errors.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	s, err := configure(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	if err := s.probe(ctx); err != nil {
		return nil, fmt.Errorf("s3blob: open %q: %w", url, err)
	}
	return s, nil
}

func configure(ctx context.Context, url string, opts *Options) (*Store, error) {
	var faults errs.Faults
	bucket, prefix := parseURL(&faults, url)
	opts.check(&faults)
	subject := fmt.Sprintf("s3blob: open %q", url)
	if err := faults.Err(subject); err != nil {
		return nil, err
	}

	cfg := aws.Config{Credentials: opts.Credentials}
	if opts.Credentials == nil {
		var err error
		if cfg, err = config.LoadDefaultConfig(ctx); err != nil {
			return nil, fmt.Errorf("%s: the AWS settings of the environment or the shared files: %w: %w", subject, err, ErrInvalid)
		}
	}
	if opts.Region != "" {
		cfg.Region = opts.Region
	}
	if cfg.Region == "" && opts.Endpoint != "" {
		cfg.Region = anyRegion
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("%s: no region in Options.Region, AWS_REGION or the shared files: %w", subject, ErrInvalid)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", subject, ctx.Err())
		}
		return nil, fmt.Errorf("%s: no credentials: set Options.Credentials, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: %w: %w", subject, err, fs.ErrPermission)
	}

	s := &Store{
		bucket: bucket, prefix: prefix, singleWriter: opts.SingleWriter, endpoint: opts.Endpoint,
		crypt: newCrypt(opts.Encryption), checksum: opts.checksum(), progress: opts.Progress,
		part: cmp.Or(opts.Part, defaultPart), inFlight: cmp.Or(opts.InFlight, defaultInFlight), copyPart: cmp.Or(opts.CopyPart, defaultCopyPart),
	}
	if s.endpoint == "" {
		s.endpoint = "AWS " + cfg.Region
	}
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = opts.PathStyle
		// What is sent is guarded by the signed SHA-256. Checksums on top of it
		// are what many servers other than AWS stumble over.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if s.checksum != "" {
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		}
		if opts.Endpoint != "" {
			o.BaseEndpoint = aws.String(opts.Endpoint)
		}
		o.Logger = logging.Nop{}
		o.HTTPClient = opts.client()
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = maxAttempts
			r.Backoff = retry.BackoffDelayerFunc(backoff)
		})
	})
	return s, nil
}

// backoff doubles from about 100 ms, so that all attempts end in two seconds.
func backoff(attempt int, _ error) (time.Duration, error) {
	const first, longest = 100 * time.Millisecond, 2 * time.Second
	d := min(first<<min(max(attempt-1, 0), 10), longest)
	return d/2 + rand.N(d), nil
}

// parseURL splits s3://bucket/prefix. It takes the text as it is, as keys may
// hold what a URL would have to escape.
func parseURL(faults *errs.Faults, raw string) (bucket, prefix string) {
	rest, ok := strings.CutPrefix(raw, "s3://")
	if !ok {
		faults.Addf("the URL must have the form s3://bucket/prefix")
		return "", ""
	}
	bucket, prefix, _ = strings.Cut(rest, "/")
	if why := bucketFault(bucket); why != "" {
		faults.Addf("the bucket %.80q %s", bucket, why)
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return bucket, ""
	}
	if strings.ContainsAny(prefix, "?#") {
		faults.Addf("the prefix has a ? or #: settings belong into Options")
	}
	if err := blob.ValidateKey(prefix); err != nil {
		faults.Addf("the prefix is no valid key (%s)", err)
	}
	return bucket, prefix + "/"
}

// bucketFault applies S3's naming rules.
func bucketFault(bucket string) string {
	if len(bucket) < 3 || len(bucket) > 63 {
		return "is not 3 to 63 characters long"
	}
	for _, r := range bucket {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' {
			return fmt.Sprintf("holds %q: only a-z, 0-9, dot and hyphen are allowed", r)
		}
	}
	if strings.Trim(bucket, "-.") != bucket || strings.Contains(bucket, "..") {
		return "starts or ends with a dot or hyphen, or has two dots in a row"
	}
	return ""
}

func checkEndpoint(faults *errs.Faults, endpoint string) {
	if endpoint == "" {
		return
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		faults.Addf("the endpoint is no URL of the form http://host:port")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		faults.Addf("the endpoint %.80q must start with http:// or https:// and name a host", endpoint)
	case u.User != nil:
		faults.Addf("the endpoint holds a user name: credentials belong into Options.Credentials")
	case u.RawQuery != "" || u.Fragment != "":
		faults.Addf("the endpoint %.80q has a query or fragment", endpoint)
	}
}

// client is what sends the requests: many small ones at a time keep their
// connections.
func (o *Options) client() s3.HTTPClient {
	if o.HTTPClient != nil {
		return o.HTTPClient
	}
	const idle = 64
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = 2*idle, idle })
}
