package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/tracking"
)

// The learner's settings, recorded as the run's params.
const (
	epochs = 8
	rate   = 0.02
	decay  = 1e-4
)

// trainMain is the training process: it reads one dataset version by its digest,
// fits the learner, records what it does in the run that it was given, and
// leaves the model's files in the output folder.
func trainMain(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("train", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder of the platform")
	store := flags.String("store", "", "URL of the object store")
	digest := flags.String("digest", "", "digest of the dataset version")
	runID := flags.String("run", "", "tracking run to record into")
	out := flags.String("out", "", "folder for the model's files")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := openPlatform(ctx, *dir, *store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close(ctx)) }()
	run, err := p.tracker.Run(ctx, tracking.RunID(*runID))
	if err != nil {
		return err
	}

	version, flights, err := p.readVersion(ctx, *digest)
	if err != nil {
		return err
	}
	fitted, held := split(flights)
	fmt.Printf("read version %d by digest: %s flights to fit, %s held out\n", version.Number, count(len(fitted)), count(len(held)))
	err = errors.Join(
		run.Params(ctx, map[string]string{
			"learner": "logistic regression, AdaGrad", "epochs": strconv.Itoa(epochs),
			"rate": fmt.Sprint(rate), "decay": fmt.Sprint(decay), "holdout": "0.2 by hash of the flight",
		}),
		run.LogInput(ctx, tracking.DatasetInput{
			Name: version.Dataset, Version: strconv.FormatInt(version.Number, 10), Digest: version.Digest, Context: "training",
		}),
	)
	if err != nil {
		return err
	}

	l, err := fit(fitted, epochs, rate, decay, func(epoch int, loss float64) {
		run.Metric("loss", loss, int64(epoch))
		if epoch == 1 || epoch%2 == 0 {
			fmt.Printf("epoch %d of %d  loss %.4f\n", epoch, epochs, loss)
		}
	})
	if err != nil {
		return err
	}
	auc, err := rank(l, held)
	if err != nil {
		return err
	}
	run.Metric("auc_holdout", auc, epochs)
	fmt.Printf("held-out AUC %.4f\n", auc)

	reference, err := referenceProfile(l, wholeWeeks(held), version.Digest)
	if err != nil {
		return err
	}
	for name, value := range map[string]any{"model/model.json": l, "profile.json": reference} {
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(*out, name), data, 0o644); err != nil {
			return err
		}
		f, err := os.Open(filepath.Join(*out, name))
		if err != nil {
			return err
		}
		err = run.Files().Put(ctx, name, f, int64(len(data)))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return run.Flush(ctx)
}

// readVersion finds the flights of one dataset version by its digest.
func (p *platform) readVersion(ctx context.Context, digest string) (*dataset.Version, []flight, error) {
	ds, err := p.catalog.Open(ctx, datasetName)
	if err != nil {
		return nil, nil, err
	}
	version, err := ds.ByDigest(ctx, digest)
	if err != nil {
		return nil, nil, err
	}
	r, err := version.Read(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	defer r.Release()
	flights, err := readFlights(r)
	return version, flights, err
}

// rank is the area under the ROC curve of the learner on the flights.
func rank(l *learner, flights []flight) (float64, error) {
	scores, late := make([]float64, len(flights)), make([]bool, len(flights))
	for i := range flights {
		x := flights[i].features()
		scores[i], late[i] = l.predict(&x), flights[i].late()
	}
	return drift.AUC(scores, late)
}

// wholeWeeks drops the flights after the last complete week, so that live
// weeks are compared with weeks: in a month of 31 days three weekdays come
// five times, and every live week would seem to lack them.
func wholeWeeks(flights []flight) []flight {
	if len(flights) == 0 {
		return nil
	}
	first := flights[0].Time.Truncate(24 * time.Hour)
	days := int(flights[len(flights)-1].Time.Sub(first).Hours()/24) + 1
	return between(flights, first, first.AddDate(0, 0, days/7*7))
}

// referenceProfile counts the held-out flights and their scores: what live
// traffic will be compared with. Held-out, because a model's scores on the
// rows that it was fitted on are not the scores that it will give.
func referenceProfile(l *learner, held []flight, digest string) (*profile.Reference, error) {
	if len(held) == 0 {
		return nil, errors.New("the dataset version holds no whole week of held-out flights: it is too small")
	}
	var origin, destination, distance, hour, weekday, score profile.Column
	scores := make([]float64, len(held))
	for i := range held {
		x := held[i].features()
		scores[i] = l.predict(&x)
		origin.AddString(x.origin)
		destination.AddString(x.destination)
		distance.AddFloat(x.distance)
		hour.AddFloat(float64(x.hour))
		weekday.AddFloat(float64(x.weekday))
		score.AddFloat(scores[i])
	}
	features := []profile.Feature{
		{Name: "origin", Bins: origin.Bins(0)}, {Name: "destination", Bins: destination.Bins(0)},
		{Name: "distance", Bins: distance.Bins(0)}, {Name: "hour", Bins: hour.Bins(0)}, {Name: "weekday", Bins: weekday.Bins(0)},
	}
	ref := profile.NewReference(features, score.Bins(0))
	ref.Dataset, ref.Split = digest, "held-out fifth by hash of the flight, whole weeks"
	row := make([]float64, len(features))
	for i := range held {
		x := held[i].features()
		row[0] = float64(features[0].Bins.Code(x.origin))
		row[1] = float64(features[1].Bins.Code(x.destination))
		row[2], row[3], row[4] = x.distance, float64(x.hour), float64(x.weekday)
		if err := ref.Observe(row, scores[i]); err != nil {
			return nil, err
		}
	}
	return ref, nil
}
