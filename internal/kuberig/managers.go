package kuberig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"
)

// manager is a controller that is not part of Kubernetes: a program with custom
// resources and webhooks.
type manager struct {
	name    string
	program string
	wanted  bool
	hook    int // the port of its webhooks
	health  int // the port that tells its health
	// config is the configuration file's content, env the environment beside it.
	config any
	env    []string
	// flags beside the configuration file.
	flags []string
	// converted are the custom resources whose versions the program converts; the
	// versions of others differ in nothing but the name.
	converted []string
	// drop tells which webhooks are not installed.
	drop func(webhook string) bool
}

// object is the content of a JSON or YAML object.
type object = map[string]any

// managers are all that this cluster could have.
func (c *Cluster) managers() []manager {
	p := c.ports
	leader := object{"leaderElect": false}
	frameworks := []any{"batch/job"}
	if c.opts.JobSet {
		frameworks = append(frameworks, "jobset.x-k8s.io/jobset")
	}
	if c.opts.Trainer {
		frameworks = append(frameworks, "trainer.kubeflow.org/trainjob")
	}
	client := object{"qps": 1000, "burst": 2000}
	return []manager{
		{
			name: JobSet, program: c.tools.jobset, wanted: c.opts.JobSet, hook: p.jobsetHook, health: p.jobsetHealth,
			config: object{
				"apiVersion": "config.jobset.x-k8s.io/v1alpha1", "kind": "Configuration",
				"leaderElection": leader, "internalCertManagement": object{"enable": false}, "clientConnection": client,
				"metrics": object{"bindAddress": "0"}, "health": object{"healthProbeBindAddress": address(p.jobsetHealth)},
				"webhook": object{"host": "127.0.0.1", "port": p.jobsetHook, "certDir": c.path("hooks")},
			},
		},
		{
			name: Trainer, program: c.tools.trainer, wanted: c.opts.Trainer, hook: p.trainerHook, health: p.trainerHealth,
			config: object{
				"apiVersion": "config.trainer.kubeflow.org/v1alpha1", "kind": "Configuration",
				"leaderElection": leader, "certManagement": object{"enable": false}, "clientConnection": client,
				"metrics": object{"bindAddress": "0"}, "health": object{"healthProbeBindAddress": address(p.trainerHealth)},
				"webhook": object{"host": "127.0.0.1", "port": p.trainerHook},
			},
			// It has no setting for the folder of its certificates.
			env: []string{"TMPDIR=" + c.path("trainer-tmp")},
		},
		{
			name: Kueue, program: c.tools.kueue, wanted: c.opts.Kueue, hook: p.kueueHook, health: p.kueueHealth,
			config: object{
				"apiVersion": "config.kueue.x-k8s.io/v1beta2", "kind": "Configuration", "namespace": "kueue-system",
				"leaderElection": leader, "internalCertManagement": object{"enable": false}, "clientConnection": client,
				"metrics": object{"bindAddress": "0"}, "health": object{"healthProbeBindAddress": address(p.kueueHealth)},
				"webhook":      object{"host": "127.0.0.1", "port": p.kueueHook, "certDir": c.path("hooks")},
				"integrations": object{"frameworks": frameworks},
			},
			env: []string{"POD_NAMESPACE=kueue-system"},
			// Its server of queue positions listens on all addresses.
			flags: []string{"--feature-gates=VisibilityOnDemand=false"},
			// Those for which its own installation says so.
			converted: []string{
				"localqueues.kueue.x-k8s.io", "clusterqueues.kueue.x-k8s.io", "cohorts.kueue.x-k8s.io",
				"workloads.kueue.x-k8s.io", "multikueueclusters.kueue.x-k8s.io",
			},
			drop: c.foreign,
		},
	}
}

// foreign tells that a webhook of Kueue is for a framework that is not on. The
// API server would ask it all the same, and refuse pods while Kueue is away.
func (c *Cluster) foreign(webhook string) bool {
	keep := []string{"clusterqueue", "cohort", "resourceflavor", "workload", "job"}
	if c.opts.JobSet {
		keep = append(keep, "jobset")
	}
	if c.opts.Trainer {
		keep = append(keep, "trainjob")
	}
	// mjob.kb.io changes jobs and vjob.kb.io checks them.
	return !slices.ContainsFunc(keep, func(kind string) bool {
		return webhook == "m"+kind+".kb.io" || webhook == "v"+kind+".kb.io"
	})
}

// startManagers installs the custom resources, starts the programs, and installs
// what goes through their webhooks when they answer.
func (c *Cluster) startManagers(ctx context.Context) error {
	if err := c.writeHookFiles(); err != nil {
		return err
	}
	var steps, late []func(context.Context) error
	for _, m := range c.managers() {
		if !m.wanted {
			continue
		}
		steps = append(steps, func(ctx context.Context) error { return c.installResources(ctx, &m) })
		late = append(late, func(ctx context.Context) error { return c.startManager(ctx, &m) })
	}
	// Each of them looks for the custom resources of the others as it starts.
	if err := together(ctx, steps...); err != nil {
		return err
	}
	if err := together(ctx, late...); err != nil {
		return err
	}
	if c.opts.Trainer {
		return c.installRuntimes(ctx)
	}
	return nil
}

// writeHookFiles puts the certificate of the webhooks where the programs look.
func (c *Cluster) writeHookFiles() error {
	for _, dir := range []string{
		"hooks", filepath.Join("trainer-tmp", "k8s-webhook-server", "serving-certs"), "kueue-metrics-certs",
	} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return err
		}
		for from, to := range map[string]string{"server.crt": "tls.crt", "server.key": "tls.key"} {
			data, err := os.ReadFile(c.pki.path(from))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(c.path(dir), to), data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cluster) startManager(ctx context.Context, m *manager) error {
	data, err := yaml.Marshal(m.config)
	if err != nil {
		return err
	}
	config := c.path(m.name + ".yaml")
	if err := os.WriteFile(config, data, 0o600); err != nil {
		return err
	}
	p, err := c.run(m.name, append(m.env, "KUBECONFIG="+c.Kubeconfig()), m.program, append([]string{"--config=" + config}, m.flags...)...)
	if err != nil {
		return err
	}
	health := "http://" + address(m.health)
	if err := p.await(ctx, c.healthy(health+"/readyz")); err != nil {
		return err
	}
	// Ready is said before the webhooks listen.
	if err := p.await(ctx, dial(m.hook)); err != nil {
		return err
	}
	return c.installWebhooks(ctx, m)
}

// reviveManager starts a manager again.
func (c *Cluster) reviveManager(ctx context.Context, name string) error {
	for _, m := range c.managers() {
		if m.name == name && m.wanted {
			return c.startManager(ctx, &m)
		}
	}
	return fmt.Errorf("kuberig: revive %q: there is no such component", name)
}
