package inttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// KMSKey is the name of the key that StartMinIOTLS encrypts with for SSE-KMS.
const KMSKey = "millwright-key"

// StartMinIOTLS starts MinIO with https, and with a key for SSE-S3 and SSE-KMS.
func StartMinIOTLS(t testing.TB) *S3 {
	t.Helper()
	program := Tool(t, "minio")
	var secret [32]byte
	_, _ = rand.Read(secret[:])
	return startS3TLS(t, "minio", func(s *S3, address, dir, certs string) *process {
		env := []string{
			"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=1",
			"MINIO_KMS_SECRET_KEY=" + KMSKey + ":" + base64.StdEncoding.EncodeToString(secret[:]),
		}
		return start(t, env, program, "server", "--quiet", "--certs-dir", certs, "--address", address, filepath.Join(dir, "data"))
	})
}

// StartVersityGWTLS starts versitygw with https. It ignores SSE-C.
func StartVersityGWTLS(t testing.TB) *S3 {
	t.Helper()
	program := Tool(t, "versitygw")
	return startS3TLS(t, "versitygw", func(s *S3, address, dir, certs string) *process {
		data := filepath.Join(dir, "data")
		mkdir(t, data)
		return start(t, []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey},
			program, "--quiet", "--cert", filepath.Join(certs, "public.crt"), "--key", filepath.Join(certs, "private.key"), "--port", address, "posix", data)
	})
}

func startS3TLS(t testing.TB, name string, run func(s *S3, address, dir, certs string) *process) *S3 {
	t.Helper()
	certs := t.TempDir()
	client := certificate(t, certs)
	return startS3(t, name, func(s *S3, address, dir string) *process {
		s.Endpoint, s.HTTPClient = "https://"+address, client
		return run(s, address, dir, certs)
	})
}

// certificate writes a self-signed certificate for 127.0.0.1 to the folder, and
// returns a client that trusts it.
func certificate(t testing.TB, dir string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"public.crt": {Type: "CERTIFICATE", Bytes: der}, "private.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trusted := x509.NewCertPool()
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted.AddCert(own)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
