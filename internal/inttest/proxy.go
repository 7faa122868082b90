package inttest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Proxy stands before the server and lets a test spoil single requests and
// answers. It signs every request anew, as change may have touched what the
// client's signature covers. Change sees the request before it is signed, answer
// what came back, and either may be nil; answer may panic with
// [http.ErrAbortHandler] to cut the connection without a word.
func (s *S3) Proxy(t testing.TB, change func(*http.Request), answer func(*http.Request, *http.Response)) *S3 {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			if change != nil {
				change(p.Out)
			}
			p.SetURL(target)
			p.Out.Host = target.Host
			for name := range p.Out.Header {
				if strings.HasPrefix(name, "X-Amz-Date") || name == "Authorization" || name == "Accept-Encoding" {
					p.Out.Header.Del(name)
				}
			}
			keys, err := s.Credentials().Retrieve(p.In.Context())
			if err == nil {
				hash := p.Out.Header.Get("X-Amz-Content-Sha256")
				err = signer.SignHTTP(p.In.Context(), keys, p.Out, hash, "s3", "us-east-1", time.Now())
			}
			if err != nil {
				t.Errorf("proxy: %v", err)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if answer != nil {
				answer(r.Request, r)
			}
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	through := *s
	through.Endpoint = server.URL
	return &through
}
