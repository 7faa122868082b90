package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/millwright-ml/millwright/registry"
)

// The demo's model gives the minutes that a delivery takes, from its distance
// and the number of its parcels, by a line through noisy data.

const demoName = "delivery"

type delivery struct{ km, parcels, minutes float64 }

func deliveries(seed uint64, n int) []delivery {
	rng := mathrand.New(mathrand.NewPCG(seed, 1))
	list := make([]delivery, n)
	for i := range list {
		d := delivery{km: 30 * rng.Float64(), parcels: float64(1 + rng.IntN(40))}
		d.minutes = 5 + 2.5*d.km + 1.5*d.parcels + 6*rng.NormFloat64()
		list[i] = d
	}
	return list
}

// weights are the file model.json of a version.
type weights struct {
	Base   float64 `json:"base"`
	Km     float64 `json:"km"`
	Parcel float64 `json:"parcel"`
}

func (w weights) predict(km, parcels float64) float64 { return w.Base + w.Km*km + w.Parcel*parcels }

// fit is gradient descent on the squared error, with scaled steps.
func fit(data []delivery) (w weights) {
	for range 20_000 {
		var base, km, parcel float64
		for _, d := range data {
			off := w.predict(d.km, d.parcels) - d.minutes
			base, km, parcel = base+off, km+off*d.km, parcel+off*d.parcels
		}
		n := float64(len(data))
		w.Base, w.Km, w.Parcel = w.Base-0.05*base/n, w.Km-0.0005*km/n, w.Parcel-0.0005*parcel/n
	}
	return w
}

func (w weights) rmse(data []delivery) float64 {
	sum := 0.0
	for _, d := range data {
		sum += math.Pow(w.predict(d.km, d.parcels)-d.minutes, 2)
	}
	return math.Sqrt(sum / float64(len(data)))
}

// predict is the model's program: "promote predict" with $MODEL_DIR.
func predict(in io.Reader, out io.Writer) error {
	b, err := os.ReadFile(filepath.Join(os.Getenv("MODEL_DIR"), "model.json"))
	if err != nil {
		return err
	}
	var w weights
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	var x struct{ Km, Parcels float64 }
	if err := json.NewDecoder(in).Decode(&x); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(map[string]float64{"minutes": w.predict(x.Km, x.Parcels)})
}

// demo is the state of one run of the demo.
type demo struct {
	cfg  config
	r    *registry.Registry
	key  ed25519.PrivateKey
	test registry.Dataset
	held []delivery
	w    io.Writer
}

func demoVerb(ctx context.Context, cfg *config, w io.Writer) error {
	if _, err := os.Stat(filepath.Join(cfg.dir, "registry.db")); err == nil {
		return fmt.Errorf("%s has a registry already: look at it with promote history -store sqlite:%[1]s/registry.db -files %[1]s/files -model %s, or remove the folder", cfg.dir, demoName)
	}
	if err := os.MkdirAll(cfg.dir, 0o755); err != nil {
		return err
	}
	d := demo{cfg: config{
		store: "sqlite:" + filepath.ToSlash(filepath.Join(cfg.dir, "registry.db")), files: filepath.Join(cfg.dir, "files"),
		model: demoName, policy: filepath.Join(cfg.dir, "gates.json"), by: "demo",
	}, held: deliveries(99, 500), w: w}
	var end func()
	var err error
	if d.r, end, err = open(ctx, &d.cfg); err != nil {
		return err
	}
	defer end()
	return d.run(ctx)
}

func (d *demo) run(ctx context.Context) error {
	if err := d.writePolicy(); err != nil {
		return err
	}
	parts := []struct {
		text  string
		data  []delivery
		wrong bool // someone changed a unit after the golden outputs were made
		want  bool
	}{
		{text: "Version 1 is fitted on 12 deliveries. Nobody is champion yet.", data: deliveries(1, 12), want: true},
		{text: "Version 2 is fitted on 400 deliveries, and better.", data: deliveries(2, 400), want: true},
		{text: "Version 3 is fitted on 8 deliveries, and the file was edited by hand afterwards.", data: deliveries(3, 8), wrong: true},
	}
	for i, p := range parts {
		fmt.Fprintf(d.w, "%s\n\n", p.text)
		number, err := d.register(ctx, p.data, p.wrong)
		if err != nil {
			return err
		}
		if err := d.r.Approve(ctx, demoName, number, "ann", "looked at the residuals"); err != nil {
			return err
		}
		policy, err := readPolicy(d.cfg.policy)
		if err != nil {
			return err
		}
		cfg := d.cfg
		cfg.version, cfg.reason = number, fmt.Sprintf("demo, part %d", i+1)
		err = promote(ctx, d.r, &cfg, policy, d.w)
		if _, refused := errors.AsType[*registry.RefusedError](err); err != nil && !refused || refused == p.want {
			return errors.Join(err, errors.New("the demo did not go as written"))
		}
		fmt.Fprintln(d.w)
	}
	e, err := d.r.Rollback(ctx, demoName, "champion", &registry.RollbackOptions{By: "ann", Reason: "complaints"})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.w, "Complaints come in: champion is rolled back from v%d to v%d.\n", e.From, e.To)
	head, err := d.r.VerifyAudit(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.w, "The audit log is whole: %d entries, the last is %s.\n\nTry the refused one by yourself; the exit status is %d:\n\n  promote run -store %s -files %s -policy %s -model %s -version 3 -by me\n",
		head.Seq, head.Hash, exitRefused, d.cfg.store, d.cfg.files, d.cfg.policy, demoName)
	return err
}

// writePolicy makes a key, and the policy that asks for all there is.
func (d *demo) writePolicy() error {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	d.key = key
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(filepath.Dir(d.cfg.policy), "trainer.pub"), text, 0o644); err != nil {
		return err
	}
	held, err := json.Marshal(fmt.Sprint(d.held))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(held)
	d.test = registry.Dataset{Name: "deliveries", Version: "1", Digest: "sha256:" + hex.EncodeToString(sum[:]), Context: "evaluation"}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bound := 20.0
	b, err := json.MarshalIndent(map[string]any{"alias": "champion", "gates": []any{
		map[string]any{"gate": "metric", "metric": "rmse", "at_most": bound},
		map[string]any{"gate": "champion", "metric": "rmse", "lower_is_better": true, "margin": 0.1, "dataset": d.test},
		map[string]any{"gate": "signature"},
		map[string]any{"gate": "golden", "command": []string{self, "predict"}, "tolerance": 1e-9},
		map[string]any{"gate": "profile"},
		map[string]any{"gate": "signed", "keys": []string{"trainer.pub"}},
		map[string]any{"gate": "approvals", "count": 1},
	}}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(d.cfg.policy, append(b, '\n'), 0o644)
}

// register fits a version, and registers and signs it.
func (d *demo) register(ctx context.Context, data []delivery, wrong bool) (int, error) {
	w := fit(data)
	var cases []registry.Golden
	for _, x := range d.held[:5] {
		in, err := json.Marshal(map[string]float64{"km": x.km, "parcels": x.parcels})
		if err != nil {
			return 0, err
		}
		out, err := json.Marshal(map[string]float64{"minutes": w.predict(x.km, x.parcels)})
		if err != nil {
			return 0, err
		}
		cases = append(cases, registry.Golden{Input: in, Output: out})
	}
	golden, err := registry.EncodeGolden(cases)
	if err != nil {
		return 0, err
	}
	if wrong {
		w.Km *= 1.609 // miles
	}
	model, err := json.Marshal(w)
	if err != nil {
		return 0, err
	}
	v, err := d.r.Register(ctx, demoName, registry.Draft{
		Files:     fstest.MapFS{"model.json": {Data: model}, "golden.json": {Data: golden}},
		Profile:   []byte(`{"format":1}`),
		Signature: json.RawMessage(`{"inputs":[{"name":"km","datatype":"FP64","shape":[-1]},{"name":"parcels","datatype":"FP64","shape":[-1]}],"outputs":[{"name":"minutes","datatype":"FP64","shape":[-1]}]}`),
		Golden:    "golden.json", Framework: "least squares", User: "trainer",
		Metrics:  map[string]float64{"rmse": w.rmse(d.held)},
		Datasets: []registry.Dataset{d.test},
	})
	if err != nil {
		return 0, err
	}
	return v.Number, d.r.Sign(ctx, demoName, v.Number, d.key)
}
