package inttest

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
)

// StartPrometheus runs the provisioned Prometheus with a configuration until
// the test ends, and returns its URL.
func StartPrometheus(t testing.TB, config string) string {
	t.Helper()
	addr := freePort(t)
	p := start(t, nil, Tool(t, "prometheus"), "--config.file="+config, "--web.listen-address="+addr,
		"--storage.tsdb.path="+filepath.Join(t.TempDir(), "tsdb"), "--log.level=warn", "--enable-feature=exemplar-storage")
	url := "http://" + addr
	err := p.await(t.Context(), func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/-/ready", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // nothing is read of it
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("prometheus answered %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return url
}
