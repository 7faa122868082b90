package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// trainMain is the training process: it reads labelled applications, fits a
// model on four fifths of them, and leaves the model, its score on the rest, and
// the profile of the rest, which is what live traffic is compared with.
func trainMain(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("train", flag.ContinueOnError)
	data := flags.String("data", "", "file with the applications")
	dir := flags.String("out", "", "folder for the model")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*data)
	if err != nil {
		return err
	}
	var all, fitted, held []application
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for i, a := range all {
		if i%5 == 0 {
			held = append(held, a)
		} else {
			fitted = append(fitted, a)
		}
	}
	m := fit(fitted)
	reference, err := describe(m, held)
	if err != nil {
		return err
	}
	score := m.auc(held)
	fmt.Fprintf(out, "%d applications to fit, %d held out, AUC %.3f\n", len(fitted), len(held), score)
	if err := os.MkdirAll(filepath.Join(*dir, "model"), 0o755); err != nil {
		return err
	}
	return errors.Join(
		writeJSON(filepath.Join(*dir, "model", "model.json"), m),
		writeJSON(filepath.Join(*dir, "profile.json"), reference),
		writeJSON(filepath.Join(*dir, "metrics.json"), map[string]float64{"auc": score}),
	)
}

func describe(m *logistic, list []application) (*profile.Reference, error) {
	b, err := profile.NewBuilder([]profile.Input{
		{Name: "income", Kind: profile.Numeric}, {Name: "amount", Kind: profile.Numeric}, {Name: "age", Kind: profile.Numeric},
		{Name: "channel", Kind: profile.Categorical},
	}, &profile.BuilderOptions{Score: true, Split: "every fifth row", SliceBy: []string{"channel"}})
	if err != nil {
		return nil, err
	}
	for i := range list {
		a := &list[i]
		outcome := 0.0
		if a.Default {
			outcome = 1
		}
		r := profile.Record{Numbers: []float64{a.Income, a.Amount, a.Age}, Texts: []string{a.Channel}, Score: m.predict(a), Outcome: outcome}
		if err := b.Add(&r); err != nil {
			return nil, err
		}
	}
	return b.Reference()
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
