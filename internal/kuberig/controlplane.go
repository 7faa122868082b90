package kuberig

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// Addresses on the loopback interface.
func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// gates is the flag with the feature gates, or nothing.
func (c *Cluster) gates() []string {
	gates := map[string]bool{}
	if c.opts.Gang {
		gates["GenericWorkload"], gates["WorkloadWithJob"] = true, true
	}
	maps.Copy(gates, c.opts.FeatureGates)
	if len(gates) == 0 {
		return nil
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		parts = append(parts, fmt.Sprintf("%s=%t", name, gates[name]))
	}
	return []string{"--feature-gates=" + strings.Join(parts, ",")}
}

func (c *Cluster) startEtcd() error {
	client, peer := "http://"+address(c.ports.etcd), "http://"+address(c.ports.etcdPeer)
	_, err := c.run(Etcd, nil, c.tools.controlPlane, "etcd", "--data-dir", c.path("etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "default="+peer,
		// The data is thrown away; waiting for the disk only costs time.
		"--unsafe-no-fsync", "--quota-backend-bytes=4294967296", "--log-level=warn")
	return err
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	args := []string{
		"apiserver", "--etcd-servers=http://" + address(c.ports.etcd),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.api),
		"--cert-dir=" + c.dir, "--tls-cert-file=" + c.pki.path("server.crt"), "--tls-private-key-file=" + c.pki.path("server.key"),
		"--client-ca-file=" + c.pki.path("ca.crt"), "--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.path("sa.pub"), "--service-account-signing-key-file=" + c.pki.path("sa.key"),
		"--endpoint-reconciler-type=none", "--allow-privileged=true",
		"--kubelet-preferred-address-types=" + c.opts.nodeAddress(),
		"--kubelet-client-certificate=" + c.pki.path("kubelet-client.crt"), "--kubelet-client-key=" + c.pki.path("kubelet-client.key"),
		// A pod leaves a node that is lost after this and not after five minutes.
		"--default-not-ready-toleration-seconds=1", "--default-unreachable-toleration-seconds=1",
		// Asked to end it ends its watches; it would wait for them for a minute.
		"--shutdown-watch-termination-grace-period=1s",
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
	}
	if c.opts.NoServiceAccounts {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	if c.opts.Gang {
		args = append(args, "--runtime-config=scheduling.k8s.io/v1beta1=true,scheduling.k8s.io/v1alpha3=true")
	}
	args = append(append(args, c.gates()...), c.opts.APIServerFlags...)
	p, err := c.run(APIServer, nil, c.tools.controlPlane, args...)
	if err != nil {
		return err
	}
	return p.await(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return c.client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

func (c *Cluster) startControllers(ctx context.Context) error {
	args := []string{
		"controllers", "--kubeconfig=" + c.Kubeconfig(), "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.controllers),
		"--cert-dir=" + c.dir, "--tls-cert-file=" + c.pki.path("server.crt"), "--tls-private-key-file=" + c.pki.path("server.key"),
		"--leader-elect=false", "--service-account-private-key-file=" + c.pki.path("sa.key"),
		"--root-ca-file=" + c.pki.path("ca.crt"),
		// The defaults spare a server that others need too.
		"--kube-api-qps=2000", "--kube-api-burst=4000", "--concurrent-job-syncs=20", "--node-monitor-period=1s",
		// A node is lost when a test says so, and not when a loaded machine lets its
		// heartbeat come late: nobody would make it ready again.
		"--node-monitor-grace-period=24h", "--node-startup-grace-period=24h",
	}
	p, err := c.run(Controllers, nil, c.tools.controlPlane, append(args, c.gates()...)...)
	if err != nil {
		return err
	}
	return p.await(ctx, c.healthy("https://"+address(c.ports.controllers)+"/healthz"))
}

func (c *Cluster) startScheduler(ctx context.Context) error {
	args := []string{
		"scheduler", "--kubeconfig=" + c.Kubeconfig(), "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.scheduler),
		"--cert-dir=" + c.dir, "--tls-cert-file=" + c.pki.path("server.crt"), "--tls-private-key-file=" + c.pki.path("server.key"),
		"--leader-elect=false", "--kube-api-qps=2000", "--kube-api-burst=4000",
	}
	p, err := c.run(Scheduler, nil, c.tools.controlPlane, append(args, c.gates()...)...)
	if err != nil {
		return err
	}
	return p.await(ctx, c.healthy("https://"+address(c.ports.scheduler)+"/readyz"))
}

//go:embed stages.yaml
var stages []byte

func (c *Cluster) startKwok(ctx context.Context) error {
	if err := os.WriteFile(c.path("stages.yaml"), stages, 0o600); err != nil {
		return err
	}
	p, err := c.run(Kwok, nil, c.tools.kwok, "--kubeconfig="+c.Kubeconfig(), "--config="+c.path("stages.yaml"),
		// It takes no part in leases of nodes, which it would renew late on a loaded
		// machine, and it leaves the pods of a node alone whose lease it has not got.
		"--node-lease-duration-seconds=0",
		"--manage-all-nodes=false", "--manage-nodes-with-label-selector="+managedLabel+"=true",
		"--server-address="+address(c.ports.kwok), fmt.Sprintf("--node-port=%d", c.kubelet.port), "--node-ip=127.0.0.1",
		"--tls-cert-file="+c.pki.path("server.crt"), "--tls-private-key-file="+c.pki.path("server.key"))
	if err != nil {
		return err
	}
	return p.await(ctx, c.healthy("https://"+address(c.ports.kwok)+"/healthz"))
}

// healthy asks a server of the cluster for its health.
func (c *Cluster) healthy(url string) func(context.Context) error {
	client := c.pki.httpClient()
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	}
}
