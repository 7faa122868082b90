package inttest

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
)

// S3 is a real S3 server that runs until the test ends.
type S3 struct {
	Name       string // of the program
	Endpoint   string // http://127.0.0.1:port
	AccessKey  string
	SecretKey  string
	HTTPClient *http.Client // that trusts the server; nil is the usual one
	process    *process
}

// S3Servers are the servers that everything is tested on, by name.
func S3Servers() map[string]func(testing.TB) *S3 {
	return map[string]func(testing.TB) *S3{"versitygw": StartVersityGW, "minio": StartMinIO}
}

// StartVersityGW starts versitygw on a folder of the test's own.
func StartVersityGW(t testing.TB) *S3 {
	t.Helper()
	program := Tool(t, "versitygw")
	return startS3(t, "versitygw", func(s *S3, address, dir string) *process {
		data, versions := filepath.Join(dir, "data"), filepath.Join(dir, "versions")
		mkdir(t, data)
		mkdir(t, versions)
		return start(t, []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey},
			program, "--keep-alive", "--quiet", "--port", address, "posix", "--versioning-dir", versions, data)
	})
}

// StartMinIO starts MinIO on a folder of the test's own.
func StartMinIO(t testing.TB) *S3 {
	t.Helper()
	program := Tool(t, "minio")
	return startS3(t, "minio", func(s *S3, address, dir string) *process {
		env := []string{
			"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=1",
		}
		return start(t, env, program, "server", "--quiet", "--address", address, filepath.Join(dir, "data"))
	})
}

func startS3(t testing.TB, name string, run func(s *S3, address, dir string) *process) *S3 {
	t.Helper()
	s := &S3{Name: name, AccessKey: "millwright", SecretKey: rand.Text()}
	// The port may be taken between its choice and its use.
	const tries = 3
	for try := 1; ; try++ {
		address := freePort(t)
		s.Endpoint = "http://" + address
		s.process = run(s, address, t.TempDir())
		err := s.process.await(t.Context(), func(ctx context.Context) error {
			_, err := s.Client().ListBuckets(ctx, &s3.ListBucketsInput{})
			return err
		})
		if err == nil {
			return s
		}
		s.process.kill()
		if try == tries || !strings.Contains(err.Error(), "address already in use") {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// Credentials are those of the server's owner.
func (s *S3) Credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, "")
}

// Options open stores on the server.
func (s *S3) Options() *s3blob.Options {
	return &s3blob.Options{Endpoint: s.Endpoint, PathStyle: true, Credentials: s.Credentials(), HTTPClient: s.HTTPClient}
}

// Client is a bare client, for what a store does not show.
func (s *S3) Client() *s3.Client {
	o := s3.Options{
		BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true, Region: "us-east-1",
		Credentials: s.Credentials(), RetryMaxAttempts: 1,
	}
	if s.HTTPClient != nil {
		o.HTTPClient = s.HTTPClient
	}
	return s3.New(o)
}

// NewBucket makes a bucket and returns its name.
func (s *S3) NewBucket(t testing.TB) string {
	t.Helper()
	name := "b-" + strings.ToLower(rand.Text())
	if _, err := s.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return name
}

// Kill ends the server as kill -9 does.
func (s *S3) Kill() { s.process.kill() }

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}
