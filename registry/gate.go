package registry

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// MetricAtLeast passes a version whose recorded metric is min or more.
func MetricAtLeast(metric string, min float64) Gate {
	return Gate{Name: "metric " + metric, Check: func(_ context.Context, c Candidate) (Verdict, error) {
		have, ok := c.Version.Metrics[metric]
		if !ok {
			return Verdict{Detail: fmt.Sprintf("the version has no metric %q", metric)}, nil
		}
		return Verdict{
			Pass: have >= min, Detail: fmt.Sprintf("%s is %.6g, want at least %.6g", metric, have, min),
			Numbers: map[string]float64{"value": have, "min": min},
		}, nil
	}}
}

// MetricAtMost passes a version whose recorded metric, a loss, is max or less.
func MetricAtMost(metric string, max float64) Gate {
	return Gate{Name: "metric " + metric, Check: func(_ context.Context, c Candidate) (Verdict, error) {
		have, ok := c.Version.Metrics[metric]
		if !ok {
			return Verdict{Detail: fmt.Sprintf("the version has no metric %q", metric)}, nil
		}
		return Verdict{
			Pass: have <= max, Detail: fmt.Sprintf("%s is %.6g, want at most %.6g", metric, have, max),
			Numbers: map[string]float64{"value": have, "max": max},
		}, nil
	}}
}

// Comparison is what MetricBeats compares.
type Comparison struct {
	// Metric is its name.
	Metric string
	// Dataset is the dataset version that both must have been judged on: its
	// Digest, and its Name for people.
	Dataset Dataset
	// LowerIsBetter turns the comparison around, for losses. Default false.
	LowerIsBetter bool
	// Margin is by how much the candidate must be better; negative allows it
	// to be worse by as much. Default 0: at least as good.
	Margin float64
	// Evaluate judges a version on the dataset. Default nil: the metric
	// recorded with the version, which then must name the dataset among those
	// it was judged on, with the context "evaluation".
	Evaluate func(ctx context.Context, v *Version, d Dataset) (float64, error)
}

// MetricBeats passes a version that is better than the champion by one metric
// on one dataset version. Where there is no champion it only has to have been
// judged.
func MetricBeats(q Comparison) Gate {
	name := fmt.Sprintf("%s against the champion", q.Metric)
	return Gate{Name: name, Check: func(ctx context.Context, c Candidate) (Verdict, error) {
		have, why, err := q.value(ctx, c.Version)
		if err != nil || why != "" {
			return Verdict{Detail: why}, err
		}
		numbers := map[string]float64{"value": have}
		if c.Champion == nil {
			return Verdict{Pass: true, Detail: fmt.Sprintf("%s is %.6g, and there is no champion", q.Metric, have), Numbers: numbers}, nil
		}
		champion, why, err := q.value(ctx, c.Champion)
		if err != nil || why != "" {
			return Verdict{Detail: why, Numbers: numbers}, err
		}
		numbers["champion"], numbers["margin"] = champion, q.Margin
		gain := have - champion
		if q.LowerIsBetter {
			gain = -gain
		}
		detail := fmt.Sprintf("%s is %.6g, the champion's (v%d) %.6g, on %s %s", q.Metric, have, c.Champion.Number, champion, q.Dataset.Name, q.Dataset.Version)
		if gain < q.Margin {
			detail += fmt.Sprintf(": better by %.6g, want %.6g", gain, q.Margin)
		}
		return Verdict{Pass: gain >= q.Margin, Detail: detail, Numbers: numbers}, nil
	}}
}

// value is the metric of a version, or why there is none.
func (q *Comparison) value(ctx context.Context, v *Version) (value float64, why string, err error) {
	if q.Evaluate != nil {
		value, err = q.Evaluate(ctx, v, q.Dataset)
	} else {
		judged := slices.ContainsFunc(v.Datasets, func(d Dataset) bool {
			return d.Digest == q.Dataset.Digest && d.Context == "evaluation"
		})
		if !judged {
			return 0, fmt.Sprintf("v%d was not judged on dataset %q with digest %q", v.Number, q.Dataset.Name, q.Dataset.Digest), nil
		}
		var ok bool
		if value, ok = v.Metrics[q.Metric]; !ok {
			return 0, fmt.Sprintf("v%d has no metric %q", v.Number, q.Metric), nil
		}
	}
	if err == nil && (math.IsNaN(value) || math.IsInf(value, 0)) {
		return 0, fmt.Sprintf("%s of v%d is %v", q.Metric, v.Number, value), nil
	}
	return value, "", err
}

// ProfilePresent passes a version with a reference profile, without which its
// traffic cannot be monitored.
func ProfilePresent() Gate {
	return Gate{Name: "reference profile", Check: func(ctx context.Context, c Candidate) (Verdict, error) {
		b, err := c.Registry.Profile(ctx, c.Version)
		switch {
		case errors.Is(err, ErrNotFound):
			return Verdict{Detail: fmt.Sprintf("the version has no file %q", ProfilePath)}, nil
		case err != nil:
			return Verdict{}, err
		}
		return Verdict{Pass: true, Detail: fmt.Sprintf("%d bytes", len(b))}, nil
	}}
}

// SignedBy passes a version whose manifest is signed by one of the keys.
func SignedBy(keys ...crypto.PublicKey) Gate {
	return Gate{Name: "signature of the files", Check: func(_ context.Context, c Candidate) (Verdict, error) {
		if err := (&Trust{Keys: keys}).check(c.Version); err != nil {
			return Verdict{Detail: err.Error()}, nil
		}
		return Verdict{Pass: true, Detail: "signed by a trusted key"}, nil
	}}
}

// Approved passes a version that at least n people, other than the one who
// registered it, approved by Approve. With from not empty only theirs count.
func Approved(n int, from ...string) Gate {
	return Gate{Name: fmt.Sprintf("approvals (%d)", n), Check: func(ctx context.Context, c Candidate) (Verdict, error) {
		by, err := c.approvers(ctx)
		if err != nil {
			return Verdict{}, err
		}
		by = slices.DeleteFunc(by, func(who string) bool {
			return who == c.Version.User || len(from) > 0 && !slices.Contains(from, who)
		})
		detail := fmt.Sprintf("%d of %d", len(by), n)
		if len(by) > 0 {
			detail += ", by " + strings.Join(by, ", ")
		}
		return Verdict{Pass: len(by) >= n, Detail: detail, Numbers: map[string]float64{"approvals": float64(len(by)), "want": float64(n)}}, nil
	}}
}

// approval is the Evidence of an approval: what was vouched for.
type approval struct {
	Digest string `json:"digest"`
}

// approvers returns, sorted, who approved the candidate's files. Those who
// approved a version of another model, purged since, that had its name and
// number, did not.
func (c Candidate) approvers(ctx context.Context) ([]string, error) {
	by, ids := map[int][]string{}, identities{}
	for q := (AuditQuery{Name: c.Version.Name, Limit: recordPage}); ; {
		page, err := c.Registry.store.Audit(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			id := ids.of(e)
			var a approval
			if e.Kind == KindApproval && e.To == c.Version.Number && json.Unmarshal(e.Evidence, &a) == nil && a.Digest == c.Version.Digest {
				by[id] = append(by[id], e.By)
			}
			q.From = e.Seq + 1
		}
		if len(page) < q.Limit {
			break
		}
	}
	list := by[ids.live[c.Version.Name]]
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Approve records that someone vouches for a version as it is, which the gate
// Approved counts. Authentication is the caller's: by is taken as it is.
// ErrInvalid for a version that has no files yet.
func (r *Registry) Approve(ctx context.Context, name string, number int, by, reason string) error {
	v, err := r.Version(ctx, name, number)
	if err != nil {
		return err
	}
	op := fmt.Sprintf("approve %q", cut(v.Ref()))
	var faults errs.Faults
	faults.Check(by != "", "By is empty: say who approves")
	checkText(&faults, "By", by, maxName)
	checkText(&faults, "Reason", reason, maxReason)
	faults.Check(!v.Deleted && v.Status == Ready, "the version is deleted or not ready (%s)", v.Status)
	if err := faults.Err("registry: " + op); err != nil {
		return err
	}
	evidence, err := json.Marshal(approval{Digest: v.Digest})
	if err != nil {
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	e := Entry{Kind: KindApproval, Time: now(), Name: name, To: number, By: by, Reason: reason, Evidence: evidence}
	if _, err := r.store.Record(ctx, e, -1); err != nil {
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	return nil
}

// Predict runs a version's model on one golden input.
type Predict func(ctx context.Context, files fs.FS, input json.RawMessage) (output json.RawMessage, err error)

// GoldenReproduced passes a version that gives its golden outputs again, here
// and now: every number within tolerance, relative to the golden one where that
// is above 1, and all else equal.
func GoldenReproduced(predict Predict, tolerance float64) Gate {
	return Gate{Name: "golden outputs", Check: func(ctx context.Context, c Candidate) (Verdict, error) {
		if c.Version.Golden == "" {
			return Verdict{Detail: "the version was registered without golden inputs"}, nil
		}
		files, err := c.Registry.Open(ctx, c.Version)
		if err != nil {
			return Verdict{}, err
		}
		golden, err := ReadGolden(files, c.Version.Golden)
		if err != nil {
			return Verdict{}, err
		}
		worst := 0.0
		for i, g := range golden {
			have, err := predict(ctx, files, g.Input)
			if err != nil {
				return Verdict{Detail: fmt.Sprintf("case %d: the model failed: %v", i+1, err)}, nil
			}
			off, why := compareJSON(g.Output, have)
			worst = max(worst, off)
			if why != "" || off > tolerance {
				if why == "" {
					why = fmt.Sprintf("off by %.3g, allowed %.3g", off, tolerance)
				}
				return Verdict{Detail: fmt.Sprintf("case %d of %d: %s", i+1, len(golden), why), Numbers: map[string]float64{"off": off, "tolerance": tolerance}}, nil
			}
		}
		return Verdict{Pass: true, Detail: fmt.Sprintf("%d cases, off by %.3g at most", len(golden), worst), Numbers: map[string]float64{"off": worst, "tolerance": tolerance}}, nil
	}}
}
