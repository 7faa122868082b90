package registry_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strconv"
	"testing/fstest"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// twoVersions is a registry with two versions of the model "fraud", of which
// the second is a little better.
func twoVersions(ctx context.Context, opts *registry.Options) *registry.Registry {
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), opts)
	for i, auc := range []float64{0.90, 0.91} {
		_, err := reg.Register(ctx, "fraud", registry.Draft{
			Files:    fstest.MapFS{"model.json": {Data: []byte(strconv.Itoa(i))}},
			Metrics:  map[string]float64{"auc": auc},
			Datasets: []registry.Dataset{{Name: "payments", Version: "12", Digest: "sha256:5b", Context: "evaluation"}},
			Run:      "4f1c", User: "trainer",
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	return reg
}

// An alias moves if every gate passes. A refusal names the gates that failed,
// with the numbers; both outcomes are kept with their evidence.
func ExampleRegistry_Promote() {
	ctx := context.Background()
	reg := twoVersions(ctx, nil)
	opts := &registry.PromoteOptions{
		By: "ci", Reason: "weekly retraining",
		Gates: []registry.Gate{
			registry.MetricAtLeast("auc", 0.8),
			registry.MetricBeats(registry.Comparison{
				Metric: "auc", Margin: 0.005,
				Dataset: registry.Dataset{Name: "payments", Version: "12", Digest: "sha256:5b"},
			}),
			registry.Approved(1),
		},
	}
	_, err := reg.Promote(ctx, "fraud", "champion", 1, opts)
	fmt.Println(err)
	if refused, ok := errors.AsType[*registry.RefusedError](err); ok {
		for _, g := range refused.Decision.Gates {
			fmt.Printf("%-26s %-5v %s\n", g.Gate, g.Pass, g.Detail)
		}
	}

	for _, version := range []int{1, 2} {
		if err := reg.Approve(ctx, "fraud", version, "ann", "looked at the errors"); err != nil {
			log.Fatal(err)
		}
		d, err := reg.Promote(ctx, "fraud", "champion", version, opts)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("from v%d to v%d: %s\n", d.From, d.To, d.Gates[1].Detail)
	}
	// Output:
	// registry: promote "fraud" v1 to "champion": refused by 1 of 3 gates: approvals (1): 0 of 1
	// metric auc                 true  auc is 0.9, want at least 0.8
	// auc against the champion   true  auc is 0.9, and there is no champion
	// approvals (1)              false 0 of 1
	// from v0 to v1: auc is 0.9, and there is no champion
	// from v1 to v2: auc is 0.91, the champion's (v1) 0.9, on payments 12
}

// A gate is any func: here one that asks for a ticket.
func ExampleGate() {
	ctx := context.Background()
	reg := twoVersions(ctx, nil)
	ticket := registry.Gate{Name: "change ticket", Check: func(_ context.Context, c registry.Candidate) (registry.Verdict, error) {
		id := c.Version.Tags["ticket"]
		return registry.Verdict{Pass: id != "", Detail: fmt.Sprintf("tag ticket is %q", id)}, nil
	}}
	opts := &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{ticket}}
	_, err := reg.Promote(ctx, "fraud", "champion", 2, opts)
	fmt.Println(err)
	if err := reg.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{SetTags: map[string]string{"ticket": "RISK-7"}}); err != nil {
		log.Fatal(err)
	}
	d, err := reg.Promote(ctx, "fraud", "champion", 2, opts)
	fmt.Println(d.Gates[0].Detail, err)
	// Output:
	// registry: promote "fraud" v2 to "champion": refused by 1 of 1 gates: change ticket: tag ticket is ""
	// tag ticket is "RISK-7" <nil>
}

// One call goes back to where the alias was before.
func ExampleRegistry_Rollback() {
	ctx := context.Background()
	reg := twoVersions(ctx, nil)
	for _, version := range []int{1, 2} {
		if _, err := reg.Promote(ctx, "fraud", "champion", version, &registry.PromoteOptions{By: "ci"}); err != nil {
			log.Fatal(err)
		}
	}
	e, err := reg.Rollback(ctx, "fraud", "champion", &registry.RollbackOptions{By: "ann", Reason: "latency", Expect: 2})
	fmt.Println(e.Kind, e.From, e.To, e.Reason, err)
	// The same call again, because the answer was lost.
	_, err = reg.Rollback(ctx, "fraud", "champion", &registry.RollbackOptions{By: "ann", Reason: "latency", Expect: 2})
	fmt.Println(err)
	// Output:
	// rollback 2 1 latency <nil>
	// registry: roll back "champion" of "fraud": the alias moved to v1, expected v2: conflict
}

// The end of the log, kept where those who can write to the database cannot,
// proves later that nothing before it was changed.
func ExampleRegistry_VerifyAudit() {
	ctx := context.Background()
	store := new(registrytest.Mem)
	reg := registry.New(store, new(blob.Mem), nil)
	if _, err := reg.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"model": {Data: []byte("m")}}}); err != nil {
		log.Fatal(err)
	}
	if _, err := reg.Promote(ctx, "fraud", "champion", 1, &registry.PromoteOptions{By: "ci"}); err != nil {
		log.Fatal(err)
	}
	head, err := reg.VerifyAudit(ctx)
	fmt.Println(head.Seq, len(head.Hash), err)

	// Somebody puts an emptied database in its place.
	other := registry.New(new(registrytest.Mem), nil, nil)
	_, err = other.VerifyAudit(ctx, head)
	fmt.Println(err)
	// Output:
	// 1 64 <nil>
	// registry: audit log: entry 1: it is missing, entry 1 was known: the log was altered
}

// The lineage of a version goes down to data and code, and, by sources that
// the program adds, up to where the model runs.
func ExampleRegistry_Lineage() {
	ctx := context.Background()
	reg := twoVersions(ctx, nil)
	if err := reg.SetAlias(ctx, "fraud", "champion", 2, nil); err != nil {
		log.Fatal(err)
	}
	v, err := reg.Resolve(ctx, "fraud@champion")
	if err != nil {
		log.Fatal(err)
	}
	clusters := func(_ context.Context, n registry.Node) ([]registry.Node, []registry.Edge, error) {
		if n.ID != "alias:fraud@champion" {
			return nil, nil, nil
		}
		eu := registry.NewNode(registry.NodeDeployment, "eu-1", nil)
		return []registry.Node{eu}, []registry.Edge{{From: n.ID, To: eu.ID, Label: "serves"}}, nil
	}
	graph, err := reg.Lineage(ctx, v, &registry.LineageOptions{Sources: []registry.LineageSource{clusters}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(graph.Mermaid())
	// Output:
	// flowchart LR
	//   n0["alias<br/>fraud@champion"]
	//   n1["dataset<br/>payments@12"]
	//   n2["deployment<br/>eu-1"]
	//   n3["model_version<br/>fraud/2"]
	//   n4["run<br/>4f1c"]
	//   n0 -->|"serves"| n2
	//   n1 -->|"evaluation"| n4
	//   n3 -->|"named"| n0
	//   n4 -->|"produced"| n3
	//   style n3 stroke-width:3px
}

// A server that trusts one key opens what that key signed, and nothing else.
func ExampleRegistry_Sign() {
	ctx := context.Background()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	reg := twoVersions(ctx, &registry.Options{Trust: &registry.Trust{Keys: []crypto.PublicKey{public}}})
	open := func() error {
		v, err := reg.Version(ctx, "fraud", 1)
		if err != nil {
			return err
		}
		_, err = reg.Open(ctx, v)
		return err
	}
	fmt.Println(open())
	if err := reg.Sign(ctx, "fraud", 1, private); err != nil {
		log.Fatal(err)
	}
	fmt.Println(open())
	// Output:
	// registry: open "fraud/1": the version is not signed, and Options.Trust demands it: untrusted
	// <nil>
}

// A signature can also live outside of the registry: as a DSSE envelope, or as
// the bundle that Sigstore's model-signing reads.
func ExampleSignVersion() {
	ctx := context.Background()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	reg := twoVersions(ctx, nil)
	first, err := reg.Version(ctx, "fraud", 1)
	if err != nil {
		log.Fatal(err)
	}
	envelope, err := registry.SignVersion(first, private)
	if err != nil {
		log.Fatal(err)
	}
	text, err := json.Marshal(envelope)
	if err != nil {
		log.Fatal(err)
	}
	var read registry.Envelope
	if err := json.Unmarshal(text, &read); err != nil {
		log.Fatal(err)
	}
	fmt.Println(registry.VerifySignature(first, read, public))
	second, err := reg.Version(ctx, "fraud", 2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(registry.VerifySignature(second, read, public))
	// Output:
	// <nil>
	// registry: signature of "fraud/2": it is about other files: untrusted
}

// A server follows the alias: it loads what is champion now, and again each
// time that it moves.
func ExampleRegistry_Watch() {
	ctx := context.Background()
	reg := twoVersions(ctx, nil)
	for at, err := range reg.Watch(ctx, "fraud", "champion") {
		if err != nil {
			log.Print(err) // the database restarts; the loop goes on
			continue
		}
		fmt.Println("champion is", at.Number)
		if at.Number == 2 {
			break
		}
		// Somebody else does this.
		if err := reg.SetAlias(ctx, "fraud", "champion", at.Number+1, &registry.AliasOptions{Expect: at.Number}); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// champion is 0
	// champion is 1
	// champion is 2
}

// With a cache folder a version is fetched and verified once for all processes
// that share it.
func ExampleOptions_cache() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "models-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, files := new(registrytest.Mem), new(blob.Mem)
	reg := registry.New(store, files, &registry.Options{CacheDir: dir, CacheSize: 10 << 30})
	v, err := reg.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"model": {Data: []byte("weights")}}})
	if err != nil {
		log.Fatal(err)
	}
	read := func(reg *registry.Registry) {
		fsys, err := reg.Open(ctx, v)
		if err != nil {
			log.Fatal(err)
		}
		b, err := fs.ReadFile(fsys, "model")
		fmt.Printf("%s %v\n", b, err)
	}
	read(reg)
	// Another process, while the file store is away.
	read(registry.New(store, new(blob.Mem), &registry.Options{CacheDir: dir}))
	// Output:
	// weights <nil>
	// weights <nil>
}
