package monitor

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/estimate"
)

// Sizes of what the area under the ROC curve is computed from.
const (
	exactPairs = 1024
	scoreBins  = 1024
)

// LabelReport says how well the predictions of a window, or of a version, did
// on the rows whose label has come. Until labels are complete it is about the
// rows whose outcome is known early, which may be another kind of row: read it
// together with Coverage.
//
// A metric that is not defined is NaN, and is left out of the JSON form.
type LabelReport struct {
	// Window is the number of the window, 0 for all rows of a version.
	Window int
	// Rows is how many were observed, Labelled how many of them have a label,
	// Coverage the share.
	Rows, Labelled uint64
	Coverage       float64
	// PositiveRate is the share of labels that are 1.
	PositiveRate float64
	// AUC is the area under the ROC curve, ties counted half; 0.5 is chance.
	// It is exact for up to 1,024 labels and from there on computed on 1,024
	// equal score bins over [0,1] (or over the reference's scores where those
	// are wider), which errs by less than 1e-4. Not defined for one class only.
	AUC float64
	// LogLoss is the mean negative log likelihood in nats, scores limited to
	// [1e-15, 1-1e-15]. Defined for scores in [0,1].
	LogLoss float64
	// Brier is the mean squared difference between score and label: the Brier
	// score of a classifier, the mean squared error of a regression. It is
	// the one metric that labels other than 0 and 1 leave defined.
	Brier float64
	// Accuracy is the share of rows where score >= 0.5 agrees with the label.
	// Defined for scores in [0,1].
	Accuracy float64
	// Mature says that the window is older than Options.LabelHorizon: labels
	// that come later are few. Before, the metrics are of the rows whose
	// outcome is known early.
	Mature bool
	// Confusion counts the labels by prediction, at Options.Threshold. Empty
	// where labels or scores are not of two classes.
	Confusion estimate.Confusion
	// Metrics are these and more, each with an interval that holds the truth
	// in 95 of 100 windows: of classes (those of estimate.Metrics, "auc",
	// "brier", "log_loss"), of the ranking ("average_precision",
	// "lift_at_10_percent"), of the calibration ("calibration_error" over ten
	// bins, "mean_score") and of numbers ("mae", "rmse", "bias", "r2"), as far
	// as they are defined.
	Metrics []MetricValue
}

// MetricValue is one metric.
type MetricValue struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Low and High are the ends of its interval, both Value where no law is
	// known.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Metric returns a metric by its name, false when it is not defined.
func (l LabelReport) Metric(name string) (MetricValue, bool) {
	for _, m := range l.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return MetricValue{}, false
}

// labelJSON is the JSON form of a LabelReport.
type labelJSON struct {
	Window       int      `json:"window,omitempty"`
	Rows         uint64   `json:"rows"`
	Labelled     uint64   `json:"labelled"`
	Coverage     float64  `json:"coverage"`
	PositiveRate *float64 `json:"positive_rate,omitempty"`
	AUC          *float64 `json:"auc,omitempty"`
	LogLoss      *float64 `json:"log_loss,omitempty"`
	Brier        *float64 `json:"brier,omitempty"`
	Accuracy     *float64 `json:"accuracy,omitempty"`
	Mature       bool     `json:"mature,omitempty"`

	Confusion *estimate.Confusion `json:"confusion,omitempty"`
	Metrics   []MetricValue       `json:"metrics,omitempty"`
}

// MarshalJSON leaves out the metrics that are not defined.
func (l LabelReport) MarshalJSON() ([]byte, error) {
	some := func(v float64) *float64 {
		if v-v != 0 {
			return nil
		}
		return &v
	}
	j := labelJSON{
		l.Window, l.Rows, l.Labelled, finite(l.Coverage),
		some(l.PositiveRate), some(l.AUC), some(l.LogLoss), some(l.Brier), some(l.Accuracy), l.Mature, nil, l.Metrics,
	}
	if l.Confusion != (estimate.Confusion{}) {
		j.Confusion = &l.Confusion
	}
	return json.Marshal(j)
}

// UnmarshalJSON makes the metrics that are not there NaN.
func (l *LabelReport) UnmarshalJSON(data []byte) error {
	var j labelJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	some := func(p *float64) float64 {
		if p == nil {
			return math.NaN()
		}
		return *p
	}
	*l = LabelReport{
		j.Window, j.Rows, j.Labelled, j.Coverage,
		some(j.PositiveRate), some(j.AUC), some(j.LogLoss), some(j.Brier), some(j.Accuracy), j.Mature, estimate.Confusion{}, j.Metrics,
	}
	if j.Confusion != nil {
		l.Confusion = *j.Confusion
	}
	return nil
}

// performance adds up labelled predictions: of one window, or of one epoch.
type performance struct {
	number, epoch          int // Number is 0 for a whole epoch.
	rows, labelled         uint64
	positives, correct     uint64
	logLoss, squared       float64
	notBinary, outsideUnit bool
	threshold              float64
	cells                  [4]uint64 // TP, FP, FN, TN.
	errors                 errorSums
	calibration            [calibrationBins]calibrationBin
	groups                 [][]group // By slicing and value, of a whole epoch.
	end                    time.Time // Of the window, once it is closed.
	scores                 []float64 // While there are few.
	truths                 []bool
	hist                   *[2][scoreBins]uint64 // By class, once there are many.
	low, high              float64
}

func newPerformance(number int, e *epoch) *performance {
	p := &performance{number: number, epoch: e.number, high: 1, threshold: e.threshold}
	if number == 0 {
		p.groups = newGroups(e)
	}
	if score := e.ref.Score; score != nil && score.HasRange {
		p.low, p.high = min(score.Low, 0), max(score.High, 1)
	}
	return p
}

func (p *performance) clone() *performance {
	c := *p
	c.scores, c.truths = slices.Clone(p.scores), slices.Clone(p.truths)
	c.groups = nil
	for _, g := range p.groups {
		c.groups = append(c.groups, slices.Clone(g))
	}
	if p.hist != nil {
		h := *p.hist
		c.hist = &h
	}
	return &c
}

func (p *performance) add(score, y float64) {
	p.labelled++
	p.squared += (score - y) * (score - y)
	p.errors.add(score, y)
	p.outsideUnit = p.outsideUnit || score < 0 || score > 1
	if y != 0 && y != 1 {
		p.notBinary = true
	}
	if p.notBinary {
		return // The other metrics stay undefined.
	}
	truth := y == 1
	likelihood := score
	if truth {
		p.positives++
	} else {
		likelihood = 1 - score
	}
	if truth == (score >= 0.5) {
		p.correct++
	}
	p.cells[cellOf(score >= p.threshold, truth)]++
	p.calibration[min(max(int(score*calibrationBins), 0), calibrationBins-1)].add(score, truth)
	const tiny = 1e-15
	p.logLoss -= math.Log(min(max(likelihood, tiny), 1-tiny))
	if p.hist != nil {
		p.bin(score, truth)
		return
	}
	p.scores, p.truths = append(p.scores, score), append(p.truths, truth)
	if len(p.scores) > exactPairs {
		p.hist = new([2][scoreBins]uint64)
		for i, s := range p.scores {
			p.bin(s, p.truths[i])
		}
		p.scores, p.truths = nil, nil
	}
}

func (p *performance) bin(score float64, truth bool) {
	i := int(min(max((score-p.low)/(p.high-p.low), 0)*scoreBins, scoreBins-1))
	class := 0
	if truth {
		class = 1
	}
	p.hist[class][i]++
}

func (p *performance) report() LabelReport {
	nan := math.NaN()
	r := LabelReport{
		Window: p.number, Rows: p.rows, Labelled: p.labelled,
		PositiveRate: nan, AUC: nan, LogLoss: nan, Brier: nan, Accuracy: nan,
	}
	if p.labelled == 0 {
		return r
	}
	n := float64(p.labelled)
	r.Coverage = n / float64(max(p.rows, p.labelled))
	r.Brier = p.squared / n
	if p.notBinary {
		r.Metrics = p.errors.metrics(n, p.squared)
		return r
	}
	r.PositiveRate = float64(p.positives) / n
	r.AUC = p.auc()
	if !p.outsideUnit {
		r.LogLoss, r.Accuracy = p.logLoss/n, float64(p.correct)/n
		r.Confusion = confusionOf(p.cells)
	}
	r.Metrics = p.metrics(&r)
	return r
}

// auc is NaN when there is but one class.
func (p *performance) auc() float64 {
	var auc float64
	var err error
	if p.hist != nil {
		auc, err = drift.AUCBinned(p.hist[1][:], p.hist[0][:])
	} else {
		auc, err = drift.AUC(p.scores, p.truths)
	}
	if err != nil {
		return math.NaN()
	}
	return auc
}
