package kuberig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// RealNodeName is the name of the node that runs real containers. The API server
// reaches its kubelet by this name.
const RealNodeName = "localhost"

// StartReal starts a cluster of the test's own with one real node: containerd and a
// kubelet on this machine, with so many pretended GPUs. Images are made by Image.
// It takes root, and programs that scripts/realtools.sh provisions as "kubelet".
func StartReal(t testing.TB, opts *Options, gpus int) (*Cluster, *RealNode) {
	t.Helper()
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.realNode = true
	c := Start(t, &o)
	n, err := c.realNode(t.Context(), gpus)
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"containerd", "kubelet"} {
				t.Logf("%s said:\n%s", name, c.Log(name))
			}
		}
		n.stop(t.Logf)
	})
	return c, n
}

// RealNode is a machine's own container runtime and kubelet.
type RealNode struct {
	c       *Cluster
	dir     string // of everything; short, for the sake of its sockets
	bin     string // with containerd, runc and their like
	socket  string
	cgroup  string
	sysctls map[string]string // as they were
}

// realNode starts containerd and the kubelet, and waits until the node is ready.
func (c *Cluster) realNode(ctx context.Context, gpus int) (*RealNode, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("kuberig: a real node takes root: containers are made of mounts and cgroups")
	}
	programs := filepath.Join(filepath.Dir(c.tools.manifests), "kube", "containers")
	n := &RealNode{c: c, bin: filepath.Join(programs, "usr", "bin"), cgroup: fmt.Sprintf("kuberig-%d", os.Getpid())}
	kubelet := filepath.Join(filepath.Dir(c.tools.controlPlane), "kubelet")
	for _, path := range []string{kubelet, n.program("containerd"), n.program("ctr"), n.program("runc"), n.program("busybox")} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("kuberig: %s: %w (make kube-real fetches and builds it)", path, ErrNotBuilt)
		}
	}
	var err error
	if n.dir, err = os.MkdirTemp("/tmp", "kr-"); err != nil {
		return nil, err
	}
	n.socket = filepath.Join(n.dir, "c.sock")
	if err := n.start(ctx, kubelet, gpus); err != nil {
		text := c.Log("containerd") + c.Log("kubelet")
		n.stop(func(string, ...any) {})
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return n, nil
}

// program is the path of one of Debian's programs: some are in sbin.
func (n *RealNode) program(name string) string {
	for _, dir := range []string{n.bin, filepath.Join(n.bin, "..", "sbin"), filepath.Join(n.bin, "..", "..", "bin"), filepath.Join(n.bin, "..", "..", "sbin")} {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	return filepath.Join(n.bin, name)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (n *RealNode) start(ctx context.Context, kubelet string, gpus int) error {
	if err := n.prepare(); err != nil {
		return err
	}
	env := []string{"PATH=" + strings.Join([]string{n.bin, filepath.Join(n.bin, "..", "sbin"), os.Getenv("PATH")}, ":")} //nolint:forbidigo // Where programs are.
	p, err := n.c.run("containerd", env, n.program("containerd"), "--config", filepath.Join(n.dir, "containerd.toml"), "--log-level", "warn")
	if err != nil {
		return err
	}
	if err := p.await(ctx, func(ctx context.Context) error { return n.ctr(ctx, "version").Run() }); err != nil {
		return err
	}
	if err := n.Image(ctx, "localhost/pause:1", nil, "/bin/busybox", "sleep", "1000000000"); err != nil {
		return err
	}
	p, err = n.c.run("kubelet", env, kubelet, "--config="+filepath.Join(n.dir, "kubelet.yaml"), "--kubeconfig="+n.c.Kubeconfig(),
		"--root-dir="+filepath.Join(n.dir, "kubelet"), "--hostname-override="+RealNodeName, "--node-labels=nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3")
	if err != nil {
		return err
	}
	return p.await(ctx, func(ctx context.Context) error { return n.ready(ctx, gpus) })
}

// ready gives the node its GPUs, which a device plugin would say, and tells
// whether pods can come.
func (n *RealNode) ready(ctx context.Context, gpus int) error {
	nodes := n.c.client.CoreV1().Nodes()
	patch := fmt.Sprintf(`{"status":{"capacity":{"nvidia.com/gpu":"%[1]d"},"allocatable":{"nvidia.com/gpu":"%[1]d"}}}`, gpus)
	node, err := nodes.Patch(ctx, RealNodeName, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		return err
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue && !tainted(node) {
			return nil
		}
	}
	return fmt.Errorf("the node is not ready: %+v", node.Status.Conditions)
}

// sysctlNames are what a kubelet sets on its machine.
var sysctlNames = []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "vm/panic_on_oom"}

// prepare writes the configuration files, and notes what the kubelet will change.
func (n *RealNode) prepare() error {
	n.sysctls = map[string]string{}
	for _, name := range sysctlNames {
		if data, err := os.ReadFile("/proc/sys/" + name); err == nil {
			n.sysctls[name] = strings.TrimSpace(string(data))
		}
	}
	for _, dir := range []string{"cni", "cni.d", "kubelet", "logs"} {
		if err := os.Mkdir(filepath.Join(n.dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := n.makeCgroups(); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	config, err := yaml.Marshal(object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": "127.0.0.1", "port": ports[0], "healthzPort": 0, "readOnlyPort": 0,
		"authentication": object{"anonymous": object{"enabled": false}, "webhook": object{"enabled": false}, "x509": object{"clientCAFile": n.c.pki.path("ca.crt")}},
		"authorization":  object{"mode": "AlwaysAllow"},
		"tlsCertFile":    n.c.pki.path("server.crt"), "tlsPrivateKeyFile": n.c.pki.path("server.key"),
		"containerRuntimeEndpoint": "unix://" + n.socket,
		"cgroupDriver":             "cgroupfs", "cgroupRoot": "/" + n.cgroup, "enforceNodeAllocatable": []string{}, "failCgroupV1": false,
		"failSwapOn": false, "makeIPTablesUtilChains": false, "localStorageCapacityIsolation": false,
		"evictionHard":       object{"memory.available": "10Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
		"podLogsDir":         filepath.Join(n.dir, "logs"),
		"resolvConf":         "/dev/null",
		"registerWithTaints": []object{},
		// The tests wait for these.
		"syncFrequency": "1s", "nodeStatusUpdateFrequency": "1s", "volumePluginDir": filepath.Join(n.dir, "plugins"),
	})
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"kubelet.yaml": string(config), "containerd.toml": n.containerdConfig(),
		"cni.d/10-static.conflist": `{"cniVersion":"0.4.0","name":"static","plugins":[{"type":"static"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	// A network of nothing: pods get an address that leads nowhere, and the machine
	// gets no bridge and no rules.
	const plugin = `#!/bin/sh
case $CNI_COMMAND in
ADD) echo '{"cniVersion":"0.4.0","interfaces":[{"name":"'"$CNI_IFNAME"'","sandbox":"'"$CNI_NETNS"'"}],"ips":[{"version":"4","interface":0,"address":"10.254.0.2/32"}]}' ;;
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0"]}' ;;
esac
`
	for _, name := range []string{"static", "loopback"} {
		if err := os.WriteFile(filepath.Join(n.dir, "cni", name), []byte(plugin), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (n *RealNode) containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[4]q
    conf_dir = %[5]q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = %[6]q
`, filepath.Join(n.dir, "root"), filepath.Join(n.dir, "state"), n.socket, filepath.Join(n.dir, "cni"), filepath.Join(n.dir, "cni.d"), n.program("runc"))
}

// cgroupDirs are where this machine's controllers are: of cgroup v1 one folder each,
// of v2 one for all.
func cgroupDirs() ([]string, error) {
	const top = "/sys/fs/cgroup"
	if isFile(filepath.Join(top, "cgroup.controllers")) {
		return []string{top}, nil
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		return nil, fmt.Errorf("kuberig: a real node takes cgroups: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(top, e.Name()))
		}
	}
	return dirs, nil
}

func (n *RealNode) makeCgroups() error {
	dirs, err := cgroupDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		own := filepath.Join(dir, n.cgroup)
		if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("kuberig: a real node takes cgroups that can be written: %w", err)
		}
		// A group of version 1 has no processors and no memory until it is told.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil && isFile(filepath.Join(own, name)) {
				if err := os.WriteFile(filepath.Join(own, name), data, 0o600); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (n *RealNode) ctr(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, n.program("ctr"), append([]string{"--address", n.socket, "--namespace", "k8s.io"}, args...)...)
}

// stop ends the containers and gives the machine back as it was.
func (n *RealNode) stop(logf func(string, ...any)) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n.c.process("kubelet").stop(10 * time.Second)
	if out, err := n.ctr(ctx, "tasks", "ls", "-q").Output(); err == nil {
		for _, id := range strings.Fields(string(out)) {
			_ = n.ctr(ctx, "tasks", "rm", "-f", id).Run() // the shims end with them
		}
	}
	if out, err := n.ctr(ctx, "containers", "ls", "-q").Output(); err == nil {
		for _, id := range strings.Fields(string(out)) {
			_ = n.ctr(ctx, "containers", "rm", id).Run() // what is left is removed below
		}
	}
	n.c.process("containerd").stop(10 * time.Second)
	n.endShims()
	for name, value := range n.sysctls {
		_ = os.WriteFile("/proc/sys/"+name, []byte(value), 0o600) // one that the kubelet may not change either
	}
	n.unmount(logf)
	if err := os.RemoveAll(n.dir); err != nil {
		logf("the files of the real node: %v", err)
	}
	if dirs, err := cgroupDirs(); err == nil {
		for _, dir := range dirs {
			removeGroups(filepath.Join(dir, n.cgroup))
		}
	}
}

// endShims ends the processes that containerd leaves with containers, by the socket
// in their arguments, which is this node's.
func (n *RealNode) endShims() {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), n.socket) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/cmdline", &pid); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
}

// unmount removes what is mounted below the node's folder, the innermost first.
func (n *RealNode) unmount(logf func(string, ...any)) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		logf("the mounts of the real node: %v", err)
		return
	}
	lines := strings.Split(string(data), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 1 && strings.HasPrefix(f[1], n.dir+"/") {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH) // the folder's removal says what is left
		}
	}
}

// removeGroups removes a cgroup and those in it, which takes them in order.
func removeGroups(dir string) {
	entries, _ := os.ReadDir(dir) // an absent one has none
	for _, e := range entries {
		if e.IsDir() {
			removeGroups(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir) // a group of processes that are ending stays a moment
}
