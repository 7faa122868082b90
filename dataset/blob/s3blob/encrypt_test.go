package s3blob_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
)

func TestOptionsNameEveryFault(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	for name, c := range map[string]struct {
		opts  s3blob.Options
		wants []string
	}{
		"two encryptions":  {s3blob.Options{Encryption: &s3blob.Encryption{S3: true, KMSKey: "k"}}, []string{"the encryption has 2 of S3, KMSKey and CustomerKey set, want one"}},
		"no encryption":    {s3blob.Options{Encryption: &s3blob.Encryption{}}, []string{"the encryption has 0 of"}},
		"short key":        {s3blob.Options{Encryption: &s3blob.Encryption{CustomerKey: key[:31]}}, []string{"the customer key has 31 bytes, want 32"}},
		"key over http":    {s3blob.Options{Endpoint: "http://h", Encryption: &s3blob.Encryption{CustomerKey: key}}, []string{"a customer key must not travel over http"}},
		"context of what?": {s3blob.Options{Encryption: &s3blob.Encryption{S3: true, KMSContext: "x"}}, []string{"a KMSContext without a KMSKey"}},
		"many": {s3blob.Options{Checksum: "MD5", Part: 1, InFlight: -1, CopyPart: 6 << 30}, []string{
			`the checksum is "MD5", want CRC32`, "a part has 1 bytes, want 5 MiB", "-1 parts in flight", "a part of a copy has 6442450944 bytes",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.opts.Credentials, c.opts.Region = keys(), "r"
			_, err := s3blob.Open(t.Context(), "s3://bucket", &c.opts)
			require.ErrorIs(t, err, s3blob.ErrInvalid)
			for _, want := range c.wants {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

// A pod's service account: the SDK's own chain trades its token for credentials.
func TestWebIdentity(t *testing.T) {
	var tokens, signed atomic.Int64
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") == "AssumeRoleWithWebIdentity" && r.FormValue("WebIdentityToken") == "token-of-the-pod" && r.FormValue("RoleArn") == "arn:aws:iam::1:role/train" {
			tokens.Add(1)
		}
		_, _ = fmt.Fprint(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
			<Credentials><AccessKeyId>role-key</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
			</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
	}))
	t.Cleanup(sts.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "Credential=role-key/") && r.Header.Get("X-Amz-Security-Token") == "session" {
			signed.Add(1)
		}
		_, _ = fmt.Fprint(w, `<ListBucketResult/>`)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(token, []byte("token-of-the-pod"), 0o600))
	for name, value := range map[string]string{
		"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::1:role/train", "AWS_REGION": "eu-west-1",
		"AWS_ENDPOINT_URL_STS": sts.URL, "AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"),
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	_, err := s3blob.Open(t.Context(), "s3://models", &s3blob.Options{Endpoint: server.URL, SingleWriter: true})
	require.NoError(t, err)
	require.Positive(t, tokens.Load())
	require.Positive(t, signed.Load())
}
